#include "fields.h"

integer eh_mirror(integer place, integer size, eh_border border) {
    if (size == 1) return 0;
    while (place < 0 || place >= size)
        place = place < 0 ? -place - 1 + (integer)border : 2 * size - 1 - place - (integer)border;
    return place;
}

void eh_box_mean(float *field, integer rows, integer columns, integer channels, integer reach, eh_border border,
                 double *scratch) {
    const integer count = columns * channels;
    const double share = 1.0 / (double)((2 * reach + 1) * (2 * reach + 1));
    double *running = scratch + rows * count;
    for (integer y = 0; y < rows; y++) {
        const float *from = field + y * count;
        for (integer k = 0; k < channels; k++) {
            double sum = 0.0;
            for (integer i = -reach; i <= reach; i++) sum += from[channels * eh_mirror(i, columns, border) + k];
            for (integer x = 0; x < columns; x++) {
                scratch[y * count + channels * x + k] = sum;
                sum += (double)from[channels * eh_mirror(x + reach + 1, columns, border) + k] -
                       (double)from[channels * eh_mirror(x - reach, columns, border) + k];
            }
        }
    }
    for (integer i = 0; i < count; i++) running[i] = 0.0;
    for (integer y = -reach; y <= reach; y++)
        for (integer i = 0; i < count; i++) running[i] += scratch[eh_mirror(y, rows, border) * count + i];
    for (integer y = 0; y < rows; y++) {
        const double *enters = scratch + eh_mirror(y + reach + 1, rows, border) * count;
        const double *leaves = scratch + eh_mirror(y - reach, rows, border) * count;
        for (integer i = 0; i < count; i++) {
            field[y * count + i] = (float)(running[i] * share);
            running[i] += enters[i] - leaves[i];
        }
    }
}

void eh_blur_3(float *field, integer rows, integer columns, float *scratch) {
    const double side = exp(-0.5 / (0.8 * 0.8)), total = 1.0 + 2.0 * side;
    const float outer = (float)(side / total), inner = (float)(1.0 / total);
    for (integer y = 0; y < rows; y++) {
        const float *from = field + y * columns;
        for (integer x = 0; x < columns; x++)
            scratch[y * columns + x] = inner * from[x] + outer * (from[eh_mirror(x - 1, columns, EH_ABOUT)] +
                                                                  from[eh_mirror(x + 1, columns, EH_ABOUT)]);
    }
    for (integer y = 0; y < rows; y++) {
        const float *above = scratch + eh_mirror(y - 1, rows, EH_ABOUT) * columns, *here = scratch + y * columns;
        const float *below = scratch + eh_mirror(y + 1, rows, EH_ABOUT) * columns;
        for (integer x = 0; x < columns; x++) field[y * columns + x] = inner * here[x] + outer * (above[x] + below[x]);
    }
}

static integer place_of(integer at, integer source, integer target, float *share) {
    const float middle = (float)(((double)at + 0.5) * (1.0 / ((double)target / (double)source)) - 0.5);
    const integer place = (integer)floorf(middle);
    *share = middle - (float)place;
    return place;
}

void eh_enlarge(const float *from, integer rows, integer columns, integer channels, float *made, integer made_rows,
                integer made_columns) {
    for (integer y = 0; y < made_rows; y++) {
        float low;
        const integer top = place_of(y, rows, made_rows, &low);
        const float *upper = from + smaller(larger(top, 0), rows - 1) * columns * channels;
        const float *lower = from + smaller(larger(top + 1, 0), rows - 1) * columns * channels;
        for (integer x = 0; x < made_columns; x++) {
            float right;
            integer left = place_of(x, columns, made_columns, &right);
            if (left < 0) left = 0, right = 0.0f;
            if (left >= columns - 1) left = columns - 1, right = 0.0f;
            const integer next = smaller(left + 1, columns - 1);
            for (integer k = 0; k < channels; k++) {
                const integer a = channels * left + k, b = channels * next + k;
                const float above = upper[a] * (1.0f - right) + upper[b] * right;
                const float below = lower[a] * (1.0f - right) + lower[b] * right;
                made[(y * made_columns + x) * channels + k] = above * (1.0f - low) + below * low;
            }
        }
    }
}

static void extreme(const uint8_t *from, integer rows, integer columns, integer reach, uint8_t *made, uint8_t *scratch,
                    int greatest) {
    const uint8_t flip = greatest ? 0 : 255; /* the least is the greatest of the inverse */
    for (integer y = 0; y < rows; y++) {
        for (integer x = 0; x < columns; x++) {
            uint8_t most = 0;
            for (integer u = larger(x - reach, 0); u <= smaller(x + reach, columns - 1); u++) {
                const uint8_t value = from[y * columns + u] ^ flip;
                most = value > most ? value : most;
            }
            scratch[y * columns + x] = most;
        }
    }
    for (integer y = 0; y < rows; y++) {
        uint8_t *restrict line = made + y * columns;
        memset(line, 0, (size_t)columns);
        for (integer v = larger(y - reach, 0); v <= smaller(y + reach, rows - 1); v++) {
            const uint8_t *restrict other = scratch + v * columns;
            for (integer x = 0; x < columns; x++) line[x] = other[x] > line[x] ? other[x] : line[x];
        }
        for (integer x = 0; x < columns; x++) line[x] ^= flip;
    }
}

void eh_greatest(const uint8_t *from, integer rows, integer columns, integer reach, uint8_t *made, uint8_t *scratch) {
    extreme(from, rows, columns, reach, made, scratch, 1);
}

void eh_least(const uint8_t *from, integer rows, integer columns, integer reach, uint8_t *made, uint8_t *scratch) {
    extreme(from, rows, columns, reach, made, scratch, 0);
}

void eh_shrinker_free(eh_shrinker *shrinker) {
    eh_release(&shrinker->halves[0]);
    eh_release(&shrinker->halves[1]);
    eh_resizer_free(&shrinker->resizer);
}

eh_status eh_shrink_to(eh_shrinker *shrinker, const eh_tools *tools, const eh_picture *image, int channels,
                       integer rows, integer columns, eh_picture *small) {
    eh_picture now = *image;
    int turn = 0;
    while (now.height != rows || now.width != columns) {
        const int halve = now.height >= 2 * rows && now.width >= 2 * columns && !((now.height | now.width) & 1);
        const integer height = halve ? now.height / 2 : rows, width = halve ? now.width / 2 : columns;
        void *data = eh_reserve(&shrinker->halves[turn], (size_t)(height * width * channels));
        if (!data) return eh_out_of_memory(tools->message);
        const eh_picture next = eh_packed(data, height, width, channels);
        if (!eh_resize_area(&shrinker->resizer, tools->threads, &now, &next, channels))
            return eh_out_of_memory(tools->message);
        now = next;
        turn = !turn;
    }
    *small = now;
    return EH_OK;
}

eh_status eh_pack(eh_memory *memory, const eh_tools *tools, const eh_picture *image, int channels, eh_picture *packed) {
    *packed = *image;
    if (image->step == image->width * channels) return EH_OK;
    void *data = eh_reserve(memory, (size_t)(image->height * image->width * channels));
    if (!data) return eh_out_of_memory(tools->message);
    *packed = eh_packed(data, image->height, image->width, channels);
    for (integer y = 0; y < image->height; y++)
        memcpy(eh_row(packed, y), eh_row(image, y), (size_t)(image->width * channels));
    return EH_OK;
}
