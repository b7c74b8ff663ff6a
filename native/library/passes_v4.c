/* The passes for x86-64-v4: processors with AVX-512. */
#include "passes_table.h"
#if defined(EH_LEVELS)
#define EH_TARGET "arch=x86-64-v4"
#define EH_TABLE eh_passes_v4
#include "passes_here.h"
#else
typedef int nothing_for_this_processor;
#endif
