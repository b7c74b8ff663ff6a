#include "guided.h"

static const float STRETCH = 1.3f, EPSILON = 1e-4f * 255.0f * 255.0f;

enum { GUIDE = 0, TARGET = 3, SHARED = 4, PRODUCTS = 7, CHANNELS = 13 };

void eh_guided_free(eh_guided *g) {
    eh_shrinker_free(&g->guide);
    eh_resizer_free(&g->small);
    eh_resizer_free(&g->full);
    eh_memory *kept[] = {&g->packed, &g->bytes, &g->slopes, &g->floats, &g->sums, &g->result};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) eh_release(kept[i]);
}

/* The local linear model of a cell, from the means of guide, target and their products: three slopes and an offset. */
static void solve(const float *m, float *model) {
    const float mb = m[GUIDE], mg = m[GUIDE + 1], mr = m[GUIDE + 2], mt = m[TARGET];
    const float sb = m[SHARED] - mb * mt, sg = m[SHARED + 1] - mg * mt, sr = m[SHARED + 2] - mr * mt;
    const float *p = m + PRODUCTS;
    const float bb = p[0] - mb * mb + EPSILON, gg = p[1] - mg * mg + EPSILON, rr = p[2] - mr * mr + EPSILON;
    const float bg = p[3] - mb * mg, br = p[4] - mb * mr, gr = p[5] - mg * mr;
    /* Closed-form inverse of the symmetric 3 x 3 covariance. */
    const float i_bb = gg * rr - gr * gr, i_bg = br * gr - bg * rr, i_br = bg * gr - gg * br;
    const float i_gg = bb * rr - br * br, i_gr = bg * br - bb * gr, i_rr = bb * gg - bg * bg;
    const float scale = 1.0f / (bb * i_bb + bg * i_bg + br * i_br);
    model[0] = (i_bb * sb + i_bg * sg + i_br * sr) * scale;
    model[1] = (i_bg * sb + i_gg * sg + i_gr * sr) * scale;
    model[2] = (i_br * sb + i_gr * sg + i_rr * sr) * scale;
    model[3] = mt - model[0] * mb - model[1] * mg - model[2] * mr;
}

/* The model of each cell of a box, averaged over windows: [rows][columns][4] of the whole, written in the box. */
static void find_models(const eh_picture *guide, const eh_picture *alpha, eh_box box, integer reach, float *floats,
                        double *sums, float *models) {
    const integer count = box.width * box.height;
    float *small = floats + CHANNELS * count;
    for (integer y = 0; y < box.height; y++) {
        for (integer x = 0; x < box.width; x++) {
            const uint8_t *pixel = eh_row(guide, box.top + y) + 3 * (box.left + x);
            const float b = pixel[0], g = pixel[1], r = pixel[2], t = eh_row(alpha, box.top + y)[box.left + x];
            const float values[CHANNELS] = {b, g, r, t, b * t, g * t, r * t, b * b, g * g, r * r, b * g, b * r, g * r};
            memcpy(floats + CHANNELS * (y * box.width + x), values, sizeof values);
        }
    }
    eh_box_mean(floats, box.height, box.width, CHANNELS, reach, EH_AT, sums);
    for (integer i = 0; i < count; i++) solve(floats + CHANNELS * i, small + 4 * i);
    eh_box_mean(small, box.height, box.width, 4, reach, EH_AT, sums);
    for (integer y = 0; y < box.height; y++)
        memcpy(models + 4 * ((box.top + y) * guide->width + box.left), small + 4 * y * box.width,
               sizeof(float) * 4 * (size_t)box.width);
}

typedef struct {
    const eh_tools *tools;
    const float *models;
    const uint8_t *edge;
    const eh_picture *frame, *made;
    integer first, rows, columns;
} job;

static void snap(void *context, integer first, integer last, int thread) {
    const job *j = (const job *)context;
    (void)thread;
    j->tools->passes->snap_rows(j->first + first, j->first + last, eh_address(j->models), j->rows, j->columns,
                                eh_address(j->edge), eh_address(j->frame->data), j->frame->height, j->frame->width,
                                STRETCH, eh_address(j->made->data));
}

eh_status eh_guided_alpha(eh_guided *g, const eh_tools *tools, const eh_picture *alpha, const eh_picture *frame,
                          integer radius, const eh_picture *out) {
    const integer factor = larger(1, radius / 2);
    const integer rows = (frame->height + factor - 1) / factor, columns = (frame->width + factor - 1) / factor;
    const integer count = rows * columns, reach = larger(1, (integer)lrint((double)radius / (double)factor));
    uint8_t *bytes = (uint8_t *)eh_reserve(&g->bytes, (size_t)(4 * count));
    float *models = (float *)eh_reserve(&g->slopes, sizeof(float) * (size_t)(4 * count));
    float *floats = (float *)eh_reserve(&g->floats, sizeof(float) * (size_t)((CHANNELS + 4) * count));
    double *sums = (double *)eh_reserve(&g->sums, sizeof(double) * (size_t)(CHANNELS * columns * (rows + 1)));
    uint8_t *result = (uint8_t *)eh_reserve(&g->result, (size_t)(frame->height * frame->width));
    if (!bytes || !models || !floats || !sums || !result) return eh_out_of_memory(tools->message);
    eh_picture guide, packed;
    const eh_picture small = eh_packed(bytes, rows, columns, 1);
    const eh_picture full = eh_packed(result, frame->height, frame->width, 1);
    eh_status status = eh_shrink_to(&g->guide, tools, frame, 3, rows, columns, &guide);
    if (status != EH_OK) return status;
    const int made = columns < alpha->width ? eh_resize_area(&g->small, tools->threads, alpha, &small, 1)
                                            : eh_resize_linear(&g->small, tools->threads, alpha, &small, 1);
    if (!made || !eh_resize_linear(&g->full, tools->threads, alpha, &full, 1)) return eh_out_of_memory(tools->message);
    uint8_t *edge = bytes + count, *least = edge + count, *scratch = least + count;
    eh_greatest(small.data, rows, columns, reach + 1, edge, scratch);
    eh_least(small.data, rows, columns, reach + 1, least, scratch);
    for (integer i = 0; i < count; i++) edge[i] = edge[i] != least[i];
    const eh_picture edges = eh_packed(edge, rows, columns, 1);
    const eh_box box = eh_bounding_box(&edges);
    if (box.width) {
        /* Models are needed in the edges' box only; their windows reach as far again round it. */
        const integer margin = 2 * reach + 1;
        eh_box wide = {larger(0, box.left - margin), larger(0, box.top - margin), 0, 0};
        wide.width = smaller(columns, box.left + box.width + margin) - wide.left;
        wide.height = smaller(rows, box.top + box.height + margin) - wide.top;
        memset(models, 0, sizeof(float) * (size_t)(4 * count));
        find_models(&guide, &small, wide, reach, floats, sums, models);
        status = eh_pack(&g->packed, tools, frame, 3, &packed);
        if (status != EH_OK) return status;
        const integer first = box.top * frame->height / rows;
        const integer last = smaller(frame->height, ((box.top + box.height) * frame->height + rows - 1) / rows);
        job work = {tools, models, edge, &packed, &full, first, rows, columns};
        eh_share_rows(tools->threads, snap, &work, last - first, 32);
    }
    for (integer y = 0; y < frame->height; y++) memcpy(eh_row(out, y), eh_row(&full, y), (size_t)frame->width);
    return EH_OK;
}
