#include "resize.h"

enum { SHARE = 2048, ROWS_AT_ONCE = 32 };

typedef struct {
    integer source, target;
    float share;
} area_entry;

typedef struct {
    const eh_picture *in, *out;
    int channels;
    const eh_axis *across, *down;
    const eh_area_axis *area_across, *area_down;
    uint8_t *lines;
    size_t line_bytes;
} job;

void eh_resizer_free(eh_resizer *resizer) {
    for (int i = 0; i < 2; i++) {
        eh_release(&resizer->linear[i].at);
        eh_release(&resizer->linear[i].shares);
        eh_release(&resizer->area[i].entries);
    }
    eh_release(&resizer->lines);
}

static int prepare_lines(eh_resizer *resizer, eh_threads *threads, job *work, size_t bytes) {
    work->line_bytes = (bytes + 63) / 64 * 64;
    work->lines = (uint8_t *)eh_reserve(&resizer->lines, work->line_bytes * (size_t)eh_threads_count(threads));
    return work->lines != 0;
}

static int grow(eh_memory *memory, size_t size, integer *valid) {
    if (memory->data && memory->size >= size) return 1;
    *valid = 0; /* what was prepared is lost */
    return eh_reserve(memory, size) != 0;
}

int eh_resizer_expect(eh_resizer *resizer, eh_threads *threads, integer side, int channels) {
    const size_t size = (size_t)side;
    for (int i = 0; i < 2; i++) {
        eh_axis *linear = &resizer->linear[i];
        eh_area_axis *area = &resizer->area[i];
        if (!grow(&linear->at, sizeof(int32_t) * size, &linear->source) ||
            !grow(&linear->shares, 2 * sizeof(int16_t) * size, &linear->source) ||
            !grow(&area->entries, sizeof(area_entry) * (3 * size + 2), &area->source))
            return 0;
    }
    job work;
    return prepare_lines(resizer, threads, &work, 2 * sizeof(int32_t) * (size_t)channels * size);
}

/* Linear -------------------------------- */

/* `ends`: whether the sample beyond the last is not looked at, as across rows; down them it is clamped by the reader.
 */
static int prepare_axis(eh_axis *axis, integer source, integer target, int grows_by_area, int ends) {
    if (axis->at.data && axis->source == source && axis->target == target && axis->grows_by_area == grows_by_area)
        return 1;
    int32_t *at = (int32_t *)eh_reserve(&axis->at, sizeof(int32_t) * (size_t)target);
    int16_t *shares = (int16_t *)eh_reserve(&axis->shares, 2 * sizeof(int16_t) * (size_t)target);
    if (!at || !shares) {
        axis->source = 0;
        return 0;
    }
    const double inverse = (double)target / (double)source, scale = 1.0 / inverse;
    for (integer i = 0; i < target; i++) {
        float share;
        integer place;
        if (grows_by_area) {
            place = (integer)floor((double)i * scale);
            share = (float)((double)(i + 1) - (double)(place + 1) * inverse);
            share = share <= 0.0f ? 0.0f : share - floorf(share);
        } else {
            const float middle = (float)(((double)i + 0.5) * scale - 0.5);
            place = (integer)floorf(middle);
            share = middle - (float)place;
        }
        if (ends && place < 0) place = 0, share = 0.0f;
        if (ends && place >= source - 1) place = source - 1, share = 0.0f;
        at[i] = (int32_t)place;
        shares[2 * i] = (int16_t)eh_nearest((1.0f - share) * SHARE);
        shares[2 * i + 1] = (int16_t)eh_nearest(share * SHARE);
    }
    axis->source = source;
    axis->target = target;
    axis->grows_by_area = grows_by_area;
    return 1;
}

static void across_1(const uint8_t *restrict line, const int32_t *restrict at, const int16_t *restrict shares,
                     integer count, integer last, int32_t *restrict made) {
    for (integer i = 0; i < count; i++) {
        const integer here = at[i], next = here < last ? here + 1 : here;
        made[i] = line[here] * shares[2 * i] + line[next] * shares[2 * i + 1];
    }
}

