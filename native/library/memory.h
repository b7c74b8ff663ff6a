/* Memory that is kept from frame to frame: it only ever grows. */
#ifndef EH_MEMORY_H
#define EH_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

typedef struct {
    void *data;
    size_t size;
} eh_memory;

/* At least `size` bytes, whose contents are lost where they were fewer; null where there are none to be had. */
static inline void *eh_reserve(eh_memory *memory, size_t size) {
    if (size <= memory->size && memory->data) return memory->data;
    free(memory->data);
    memory->size = 0;
    memory->data = malloc(size ? size : 1);
    if (memory->data) memory->size = size;
    return memory->data;
}

static inline void eh_release(eh_memory *memory) {
    free(memory->data);
    memory->data = 0;
    memory->size = 0;
}

#endif
