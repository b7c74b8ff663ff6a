/* Reading pictures down and up, with the very arithmetic of OpenCV's resize, so that a network sees what it saw there.
 */
#ifndef EH_RESIZE_H
#define EH_RESIZE_H

#include "memory.h"
#include "threads.h"

/* A picture, or a plane, whose pixels of a row lie side by side; `step` bytes from a row to the next. */
typedef struct {
    uint8_t *data;
    integer step, height, width;
} eh_picture;

static inline uint8_t *eh_row(const eh_picture *picture, integer row) { return picture->data + row * picture->step; }

/* A picture without padding in memory of that size, at least height * width * channels. */
static inline eh_picture eh_packed(void *data, integer height, integer width, integer channels) {
    eh_picture picture = {(uint8_t *)data, width * channels, height, width};
    return picture;
}

/* How one side of a picture is interpolated linearly: for each place the sample before it and the shares of it and of
 * the next, in 2048ths. Kept from frame to frame. */
typedef struct {
    integer source, target;
    int grows_by_area;
    eh_memory at, shares; /* int32 [target], int16 [2 * target] */
} eh_axis;

/* Which source samples make up each target sample, and how much of it each is. */
typedef struct {
    integer source, target, count;
    eh_memory entries;
} eh_area_axis;

typedef struct {
    eh_axis linear[2];
    eh_area_axis area[2];
    eh_memory lines; /* for every thread */
} eh_resizer;

void eh_resizer_free(eh_resizer *resizer);

/* Reserve all that pictures with sides of up to `side` pixels will want; 0 where memory ran out. */
int eh_resizer_expect(eh_resizer *resizer, eh_threads *threads, integer side, int channels);

/* Each returns 0 where memory ran out. `channels` is 1 or 3; pictures do not overlap. */

/* Bilinear, half-pixel centres, no antialiasing: INTER_LINEAR. */
int eh_resize_linear(eh_resizer *resizer, eh_threads *threads, const eh_picture *in, const eh_picture *out,
                     int channels);

/* The mean over the pixels of each target pixel: INTER_AREA, which interpolates where it would grow. */
int eh_resize_area(eh_resizer *resizer, eh_threads *threads, const eh_picture *in, const eh_picture *out, int channels);

/* INTER_CUBIC, to a code value. */
int eh_resize_cubic(eh_resizer *resizer, eh_threads *threads, const eh_picture *in, const eh_picture *out,
                    int channels);

/* The nearest whole number, of two the even one. */
static inline int eh_nearest(float value) { return (int)lrintf(value); }

#endif
