/* The passes over pixels, the C files one folder up, as this library calls them: a table for each level of processor.
 */
#ifndef EH_PASSES_TABLE_H
#define EH_PASSES_TABLE_H

#include "../passes.h"

/* Parameters as in the files themselves; edge_harmony/pixels/passes.py says what each means. */
typedef struct {
    void (*harmonize_rows)(integer first_row, integer last_row, integer height, integer width, integer foreground,
                           integer foreground_step, integer alpha, integer alpha_step, integer background,
                           integer background_step, integer out, integer out_step, integer scratch, integer grid,
                           integer cells, integer nodes, integer slopes);
    void (*copy_rows)(integer first_row, integer last_row, integer width, integer channels, integer source,
                      integer row_step, integer pixel_step, integer channel_step, integer target,
                      integer target_row_step, integer target_pixel_step, integer target_channel_step);
    void (*read_rows)(integer height, integer width, integer luma, integer luma_step, integer u, integer v,
                      integer chroma_step, integer out, integer out_step, integer scratch, integer gain, integer offset,
                      integer u_blue, integer u_green, integer v_green, integer v_red, integer even_share,
                      integer odd_share);
    void (*write_rows)(integer height, integer width, integer image, integer image_step, integer luma,
                       integer luma_step, integer u, integer v, integer chroma_step, integer scratch, integer black,
                       integer y_blue, integer y_green, integer y_red, integer u_blue, integer u_green, integer u_red,
                       integer v_blue, integer v_green, integer v_red);
    void (*add_light)(integer first_row, integer last_row, integer picture, integer row_step, integer pixel_step,
                      integer channel_step, integer alpha, integer alpha_row, integer alpha_pixel, integer width,
                      integer light, integer seen, integer rows, integer columns, integer top, integer left,
                      integer factor, float amount);
    void (*add_grain)(integer first_row, integer last_row, integer picture, integer row_step, integer pixel_step,
                      integer channel_step, integer alpha, integer alpha_row, integer alpha_pixel, integer left,
                      integer right, integer tile, integer side_y, integer side_x, integer tile_row, integer tile_pixel,
                      integer down, integer across, integer gains);
    void (*snap_rows)(integer first_row, integer last_row, integer coefficients, integer rows, integer columns,
                      integer wanted, integer frame, integer height, integer width, float stretch, integer alpha);
    void (*unmix_rows)(integer first_row, integer last_row, integer frame, integer alpha, integer height, integer width,
                       integer fore, integer back, integer rows, integer columns, integer known, integer result);
} eh_passes;

/* The best for the processor that this runs on. */
const eh_passes *eh_choose_passes(void);

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__clang__) || __GNUC__ >= 12)
#define EH_LEVELS
extern const eh_passes eh_passes_v3, eh_passes_v4;
#endif
extern const eh_passes eh_passes_v1;

#endif
