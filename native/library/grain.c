#include "finishing.h"

enum { BLOCK = 16, STRIP = 2 * BLOCK, LEAST_STRIPS = 4, ENOUGH = 250000, LEAST_BLOCKS = 6 };

static const double LEAST_NOISE = 0.15; /* code values: less is none */
static const double LEAST_MISSING = 0.25;

/* What the measure makes of a tile of each of eh_blurs: of eight code values of it, a code value of noise; and how much
 * of that is left at half the size. Found by compose/grain.py (_tile, _size_ratios); a test holds the two together. */
static const double RESPONSES[EH_BLURS] = {0.9191856980323792, 0.815838098526001,   0.5027834177017212,
                                           0.253561407327652,  0.11552438884973526, 0.053853753954172134};
static const double RATIOS[EH_BLURS] = {0.4971704212924695, 0.5744202078803041, 0.9836075893393791,
                                        1.8676589592352426, 3.363928009436184,  4.683341199592674};

void eh_finishing_free(eh_finishing *f) {
    eh_memory *kept[] = {&f->inverted, &f->half,   &f->seen,       &f->light,       &f->sums, &f->grey,
                         &f->solid,    &f->eroded, &f->small_grey, &f->small_solid, &f->fine, &f->coarse};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) eh_release(kept[i]);
    eh_resizer_free(&f->boxes);
    eh_resizer_free(&f->halves);
    eh_noise_free(&f->noise);
}

/* How much noise a luma has beside mid-grey. */
static float luma_shape(int code) {
    const float light = (float)code * (float)(1.0 / 255.0);
    return sqrtf(4.0f * light * (1.0f - light));
}

/* Piecewise linear between rising places, constant beyond them. */
static double interpolate(double at, const double *places, const double *values) {
    if (at <= places[0]) return values[0];
    for (int i = 0; i < EH_BLURS - 1; i++)
        if (at < places[i + 1])
            return values[i] + (values[i + 1] - values[i]) / (places[i + 1] - places[i]) * (at - places[i]);
    return values[EH_BLURS - 1];
}

static void sort(float *values, integer count) {
    for (integer gap = count / 2; gap > 0; gap /= 2) {
        for (integer i = gap; i < count; i++) {
            const float value = values[i];
            integer k = i;
            for (; k >= gap && values[k - gap] > value; k -= gap) values[k] = values[k - gap];
            values[k] = value;
        }
    }
}

/* The median of the flattest third. */
static double flattest(float *values, integer count) {
    if (count < LEAST_BLOCKS) return 0.0;
    sort(values, count);
    const integer third = larger(LEAST_BLOCKS, count / 3);
    return third % 2 ? values[third / 2] : (values[third / 2 - 1] + values[third / 2]) / 2.0f;
}

static integer mirrored(integer place, integer size) {
    if (size == 1) return 0;
    if (place < 0) return -place;
    return place < size ? place : 2 * size - 2 - place;
}

static int mean(const uint8_t *block, integer step) {
    int32_t sum = 0;
    for (integer y = 0; y < BLOCK; y++)
        for (integer x = 0; x < BLOCK; x++) sum += block[y * step + x];
    return eh_nearest((float)sum * (1.0f / (BLOCK * BLOCK)));
}

/* The mean absolute second difference, down and across, of a block. */
static float curvature(const eh_picture *grey, integer top, integer left) {
    int32_t sum = 0;
    for (integer y = top; y < top + BLOCK; y++) {
        const uint8_t *above = eh_row(grey, mirrored(y - 1, grey->height)), *here = eh_row(grey, y);
        const uint8_t *below = eh_row(grey, mirrored(y + 1, grey->height));
        int32_t down[BLOCK + 2];
        for (integer x = 0; x < BLOCK + 2; x++) {
            const integer at = mirrored(left + x - 1, grey->width);
            down[x] = above[at] - 2 * here[at] + below[at];
        }
        for (integer x = 0; x < BLOCK; x++) sum += abs(down[x] - 2 * down[x + 1] + down[x + 2]);
    }
    return (float)sum * (1.0f / (BLOCK * BLOCK));
}

