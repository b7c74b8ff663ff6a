/* NumPy's PCG64 seeded by its SeedSequence, its normal numbers by a ziggurat, and OpenCV's Gaussian blur: a compositor
 * of the Python package and one of this library lay the same grain over the same frame. */
#include "noise.h"

const double eh_blurs[EH_BLURS] = {0.0, 0.4, 0.55, 0.7, 0.9, 1.2};

/* Seeds: M. E. O'Neill's seed_seq, as numpy.random.SeedSequence mixes words -------------------------------- */

enum { POOL = 4 };

static uint32_t mix_in(uint32_t value, uint32_t *constant) {
    value ^= *constant;
    *constant *= 0x931e8875u;
    value *= *constant;
    return value ^ value >> 16;
}

static void seed_words(const uint32_t *entropy, int count, uint64_t words[4]) {
    uint32_t pool[POOL], constant = 0x43b0d7e5u;
    for (int i = 0; i < POOL; i++) pool[i] = mix_in(i < count ? entropy[i] : 0, &constant);
    for (int from = 0; from < POOL; from++) {
        for (int to = 0; to < POOL; to++) {
            if (from == to) continue;
            const uint32_t mixed = 0xca01f9ddu * pool[to] - 0x4973f715u * mix_in(pool[from], &constant);
            pool[to] = mixed ^ mixed >> 16;
        }
    }
    uint32_t made[8];
    constant = 0x8b51f9ddu;
    for (int i = 0; i < 8; i++) {
        uint32_t value = pool[i % POOL] ^ constant;
        constant *= 0x58f38dedu;
        value *= constant;
        made[i] = value ^ value >> 16;
    }
    for (int i = 0; i < 4; i++) words[i] = (uint64_t)made[2 * i + 1] << 32 | made[2 * i];
}

/* PCG64: a 128-bit congruential generator, its halves folded and rotated -------------------------------- */

typedef struct {
    uint64_t high, low;
} wide;

typedef struct {
    wide state, step;
    int halved; /* whether the upper half of the last number is still to be given */
    uint32_t upper;
} generator;

static wide sum(wide a, wide b) {
    wide result = {a.high + b.high, a.low + b.low};
    result.high += result.low < a.low;
    return result;
}

static wide product(wide a, wide b) {
    const uint64_t a0 = a.low & 0xffffffffu, a1 = a.low >> 32, b0 = b.low & 0xffffffffu, b1 = b.low >> 32;
    const uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (middle & 0xffffffffu);
    wide result;
    result.low = other << 32 | (low & 0xffffffffu);
    result.high = a1 * b1 + (middle >> 32) + (other >> 32) + a.high * b.low + a.low * b.high;
    return result;
}

static void advance(generator *g) {
    const wide factor = {2549297995355413924u, 4865540595714422341u};
    g->state = sum(product(g->state, factor), g->step);
}

static uint64_t next_64(generator *g) {
    advance(g);
    const unsigned turn = (unsigned)(g->state.high >> 58);
    const uint64_t folded = g->state.high ^ g->state.low;
    return turn ? folded >> turn | folded << (64 - turn) : folded;
}

static uint32_t next_32(generator *g) {
    if (g->halved) {
        g->halved = 0;
        return g->upper;
    }
    const uint64_t both = next_64(g);
    g->halved = 1;
    g->upper = (uint32_t)(both >> 32);
    return (uint32_t)both;
}

static generator seeded(const uint32_t *entropy, int count) {
    uint64_t words[4];
    seed_words(entropy, count, words);
    generator g = {{0, 0}, {words[2] << 1 | words[3] >> 63, words[3] << 1 | 1}, 0, 0};
    const wide start = {words[0], words[1]};
    advance(&g);
    g.state = sum(g.state, start);
    advance(&g);
    return g;
}

/* A whole number below `limit`, without bias: D. Lemire's method. */
static uint32_t below(generator *g, uint32_t limit) {
    uint64_t scaled = (uint64_t)next_32(g) * limit;
    if ((uint32_t)scaled < limit) {
        const uint32_t threshold = (uint32_t)(0u - limit) % limit;
        while ((uint32_t)scaled < threshold) scaled = (uint64_t)next_32(g) * limit;
    }
    return (uint32_t)(scaled >> 32);
}

/* Normal numbers: the ziggurat of G. Marsaglia and W. W. Tsang, 256 layers of equal area -------------------------------- */

enum { LAYERS = 256 };
#define LAST_X 3.6541528853610088 /* where the tail begins */

typedef struct {
    float width[LAYERS], height[LAYERS];
    uint32_t inside[LAYERS];
} ziggurat;

