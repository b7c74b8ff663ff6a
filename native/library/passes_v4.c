/* The passes for x86-64-v4: processors with AVX-512. */
#include "passes_table.h"
#if defined(EH_LEVELS)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#else
#pragma GCC target("arch=x86-64-v4")
#endif
#define EH_TABLE eh_passes_v4
#include "passes_here.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int nothing_for_this_processor;
#endif
