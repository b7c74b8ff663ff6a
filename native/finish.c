/* Light and grain. Where there is no subject, what is added is nothing, and rounding gives back what was there. */
#include "passes.h"

/* Whether a segment of a row of cells, between the middles of s - 1 and s, has both light and subject. */
static int is_lit(const uint8_t *light, const uint8_t *seen, integer columns, const between *rows, integer segment) {
    uint8_t brightest = 0, clearest = 255;
    const integer row[2] = {rows->first, rows->second};
    const integer column[2] = {larger(segment - 1, 0), smaller(segment, columns - 1)};
    for (int i = 0; i < 4; i++) {
        const integer cell = row[i / 2] * columns + column[i % 2];
        if (seen[cell] < clearest) clearest = seen[cell];
        for (int k = 0; k < 3; k++)
            if (light[3 * cell + k] > brightest) brightest = light[3 * cell + k];
    }
    return brightest > 0 && clearest < 255;
}

static inline uint8_t screened(float value, float light, float weight) {
    return (uint8_t)(int)(value + weight * light * (255.0f - value) + 0.5f);
}

/* `pixel` and `channel` are bytes from one to the next, of the picture; `step` those from pixel to pixel of the alpha. */
static inline void light_run(uint8_t *restrict picture, integer pixel, integer channel, const uint8_t *restrict cover,
                             integer step, integer count, const float *restrict node, const float *restrict slope,
                             float along, float share, float scale) {
    for (int i = 0; i < (int)count; i++) {
        const float t = along + (float)i * share, weight = (float)cover[i * step] * scale;
        uint8_t *p = picture + i * pixel;
        const float b = p[0], g = p[channel], r = p[2 * channel];
        p[0] = screened(b, node[0] + t * slope[0], weight);
        p[channel] = screened(g, node[1] + t * slope[1], weight);
        p[2 * channel] = screened(r, node[2] + t * slope[2], weight);
    }
}

PASS add_light(integer first_row, integer last_row, integer picture, integer row_step, integer pixel_step,
               integer channel_step, integer alpha, integer alpha_row, integer alpha_pixel, integer width,
               integer light, integer seen, integer rows, integer columns, integer top, integer left, integer factor,
               float amount) {
    const float share = 1.0f / (float)factor, scale = amount / (255.0f * 255.0f);
    const uint8_t *cells = (const uint8_t *)light;
    for (integer y = first_row; y < last_row; y++) {
        const between v = locate(((float)(y - top) + 0.5f) * share - 0.5f, rows);
        const float low = v.share, high = 1.0f - low;
        for (integer segment = 0; segment <= columns; segment++) {
            if (!is_lit(cells, (const uint8_t *)seen, columns, &v, segment)) continue;
            const integer before = larger(segment - 1, 0), after = smaller(segment, columns - 1);
            const uint8_t *upper = cells + 3 * v.first * columns, *lower = cells + 3 * v.second * columns;
            float node[3], slope[3];
            for (int k = 0; k < 3; k++) {
                node[k] = high * (float)upper[3 * before + k] + low * (float)lower[3 * before + k];
                slope[k] = high * (float)upper[3 * after + k] + low * (float)lower[3 * after + k] - node[k];
            }
            const integer start = left + (segment == 0 ? 0 : (2 * segment - 1) * factor / 2);
            const integer end = smaller(left + (2 * segment + 1) * factor / 2, width);
            if (start >= end) continue;
            const float along = ((float)(start - left) + 0.5f) * share - 0.5f - (float)(segment - 1);
            uint8_t *line = (uint8_t *)picture + y * row_step + start * pixel_step;
            const uint8_t *cover = (const uint8_t *)alpha + y * alpha_row + start * alpha_pixel;
            if (pixel_step == 3 && channel_step == 1 && alpha_pixel == 1)
                light_run(line, 3, 1, cover, 1, end - start, node, slope, along, share, scale);
            else
                light_run(line, pixel_step, channel_step, cover, alpha_pixel, end - start, node, slope, along, share,
                          scale);
        }
    }
}

/* `noise` goes on from pixel to pixel by `turn` numbers. */
static inline void grain_run(uint8_t *restrict picture, integer pixel, integer channel, const uint8_t *restrict cover,
                             integer step, integer count, const float *restrict noise, integer turn,
                             const float *restrict gains) {
    for (int i = 0; i < (int)count; i++) {
        uint8_t *p = picture + i * pixel;
        const int32_t blue = p[0], green = p[channel], red = p[2 * channel];
        const int32_t luma = (29 * blue + 150 * green + 77 * red + 128) >> 8;
        const float change = noise[i * turn] * gains[luma] * (float)cover[i * step] + 0.5f;
        p[0] = code((float)blue + change);
        p[channel] = code((float)green + change);
        p[2 * channel] = code((float)red + change);
    }
}

PASS add_grain(integer first_row, integer last_row, integer picture, integer row_step, integer pixel_step,
               integer channel_step, integer alpha, integer alpha_row, integer alpha_pixel, integer left,
               integer right, integer tile, integer side_y, integer side_x, integer tile_row, integer tile_pixel,
               integer down, integer across, integer gains) {
    const int packed = pixel_step == 3 && channel_step == 1 && alpha_pixel == 1;
    const integer turn = tile_pixel / (integer)sizeof(float);
    const float *shape = (const float *)gains;
    for (integer y = first_row; y < last_row; y++) {
        const float *row = (const float *)(tile + (down + y) % side_y * tile_row);
        for (integer x = left; x < right;) {
            const integer column = (across + x) % side_x, count = smaller(side_x - column, right - x);
            uint8_t *line = (uint8_t *)picture + y * row_step + x * pixel_step;
            const uint8_t *cover = (const uint8_t *)alpha + y * alpha_row + x * alpha_pixel;
            const float *noise = row + column * turn;
            if (packed && turn == 1)
                grain_run(line, 3, 1, cover, 1, count, noise, 1, shape);
            else if (packed && turn == -1) /* the tile mirrored */
                grain_run(line, 3, 1, cover, 1, count, noise, -1, shape);
            else
                grain_run(line, pixel_step, channel_step, cover, alpha_pixel, count, noise, turn, shape);
            x += count;
        }
    }
}
