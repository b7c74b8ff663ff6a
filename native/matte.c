/* The mattes' passes: what is done to each pixel of an edge, and to no other where that pays. */
#include "passes.h"

/* The first pixel whose middle lies at or behind the middle of a cell, of cells that take `1 / across` pixels. */
static integer middle_of(integer cell, float across) {
    return (integer)ceilf(((float)cell + 0.5f) / across - 0.5f);
}

PASS snap_rows(integer first_row, integer last_row, integer coefficients, integer rows, integer columns,
               integer wanted, integer frame, integer height, integer width, float stretch, integer alpha) {
    const float *field = (const float *)coefficients;
    const uint8_t *cells = (const uint8_t *)wanted;
    const float down = (float)rows / (float)height, across = (float)columns / (float)width;
    for (integer y = first_row; y < last_row; y++) {
        const float place = ((float)y + 0.5f) * down;
        const between at = locate(place - 0.5f, rows);
        const float low = at.share, high = 1.0f - low;
        const uint8_t *asked = cells + smaller((integer)place, rows - 1) * columns;
        const float *upper = field + at.first * columns * 4, *lower = field + at.second * columns * 4;
        const uint8_t *line = (const uint8_t *)frame + y * width * 3;
        uint8_t *target = (uint8_t *)alpha + y * width;
        /* Segment s lies between the middles of the cells s - 1 and s; it is wanted where either is. */
        for (integer segment = 0; segment <= columns; segment++) {
            const integer left = larger(segment - 1, 0), right = smaller(segment, columns - 1);
            if (!asked[left] && !asked[right]) continue;
            const integer start = segment == 0 ? 0 : larger(middle_of(segment - 1, across), 0);
            const integer end = segment == columns ? width : smaller(middle_of(segment, across), width);
            float node[4], slope[4];
            for (int i = 0; i < 4; i++) {
                node[i] = high * upper[4 * left + i] + low * lower[4 * left + i];
                slope[i] = (high * upper[4 * right + i] + low * lower[4 * right + i] - node[i]) * across;
            }
            const float origin = ((float)segment - 0.5f) / across - 0.5f;
            for (int x = (int)start; x < (int)end; x++) {
                const float t = (float)x - origin;
                const float value = (node[0] + t * slope[0]) * (float)line[3 * x] +
                                    (node[1] + t * slope[1]) * (float)line[3 * x + 1] +
                                    (node[2] + t * slope[2]) * (float)line[3 * x + 2] + (node[3] + t * slope[3]);
                target[x] = code((value - 127.5f) * stretch + 128.0f);
            }
        }
    }
}

PASS unmix_rows(integer first_row, integer last_row, integer frame, integer alpha, integer height, integer width,
                integer fore, integer back, integer rows, integer columns, integer known, integer result) {
    const float down = (float)rows / (float)height, aside = (float)columns / (float)width;
    for (integer y = first_row; y < last_row; y++) {
        const between v = locate(((float)y + 0.5f) * down - 0.5f, rows);
        const uint8_t *cover = (const uint8_t *)alpha + y * width, *line = (const uint8_t *)frame + y * width * 3;
        const uint8_t *behind = known ? (const uint8_t *)known + y * width * 3 : 0;
        uint8_t *target = (uint8_t *)result + y * width * 3;
        for (integer x = 0; x < width; x++) {
            if (cover[x] == 0 || cover[x] == 255) continue;
            const between u = locate(((float)x + 0.5f) * aside - 0.5f, columns);
            const float w11 = v.share * u.share, w10 = v.share - w11, w01 = u.share - w11, w00 = 1.0f - v.share - w01;
            const integer a = (v.first * columns + u.first) * 3, b = (v.first * columns + u.second) * 3;
            const integer c = (v.second * columns + u.first) * 3, d = (v.second * columns + u.second) * 3;
            const float weight = (float)cover[x] * (1.0f / 255.0f);
            for (int k = 0; k < 3; k++) {
                const float *f = (const float *)fore + k, *g = (const float *)back + k;
                const float subject = w00 * f[a] + w01 * f[b] + w10 * f[c] + w11 * f[d];
                const float rest = behind ? (float)behind[3 * x + k]
                                          : w00 * g[a] + w01 * g[b] + w10 * g[c] + w11 * g[d];
                const float missing = (float)line[3 * x + k] - weight * subject - (1.0f - weight) * rest;
                target[3 * x + k] = code(subject + weight * missing + 0.5f);
            }
        }
    }
}

/* How much of the screen's colour a pixel holds: its sum by one set of weights less the size of its sum by another. */
static inline float screen_key(const float *along, const float *across, float b, float g, float r) {
    return along[0] * b + along[1] * g + along[2] * r - fabsf(across[0] * b + across[1] * g + across[2] * r);
}

static void key(const uint8_t *restrict line, uint8_t *restrict target, int start, int end, const float *restrict along,
                const float *restrict across, float most, float at, float step, float origin) {
    for (int x = start; x < end; x++) {
        const float found = screen_key(along, across, line[3 * x], line[3 * x + 1], line[3 * x + 2]);
        const float held = found > 0.0f ? found : 0.0f;
        target[x] = code(most - held * (at + ((float)x - origin) * step));
    }
}

PASS key_rows(integer first_row, integer last_row, integer frame, integer height, integer width, integer along,
              integer across, integer screen, integer rows, integer columns, float tolerance, float gain,
              integer alpha) {
    const float down = (float)rows / (float)height, aside = (float)columns / (float)width;
    const float most = (1.0f - tolerance) * gain + 0.5f;
    for (integer y = first_row; y < last_row; y++) {
        const between v = locate(((float)y + 0.5f) * down - 0.5f, rows);
        const float *upper = (const float *)screen + v.first * columns, *lower = (const float *)screen + v.second * columns;
        for (integer segment = 0; segment <= columns; segment++) {
            const integer left = larger(segment - 1, 0), right = smaller(segment, columns - 1);
            const integer start = segment == 0 ? 0 : larger(middle_of(segment - 1, aside), 0);
            const integer end = segment == columns ? width : smaller(middle_of(segment, aside), width);
            const float at = gain / (upper[left] + v.share * (lower[left] - upper[left]));
            const float next = gain / (upper[right] + v.share * (lower[right] - upper[right]));
            key((const uint8_t *)frame + y * width * 3, (uint8_t *)alpha + y * width, (int)start, (int)end,
                (const float *)along, (const float *)across, most, at, (next - at) * aside,
                ((float)segment - 0.5f) / aside - 0.5f);
        }
    }
}

PASS despill_rows(integer first_row, integer last_row, integer image, integer alpha, integer width, integer along,
                  integer across, integer light) {
    const float *colour = (const float *)light;
    for (integer y = first_row; y < last_row; y++) {
        uint8_t *line = (uint8_t *)image + y * width * 3;
        const uint8_t *cover = (const uint8_t *)alpha + y * width;
        for (integer x = 0; x < width; x++) {
            if (cover[x] == 0) continue;
            const float b = line[3 * x], g = line[3 * x + 1], r = line[3 * x + 2];
            const float spill = screen_key((const float *)along, (const float *)across, b, g, r);
            if (!(spill > 0.25f)) continue;
            line[3 * x] = code(b - colour[0] * spill + 0.5f);
            line[3 * x + 1] = code(g - colour[1] * spill + 0.5f);
            line[3 * x + 2] = code(r - colour[2] * spill + 0.5f);
        }
    }
}
