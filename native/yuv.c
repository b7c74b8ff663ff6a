/* Between BGR and the planes of YUV 4:2:0, in integers of 16 bits: sums are kept in 32nds of a code value, so that a
 * result is off by the rounding to 8 bits and at most 0.1 more. Chroma is interpolated linearly, as FFmpeg does. */
#include "passes.h"

/* The upper 16 of the 32 bits of a product: one instruction for many numbers. */
static inline int16_t upper(int16_t a, int16_t b) { return (int16_t)(((int32_t)a * (int32_t)b) >> 16); }
static inline int16_t upper_unsigned(uint16_t a, uint16_t b) {
    return (int16_t)(uint16_t)(((uint32_t)a * (uint32_t)b) >> 16);
}
static inline int16_t sum(int16_t a, int16_t b) { return (int16_t)(a + b); }
static inline uint8_t byte(int16_t value) {
    value = value > 0 ? value : 0;
    return (uint8_t)(value < 255 ? value : 255);
}

/* A row of chroma at the pixels' places, 256 times its difference from 128; from the rows of samples that lie a quarter
 * and three quarters of their distance away. `mixed` has room for a sample more at either end. */
static void widen(const uint8_t *restrict near, const uint8_t *restrict far, integer samples, int16_t even_share,
                  int16_t odd_share, int16_t *restrict mixed, int16_t *restrict chroma) {
    for (integer i = 0; i < samples; i++) mixed[i + 1] = (int16_t)(3 * near[i] + far[i]);
    mixed[0] = mixed[1];
    mixed[samples + 1] = mixed[samples];
    for (integer i = 0; i < samples; i++) {
        const int16_t left = mixed[i], here = mixed[i + 1], right = mixed[i + 2];
        const int16_t base = (int16_t)(4 * here - 2048);
        chroma[2 * i] = (int16_t)(uint16_t)((uint16_t)(int16_t)(base + (int16_t)((left - here) * even_share)) << 4);
        chroma[2 * i + 1] = (int16_t)(uint16_t)((uint16_t)(int16_t)(base + (int16_t)((right - here) * odd_share)) << 4);
    }
}

static void to_bgr(const uint8_t *restrict luma, const int16_t *restrict u, const int16_t *restrict v, integer width,
                   uint8_t *restrict target, uint16_t gain, int16_t offset, int16_t u_blue, int16_t u_green,
                   int16_t v_green, int16_t v_red) {
    for (int i = 0; i < (int)width; i++) {
        const int16_t grey = sum(upper_unsigned((uint16_t)(luma[i] << 8), gain), offset);
        target[3 * i] = byte((int16_t)(sum(grey, upper(u[i], u_blue)) >> 5));
        target[3 * i + 1] = byte((int16_t)(sum(sum(grey, upper(u[i], u_green)), upper(v[i], v_green)) >> 5));
        target[3 * i + 2] = byte((int16_t)(sum(grey, upper(v[i], v_red)) >> 5));
    }
}

PASS read_rows(integer height, integer width, integer luma, integer luma_step, integer u, integer v,
               integer chroma_step, integer out, integer out_step, integer scratch, integer gain, integer offset,
               integer u_blue, integer u_green, integer v_green, integer v_red, integer even_share,
               integer odd_share) {
    const integer samples = width / 2, rows = height / 2;
    int16_t *wide_u = (int16_t *)scratch, *wide_v = wide_u + width, *mixed = wide_v + width;
    for (integer row = 0; row < height; row++) {
        const integer near = row / 2, far = smaller(larger(near + 2 * (row % 2) - 1, 0), rows - 1);
        widen((const uint8_t *)u + near * chroma_step, (const uint8_t *)u + far * chroma_step, samples,
              (int16_t)even_share, (int16_t)odd_share, mixed, wide_u);
        widen((const uint8_t *)v + near * chroma_step, (const uint8_t *)v + far * chroma_step, samples,
              (int16_t)even_share, (int16_t)odd_share, mixed, wide_v);
        to_bgr((const uint8_t *)luma + row * luma_step, wide_u, wide_v, width, (uint8_t *)out + row * out_step,
               (uint16_t)gain, (int16_t)offset, (int16_t)u_blue, (int16_t)u_green, (int16_t)v_green, (int16_t)v_red);
    }
}

