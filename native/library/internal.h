/* What the library's files share. */
#ifndef EH_INTERNAL_H
#define EH_INTERNAL_H

#include "../include/edge_harmony.h"
#include "memory.h"
#include "passes_table.h"
#include "resize.h"
#include "threads.h"

#if defined(__GNUC__)
#define EH_FORMAT(text, first) __attribute__((format(printf, text, first)))
#else
#define EH_FORMAT(text, first)
#endif

/* What is wrong, and what to do about it. */
typedef struct {
    char text[1024];
} eh_message;

/* Write the message and return the status. */
eh_status eh_fail(eh_message *message, eh_status status, const char *format, ...) EH_FORMAT(3, 4);
eh_status eh_out_of_memory(eh_message *message);

/* What the stages of a stream work with. */
typedef struct {
    const eh_passes *passes;
    eh_threads *threads;
    eh_message *message;
} eh_tools;

/* Rows and columns that hold all that is not 0 of a plane: 0 wide where there is nothing. */
typedef struct {
    integer left, top, width, height;
} eh_box;
eh_box eh_bounding_box(const eh_picture *plane);

/* Let a box, which is 0 wide at first, take in columns first .. last - 1 of a row; rows come from above. */
static inline void eh_box_take(eh_box *box, integer y, integer first, integer last) {
    if (!box->width) *box = (eh_box){first, y, last - first, 0};
    const integer right = larger(box->left + box->width, last);
    box->left = smaller(box->left, first);
    box->width = right - box->left;
    box->height = y + 1 - box->top;
}

static inline integer eh_address(const void *pointer) { return (integer)pointer; }

#endif
