#include "images.h"

static const char *const FORMATS[] = {"?", "BGR", "RGB", "BGRA", "RGBA", "NV12", "I420", "GREY"};
static const int BYTES[] = {0, 3, 3, 4, 4, 1, 1, 1}; /* of a pixel, in the first plane */

void eh_conversion_free(eh_conversion *conversion) {
    eh_release(&conversion->bgr);
    eh_release(&conversion->u);
    eh_release(&conversion->v);
    eh_release(&conversion->scratch);
}

static int is_yuv(const eh_image *image) { return image->format == EH_NV12 || image->format == EH_I420; }
static int is_rgb(const eh_image *image) { return image->format == EH_RGB || image->format == EH_RGBA; }
int eh_has_alpha(const eh_image *image) { return image->format == EH_BGRA || image->format == EH_RGBA; }
static int planes(const eh_image *image) { return image->format == EH_NV12 ? 2 : image->format == EH_I420 ? 3 : 1; }

/* Rows, and bytes of a row, of a plane. */
static integer plane_rows(const eh_image *image, int plane) { return plane ? image->height / 2 : image->height; }
static integer plane_bytes(const eh_image *image, int plane) {
    if (!plane) return (integer)image->width * BYTES[image->format];
    return image->format == EH_NV12 ? image->width : image->width / 2;
}

eh_status eh_check_image(const eh_image *image, unsigned formats, const char *name, eh_message *message) {
    if (!image) return eh_fail(message, EH_ERROR_ARGUMENT, "%s is null (pass an eh_image)", name);
    if (image->format < EH_BGR || image->format > EH_GREY)
        return eh_fail(message, EH_ERROR_IMAGE, "%s is of the unknown format %d (set its format)", name, image->format);
    if (!(formats >> image->format & 1))
        return eh_fail(message, EH_ERROR_IMAGE, "%s is %s, which is not allowed there (see eh_process)", name,
                       FORMATS[image->format]);
    if (image->width < EH_LEAST_SIDE || image->height < EH_LEAST_SIDE || image->width > EH_MOST_SIDE ||
        image->height > EH_MOST_SIDE)
        return eh_fail(message, EH_ERROR_IMAGE, "%s is %d x %d (sides of %d to %d pixels are needed)", name,
                       image->width, image->height, EH_LEAST_SIDE, EH_MOST_SIDE);
    if (is_yuv(image) && (image->width % 2 || image->height % 2))
        return eh_fail(message, EH_ERROR_IMAGE, "%s is %s of %d x %d (its sides must be even)", name,
                       FORMATS[image->format], image->width, image->height);
    if (is_yuv(image) && (image->colour < EH_COLOUR_AUTO || image->colour > EH_BT709_FULL))
        return eh_fail(message, EH_ERROR_IMAGE, "%s is of the unknown colour %d (EH_COLOUR_AUTO will often do)", name,
                       image->colour);
    for (int i = 0; i < planes(image); i++) {
        if (!image->plane[i])
            return eh_fail(message, EH_ERROR_IMAGE, "plane %d of %s is null (set its address)", i, name);
        const int64_t stride = image->stride[i] < 0 ? -image->stride[i] : image->stride[i];
        if (stride < plane_bytes(image, i) || stride > (int64_t)1 << 30)
            return eh_fail(message, EH_ERROR_IMAGE, "plane %d of %s has a stride of %lld; its rows take %lld bytes", i,
                           name, (long long)image->stride[i], (long long)plane_bytes(image, i));
    }
    if (image->format == EH_I420 && image->stride[1] != image->stride[2])
        return eh_fail(message, EH_ERROR_IMAGE, "u and v of %s have different strides (they must be alike)", name);
    return EH_OK;
}

static void extent(const eh_image *image, int plane, uintptr_t *first, uintptr_t *end) {
    const integer rest = (plane_rows(image, plane) - 1) * (integer)image->stride[plane];
    const uintptr_t start = (uintptr_t)image->plane[plane];
    *first = start + (uintptr_t)smaller(rest, 0);
    *end = start + (uintptr_t)larger(rest, 0) + (uintptr_t)plane_bytes(image, plane);
}

int eh_overlap(const eh_image *one, const eh_image *other) {
    for (int i = 0; i < planes(one); i++) {
        for (int k = 0; k < planes(other); k++) {
            uintptr_t first, end, other_first, other_end;
            extent(one, i, &first, &end);
            extent(other, k, &other_first, &other_end);
            if (first < other_end && other_first < end) return 1;
        }
    }
    return 0;
}

/* Between packed layouts: where blue lies, and how far it is to green. */
typedef struct {
    const eh_tools *tools;
    integer width, channels, from, from_row, from_pixel, from_channel, to, to_row, to_pixel, to_channel;
} gather;

