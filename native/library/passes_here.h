/* Included once by each passes_v*.c, which names EH_TABLE: the passes, compiled for that file's processors. */
#if defined(__clang__)
#pragma clang fp contract(fast) /* as setup.py has them compiled */
#endif
#undef PASS
#undef ANSWER
#define PASS static inline void /* some are for the Python package alone */
#define ANSWER static

#include "../finish.c"
#include "../harmonize.c"
#include "../matte.c"
#include "../yuv.c"

const eh_passes EH_TABLE = {
    harmonize_rows, copy_rows, read_rows, write_rows, add_light, add_grain, snap_rows, unmix_rows,
};