/* Add the noise of each block of a strip that can be judged, as it would be at mid-grey. */
static integer add_blocks(const eh_picture *grey, const eh_picture *solid, float *values) {
    const float scale = (float)(sqrt(3.14159265358979323846 / 2.0) / 6.0);
    integer count = 0;
    for (integer top = 0; top + BLOCK <= grey->height; top += BLOCK) {
        for (integer left = 0; left + BLOCK <= grey->width; left += BLOCK) {
            const int brightness = mean(eh_row(grey, top) + left, grey->step);
            if (brightness <= 24 || brightness >= 232) continue; /* near black and white noise is clipped */
            if (solid && mean(eh_row(solid, top) + left, solid->step) <= 250) continue;
            values[count++] = curvature(grey, top, left) * scale / luma_shape(brightness);
        }
    }
    return count;
}

/* 255 where all of 5 x 5 pixels are 255. */
static void find_solid(const uint8_t *cover, integer step, const eh_picture *solid, uint8_t *scratch) {
    for (integer y = 0; y < solid->height; y++) {
        for (integer x = 0; x < solid->width; x++) {
            uint8_t all = 255;
            for (integer u = larger(x - 2, 0); u <= smaller(x + 2, solid->width - 1); u++)
                all &= cover[y * step + u] == 255 ? 255 : 0;
            scratch[y * solid->width + x] = all;
        }
    }
    for (integer y = 0; y < solid->height; y++) {
        uint8_t *made = eh_row(solid, y);
        memset(made, 255, (size_t)solid->width);
        for (integer v = larger(y - 2, 0); v <= smaller(y + 2, solid->height - 1); v++)
            for (integer x = 0; x < solid->width; x++) made[x] &= scratch[v * solid->width + x];
    }
}

static void find_luma(const uint8_t *from, integer step, const eh_picture *grey) {
    for (integer y = 0; y < grey->height; y++) {
        const uint8_t *restrict line = from + y * step;
        uint8_t *restrict made = eh_row(grey, y);
        for (integer x = 0; x < grey->width; x++)
            made[x] = (uint8_t)((3735 * line[3 * x] + 19235 * line[3 * x + 1] + 9798 * line[3 * x + 2] + 16384) >> 15);
    }
}

eh_status eh_measure_grain(eh_finishing *f, const eh_tools *tools, const eh_picture *picture, const eh_picture *alpha,
                           eh_box box, eh_grain *found) {
    found->sigma = found->size = 0.0;
    const integer count = larger(LEAST_STRIPS, ENOUGH / (STRIP * box.width));
    const integer strips = count * STRIP >= box.height ? 1 : count;
    const integer height = strips == 1 ? box.height : STRIP;
    /* As much as any box of the picture could want. */
    const size_t most = (size_t)larger(larger(LEAST_STRIPS * STRIP * picture->width, ENOUGH), STRIP * picture->width);
    const size_t blocks = most / (BLOCK * BLOCK) + (size_t)LEAST_STRIPS * 2;
    uint8_t *grey_data = (uint8_t *)eh_reserve(&f->grey, most), *solid_data = (uint8_t *)eh_reserve(&f->solid, most);
    uint8_t *scratch = (uint8_t *)eh_reserve(&f->eroded, most);
    uint8_t *small_data = (uint8_t *)eh_reserve(&f->small_grey, most);
    uint8_t *small_solid_data = (uint8_t *)eh_reserve(&f->small_solid, most);
    float *fine = (float *)eh_reserve(&f->fine, sizeof(float) * blocks);
    float *coarse = (float *)eh_reserve(&f->coarse, sizeof(float) * blocks);
    if (!grey_data || !solid_data || !scratch || !small_data || !small_solid_data || !fine || !coarse ||
        !eh_resizer_expect(&f->boxes, tools->threads, larger(picture->width, picture->height), 3))
        return eh_out_of_memory(tools->message);
    const eh_picture grey = eh_packed(grey_data, height, box.width, 1),
                     solid = eh_packed(solid_data, height, box.width, 1);
    const integer half_height = larger(height / 2, 1), half_width = larger(box.width / 2, 1);
    const eh_picture small = eh_packed(small_data, half_height, half_width, 1);
    const eh_picture small_solid = eh_packed(small_solid_data, half_height, half_width, 1);
    integer fines = 0, coarses = 0;
    for (integer strip = 0; strip < strips; strip++) {
        integer start = 0;
        if (strips > 1) {
            const double stride = (double)(box.height - STRIP) / (double)(strips - 1);
            start = strip == strips - 1 ? box.height - STRIP : (integer)((double)strip * stride);
        }
        find_luma(eh_row(picture, box.top + start) + 3 * box.left, picture->step, &grey);
        if (!eh_resize_area(&f->boxes, tools->threads, &grey, &small, 1)) return eh_out_of_memory(tools->message);
        if (alpha) {
            find_solid(eh_row(alpha, box.top + start) + box.left, alpha->step, &solid, scratch);
            if (!eh_resize_area(&f->boxes, tools->threads, &solid, &small_solid, 1))
                return eh_out_of_memory(tools->message);
        }
        fines += add_blocks(&grey, alpha ? &solid : 0, fine + fines);
        coarses += add_blocks(&small, alpha ? &small_solid : 0, coarse + coarses);
    }
    const double noise = flattest(fine, fines);
    if (noise < LEAST_NOISE) return EH_OK;
    /* White noise halves when it is averaged 2 x 2; coarser grain survives. */
    found->size = interpolate(flattest(coarse, coarses) / noise, RATIOS, eh_blurs);
    found->sigma = noise / interpolate(found->size, eh_blurs, RESPONSES);
    return EH_OK;
}