static void gather_rows(void *context, integer first, integer last, int thread) {
    const gather *g = (const gather *)context;
    (void)thread;
    g->tools->passes->copy_rows(first, last, g->width, g->channels, g->from, g->from_row, g->from_pixel,
                                g->from_channel, g->to, g->to_row, g->to_pixel, g->to_channel);
}

static int is_full(const eh_image *image) { return image->colour == EH_BT601_FULL || image->colour == EH_BT709_FULL; }

static void luma_shares(const eh_image *image, double *red, double *blue) {
    int hd = image->colour == EH_BT709_LIMITED || image->colour == EH_BT709_FULL;
    if (image->colour == EH_COLOUR_AUTO) hd = larger(image->height, (integer)image->width * 9 / 16) >= 720;
    *red = hd ? 0.2126 : 0.299;
    *blue = hd ? 0.0722 : 0.114;
}

static integer nearest(double value) { return (integer)lrint(value); }

/* Planes of chroma apart, as the passes want them. */
static eh_status chroma_planes(eh_conversion *c, const eh_tools *tools, const eh_image *image, uint8_t *found[2],
                               integer *step) {
    if (image->format == EH_I420) {
        found[0] = (uint8_t *)image->plane[1];
        found[1] = (uint8_t *)image->plane[2];
        *step = (integer)image->stride[1];
        return EH_OK;
    }
    *step = image->width / 2;
    const size_t size = (size_t)(*step * (image->height / 2));
    found[0] = (uint8_t *)eh_reserve(&c->u, size);
    found[1] = (uint8_t *)eh_reserve(&c->v, size);
    return found[0] && found[1] ? EH_OK : eh_out_of_memory(tools->message);
}

static eh_status read_yuv(eh_conversion *c, const eh_tools *tools, const eh_image *image, const eh_picture *bgr) {
    const integer width = image->width, height = image->height;
    uint8_t *chroma[2];
    integer step;
    eh_status status = chroma_planes(c, tools, image, chroma, &step);
    void *scratch = eh_reserve(&c->scratch, (size_t)(5 * width + 16));
    if (status != EH_OK || !scratch) return eh_out_of_memory(tools->message);
    if (image->format == EH_NV12) {
        for (integer y = 0; y < height / 2; y++) {
            const uint8_t *restrict pairs = (const uint8_t *)image->plane[1] + y * (integer)image->stride[1];
            uint8_t *restrict u = chroma[0] + y * step, *restrict v = chroma[1] + y * step;
            for (integer x = 0; x < width / 2; x++) {
                u[x] = pairs[2 * x];
                v[x] = pairs[2 * x + 1];
            }
        }
    }
    double red, blue;
    luma_shares(image, &red, &blue);
    const double green = 1.0 - red - blue, full = is_full(image);
    const double gain = full ? 1.0 : 255.0 / 219.0, black = full ? 0.0 : 16.0, stretch = full ? 1.0 : 255.0 / 224.0;
    tools->passes->read_rows(
        height, width, eh_address(image->plane[0]), (integer)image->stride[0], eh_address(chroma[0]),
        eh_address(chroma[1]), step, eh_address(bgr->data), bgr->step, eh_address(scratch), nearest(8192 * gain),
        nearest(-32 * gain * black) + 17, nearest(8192 * stretch * 2 * (1 - blue)),
        nearest(8192 * stretch * -2 * (1 - blue) * blue / green),
        nearest(8192 * stretch * -2 * (1 - red) * red / green), nearest(8192 * stretch * 2 * (1 - red)), 0, 2);
    return EH_OK;
}

