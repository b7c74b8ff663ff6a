/* One stream of frames: its settings, its models, what it remembers of earlier frames, and its buffers. */
#ifndef EH_STREAM_H
#define EH_STREAM_H

#include "finishing.h"
#include "foreground.h"
#include "images.h"
#include "network.h"
#include "person.h"
#include "scene.h"
#include "smoothing.h"

enum { EH_SETTINGS = EH_STILL + 1, EH_READ_SIDE = 512, EH_WORKING_SIDE = 256 };

/* A background as it was last read: its address and shape, by which one that stays is known again. */
typedef struct {
    int valid;
    eh_image image;
    integer height, width; /* of the frame that it was fitted to */
    int fit;
} eh_known;

struct eh_stream {
    eh_tools tools;
    eh_message message;
    double settings[EH_SETTINGS];
    eh_runtime runtime;
    eh_session network;
    eh_person person;
    int has_network, has_person;

    /* What is remembered from frame to frame. */
    eh_scene scene;
    eh_smoother smoother;
    int predicted; /* whether the network's output holds what it said last */
    int seen_grey; /* whether an alpha above 1 has come: then 1 is almost nothing, and meant so */
    int has_time;
    double last_time;
    int64_t frames, reused;
    float transform[EH_TRANSFORM_SIZE];
    int has_grain, grain_is_still;
    eh_grain grain;
    eh_known known;

    /* Buffers. */
    eh_conversion frame, background, output;
    eh_resizer view, fitting;
    eh_memory alpha, straight, fitted, cropped, small_frame, small_alpha, small_background, composite, nothing, scratch;
    eh_foreground foreground;
    eh_finishing finishing;
    float grid[EH_TRANSFORM_SIZE];
};

#endif
