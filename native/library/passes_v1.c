/* The passes for every processor, and the choice between these and the better ones. */
#include "passes_table.h"
#define EH_TABLE eh_passes_v1
#include "passes_here.h"

#include "../processor.c"

const eh_passes *eh_choose_passes(void) {
#if defined(EH_LEVELS)
    const int level = processor_level();
    return level >= 4 ? &eh_passes_v4 : level >= 3 ? &eh_passes_v3 : &eh_passes_v1;
#else
    (void)processor_level;
    return &eh_passes_v1;
#endif
}