static void across_3(const uint8_t *restrict line, const int32_t *restrict at, const int16_t *restrict shares,
                     integer count, integer last, int32_t *restrict made) {
    for (integer i = 0; i < count; i++) {
        const integer here = at[i], next = here < last ? here + 1 : here;
        const uint8_t *a = line + 3 * here, *b = line + 3 * next;
        const int32_t left = shares[2 * i], right = shares[2 * i + 1];
        made[3 * i] = a[0] * left + b[0] * right;
        made[3 * i + 1] = a[1] * left + b[1] * right;
        made[3 * i + 2] = a[2] * left + b[2] * right;
    }
}

static void down(const int32_t *restrict upper, const int32_t *restrict lower, int32_t high, int32_t low, integer count,
                 uint8_t *restrict made) {
    for (integer i = 0; i < count; i++)
        made[i] = (uint8_t)((((high * (upper[i] >> 4)) >> 16) + ((low * (lower[i] >> 4)) >> 16) + 2) >> 2);
}

static void linear_rows(void *context, integer first, integer last, int thread) {
    const job *work = (const job *)context;
    const integer width = work->out->width, end = work->in->height - 1;
    const int32_t *at = (const int32_t *)work->across->at.data, *row_at = (const int32_t *)work->down->at.data;
    const int16_t *shares = (const int16_t *)work->across->shares.data;
    const int16_t *row_shares = (const int16_t *)work->down->shares.data;
    int32_t *lines[2];
    lines[0] = (int32_t *)(work->lines + work->line_bytes * (size_t)thread);
    lines[1] = lines[0] + work->channels * width;
    integer held[2] = {-1, -1};
    for (integer row = first; row < last; row++) {
        integer wanted[2] = {row_at[row], row_at[row] + 1};
        for (int i = 0; i < 2; i++) wanted[i] = smaller(larger(wanted[i], 0), end);
        if (held[1] == wanted[0]) { /* the lower row becomes the upper */
            int32_t *line = lines[0];
            lines[0] = lines[1];
            lines[1] = line;
            held[1] = held[0];
            held[0] = wanted[0];
        }
        for (int i = 0; i < 2; i++) {
            if (held[i] == wanted[i]) continue;
            (work->channels == 3 ? across_3 : across_1)(eh_row(work->in, wanted[i]), at, shares, width,
                                                        work->in->width - 1, lines[i]);
            held[i] = wanted[i];
        }
        down(lines[0], lines[1], row_shares[2 * row], row_shares[2 * row + 1], work->channels * width,
             eh_row(work->out, row));
    }
}

static int interpolate(eh_resizer *resizer, eh_threads *threads, const eh_picture *in, const eh_picture *out,
                       int channels, int grows_by_area) {
    job work = {.in = in, .out = out, .channels = channels};
    if (!prepare_axis(&resizer->linear[0], in->width, out->width, grows_by_area, 1) ||
        !prepare_axis(&resizer->linear[1], in->height, out->height, grows_by_area, 0) ||
        !prepare_lines(resizer, threads, &work, 2 * sizeof(int32_t) * (size_t)(channels * out->width)))
        return 0;
    work.across = &resizer->linear[0];
    work.down = &resizer->linear[1];
    eh_share_rows(threads, linear_rows, &work, out->height, 4 * ROWS_AT_ONCE);
    return 1;
}

/* Area -------------------------------- */

/* Means of whole blocks. */
static void whole_rows(void *context, integer first, integer last, int thread) {
    const job *work = (const job *)context;
    const integer channels = work->channels, count = channels * work->out->width;
    const integer tall = work->in->height / work->out->height, wide = work->in->width / work->out->width;
    const float share = 1.0f / (float)(tall * wide);
    (void)thread;
    for (integer row = first; row < last; row++) {
        const uint8_t *restrict from = eh_row(work->in, row * tall);
        uint8_t *restrict made = eh_row(work->out, row);
        if (tall == 2 && wide == 2) {
            const uint8_t *restrict below = from + work->in->step;
            if (channels == 1) {
                for (integer i = 0; i < count; i++)
                    made[i] = (uint8_t)((from[2 * i] + from[2 * i + 1] + below[2 * i] + below[2 * i + 1] + 2) >> 2);
            } else {
                for (integer i = 0; i < work->out->width; i++)
                    for (integer k = 0; k < 3; k++)
                        made[3 * i + k] = (uint8_t)((from[6 * i + k] + from[6 * i + 3 + k] + below[6 * i + k] +
                                                     below[6 * i + 3 + k] + 2) >>
                                                    2);
            }
            continue;
        }
        for (integer i = 0; i < count; i++) {
            const uint8_t *block = from + (i / channels) * wide * channels + i % channels;
            int32_t sum = 0;
            for (integer y = 0; y < tall; y++)
                for (integer x = 0; x < wide; x++) sum += block[y * work->in->step + x * channels];
            made[i] = (uint8_t)eh_nearest((float)sum * share);
        }
    }
}

