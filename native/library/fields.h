/* Pictures of floats, at the small sizes that mattes and colours are reasoned about in. All are packed. */
#ifndef EH_FIELDS_H
#define EH_FIELDS_H

#include "internal.h"

/* How a field goes on beyond its edge: mirrored about its last value (EH_ABOUT), or about the edge (EH_AT). */
typedef enum { EH_ABOUT = 1, EH_AT = 0 } eh_border;

integer eh_mirror(integer place, integer size, eh_border border);

/* Means of windows of 2 * reach + 1 squared, in place. `scratch` holds rows + 1 times columns * channels doubles. */
void eh_box_mean(float *field, integer rows, integer columns, integer channels, integer reach, eh_border border,
                 double *scratch);

/* A Gaussian blur of 3 x 3 with a deviation of 0.8, in place. `scratch` holds rows * columns floats. */
void eh_blur_3(float *field, integer rows, integer columns, float *scratch);

/* Bilinear interpolation, half-pixel centres. */
void eh_enlarge(const float *from, integer rows, integer columns, integer channels, float *made, integer made_rows,
                integer made_columns);

/* The greatest, or least, value of windows of 2 * reach + 1 squared. `scratch` is as large as the field. */
void eh_greatest(const uint8_t *from, integer rows, integer columns, integer reach, uint8_t *made, uint8_t *scratch);
void eh_least(const uint8_t *from, integer rows, integer columns, integer reach, uint8_t *made, uint8_t *scratch);

/* Read a picture down to a smaller size: by halves as long as that goes evenly, then by area (matte/scale.py). The
 * result may be the picture itself; else it is in one of the two buffers. */
typedef struct {
    eh_memory halves[2];
    eh_resizer resizer;
} eh_shrinker;

void eh_shrinker_free(eh_shrinker *shrinker);
eh_status eh_shrink_to(eh_shrinker *shrinker, const eh_tools *tools, const eh_picture *image, int channels,
                       integer rows, integer columns, eh_picture *small);

/* A picture without padding: itself, or a copy in `memory`. */
eh_status eh_pack(eh_memory *memory, const eh_tools *tools, const eh_picture *image, int channels, eh_picture *packed);

#endif
