/* In single precision and in the order of compose/smoothing.py and harmonize/transfer.py, to give their very numbers:
 * products and sums must not be fused. */
#if defined(__clang__) || defined(_MSC_VER)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif
#include "smoothing.h"

static const float QUICKER = 1.75f, LEAST_COVER = 1e-3f, LEAST_MOVE = 1.05f;
static const double LONGEST = 10.0;

static float greater(float a, float b) { return a > b ? a : b; }

void eh_identity(float *transform) {
    for (int i = 0; i < EH_TRANSFORM_SIZE; i++) transform[i] = i / EH_CELLS % 5 == 0 ? 1.0f : 0.0f;
}

/* The share of each cell, 0..1, grown by a cell in every direction. */
static void spread(const eh_picture *alpha, float *covered) {
    float cells[EH_CELLS];
    for (integer y = 0; y < EH_GRID; y++) {
        for (integer x = 0; x < EH_GRID; x++) {
            int32_t sum = 0;
            for (integer v = 0; v < 16; v++)
                for (integer u = 0; u < 16; u++) sum += eh_row(alpha, 16 * y + v)[16 * x + u];
            cells[y * EH_GRID + x] = (float)eh_nearest((float)sum * (1.0f / 256.0f)) * (float)(1.0 / 255.0);
        }
    }
    for (integer y = 0; y < EH_GRID; y++) {
        for (integer x = 0; x < EH_GRID; x++) {
            float most = 0.0f;
            for (integer v = larger(y - 1, 0); v <= smaller(y + 1, EH_GRID - 1); v++)
                for (integer u = larger(x - 1, 0); u <= smaller(x + 1, EH_GRID - 1); u++)
                    most = greater(most, cells[v * EH_GRID + u]);
            covered[y * EH_GRID + x] = most;
        }
    }
}

/* By how much the colour that is affected most would change in a cell, in code values. */
static float largest_change(const float away[EH_MAP]) {
    float largest = 0.0f;
    for (int row = 0; row < 3; row++) {
        float up = 0.0f, down = 0.0f;
        for (int k = 0; k < 3; k++) {
            const float slope = away[4 * row + k];
            up = up + greater(slope, 0.0f);
            down = down + (slope < 0.0f ? slope : 0.0f);
        }
        const float constant = away[4 * row + 3], most = constant + up, least = constant + down;
        const float here = greater(most, -least);
        largest = row == 0 ? here : greater(largest, here);
    }
    return largest * 255.0f;
}

void eh_smooth(eh_smoother *smoother, const float *transform, const eh_picture *alpha, int cut, double elapsed,
               double smoothing, double dead_band) {
    float covered[EH_CELLS];
    spread(alpha, covered);
    if (cut || smoothing == 0.0 || !smoother->seen) {
        memcpy(smoother->first, transform, sizeof smoother->first);
        memcpy(smoother->second, transform, sizeof smoother->second);
        memcpy(smoother->applied, transform, sizeof smoother->applied);
        memcpy(smoother->covered, covered, sizeof covered);
        smoother->seen = 1;
        return;
    }
    double frames = elapsed > 0.0 ? elapsed : 0.0;
    frames = (frames < LONGEST ? frames : LONGEST) / EH_FRAME_SECONDS;
    const float step = (float)(1.0 - exp((double)QUICKER * log(smoothing) * frames)), band = (float)dead_band;
    for (int cell = 0; cell < EH_CELLS; cell++) {
        const float new_here = greater(covered[cell] - smoother->covered[cell], 0.0f);
        const float entered = new_here / greater(covered[cell], LEAST_COVER);
        float away[EH_MAP];
        for (int k = 0; k < EH_MAP; k++) {
            const int i = k * EH_CELLS + cell;
            float first = smoother->first[i], second = smoother->second[i];
            first = first + entered * (transform[i] - first);
            second = second + entered * (transform[i] - second);
            first = first + step * (transform[i] - first);
            second = second + step * (first - second);
            smoother->first[i] = first;
            smoother->second[i] = second;
            away[k] = second - smoother->applied[i];
        }
        if (band == 0.0f) {
            for (int k = 0; k < EH_MAP; k++)
                smoother->applied[k * EH_CELLS + cell] = smoother->second[k * EH_CELLS + cell];
            continue;
        }
        /* The last bits of the way are not worth a change in every frame: a move is a twentieth of the band at least.
         */
        const float visible = largest_change(away) * covered[cell];
        if (!(visible > LEAST_MOVE * band)) continue;
        const float moves = 1.0f - band / greater(visible, band);
        for (int k = 0; k < EH_MAP; k++) smoother->applied[k * EH_CELLS + cell] += moves * away[k];
    }
    memcpy(smoother->covered, covered, sizeof covered);
}

void eh_blend_grid(const float *transform, double strength, float *grid) {
    const float share = (float)strength, rest = (float)(1.0 - strength);
    for (int cell = 0; cell < EH_CELLS; cell++) {
        for (int row = 0; row < 3; row++) {
            for (int k = 0; k < 4; k++) {
                /* RGB to BGR on both sides */
                const int from = 4 * (2 - row) + (k < 3 ? 2 - k : 3);
                float value = transform[from * EH_CELLS + cell];
                if (share != 1.0f) {
                    value = value * share;
                    value = value + rest * (row == k ? 1.0f : 0.0f);
                }
                grid[EH_MAP * cell + 4 * row + k] = k == 3 ? value * 255.0f : value;
            }
        }
    }
}
