/* Calls every pass on made-up pictures and writes what comes out, so that builds for two processors can be compared:
 * test_passes.py runs the one for ARM in an emulator. */
#include "passes.h"

#include <stdio.h>
#include <stdlib.h>

PASS harmonize_rows(integer, integer, integer, integer, integer, integer, integer, integer, integer, integer, integer,
                    integer, integer, integer, integer, integer, integer);
PASS read_rows(integer, integer, integer, integer, integer, integer, integer, integer, integer, integer, integer,
               integer, integer, integer, integer, integer, integer, integer);
PASS write_rows(integer, integer, integer, integer, integer, integer, integer, integer, integer, integer, integer,
                integer, integer, integer, integer, integer, integer, integer, integer, integer);
PASS snap_rows(integer, integer, integer, integer, integer, integer, integer, integer, integer, float, integer);
PASS unmix_rows(integer, integer, integer, integer, integer, integer, integer, integer, integer, integer, integer,
                integer);
PASS key_rows(integer, integer, integer, integer, integer, integer, integer, integer, integer, integer, float, float,
              integer);
PASS despill_rows(integer, integer, integer, integer, integer, integer, integer, integer);
PASS add_light(integer, integer, integer, integer, integer, integer, integer, integer, integer, integer, integer,
               integer, integer, integer, integer, integer, integer, float);
PASS add_grain(integer, integer, integer, integer, integer, integer, integer, integer, integer, integer, integer,
               integer, integer, integer, integer, integer, integer, integer, integer);

enum { H = 70, W = 214, CELLS = 32, MAP = 12 };

static uint32_t state = 1;
static uint32_t draw(void) { return (state = state * 1664525u + 1013904223u) >> 8; }
static uint8_t *codes(size_t count) {
    uint8_t *made = malloc(count);
    for (size_t i = 0; i < count; i++) made[i] = (uint8_t)draw();
    return made;
}
static float *numbers(size_t count, float low, float high) {
    float *made = malloc(count * sizeof(float));
    for (size_t i = 0; i < count; i++) made[i] = low + (high - low) * (float)draw() / 16777216.0f;
    return made;
}
static void put(const void *data, size_t count) { fwrite(data, 1, count, stdout); }
#define AT(pointer) ((integer)(pointer))

int main(void) {
    uint8_t *fore = codes(H * W * 3), *back = codes(H * W * 3), *alpha = codes(H * W), *out = malloc(H * W * 3);
    memset(alpha, 0, 20 * W);
    memset(alpha + 30 * W, 255, 10 * W);
    float *grid = numbers(CELLS * CELLS * MAP, -0.2f, 0.2f), nodes[(CELLS + 2) * MAP], slopes[(CELLS + 2) * MAP];
    for (int i = 0; i < CELLS * CELLS; i++)
        for (int k = 0; k < 3; k++) grid[i * MAP + 5 * k] += 1.0f, grid[i * MAP + 4 * k + 3] *= 100.0f;
    uint8_t *scratch = malloc(8 * W + 64);
    harmonize_rows(0, H, H, W, AT(fore), 3 * W, AT(alpha), W, AT(back), 3 * W, AT(out), 3 * W, AT(scratch), AT(grid),
                   CELLS, AT(nodes), AT(slopes));
    put(out, H * W * 3);

    uint8_t *luma = codes(H * W), *u = codes(H * W / 4), *v = codes(H * W / 4);
    read_rows(H, W, AT(luma), W, AT(u), AT(v), W / 2, AT(out), 3 * W, AT(scratch), 9539, -4743, 17305, -1745, -4366,
              14686, 0, 2);
    put(out, H * W * 3);
    write_rows(H, W, AT(out), 3 * W, AT(luma), W, AT(u), AT(v), W / 2, AT(scratch), 2113, 2032, 20127, 5983, 14392,
               -11094, -3298, -1321, -13071, 14392);
    put(luma, H * W), put(u, H * W / 4), put(v, H * W / 4);

    float *field = numbers(9 * 27 * 4, -1.0f, 1.0f);
    uint8_t wanted[9 * 27], *cover = codes(H * W);
    for (int i = 0; i < 9 * 27; i++) wanted[i] = draw() & 1;
    snap_rows(0, H, AT(field), 9, 27, AT(wanted), AT(fore), H, W, 1.3f, AT(cover));
    put(cover, H * W);

    float *near = numbers(18 * 54 * 3, 0, 255), *far = numbers(18 * 54 * 3, 0, 255);
    memcpy(out, fore, H * W * 3);
    unmix_rows(0, H, AT(fore), AT(alpha), H, W, AT(near), AT(far), 18, 54, 0, AT(out));
    put(out, H * W * 3);

    float along[3] = {-0.5f, 1.0f, -0.5f}, across[3] = {0.3f, 0.0f, -0.3f}, light[3] = {0.2f, 0.9f, 0.3f};
    float *screen = numbers(5 * 14, 40, 90);
    key_rows(0, H, AT(fore), H, W, AT(along), AT(across), AT(screen), 5, 14, 0.1f, 300.0f, AT(cover));
    put(cover, H * W);
    memcpy(out, fore, H * W * 3);
    despill_rows(0, H, AT(out), AT(alpha), W, AT(along), AT(across), AT(light));
    put(out, H * W * 3);

    uint8_t *glow = codes(9 * 27 * 3), *seen = codes(9 * 27);
    memcpy(out, back, H * W * 3);
    add_light(0, H, AT(out), 3 * W, 3, 1, AT(alpha), W, 1, W, AT(glow), AT(seen), 9, 27, 0, 0, 8, 0.7f);
    put(out, H * W * 3);
    float *tile = numbers(32 * 32, -2, 2), *gains = numbers(256, 0, 0.05f);
    memcpy(out, back, H * W * 3);
    add_grain(0, H, AT(out), 3 * W, 3, 1, AT(alpha), W, 1, 3, W - 5, AT(tile), 32, 32, 128, 4, 7, 9, AT(gains));
    put(out, H * W * 3);
    return 0;
}
