/* Steadiness over time: the transform is smoothed, and held where nothing visible changes. As compose/smoothing.py. */
#ifndef EH_SMOOTHING_H
#define EH_SMOOTHING_H

#include "resize.h"

enum { EH_GRID = 32, EH_CELLS = EH_GRID * EH_GRID, EH_MAP = 12, EH_TRANSFORM_SIZE = EH_MAP * EH_CELLS };

#define EH_FRAME_SECONDS (1.0 / 30.0)

typedef struct {
    int seen;
    float first[EH_TRANSFORM_SIZE], second[EH_TRANSFORM_SIZE]; /* the two averages */
    float applied[EH_TRANSFORM_SIZE];
    float covered[EH_CELLS]; /* the subject's share of the last frame's cells */
} eh_smoother;

void eh_identity(float *transform);

/* Take the network's next transform; `applied` is then the one to use. `alpha` is of 512 x 512. */
void eh_smooth(eh_smoother *smoother, const float *transform, const eh_picture *alpha, int cut, double elapsed,
               double smoothing, double dead_band);

/* The grid that the passes want, [32][32][12], BGR 0..255 to BGR 0..255, from a transform, [12][32][32]. */
void eh_blend_grid(const float *transform, double strength, float *grid);

#endif
