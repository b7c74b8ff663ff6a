#include "finishing.h"

static const double RADIUS = 0.02; /* how far light reaches inwards, as a share of the longer side */

/* The cells of `factor` pixels that hold a stretch of pixels, and `margin` cells round it. */
static void cells(integer start, integer length, integer size, integer factor, integer margin, integer *first,
                  integer *last) {
    *first = larger(start / factor - margin, 0);
    *last = smaller((start + length + factor - 1) / factor + margin, larger(size / factor, 1));
    *first = smaller(*first, *last - 1);
}

/* A picture whose sides are whole cells, averaged over them. */
static eh_status shrink(eh_finishing *f, const eh_tools *tools, const eh_picture *image, int channels, integer factor,
                        const eh_picture *out) {
    eh_picture half = *image;
    if (factor > 2) {
        const integer height = image->height / factor * 2, width = image->width / factor * 2;
        void *data = eh_reserve(&f->half, (size_t)(height * width * channels));
        if (!data) return eh_out_of_memory(tools->message);
        half = eh_packed(data, height, width, channels);
        if (!eh_resize_linear(&f->boxes, tools->threads, image, &half, channels))
            return eh_out_of_memory(tools->message);
    }
    return eh_resize_area(&f->halves, tools->threads, &half, out, channels) ? EH_OK : eh_out_of_memory(tools->message);
}

/* Means of square windows, in place; beyond its edge a picture goes on as it is there. `sums` holds a row more than it.
 */
static void blur(uint8_t *image, integer rows, integer columns, integer reach, int32_t *sums) {
    const integer count = 3 * columns;
    const int32_t area = (int32_t)((2 * reach + 1) * (2 * reach + 1));
    int32_t *restrict running = sums + rows * count;
    for (integer y = 0; y < rows; y++) {
        const uint8_t *from = image + y * count;
        for (integer k = 0; k < 3; k++) {
            int32_t sum = from[k] * (int32_t)(reach + 1), *made = sums + y * count + k;
            for (integer i = 1; i <= reach; i++) sum += from[3 * smaller(i, columns - 1) + k];
            for (integer i = 0; i < columns; i++) {
                made[3 * i] = sum;
                sum += from[3 * smaller(i + reach + 1, columns - 1) + k] - from[3 * larger(i - reach, 0) + k];
            }
        }
    }
    for (integer i = 0; i < count; i++) running[i] = sums[i] * (int32_t)(reach + 1);
    for (integer y = 1; y <= reach; y++)
        for (integer i = 0; i < count; i++) running[i] += sums[smaller(y, rows - 1) * count + i];
    for (integer y = 0; y < rows; y++) {
        uint8_t *restrict made = image + y * count;
        const int32_t *restrict enters = sums + smaller(y + reach + 1, rows - 1) * count;
        const int32_t *restrict leaves = sums + larger(y - reach, 0) * count;
        const float share = 1.0f / (float)area;
        for (integer i = 0; i < count; i++) {
            made[i] = (uint8_t)(int)((float)running[i] * share + 0.5f);
            running[i] += enters[i] - leaves[i];
        }
    }
}

typedef struct {
    const eh_tools *tools;
    const eh_picture *picture, *alpha;
    const uint8_t *light, *seen;
    eh_box box;
    integer rows, columns, top, left, factor;
    float amount;
} job;

static void light_rows(void *context, integer first, integer last, int thread) {
    const job *j = (const job *)context;
    (void)thread;
    j->tools->passes->add_light(j->box.top + first, j->box.top + last, eh_address(j->picture->data), j->picture->step,
                                3, 1, eh_address(j->alpha->data), j->alpha->step, 1, j->alpha->width,
                                eh_address(j->light), eh_address(j->seen), j->rows, j->columns, j->top, j->left,
                                j->factor, j->amount);
}

eh_status eh_light_wrap(eh_finishing *f, const eh_tools *tools, const eh_picture *picture, const eh_picture *alpha,
                        const eh_picture *background, double amount) {
    const eh_box box = eh_bounding_box(alpha);
    if (amount <= 0.0 || box.width == 0) return EH_OK;
    /* The rim is looked for, and lit, only in the subject's box and as far round it as light travels. */
    const double travel = RADIUS * (double)larger(alpha->height, alpha->width);
    integer factor = 8;
    while (factor > 1 && (double)factor > travel / 8) factor /= 2;
    const integer reach = larger(1, (integer)((travel / (double)factor - 1.5) / 2));
    integer first_row, last_row, first_column, last_column;
    cells(box.top, box.height, alpha->height, factor, 2 * reach + 2, &first_row, &last_row);
    cells(box.left, box.width, alpha->width, factor, 2 * reach + 2, &first_column, &last_column);
    const integer rows = last_row - first_row, columns = last_column - first_column, count = rows * columns;
    const integer top = first_row * factor, left = first_column * factor, height = rows * factor,
                  width = columns * factor;
    uint8_t *inverted = (uint8_t *)eh_reserve(&f->inverted, (size_t)(alpha->height * alpha->width));
    /* As much as the whole frame could want: a subject that grows asks for no more. */
    const size_t most = (size_t)((alpha->height / factor + 1) * (alpha->width / factor + 1));
    uint8_t *seen = (uint8_t *)eh_reserve(&f->seen, most), *light = (uint8_t *)eh_reserve(&f->light, 3 * most);
    int32_t *sums = (int32_t *)eh_reserve(&f->sums, sizeof(int32_t) * 3 * (most + (size_t)alpha->width));
    const integer side = larger(alpha->height, alpha->width);
    if (!inverted || !seen || !light || !sums || !eh_reserve(&f->half, 3 * 4 * most) ||
        !eh_resizer_expect(&f->boxes, tools->threads, side, 3) ||
        !eh_resizer_expect(&f->halves, tools->threads, side, 3))
        return eh_out_of_memory(tools->message);
    for (integer y = 0; y < height; y++) {
        const uint8_t *from = eh_row(alpha, top + y) + left;
        uint8_t *made = inverted + y * width;
        for (integer x = 0; x < width; x++) made[x] = (uint8_t)(255 - from[x]);
    }
    const eh_picture bare = eh_packed(inverted, height, width, 1), small_bare = eh_packed(seen, rows, columns, 1);
    const eh_picture part = {eh_row(background, top) + 3 * left, background->step, height, width};
    const eh_picture small_part = eh_packed(light, rows, columns, 3);
    eh_status status = shrink(f, tools, &bare, 1, factor, &small_bare);
    if (status == EH_OK) status = shrink(f, tools, &part, 3, factor, &small_part);
    if (status != EH_OK) return status;
    for (integer i = 0; i < count; i++)
        for (int k = 0; k < 3; k++) light[3 * i + k] = (uint8_t)((2 * light[3 * i + k] * seen[i] + 255) / 510);
    blur(light, rows, columns, reach, sums);
    blur(light, rows, columns, reach, sums);
    job work = {tools, picture, alpha, light, seen,   box,
                rows,  columns, top,   left,  factor, (float)(amount < 1.0 ? amount : 1.0)};
    eh_share_rows(tools->threads, light_rows, &work, box.height, 32);
    return EH_OK;
}