typedef struct {
    int16_t blue, green, red;
} weights;

static void to_luma(const uint8_t *restrict image, integer width, uint8_t *restrict luma, int16_t black, weights y) {
    for (int i = 0; i < (int)width; i++) {
        const int16_t blue = upper_unsigned((uint16_t)(image[3 * i] << 8), (uint16_t)y.blue);
        const int16_t green = upper_unsigned((uint16_t)(image[3 * i + 1] << 8), (uint16_t)y.green);
        const int16_t red = upper_unsigned((uint16_t)(image[3 * i + 2] << 8), (uint16_t)y.red);
        luma[i] = byte((int16_t)(sum(sum(sum(blue, green), red), black) >> 7));
    }
}

/* The chroma of each column of two rows; the place before the first column repeats it. */
static void to_chroma(const uint8_t *restrict first, const uint8_t *restrict second, integer width,
                      int16_t *restrict wide_u, int16_t *restrict wide_v, weights u, weights v) {
    for (int i = 0; i < (int)width; i++) {
        const int16_t blue = (int16_t)((first[3 * i] + second[3 * i]) << 6);
        const int16_t green = (int16_t)((first[3 * i + 1] + second[3 * i + 1]) << 6);
        const int16_t red = (int16_t)((first[3 * i + 2] + second[3 * i + 2]) << 6);
        wide_u[i + 1] = sum(sum(upper(blue, u.blue), upper(green, u.green)), upper(red, u.red));
        wide_v[i + 1] = sum(sum(upper(blue, v.blue), upper(green, v.green)), upper(red, v.red));
    }
    wide_u[0] = wide_u[1];
    wide_v[0] = wide_v[1];
}

/* Chroma samples on even columns: a quarter, a half and a quarter of three. */
static void narrow(const int16_t *restrict wide, integer samples, uint8_t *restrict target) {
    for (integer i = 0; i < samples; i++) {
        const int16_t total = (int16_t)(wide[2 * i] + wide[2 * i + 2] + 2 * wide[2 * i + 1]);
        target[i] = byte((int16_t)((sum(total, 128 + 6) >> 8) + 128)); /* a half, and what the products cut off */
    }
}

PASS write_rows(integer height, integer width, integer image, integer image_step, integer luma, integer luma_step,
                integer u, integer v, integer chroma_step, integer scratch, integer black, integer y_blue,
                integer y_green, integer y_red, integer u_blue, integer u_green, integer u_red, integer v_blue,
                integer v_green, integer v_red) {
    const weights y_weights = {(int16_t)y_blue, (int16_t)y_green, (int16_t)y_red};
    const weights u_weights = {(int16_t)u_blue, (int16_t)u_green, (int16_t)u_red};
    const weights v_weights = {(int16_t)v_blue, (int16_t)v_green, (int16_t)v_red};
    int16_t *wide_u = (int16_t *)scratch, *wide_v = wide_u + width + 1;
    for (integer row = 0; row < height / 2; row++) {
        const uint8_t *first = (const uint8_t *)image + 2 * row * image_step, *second = first + image_step;
        uint8_t *here = (uint8_t *)luma + 2 * row * luma_step;
        to_luma(first, width, here, (int16_t)black, y_weights);
        to_luma(second, width, here + luma_step, (int16_t)black, y_weights);
        to_chroma(first, second, width, wide_u, wide_v, u_weights, v_weights);
        narrow(wide_u, width / 2, (uint8_t *)u + row * chroma_step);
        narrow(wide_v, width / 2, (uint8_t *)v + row * chroma_step);
    }
}
