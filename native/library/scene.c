#include "scene.h"

enum { SIDE = EH_SCENE_SIDE, CELLS = SIDE * SIDE, HALF = 256 };

static const float CUT = 24.0f, ENOUGH = 0.05f, ALIKE = 0.5f, SPREAD = 4.0f, LEAST = 6.0f;
static const int STILL = 2;

/* To 256 x 256 by means of 2 x 2, then to 32 x 32 by means of 8 x 8, each rounded, as OpenCV is asked to in Python. */
static void shrink(const eh_picture *image, int channels, uint8_t *target) {
    for (integer y = 0; y < SIDE; y++) {
        for (integer x = 0; x < SIDE; x++) {
            for (integer k = 0; k < channels; k++) {
                int32_t sum = 0;
                for (integer v = 0; v < 8; v++) {
                    const uint8_t *upper = eh_row(image, 16 * y + 2 * v) + 16 * x * channels + k;
                    const uint8_t *lower = upper + image->step;
                    for (integer u = 0; u < 8; u++, upper += 2 * channels, lower += 2 * channels)
                        sum += (upper[0] + upper[channels] + lower[0] + lower[channels] + 2) >> 2;
                }
                target[4 * (y * SIDE + x) + k] = (uint8_t)eh_nearest((float)sum * (1.0f / 64.0f));
            }
        }
    }
}

/* Of two pictures' brightness, weighted; 1 where either is flat. */
static double correlation(const uint8_t *first, const uint8_t *second, const float *weight, double total) {
    double means[2] = {0, 0}, spreads[2] = {0, 0}, both = 0;
    const uint8_t *views[2] = {first, second};
    for (int i = 0; i < CELLS; i++)
        for (int k = 0; k < 2; k++)
            means[k] += (double)(views[k][4 * i] + views[k][4 * i + 1] + views[k][4 * i + 2]) / 3.0 * weight[i] / total;
    for (int i = 0; i < CELLS; i++) {
        double light[2];
        for (int k = 0; k < 2; k++) {
            light[k] = (double)(views[k][4 * i] + views[k][4 * i + 1] + views[k][4 * i + 2]) / 3.0 - means[k];
            spreads[k] += light[k] * light[k] * weight[i] / total;
        }
        both += light[0] * light[1] * weight[i] / total;
    }
    const double one = sqrt(spreads[0]), other = sqrt(spreads[1]);
    return one < SPREAD || other < SPREAD ? 1.0 : both / (one * other);
}

static int is_cut(const uint8_t *before, const uint8_t *view) {
    float shared[CELLS]; /* background on both frames: no subject moved there */
    double whole = 0, weight = 0, changed = 0;
    for (int i = 0; i < CELLS; i++) {
        const uint8_t *a = before + 4 * i, *b = view + 4 * i;
        const double difference = (abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2])) / 3.0;
        shared[i] = 1.0f - (float)(a[3] > b[3] ? a[3] : b[3]) / 255.0f;
        whole += difference;
        weight += shared[i];
        changed += difference * shared[i];
    }
    if (whole / CELLS > CUT) return 1;
    if (weight < ENOUGH * CELLS) return 0;
    changed /= weight;
    return changed > CUT || (changed > LEAST && correlation(before, view, shared, weight) < ALIKE);
}

eh_change eh_scene_update(eh_scene *scene, const eh_picture *view, const eh_picture *alpha) {
    uint8_t now[EH_SCENE_VALUES], before[EH_SCENE_VALUES];
    uint8_t *cover = now + 3;
    shrink(view, 3, now);
    shrink(alpha, 1, cover);
    memcpy(before, scene->view, sizeof before);
    memcpy(scene->view, now, sizeof now);
    if (!scene->seen) {
        scene->seen = 1;
        memcpy(scene->anchor, now, sizeof now);
        return EH_MOVING;
    }
    int most = 0;
    for (int i = 0; i < EH_SCENE_VALUES; i++) {
        const int away = abs(now[i] - scene->anchor[i]);
        most = away > most ? away : most;
    }
    if (most <= STILL) return EH_SCENE_STILL;
    memcpy(scene->anchor, now, sizeof now);
    return is_cut(before, now) ? EH_CUT : EH_MOVING;
}
