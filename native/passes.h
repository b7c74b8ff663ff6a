/* The full-resolution passes: what is done to every pixel of a frame, compiled.
 *
 * Plain loops over rows, written so that a compiler turns them into vector instructions: no branch within a loop over
 * pixels, no pointer that may alias what is written. Rows are shared out between threads by the caller; nothing here
 * keeps state or allocates.
 *
 * Addresses and sizes come from Python as 64-bit integers (intptr_t is as wide wherever this builds). `*_step` is the
 * number of bytes from one row to the next. edge_harmony/pixels/passes.py has the declarations, and says what each means.
 */
#ifndef EDGE_HARMONY_PASSES_H
#define EDGE_HARMONY_PASSES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define PASS __declspec(dllexport) void
#define ANSWER __declspec(dllexport)
#else
#define PASS __attribute__((visibility("default"))) void
#define ANSWER __attribute__((visibility("default")))
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#define restrict __restrict
#endif

/* How many pixels of the following loop are worked on at once, where a compiler would take more than there are. */
#if defined(__clang__)
#define VECTORS_OF_16 _Pragma("clang loop vectorize_width(16) interleave_count(1)")
#else
#define VECTORS_OF_16
#endif

typedef intptr_t integer;

static inline integer smaller(integer a, integer b) { return a < b ? a : b; }
static inline integer larger(integer a, integer b) { return a > b ? a : b; }

/* A colour's code, cut off to whole numbers: the half that rounds is in the value. */
static inline float within(float value) {
    value = value > 0.0f ? value : 0.0f;
    return value < 255.0f ? value : 255.0f;
}
static inline uint8_t code(float value) { return (uint8_t)(int)within(value); }

/* Where a coordinate lies between the middles of a row of cells: the cell before it, and the share of the next. */
typedef struct {
    integer first, second;
    float share;
} between;

static inline between locate(float place, integer cells) {
    between found;
    place = place > 0.0f ? place : 0.0f;
    place = place < (float)(cells - 1) ? place : (float)(cells - 1);
    found.first = smaller((integer)place, larger(cells - 2, 0));
    found.second = smaller(found.first + 1, cells - 1);
    found.share = place - (float)found.first;
    return found;
}

#endif
