#include "foreground.h"

enum { FACTOR = 4, WIDE = 4, WIDE_RADIUS = 5, NARROW_RADIUS = 2 };

void eh_foreground_free(eh_foreground *f) {
    eh_shrinker_free(&f->colour);
    eh_shrinker_free(&f->cover);
    eh_resizer_free(&f->wide);
    eh_release(&f->coarse);
    eh_release(&f->coarse_cover);
    eh_release(&f->packed_alpha);
    eh_release(&f->floats);
    eh_release(&f->sums);
}

static integer parts_of(integer size, integer factor) { return (size + factor - 1) / factor; }

/* The box of what is neither 0 nor 255. */
static eh_box mixed(const eh_picture *alpha) {
    eh_box box = {0, 0, 0, 0};
    for (integer y = 0; y < alpha->height; y++) {
        const uint8_t *line = eh_row(alpha, y);
        integer first = 0, last = alpha->width;
        while (first < last && (uint8_t)(line[first] + 1) < 2) first++;
        if (first == last) continue;
        while ((uint8_t)(line[last - 1] + 1) < 2) last--;
        eh_box_take(&box, y, first, last);
    }
    return box;
}

/* Means of two pictures in a window, weighted by cover and by its complement, in place. Where a window holds none of
 * one side, that side takes the window's plain mean. `cover` and `bare` are spoilt. */
static void means(float *fore, float *back, float *cover, float *bare, integer rows, integer columns, integer radius,
                  double *sums) {
    for (integer i = 0; i < rows * columns; i++) {
        cover[i] = cover[i] + 1e-4f;
        bare[i] = 1.0002f - cover[i];
        for (integer k = 3 * i; k < 3 * i + 3; k++) {
            fore[k] *= cover[i];
            back[k] *= bare[i];
        }
    }
    eh_box_mean(fore, rows, columns, 3, radius, EH_ABOUT, sums);
    eh_box_mean(back, rows, columns, 3, radius, EH_ABOUT, sums);
    eh_box_mean(cover, rows, columns, 1, radius, EH_ABOUT, sums);
    eh_box_mean(bare, rows, columns, 1, radius, EH_ABOUT, sums);
    for (integer i = 0; i < rows * columns; i++) {
        for (integer k = 3 * i; k < 3 * i + 3; k++) {
            fore[k] /= cover[i] > 1e-6f ? cover[i] : 1e-6f;
            back[k] /= bare[i] > 1e-6f ? bare[i] : 1e-6f;
        }
    }
}

