/* What subject and background look like, learned while a clip runs. As matte/appearance.py. */
#ifndef EH_APPEARANCE_H
#define EH_APPEARANCE_H

#include "fields.h"

enum { EH_LIGHTS = 12, EH_CHROMAS = 24, EH_COLOURS = EH_LIGHTS * EH_CHROMAS * EH_CHROMAS };

typedef struct {
    int seen, ready; /* whether a frame was seen; whether the tables are filled */
    float subject[EH_COLOURS], background[EH_COLOURS];
    float now[EH_COLOURS], everything[EH_COLOURS], scratch[EH_COLOURS], likelihood[EH_COLOURS];
    double counts[EH_COLOURS], covered[EH_COLOURS];
    float logit[256], trust[256];
    uint16_t linear[256];            /* light of a code of sRGB, in eighths of 255ths */
    uint16_t roots[256 * 3 / 2 * 8]; /* its cube root, as Lab has it, in 32768ths */
    eh_memory colours, said, blurred;
} eh_appearance;

void eh_appearance_free(eh_appearance *appearance);

/* Learn from a frame and correct its alpha in place; both packed. */
eh_status eh_appearance_correct(eh_appearance *appearance, const eh_tools *tools, const eh_picture *view,
                                const eh_picture *alpha);

#endif