static eh_status write_yuv(eh_conversion *c, const eh_tools *tools, const eh_picture *bgr, const eh_image *image) {
    const integer width = image->width, height = image->height;
    uint8_t *chroma[2];
    integer step;
    eh_status status = chroma_planes(c, tools, image, chroma, &step);
    void *scratch = eh_reserve(&c->scratch, (size_t)(5 * width + 16));
    if (status != EH_OK || !scratch) return eh_out_of_memory(tools->message);
    double red, blue;
    luma_shares(image, &red, &blue);
    const double luma[3] = {blue, 1.0 - red - blue, red}, full = is_full(image);
    const double range = full ? 1.0 : 219.0 / 255.0, chroma_range = full ? 1.0 : 224.0 / 255.0;
    integer w[9];
    for (int k = 0; k < 3; k++) {
        w[k] = nearest(32768 * luma[k] * range);
        w[3 + k] = nearest(32768 * ((k == 0) - luma[k]) / (2 * (1 - blue)) * chroma_range);
        w[6 + k] = nearest(32768 * ((k == 2) - luma[k]) / (2 * (1 - red)) * chroma_range);
    }
    tools->passes->write_rows(height, width, eh_address(bgr->data), bgr->step, eh_address(image->plane[0]),
                              (integer)image->stride[0], eh_address(chroma[0]), eh_address(chroma[1]), step,
                              eh_address(scratch), (full ? 0 : 16 * 128) + 65, w[0], w[1], w[2], w[3], w[4], w[5], w[6],
                              w[7], w[8]);
    if (image->format == EH_NV12) {
        for (integer y = 0; y < height / 2; y++) {
            uint8_t *restrict pairs = (uint8_t *)image->plane[1] + y * (integer)image->stride[1];
            const uint8_t *restrict u = chroma[0] + y * step, *restrict v = chroma[1] + y * step;
            for (integer x = 0; x < width / 2; x++) {
                pairs[2 * x] = u[x];
                pairs[2 * x + 1] = v[x];
            }
        }
    }
    return EH_OK;
}

static eh_status own_bgr(eh_conversion *c, const eh_tools *tools, const eh_image *image, eh_picture *bgr) {
    void *data = eh_reserve(&c->bgr, (size_t)image->height * (size_t)image->width * 3);
    if (!data) return eh_out_of_memory(tools->message);
    *bgr = eh_packed(data, image->height, image->width, 3);
    return EH_OK;
}

static eh_picture same_memory(const eh_image *image) {
    eh_picture picture = {(uint8_t *)image->plane[0], (integer)image->stride[0], image->height, image->width};
    return picture;
}

eh_status eh_read_image(eh_conversion *c, const eh_tools *tools, const eh_image *image, eh_picture *bgr) {
    if (image->format == EH_BGR) {
        *bgr = same_memory(image);
        return EH_OK;
    }
    const eh_status status = own_bgr(c, tools, image, bgr);
    if (status != EH_OK) return status;
    if (is_yuv(image)) return read_yuv(c, tools, image, bgr);
    const integer turn = is_rgb(image) ? -1 : 1;
    gather work = {tools,
                   image->width,
                   3,
                   eh_address(image->plane[0]) + (turn < 0 ? 2 : 0),
                   (integer)image->stride[0],
                   BYTES[image->format],
                   turn,
                   eh_address(bgr->data),
                   bgr->step,
                   3,
                   1};
    eh_share_rows(tools->threads, gather_rows, &work, image->height, 64);
    return EH_OK;
}

void eh_read_alpha(const eh_tools *tools, const eh_image *image, const eh_picture *alpha) {
    gather work = {tools,
                   image->width,
                   1,
                   eh_address(image->plane[0]) + 3,
                   (integer)image->stride[0],
                   4,
                   0,
                   eh_address(alpha->data),
                   alpha->step,
                   1,
                   0};
    eh_share_rows(tools->threads, gather_rows, &work, image->height, 64);
}

eh_status eh_prepare_output(eh_conversion *c, const eh_tools *tools, const eh_image *image, eh_picture *bgr) {
    if (image->format != EH_BGR) return own_bgr(c, tools, image, bgr);
    *bgr = same_memory(image);
    return EH_OK;
}

eh_status eh_write_image(eh_conversion *c, const eh_tools *tools, const eh_picture *bgr, const eh_picture *alpha,
                         const eh_image *image) {
    if (image->format == EH_BGR) return EH_OK;
    if (is_yuv(image)) return write_yuv(c, tools, bgr, image);
    const integer turn = is_rgb(image) ? -1 : 1;
    gather work = {tools,
                   image->width,
                   3,
                   eh_address(bgr->data),
                   bgr->step,
                   3,
                   1,
                   eh_address(image->plane[0]) + (turn < 0 ? 2 : 0),
                   (integer)image->stride[0],
                   BYTES[image->format],
                   turn};
    eh_share_rows(tools->threads, gather_rows, &work, image->height, 64);
    if (!eh_has_alpha(image)) return EH_OK;
    if (alpha) {
        gather fourth = {tools,
                         image->width,
                         1,
                         eh_address(alpha->data),
                         alpha->step,
                         1,
                         0,
                         eh_address(image->plane[0]) + 3,
                         (integer)image->stride[0],
                         4,
                         0};
        eh_share_rows(tools->threads, gather_rows, &fourth, image->height, 64);
        return EH_OK;
    }
    for (integer y = 0; y < image->height; y++) {
        uint8_t *line = (uint8_t *)image->plane[0] + y * (integer)image->stride[0] + 3;
        for (integer x = 0; x < image->width; x++) line[4 * x] = 255;
    }
    return EH_OK;
}
