/* Images of the caller's, in any format, to and from BGR. */
#ifndef EH_IMAGES_H
#define EH_IMAGES_H

#include "internal.h"

enum { EH_LEAST_SIDE = 64, EH_MOST_SIDE = 16384 };

typedef struct {
    eh_memory bgr, u, v, scratch; /* of one image that is converted */
} eh_conversion;

void eh_conversion_free(eh_conversion *conversion);

/* Whether it is an image: its format (a single bit of `formats`, 1 << EH_...), sides, planes and strides. */
eh_status eh_check_image(const eh_image *image, unsigned formats, const char *name, eh_message *message);

/* Whether any byte of one image is a byte of the other. */
int eh_overlap(const eh_image *one, const eh_image *other);

int eh_has_alpha(const eh_image *image);

/* Its colours as BGR: the image's own memory where it is that already. */
eh_status eh_read_image(eh_conversion *conversion, const eh_tools *tools, const eh_image *image, eh_picture *bgr);

/* The fourth channel of an EH_BGRA or EH_RGBA image, written to `alpha`. */
void eh_read_alpha(const eh_tools *tools, const eh_image *image, const eh_picture *alpha);

/* Where to make the BGR that eh_write_image then writes: the image's own memory where it is BGR. */
eh_status eh_prepare_output(eh_conversion *conversion, const eh_tools *tools, const eh_image *image, eh_picture *bgr);

/* `alpha` is the fourth channel, or null for 255. */
eh_status eh_write_image(eh_conversion *conversion, const eh_tools *tools, const eh_picture *bgr,
                         const eh_picture *alpha, const eh_image *image);

#endif
