/* The matte that finds people: a small network, what it learned of their colours, and a steadier. As matte/person.py.
 */
#ifndef EH_PERSON_H
#define EH_PERSON_H

#include "appearance.h"
#include "guided.h"
#include "network.h"

typedef struct {
    eh_session session;
    integer rows, columns; /* of what the network sees; 0 before the first frame */
    int has_previous, has_view;
    eh_memory previous, seen, shown, alpha, change, scratch; /* of the view's size */
    uint8_t levels[256];
    eh_shrinker small;
    eh_appearance appearance;
    eh_guided guided;
} eh_person;

eh_status eh_person_open(eh_person *person, const eh_runtime *runtime, const char *path, const void *bytes, size_t size,
                         int threads, eh_message *message);
void eh_person_close(eh_person *person);
void eh_person_reset(eh_person *person);

/* The alpha of the next frame, to `alpha` of the frame's size. */
eh_status eh_person_alpha(eh_person *person, const eh_tools *tools, const eh_picture *frame, const eh_picture *alpha);

#endif
