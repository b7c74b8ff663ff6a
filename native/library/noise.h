/* Noise that looks like grain, the same as NumPy and OpenCV make it from the same seeds. */
#ifndef EH_NOISE_H
#define EH_NOISE_H

#include "internal.h"

enum { EH_TILE = 768, EH_BLURS = 6 };

/* Standard deviations, in pixels, of the blurs: the grain sizes that there are. */
extern const double eh_blurs[EH_BLURS];

typedef struct {
    eh_memory tiles; /* float [EH_BLURS][EH_TILE][EH_TILE], each made when first wanted */
    eh_memory scratch;
    int made[EH_BLURS];
} eh_noise;

/* Where a frame's noise begins in a tile, whether it is mirrored, and its sign. */
typedef struct {
    integer down, across;
    int upside_down, mirrored;
    float sign;
} eh_laying;

void eh_noise_free(eh_noise *noise);

/* The tile of a blur: standard deviation 1, wraps round. Null where memory ran out. */
const float *eh_noise_tile(eh_noise *noise, int blur);

eh_laying eh_noise_laying(uint32_t frame);

#endif
