/* Counts what is allocated while frames go through, by whom: the library, or others (ONNX Runtime, the C library).
 *
 *   allocations MODEL MATTE     prints a line for each case: its name, the library's allocations, those of others
 *
 * A program's own malloc takes the place of everybody's (glibc). */
#define _GNU_SOURCE
#include <edge_harmony.h>

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static volatile int counting;
static long ours, others;
static uintptr_t first, end;

static void count(void *caller) {
    if (!counting) return;
    const uintptr_t from = (uintptr_t)caller;
    __atomic_add_fetch(from >= first && from < end ? &ours : &others, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size) { return count(__builtin_return_address(0)), __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return count(__builtin_return_address(0)), __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return count(__builtin_return_address(0)), __libc_realloc(old, size); }
void *memalign(size_t to, size_t size) { return count(__builtin_return_address(0)), __libc_memalign(to, size); }
void *aligned_alloc(size_t to, size_t size) { return count(__builtin_return_address(0)), __libc_memalign(to, size); }
int posix_memalign(void **made, size_t to, size_t size) {
    count(__builtin_return_address(0));
    *made = __libc_memalign(to, size);
    return *made ? 0 : 12;
}

static int find_library(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    if (!strstr(info->dlpi_name, "libedgeharmony")) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        const uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (!first || start < first) first = start;
        if (start + info->dlpi_phdr[i].p_memsz > end) end = start + info->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

enum { WIDTH = 640, HEIGHT = 360, FRAMES = 24 };
static unsigned char frame[HEIGHT * WIDTH * 3], alpha[HEIGHT * WIDTH], background[2 * HEIGHT * WIDTH * 3],
    out[HEIGHT * WIDTH * 4];

/* A subject that moves and grows from frame to frame over a noisy background of another size. */
static void paint(int t) {
    unsigned noise = 12345;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            const int i = y * WIDTH + x, u = x - 200 - 6 * t, v = y - 180, away = 60 + 5 * t - (u * u + v * v) / 100;
            alpha[i] = (unsigned char)(away < 0 ? 0 : away * 8 > 255 ? 255 : away * 8);
            for (int k = 0; k < 3; k++) frame[3 * i + k] = (unsigned char)(90 + (x + t * 7) % 60 + k * 10);
        }
    }
    for (size_t i = 0; i < sizeof background; i++) {
        noise = noise * 1664525u + 1013904223u;
        background[i] = (unsigned char)(100 + i % 50 + noise / (1u << 28) + (unsigned)(t % 2) * 20);
    }
}

static int fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void run(const char *name, const char *model, const char *matte, int finishing, int yuv) {
    eh_options options;
    eh_stream *stream;
    char message[512];
    eh_options_init(&options, sizeof options);
    options.model_path = model;
    options.matte_path = matte;
    options.threads = 2;
    if (eh_open(&options, &stream, message, sizeof message)) fail(message);
    eh_set(stream, EH_LIGHT_WRAP, finishing ? 0.7 : 0.0);
    eh_set(stream, EH_GRAIN, finishing ? 1.0 : 0.0);
    eh_set(stream, EH_ESTIMATE, 1.0);
    eh_image given = {EH_BGR, WIDTH, HEIGHT, 0, {frame}, {3 * WIDTH}},
             cover = {EH_GREY, WIDTH, HEIGHT, 0, {alpha}, {WIDTH}};
    eh_image behind = {EH_BGR, WIDTH, 2 * HEIGHT, 0, {background}, {3 * WIDTH}},
             made = {EH_RGBA, WIDTH, HEIGHT, 0, {out}, {4 * WIDTH}};
    if (yuv) {
        const eh_image in = {EH_NV12, WIDTH, HEIGHT, 0, {frame, frame + WIDTH * HEIGHT}, {WIDTH, WIDTH}};
        const eh_image to = {EH_NV12, WIDTH, HEIGHT, 0, {out, out + WIDTH * HEIGHT}, {WIDTH, WIDTH}};
        given = in;
        made = to;
    }
    ours = others = 0;
    for (int t = 0; t < FRAMES; t++) {
        paint(t);
        counting = t >= 1;
        if (eh_process(stream, &given, matte ? 0 : &cover, &behind, &made, EH_NO_TIME)) fail(eh_error(stream));
        counting = 0;
    }
    printf("%s %ld %ld\n", name, ours, others);
    eh_close(stream);
}

int main(int words, char **word) {
    if (words != 3) return 2;
    dl_iterate_phdr(find_library, 0);
    if (!end) fail("the library's place was not found");
    run("plain", 0, 0, 0, 0);
    run("finished", 0, 0, 1, 0);
    run("yuv", 0, 0, 1, 1);
    run("network", word[1], 0, 1, 0);
    run("matte", word[1], word[2], 1, 0);
    return 0;
}
