/* Which of the builds of these passes this processor can run. */
#include "passes.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
static void identify(int leaf, unsigned found[4]) { __cpuidex((int *)found, leaf, 0); }
static uint64_t enabled(void) { return _xgetbv(0); }
#else
#include <cpuid.h>
static void identify(int leaf, unsigned found[4]) {
    found[0] = found[1] = found[2] = found[3] = 0;
    __get_cpuid_count((unsigned)leaf, 0, &found[0], &found[1], &found[2], &found[3]);
}
static uint64_t enabled(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}
#endif

static int has(unsigned found, unsigned bits) { return (found & bits) == bits; }

/* 4, 3 or 1: x86-64-v4 (AVX-512), x86-64-v3 (AVX2 and FMA), anything. The system must save their registers too. */
ANSWER int processor_level(void) {
    enum { A, B, C, D };
    const unsigned fma = 1u << 12, movbe = 1u << 22, f16c = 1u << 29, osxsave = 1u << 27, avx = 1u << 28;
    const unsigned bmi = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8, lzcnt = 1u << 5;
    const unsigned f = 1u << 16, dq = 1u << 17, cd = 1u << 28, bw = 1u << 30, vl = 1u << 31;
    unsigned first[4], seventh[4], extended[4];
    identify(1, first);
    identify(7, seventh);
    identify((int)0x80000001u, extended);
    if (!has(first[C], fma | movbe | f16c | osxsave | avx) || !has(seventh[B], bmi | avx2 | bmi2)) return 1;
    if (!has(extended[C], lzcnt) || (enabled() & 0x06) != 0x06) return 1;
    return has(seventh[B], f | dq | cd | bw | vl) && (enabled() & 0xe6) == 0xe6 ? 4 : 3;
}
#else
ANSWER int processor_level(void) { return 1; }
#endif