static int prepare_area(eh_area_axis *axis, integer source, integer target) {
    if (axis->entries.data && axis->source == source && axis->target == target) return 1;
    area_entry *entry =
        (area_entry *)eh_reserve(&axis->entries, sizeof(area_entry) * (size_t)(source + 2 * target + 2));
    axis->source = 0;
    if (!entry) return 0;
    const double scale = 1.0 / ((double)target / (double)source);
    axis->count = 0;
    for (integer i = 0; i < target; i++) {
        const double from = (double)i * scale, to = from + scale;
        const double rest = (double)source - from, wide = scale < rest ? scale : rest;
        const integer end = smaller((integer)floor(to), source - 1), start = smaller((integer)ceil(from), end);
        if ((double)start - from > 1e-3)
            entry[axis->count++] = (area_entry){start - 1, i, (float)(((double)start - from) / wide)};
        for (integer k = start; k < end; k++) entry[axis->count++] = (area_entry){k, i, (float)(1.0 / wide)};
        if (to - (double)end > 1e-3) {
            double part = to - (double)end;
            part = part < 1.0 ? part : 1.0;
            part = part < wide ? part : wide;
            entry[axis->count++] = (area_entry){end, i, (float)(part / wide)};
        }
    }
    axis->source = source;
    axis->target = target;
    return 1;
}

