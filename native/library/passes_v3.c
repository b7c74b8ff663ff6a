/* The passes for x86-64-v3: processors with AVX2 and FMA. */
#include "passes_table.h"
#if defined(EH_LEVELS)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#else
#pragma GCC target("arch=x86-64-v3")
#endif
#define EH_TABLE eh_passes_v3
#include "passes_here.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int nothing_for_this_processor;
#endif