/* Colours of the subject and of what is behind it, of the small frame's size. */
static eh_status surroundings(eh_foreground *f, const eh_tools *tools, const eh_picture *seen, const eh_picture *alpha,
                              float **found_fore, float **found_back) {
    const integer rows = seen->height, columns = seen->width, count = rows * columns;
    const integer wide_rows = parts_of(rows, WIDE), wide_columns = parts_of(columns, WIDE);
    float *floats = (float *)eh_reserve(&f->floats, sizeof(float) * (size_t)(count * 14));
    double *sums = (double *)eh_reserve(&f->sums, sizeof(double) * (size_t)(3 * columns * (rows + 1)));
    if (!floats || !sums) return eh_out_of_memory(tools->message);
    float *fore = floats, *back = fore + 3 * count, *near_fore = back + 3 * count, *near_back = near_fore + 3 * count;
    float *cover = near_back + 3 * count, *bare = cover + count;
    void *coarse_data = eh_reserve(&f->coarse, (size_t)(wide_rows * wide_columns * 3));
    void *cover_data = eh_reserve(&f->coarse_cover, (size_t)(wide_rows * wide_columns));
    if (!coarse_data || !cover_data) return eh_out_of_memory(tools->message);
    const eh_picture coarse = eh_packed(coarse_data, wide_rows, wide_columns, 3);
    const eh_picture coarse_cover = eh_packed(cover_data, wide_rows, wide_columns, 1);
    if (!eh_resize_area(&f->wide, tools->threads, seen, &coarse, 3) ||
        !eh_resize_area(&f->wide, tools->threads, alpha, &coarse_cover, 1))
        return eh_out_of_memory(tools->message);
    for (integer i = 0; i < wide_rows * wide_columns; i++) {
        cover[i] = (float)coarse_cover.data[i] * (float)(1.0 / 255.0);
        for (integer k = 3 * i; k < 3 * i + 3; k++) near_fore[k] = near_back[k] = (float)coarse.data[k];
    }
    means(near_fore, near_back, cover, bare, wide_rows, wide_columns, WIDE_RADIUS, sums);
    eh_enlarge(near_fore, wide_rows, wide_columns, 3, fore, rows, columns);
    eh_enlarge(near_back, wide_rows, wide_columns, 3, back, rows, columns);

    /* The narrow pass, in the box of what is mixed and as far round it as it looks. */
    const eh_box box = mixed(alpha);
    const integer reach = NARROW_RADIUS + 1;
    const integer top = larger(0, box.top - reach), bottom = smaller(rows, box.top + box.height + reach);
    const integer left = larger(0, box.left - reach), right = smaller(columns, box.left + box.width + reach);
    const integer tall = bottom - top, across = right - left;
    for (integer y = 0; y < tall; y++) {
        for (integer x = 0; x < across; x++) {
            const integer here = (top + y) * columns + left + x, there = y * across + x;
            const float weight = (float)eh_row(alpha, top + y)[left + x] * (float)(1.0 / 255.0);
            cover[there] = weight;
            for (integer k = 0; k < 3; k++) {
                const float part = (float)eh_row(seen, top + y)[3 * (left + x) + k];
                const float missing = part - weight * fore[3 * here + k] - (1.0f - weight) * back[3 * here + k];
                const float taken = fore[3 * here + k] + weight * missing;
                near_back[3 * there + k] = part;
                near_fore[3 * there + k] = weight > 0.0f && weight < 1.0f ? taken < 0.0f     ? 0.0f
                                                                            : taken > 255.0f ? 255.0f
                                                                                             : taken
                                                                          : part;
            }
        }
    }
    means(near_fore, near_back, cover, bare, tall, across, NARROW_RADIUS, sums);
    for (integer y = 0; y < tall; y++) {
        const size_t bytes = sizeof(float) * 3 * (size_t)across;
        memcpy(fore + 3 * ((top + y) * columns + left), near_fore + 3 * y * across, bytes);
        memcpy(back + 3 * ((top + y) * columns + left), near_back + 3 * y * across, bytes);
    }
    *found_fore = fore;
    *found_back = back;
    return EH_OK;
}

typedef struct {
    const eh_tools *tools;
    const eh_picture *alpha, *made;
    const float *fore, *back;
    integer top, rows, columns;
} job;

static void unmix(void *context, integer first, integer last, int thread) {
    const job *j = (const job *)context;
    (void)thread; /* each pixel is read before it is written: the picture is both what was seen and the result */
    j->tools->passes->unmix_rows(j->top + first, j->top + last, eh_address(j->made->data), eh_address(j->alpha->data),
                                 j->made->height, j->made->width, eh_address(j->fore), eh_address(j->back), j->rows,
                                 j->columns, 0, eh_address(j->made->data));
}

eh_status eh_estimate_foreground(eh_foreground *f, const eh_tools *tools, const eh_picture *alpha,
                                 const eh_picture *made, eh_picture *frame) {
    const eh_box box = mixed(alpha);
    if (box.width == 0) return EH_OK;
    eh_picture small, small_alpha, cover;
    float *fore = 0, *back = 0;
    const integer rows = parts_of(frame->height, FACTOR), columns = parts_of(frame->width, FACTOR);
    eh_status status = eh_shrink_to(&f->colour, tools, frame, 3, rows, columns, &small);
    if (status == EH_OK) status = eh_shrink_to(&f->cover, tools, alpha, 1, rows, columns, &small_alpha);
    if (status == EH_OK) status = surroundings(f, tools, &small, &small_alpha, &fore, &back);
    if (status == EH_OK) status = eh_pack(&f->packed_alpha, tools, alpha, 1, &cover);
    if (status != EH_OK) return status;
    for (integer y = 0; y < frame->height; y++) memcpy(eh_row(made, y), eh_row(frame, y), (size_t)(frame->width * 3));
    job work = {tools, &cover, made, fore, back, box.top, rows, columns};
    eh_share_rows(tools->threads, unmix, &work, box.height, 32);
    *frame = *made;
    return EH_OK;
}
