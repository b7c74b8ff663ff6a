/* The last touches: light wrap and grain. As compose/finish.py and compose/grain.py. */
#ifndef EH_FINISHING_H
#define EH_FINISHING_H

#include "internal.h"
#include "noise.h"

/* Noise of a picture: its luma's standard deviation in code values where it is mid-grey, and its size in pixels. */
typedef struct {
    double sigma, size;
} eh_grain;

typedef struct {
    eh_resizer boxes, halves;
    eh_memory inverted, half, seen, light, sums;                          /* light wrap */
    eh_memory grey, solid, eroded, small_grey, small_solid, fine, coarse; /* grain */
    eh_noise noise;
} eh_finishing;

void eh_finishing_free(eh_finishing *finishing);

/* Let the background's light spill round the subject's edge: `picture` BGR, changed. */
eh_status eh_light_wrap(eh_finishing *finishing, const eh_tools *tools, const eh_picture *picture,
                        const eh_picture *alpha, const eh_picture *background, double amount);

/* Measure the noise of a box of a BGR picture; where `alpha` is not null, only where it is 255. */
eh_status eh_measure_grain(eh_finishing *finishing, const eh_tools *tools, const eh_picture *picture,
                           const eh_picture *alpha, eh_box box, eh_grain *found);

/* Give the subject the background's grain: `picture` BGR, changed. */
eh_status eh_grain_match(eh_finishing *finishing, const eh_tools *tools, const eh_picture *picture,
                         const eh_picture *alpha, const eh_grain *wanted, double amount, uint32_t frame);

#endif
