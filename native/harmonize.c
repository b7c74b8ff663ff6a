/* The colour transform, and copying between any layouts. */
#include "passes.h"

enum { MAP = 12, BLOCK = 64, VECTOR = 16 };

static int is_clear(const uint8_t *cover, integer count) {
    uint8_t any = 0;
    for (integer i = 0; i < count; i++) any |= cover[i];
    return any == 0;
}

/* The columns from the first to the last that has any foreground. */
static void trim(const uint8_t *cover, integer *left, integer *right) {
    while (*left + BLOCK <= *right && is_clear(cover + *left, BLOCK)) *left += BLOCK;
    while (*left < *right && cover[*left] == 0) ++*left;
    while (*right - BLOCK >= *left && is_clear(cover + *right - BLOCK, BLOCK)) *right -= BLOCK;
    while (*right > *left && cover[*right - 1] == 0) --*right;
}

/* The grid's nodes as a frame's row sees them, and the difference from each node to the next. */
static void interpolate_nodes(const float *restrict grid, integer cells, integer row, integer height,
                              float *restrict nodes, float *restrict slopes) {
    const integer count = cells * MAP;
    double position = ((double)row + 0.5) * (double)cells / (double)height - 0.5;
    position = position > 0.0 ? position : 0.0;
    position = position < (double)(cells - 1) ? position : (double)(cells - 1);
    const integer upper = smaller((integer)position, cells - 2);
    const float share = (float)(position - (double)upper);
    const float *first = grid + upper * count, *second = first + count;
    float *inner = nodes + MAP;
    for (integer i = 0; i < count; i++) inner[i] = first[i] + share * (second[i] - first[i]);
    for (integer i = 0; i < MAP; i++) { /* beyond the outer nodes the map is constant */
        nodes[i] = inner[i];
        nodes[MAP + count + i] = inner[count - MAP + i];
    }
    for (integer i = 0; i < MAP + count; i++) slopes[i] = nodes[MAP + i] - nodes[i];
}

/* The first pixel column of a segment; segment s lies between the grid's nodes s - 1 and s. */
static integer first_column(integer segment, integer cells, integer width) {
    const integer twice = (2 * segment - 1) * width - cells;
    return twice <= 0 ? 0 : smaller((twice + 2 * cells - 1) / (2 * cells), width);
}

/* Harmonize and composite pixels; the map of pixel i is `node + (along + i * step) * slope`. */
static void blend(const uint8_t *restrict source, const uint8_t *restrict cover, const uint8_t *restrict under,
                  uint8_t *restrict target, integer count, const float *restrict node, const float *restrict slope,
                  float along, float step) {
    VECTORS_OF_16
    for (int i = 0; i < (int)count; i++) {
        const float t = along + (float)i * step, weight = (float)cover[i] * (1.0f / 255.0f);
        const float b = source[3 * i], g = source[3 * i + 1], r = source[3 * i + 2];
        const float blue = within((node[0] + t * slope[0]) * b + (node[1] + t * slope[1]) * g +
                                  (node[2] + t * slope[2]) * r + (node[3] + t * slope[3]));
        const float green = within((node[4] + t * slope[4]) * b + (node[5] + t * slope[5]) * g +
                                   (node[6] + t * slope[6]) * r + (node[7] + t * slope[7]));
        const float red = within((node[8] + t * slope[8]) * b + (node[9] + t * slope[9]) * g +
                                 (node[10] + t * slope[10]) * r + (node[11] + t * slope[11]));
        const float old_blue = under[3 * i], old_green = under[3 * i + 1], old_red = under[3 * i + 2];
        target[3 * i] = (uint8_t)(int)(old_blue + 0.5f + weight * (blue - old_blue));
        target[3 * i + 1] = (uint8_t)(int)(old_green + 0.5f + weight * (green - old_green));
        target[3 * i + 2] = (uint8_t)(int)(old_red + 0.5f + weight * (red - old_red));
    }
}

PASS harmonize_rows(integer first_row, integer last_row, integer height, integer width, integer foreground,
                    integer foreground_step, integer alpha, integer alpha_step, integer background,
                    integer background_step, integer out, integer out_step, integer scratch, integer grid,
                    integer cells, integer nodes, integer slopes) {
    const double share = (double)cells / (double)width; /* of a cell, in a pixel */
    uint8_t *line = (uint8_t *)scratch;                 /* the target may be what is read: rows are made here */
    for (integer row = first_row; row < last_row; row++) {
        const uint8_t *source = (const uint8_t *)foreground + row * foreground_step;
        const uint8_t *cover = (const uint8_t *)alpha + row * alpha_step;
        const uint8_t *under = (const uint8_t *)background + row * background_step;
        uint8_t *target = (uint8_t *)out + row * out_step;
        integer left = 0, right = width;
        trim(cover, &left, &right);
        if (target != under) {
            memcpy(target, under, (size_t)(3 * left));
            memcpy(target + 3 * right, under + 3 * right, (size_t)(3 * (width - right)));
        }
        if (left == right) continue;
        interpolate_nodes((const float *)grid, cells, row, height, (float *)nodes, (float *)slopes);
        for (integer segment = 0; segment <= cells; segment++) {
            const integer start = larger(first_column(segment, cells, width), left);
            const integer end = smaller(segment < cells ? first_column(segment + 1, cells, width) : width, right);
            const float *node = (const float *)nodes + MAP * segment, *slope = (const float *)slopes + MAP * segment;
            for (integer column = start; column < end; column += BLOCK) {
                /* Whole vectors, as far as the row goes: what lies beyond this segment is made again by the next. */
                const integer whole = (smaller(BLOCK, end - column) + VECTOR - 1) / VECTOR * VECTOR;
                const integer count = smaller(whole, width - column);
                if (is_clear(cover + column, count)) {
                    memcpy(line + 3 * column, under + 3 * column, (size_t)(3 * count));
                    continue;
                }
                const float along = (float)(((double)column + 0.5) * share - 0.5 - (double)(segment - 1));
                blend(source + 3 * column, cover + column, under + 3 * column, line + 3 * column, count, node, slope,
                      along, (float)share);
            }
        }
        memcpy(target + 3 * left, line + 3 * left, (size_t)(3 * (right - left)));
    }
}

PASS copy_rows(integer first_row, integer last_row, integer width, integer channels, integer source,
               integer row_step, integer pixel_step, integer channel_step, integer target, integer target_row_step,
               integer target_pixel_step, integer target_channel_step) {
    for (integer row = first_row; row < last_row; row++) {
        const uint8_t *here = (const uint8_t *)source + row * row_step;
        uint8_t *there = (uint8_t *)target + row * target_row_step;
        if (channels == 3) {
            for (integer i = 0; i < width; i++, here += pixel_step, there += target_pixel_step) {
                there[0] = here[0];
                there[target_channel_step] = here[channel_step];
                there[2 * target_channel_step] = here[2 * channel_step];
            }
        } else {
            for (integer i = 0; i < width; i++, here += pixel_step, there += target_pixel_step) *there = *here;
        }
    }
}