static void area_rows(void *context, integer first, integer last, int thread) {
    const job *work = (const job *)context;
    const integer channels = work->channels, count = channels * work->out->width;
    const area_entry *across = (const area_entry *)work->area_across->entries.data;
    const area_entry *downs = (const area_entry *)work->area_down->entries.data;
    float *restrict line = (float *)(work->lines + work->line_bytes * (size_t)thread), *restrict sum = line + count;
    integer j = 0, left = 0, right = work->area_down->count; /* the first entry of the first row, by halving */
    while (left < right) {
        const integer middle = (left + right) / 2;
        if (downs[middle].target < first)
            left = middle + 1;
        else
            right = middle;
    }
    j = left;
    for (integer row = first; row < last; row++) {
        for (integer i = 0; i < count; i++) sum[i] = 0.0f;
        for (; j < work->area_down->count && downs[j].target == row; j++) {
            const uint8_t *from = eh_row(work->in, downs[j].source);
            const float share = downs[j].share;
            for (integer i = 0; i < count; i++) line[i] = 0.0f;
            if (channels == 1) {
                for (integer k = 0; k < work->area_across->count; k++)
                    line[across[k].target] += (float)from[across[k].source] * across[k].share;
            } else {
                for (integer k = 0; k < work->area_across->count; k++) {
                    const uint8_t *pixel = from + 3 * across[k].source;
                    float *there = line + 3 * across[k].target;
                    there[0] += (float)pixel[0] * across[k].share;
                    there[1] += (float)pixel[1] * across[k].share;
                    there[2] += (float)pixel[2] * across[k].share;
                }
            }
            for (integer i = 0; i < count; i++) sum[i] += share * line[i];
        }
        uint8_t *made = eh_row(work->out, row);
        for (integer i = 0; i < count; i++) {
            const int value = eh_nearest(sum[i]);
            made[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

static int halves(const eh_picture *in, const eh_picture *out) {
    return in->width == 2 * out->width && in->height == 2 * out->height;
}

static void copy(const eh_picture *in, const eh_picture *out, int channels) {
    for (integer row = 0; row < in->height; row++)
        memcpy(eh_row(out, row), eh_row(in, row), (size_t)(channels * in->width));
}

int eh_resize_area(eh_resizer *resizer, eh_threads *threads, const eh_picture *in, const eh_picture *out,
                   int channels) {
    if (in->width == out->width && in->height == out->height) {
        copy(in, out, channels);
        return 1;
    }
    if (in->width < out->width || in->height < out->height) return interpolate(resizer, threads, in, out, channels, 1);
    job work = {.in = in, .out = out, .channels = channels};
    if (in->width % out->width == 0 && in->height % out->height == 0) {
        eh_share_rows(threads, whole_rows, &work, out->height, ROWS_AT_ONCE);
        return 1;
    }
    if (!prepare_area(&resizer->area[0], in->width, out->width) ||
        !prepare_area(&resizer->area[1], in->height, out->height) ||
        !prepare_lines(resizer, threads, &work, 2 * sizeof(float) * (size_t)(channels * out->width)))
        return 0;
    work.area_across = &resizer->area[0];
    work.area_down = &resizer->area[1];
    eh_share_rows(threads, area_rows, &work, out->height, ROWS_AT_ONCE);
    return 1;
}

int eh_resize_linear(eh_resizer *resizer, eh_threads *threads, const eh_picture *in, const eh_picture *out,
                     int channels) {
    if (in->width == out->width && in->height == out->height) {
        copy(in, out, channels);
        return 1;
    }
    if (halves(in, out)) return eh_resize_area(resizer, threads, in, out, channels);
    return interpolate(resizer, threads, in, out, channels, 0);
}

/* Cubic -------------------------------- */

static void cubic_shares(float x, float shares[4]) {
    const float a = -0.75f;
    shares[0] = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    shares[1] = ((a + 2) * x - (a + 3)) * x * x + 1;
    shares[2] = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
    shares[3] = 1.0f - shares[0] - shares[1] - shares[2];
}

static integer cubic_place(integer at, integer source, integer target, int whole[4]) {
    float shares[4];
    const float middle = (float)(((double)at + 0.5) * (1.0 / ((double)target / (double)source)) - 0.5);
    const integer place = (integer)floorf(middle);
    cubic_shares(middle - (float)place, shares);
    for (int i = 0; i < 4; i++) whole[i] = eh_nearest(shares[i] * SHARE);
    return place;
}

static void cubic_rows(void *context, integer first, integer last, int thread) {
    const job *work = (const job *)context;
    const integer channels = work->channels, width = work->out->width;
    (void)thread;
    for (integer row = first; row < last; row++) {
        int high[4], wide[4];
        const integer top = cubic_place(row, work->in->height, work->out->height, high) - 1;
        const uint8_t *lines[4];
        for (integer i = 0; i < 4; i++) lines[i] = eh_row(work->in, smaller(larger(top + i, 0), work->in->height - 1));
        uint8_t *made = eh_row(work->out, row);
        for (integer x = 0; x < width; x++) {
            const integer left = cubic_place(x, work->in->width, work->out->width, wide) - 1;
            integer at[4];
            for (integer i = 0; i < 4; i++) at[i] = channels * smaller(larger(left + i, 0), work->in->width - 1);
            for (integer k = 0; k < channels; k++) {
                int64_t sum = 1 << 21;
                for (int i = 0; i < 4; i++)
                    sum += (int64_t)high[i] * (lines[i][at[0] + k] * wide[0] + lines[i][at[1] + k] * wide[1] +
                                               lines[i][at[2] + k] * wide[2] + lines[i][at[3] + k] * wide[3]);
                sum >>= 22;
                made[channels * x + k] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
            }
        }
    }
}

int eh_resize_cubic(eh_resizer *resizer, eh_threads *threads, const eh_picture *in, const eh_picture *out,
                    int channels) {
    job work = {.in = in, .out = out, .channels = channels};
    (void)resizer;
    eh_share_rows(threads, cubic_rows, &work, out->height, ROWS_AT_ONCE);
    return 1;
}