typedef struct {
    const eh_tools *tools;
    const eh_picture *picture, *alpha;
    eh_box box;
    const float *tile;
    eh_laying laying;
    const float *gains;
} job;

static void grain_rows(void *context, integer first, integer last, int thread) {
    const job *j = (const job *)context;
    (void)thread;
    const integer row = EH_TILE * (integer)sizeof(float), pixel = (integer)sizeof(float);
    const float *start =
        j->tile + (j->laying.upside_down ? (EH_TILE - 1) * EH_TILE : 0) + (j->laying.mirrored ? EH_TILE - 1 : 0);
    j->tools->passes->add_grain(j->box.top + first, j->box.top + last, eh_address(j->picture->data), j->picture->step,
                                3, 1, eh_address(j->alpha->data), j->alpha->step, 1, j->box.left,
                                j->box.left + j->box.width, eh_address(start), EH_TILE, EH_TILE,
                                j->laying.upside_down ? -row : row, j->laying.mirrored ? -pixel : pixel, j->laying.down,
                                j->laying.across, eh_address(j->gains));
}

eh_status eh_grain_match(eh_finishing *f, const eh_tools *tools, const eh_picture *picture, const eh_picture *alpha,
                         const eh_grain *wanted, double amount, uint32_t frame) {
    const eh_box box = eh_bounding_box(alpha);
    if (amount <= 0.0 || box.width == 0 || wanted->sigma == 0.0) return EH_OK;
    eh_grain present;
    const eh_status status = eh_measure_grain(f, tools, picture, alpha, box, &present);
    if (status != EH_OK) return status;
    const double missing = wanted->sigma * wanted->sigma - present.sigma * present.sigma;
    if (missing < LEAST_MISSING * LEAST_MISSING) return EH_OK;
    int blur = 0;
    for (int i = 1; i < EH_BLURS; i++)
        if (fabs(eh_blurs[i] - wanted->size) < fabs(eh_blurs[blur] - wanted->size)) blur = i;
    float gains[256];
    job work = {tools, picture, alpha, box, eh_noise_tile(&f->noise, blur), eh_noise_laying(frame), gains};
    if (!work.tile) return eh_out_of_memory(tools->message);
    const double scale = (amount < 1.0 ? amount : 1.0) * sqrt(missing) / 255.0;
    for (int i = 0; i < 256; i++) gains[i] = luma_shape(i) * (float)(work.laying.sign * scale);
    eh_share_rows(tools->threads, grain_rows, &work, box.height, 32);
    return EH_OK;
}
