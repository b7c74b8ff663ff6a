/* What became of the scene since the last frame: nothing that matters, motion, or a cut. As compose/scene_change.py. */
#ifndef EH_SCENE_H
#define EH_SCENE_H

#include "resize.h"

enum { EH_SCENE_SIDE = 32, EH_SCENE_VALUES = 4 * EH_SCENE_SIDE * EH_SCENE_SIDE };

typedef enum { EH_MOVING, EH_SCENE_STILL, EH_CUT } eh_change;

typedef struct {
    int seen; /* whether there was a frame before */
    uint8_t view[EH_SCENE_VALUES],
        anchor[EH_SCENE_VALUES]; /* BGR and alpha; of the last frame, and of the last moving */
} eh_scene;

/* Look at the next frame's view, both of 512 x 512. */
eh_change eh_scene_update(eh_scene *scene, const eh_picture *view, const eh_picture *alpha);

#endif
