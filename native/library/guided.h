/* An alpha's soft edges pulled onto the picture's edges, and brought to its size. As matte/refine.py. */
#ifndef EH_GUIDED_H
#define EH_GUIDED_H

#include "fields.h"

typedef struct {
    eh_shrinker guide;
    eh_resizer small, full;
    eh_memory packed, bytes, slopes, floats, sums, result;
} eh_guided;

void eh_guided_free(eh_guided *guided);

/* `alpha` of any size to `out` of the frame's, by a guided filter of a radius in pixels of the frame. */
eh_status eh_guided_alpha(eh_guided *guided, const eh_tools *tools, const eh_picture *alpha, const eh_picture *frame,
                          integer radius, const eh_picture *out);

#endif
