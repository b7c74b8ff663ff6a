/* The subject's own colour at soft edges, where the camera saw it mixed with what was behind. As matte/foreground.py.
 */
#ifndef EH_FOREGROUND_H
#define EH_FOREGROUND_H

#include "fields.h"

typedef struct {
    eh_shrinker colour, cover;
    eh_resizer wide;
    eh_memory coarse, coarse_cover, packed_alpha, floats, sums;
} eh_foreground;

void eh_foreground_free(eh_foreground *foreground);

/* `frame` becomes a picture in `made`'s memory (of its size, packed), or stays as it is where nothing is mixed. */
eh_status eh_estimate_foreground(eh_foreground *foreground, const eh_tools *tools, const eh_picture *alpha,
                                 const eh_picture *made, eh_picture *frame);

#endif
