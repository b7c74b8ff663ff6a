/* The passes for x86-64-v3: processors with AVX2 and FMA. */
#include "passes_table.h"
#if defined(EH_LEVELS)
#define EH_TARGET "arch=x86-64-v3"
#define EH_TABLE eh_passes_v3
#include "passes_here.h"
#else
typedef int nothing_for_this_processor;
#endif
