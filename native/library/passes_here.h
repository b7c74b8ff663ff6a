/* Included once by each passes_v*.c, which names EH_TABLE and, for better processors than the least, EH_TARGET: the
 * passes, compiled for that file's processors. */
#if defined(__clang__)
#pragma clang fp contract(fast) /* as setup.py has them compiled */
#endif
#undef PASS
#undef ANSWER
#define PASS static inline void /* some are for the Python package alone */
#define ANSWER static

#if defined(EH_TARGET)
#define EH_PRAGMA_TEXT(...) _Pragma(#__VA_ARGS__)
#define EH_PRAGMA(...) EH_PRAGMA_TEXT(__VA_ARGS__) /* with EH_TARGET spelled out */
#if defined(__clang__)
EH_PRAGMA(clang attribute push(__attribute__((target(EH_TARGET))), apply_to = function))
#else
EH_PRAGMA(GCC target(EH_TARGET))
#endif
#endif

#include "../finish.c"
#include "../harmonize.c"
#include "../matte.c"
#include "../yuv.c"

const eh_passes EH_TABLE = {
    harmonize_rows, copy_rows, read_rows, write_rows, add_light, add_grain, snap_rows, unmix_rows,
};

#if defined(EH_TARGET) && defined(__clang__)
#pragma clang attribute pop
#endif
