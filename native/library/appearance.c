#include "appearance.h"

static const double KEPT = 0.97, FLOOR = 5e-5, MOST = 4.0, DOUBT = 5.0, LEAST_SHARE = 0.02;

enum { CODE_SHIFT = 3, WHITE = 255 << CODE_SHIFT, ROOT_SHIFT = 15, MATRIX_SHIFT = 12 };

void eh_appearance_free(eh_appearance *a) {
    eh_release(&a->colours);
    eh_release(&a->said);
    eh_release(&a->blurred);
}

static void fill_tables(eh_appearance *a) {
    for (int code = 0; code < 256; code++) {
        const double value = code / 255.0;
        const double light = value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
        a->linear[code] = (uint16_t)lrint(light * WHITE);
        float share = (float)code / 255.0f;
        share = share < 0.002f ? 0.002f : share > 0.998f ? 0.998f : share;
        a->logit[code] = logf(share / (1.0f - share));
        a->trust[code] = expf(-(a->logit[code] / (float)DOUBT) * (a->logit[code] / (float)DOUBT));
    }
    for (int i = 0; i < (int)(sizeof a->roots / sizeof *a->roots); i++) {
        const double x = (double)i / WHITE;
        a->roots[i] =
            (uint16_t)lrint((1 << ROOT_SHIFT) * (x < 216.0 / 24389.0 ? x * (841.0 / 108.0) + 16.0 / 116.0 : cbrt(x)));
    }
    a->ready = 1;
}

static int32_t rounded(int32_t value, int shift) { return (value + (1 << (shift - 1))) >> shift; }
static int32_t within_code(int32_t value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

/* The bin of each pixel's colour in CIE L*a*b*, chroma stretched to twice. */
static void find_colours(const eh_appearance *a, const uint8_t *bgr, integer count, uint16_t *colours) {
    /* sRGB to XYZ, each row divided by the white of D65, in 4096ths */
    static const double MATRIX[3][3] = {
        {0.412453, 0.357580, 0.180423}, {0.212671, 0.715160, 0.072169}, {0.019334, 0.119193, 0.950227}};
    static const double WHITES[3] = {0.950456, 1.0, 1.088754};
    int32_t m[3][3];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) m[i][k] = (int32_t)lrint((1 << MATRIX_SHIFT) * MATRIX[i][k] / WHITES[i]);
    const int32_t gain = (116 * 255 + 50) / 100, offset = -((16 * 255 * (1 << ROOT_SHIFT) + 50) / 100);
    for (integer i = 0; i < count; i++) {
        const int32_t b = a->linear[bgr[3 * i]], g = a->linear[bgr[3 * i + 1]], r = a->linear[bgr[3 * i + 2]];
        int32_t root[3];
        for (int k = 0; k < 3; k++) root[k] = a->roots[rounded(r * m[k][0] + g * m[k][1] + b * m[k][2], MATRIX_SHIFT)];
        const int32_t light = within_code(rounded(gain * root[1] + offset, ROOT_SHIFT));
        const int32_t first = rounded(500 * (root[0] - root[1]) + 128 * (1 << ROOT_SHIFT), ROOT_SHIFT);
        const int32_t second = rounded(200 * (root[1] - root[2]) + 128 * (1 << ROOT_SHIFT), ROOT_SHIFT);
        const int32_t chroma_a = within_code((within_code(first) - 128) * 2 + 128) * EH_CHROMAS / 256;
        const int32_t chroma_b = within_code((within_code(second) - 128) * 2 + 128) * EH_CHROMAS / 256;
        colours[i] = (uint16_t)((light * EH_LIGHTS / 256 * EH_CHROMAS + chroma_a) * EH_CHROMAS + chroma_b);
    }
}

eh_status eh_appearance_correct(eh_appearance *a, const eh_tools *tools, const eh_picture *view,
                                const eh_picture *alpha) {
    const integer rows = view->height, columns = view->width, count = rows * columns;
    uint16_t *colours = (uint16_t *)eh_reserve(&a->colours, sizeof(uint16_t) * (size_t)count);
    float *said = (float *)eh_reserve(&a->said, sizeof(float) * (size_t)count);
    float *scratch = (float *)eh_reserve(&a->blurred, sizeof(float) * (size_t)count);
    if (!colours || !said || !scratch) return eh_out_of_memory(tools->message);
    if (!a->ready) fill_tables(a);
    find_colours(a, view->data, count, colours);
    memset(a->counts, 0, sizeof a->counts);
    memset(a->covered, 0, sizeof a->covered);
    for (integer i = 0; i < count; i++) {
        a->counts[colours[i]] += 1.0;
        a->covered[colours[i]] += alpha->data[i] * (1.0 / 255.0);
    }
    for (int i = 0; i < EH_COLOURS; i++) {
        a->now[i] = (float)(a->covered[i] / (double)count);
        a->everything[i] = (float)(a->counts[i] / (double)count);
    }
    eh_blur_3(a->now, EH_LIGHTS * EH_CHROMAS, EH_CHROMAS, a->scratch);
    eh_blur_3(a->everything, EH_LIGHTS * EH_CHROMAS, EH_CHROMAS, a->scratch);
    double subject = 0.0, background = 0.0;
    for (int i = 0; i < EH_COLOURS; i++) {
        const float rest = a->everything[i] - a->now[i], step = (float)(1.0 - KEPT);
        a->subject[i] = a->seen ? a->subject[i] + step * (a->now[i] - a->subject[i]) : a->now[i];
        a->background[i] = a->seen ? a->background[i] + step * (rest - a->background[i]) : rest;
        subject += a->subject[i];
        background += a->background[i];
    }
    a->seen = 1;
    double known = subject / LEAST_SHARE < background / LEAST_SHARE ? subject / LEAST_SHARE : background / LEAST_SHARE;
    known = known < 1.0 ? known : 1.0;
    const float n = (float)(subject > 1e-6 ? subject : 1e-6), m = (float)(background > 1e-6 ? background : 1e-6);
    for (int i = 0; i < EH_COLOURS; i++) {
        const float ratio = logf((a->subject[i] / n + (float)FLOOR) / (a->background[i] / m + (float)FLOOR));
        const float bounded = ratio<-(float)MOST ? -(float)MOST : ratio>(float) MOST ? (float)MOST : ratio;
        a->likelihood[i] = bounded * (float)known;
    }
    for (integer i = 0; i < count; i++) said[i] = a->likelihood[colours[i]];
    eh_blur_3(said, rows, columns, scratch); /* its neighbours' colours count a little */
    for (integer i = 0; i < count; i++) {
        const uint8_t code = alpha->data[i];
        const float logit = a->logit[code] + a->trust[code] * said[i];
        alpha->data[i] = (uint8_t)(int)(255.0f / (1.0f + expf(-logit)) + 0.5f);
    }
    return EH_OK;
}