static void build_ziggurat(ziggurat *z) {
    const double scale = 8388608.0, area = 0.00492867323399;
    double x = LAST_X, above = x, density = exp(-0.5 * x * x);
    const double base = area / density;
    z->inside[0] = (uint32_t)(x / base * scale);
    z->inside[1] = 0;
    z->width[0] = (float)(base / scale);
    z->width[LAYERS - 1] = (float)(x / scale);
    z->height[0] = 1.0f;
    z->height[LAYERS - 1] = (float)density;
    for (int i = LAYERS - 2; i >= 1; i--) {
        x = sqrt(-2.0 * log(area / x + exp(-0.5 * x * x)));
        z->inside[i + 1] = (uint32_t)(x / above * scale);
        above = x;
        z->width[i] = (float)(x / scale);
        z->height[i] = (float)exp(-0.5 * x * x);
    }
}

static float share(generator *g) { return (float)(next_32(g) >> 8) * (1.0f / 16777216.0f); }

static float normal(generator *g, const ziggurat *z) {
    for (;;) {
        const uint32_t bits = next_32(g), layer = bits & 255, size = bits >> 9 & 0x7fffff;
        float x = (float)size * z->width[layer];
        if (bits >> 8 & 1) x = -x;
        if (size < z->inside[layer]) return x;
        if (layer == 0) {
            for (;;) {
                const float beyond = (float)(-1.0 / LAST_X) * log1pf(-share(g)), other = -log1pf(-share(g));
                if (other + other > beyond * beyond)
                    return size >> 8 & 1 ? -((float)LAST_X + beyond) : (float)LAST_X + beyond;
            }
        }
        const float upper = z->height[layer - 1], lower = z->height[layer];
        if ((upper - lower) * share(g) + lower < exp(-0.5 * x * x)) return x;
    }
}

/* Tiles -------------------------------- */

static integer wrapped(integer place) { return (place + EH_TILE) % EH_TILE; }

/* In place, by way of `rows`. */
static void blur_tile(float *tile, float *rows, double sigma) {
    float weights[16];
    const int reach = ((int)lrint(sigma * 8.0 + 1.0) | 1) / 2;
    double total = 0.0;
    for (int i = 0; i <= 2 * reach; i++) total += exp(-0.5 * (i - reach) * (i - reach) / (sigma * sigma));
    for (int i = 0; i <= 2 * reach; i++)
        weights[i] = (float)(exp(-0.5 * (i - reach) * (i - reach) / (sigma * sigma)) / total);
    for (integer y = 0; y < EH_TILE; y++) {
        for (integer x = 0; x < EH_TILE; x++) {
            float value = 0.0f;
            for (int i = 0; i <= 2 * reach; i++) value += weights[i] * tile[y * EH_TILE + wrapped(x + i - reach)];
            rows[y * EH_TILE + x] = value;
        }
    }
    for (integer y = 0; y < EH_TILE; y++) {
        float *made = tile + y * EH_TILE;
        for (integer x = 0; x < EH_TILE; x++) made[x] = 0.0f;
        for (int i = 0; i <= 2 * reach; i++) {
            const float *from = rows + wrapped(y + i - reach) * EH_TILE;
            for (integer x = 0; x < EH_TILE; x++) made[x] += weights[i] * from[x];
        }
    }
}

static void make_tile(float *tile, float *scratch, double sigma) {
    const uint32_t seed = 0;
    ziggurat z;
    build_ziggurat(&z);
    generator g = seeded(&seed, 1);
    const integer count = EH_TILE * EH_TILE;
    for (integer i = 0; i < count; i++) tile[i] = normal(&g, &z);
    if (sigma > 0.0) blur_tile(tile, scratch, sigma);
    double mean = 0.0, square = 0.0;
    for (integer i = 0; i < count; i++) mean += tile[i];
    mean /= (double)count;
    for (integer i = 0; i < count; i++) square += (tile[i] - mean) * (tile[i] - mean);
    const float deviation = (float)sqrt(square / (double)count);
    for (integer i = 0; i < count; i++) tile[i] /= deviation;
}

void eh_noise_free(eh_noise *noise) {
    eh_release(&noise->tiles);
    eh_release(&noise->scratch);
}

const float *eh_noise_tile(eh_noise *noise, int blur) {
    const size_t count = (size_t)EH_TILE * EH_TILE;
    float *tiles = (float *)eh_reserve(&noise->tiles, sizeof(float) * count * EH_BLURS);
    float *scratch = (float *)eh_reserve(&noise->scratch, sizeof(float) * count);
    if (!tiles || !scratch) return 0;
    if (!noise->made[blur]) make_tile(tiles + count * (size_t)blur, scratch, eh_blurs[blur]);
    noise->made[blur] = 1;
    return tiles + count * (size_t)blur;
}

eh_laying eh_noise_laying(uint32_t frame) {
    const uint32_t seed[2] = {0, frame};
    generator g = seeded(seed, 2);
    eh_laying laying;
    laying.down = below(&g, EH_TILE);
    laying.across = below(&g, EH_TILE);
    const uint32_t flips = below(&g, 8);
    laying.upside_down = flips & 1;
    laying.mirrored = flips >> 1 & 1;
    laying.sign = flips & 4 ? -1.0f : 1.0f;
    return laying;
}
