// The loops of loops_torch.py for float32, compiled: the same functions, called through ctypes by loops_compiled.py.
//
// No header of Python or of torch is needed, and no library: the product with U, which torch would call anew for each step,
// is worked out here, with U laid out for it once. What it costs to install: a C++ compiler that knows GCC's vectors
// (GCC, Clang). Without one, loops_torch.py does it all.

#include <cstdlib>
#include <cstring>

#define ISA plain
#define W 4
#define ROWS 4
#include "loops_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CHOICE 1
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define ISA avx2
#define W 8
#define ROWS 4
#include "loops_kernels.h"
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")
#define ISA avx512
#define W 16
#define ROWS 8
#include "loops_kernels.h"
#pragma GCC pop_options
#endif

// 0, 1 or 2: the widest vectors that this processor has.
static int widest() {
#ifdef CHOICE
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

static int level = widest();

#ifdef CHOICE
#define CALL(f, ...) (level == 2 ? avx512::f(__VA_ARGS__) : level == 1 ? avx2::f(__VA_ARGS__) : plain::f(__VA_ARGS__))
#else
#define CALL(f, ...) plain::f(__VA_ARGS__)
#endif

using in = const float *;
using out = float *;

extern "C" {
// Raised with every change of what these functions take: loops_compiled.py calls no other.
int daiving_version() { return 1; }

// What is used; for tests: at most `most`.
int daiving_vectors(int most) { return level = most < widest() ? most : widest(); }

void daiving_rnn(long t, long n, long hid, in xs, out every, in U) { CALL(rnn, t, n, hid, xs, every, U); }

void daiving_rnn_back(long t, long n, long hid, in every, in U, in above, out d_h, out d_a) {
    CALL(rnn_back, t, n, hid, every, U, above, d_h, d_a);
}

void daiving_lstm(long t, long n, long hid, long keep, in xs, out every, out cells, out gates, out squashed, in U) {
    CALL(lstm, t, n, hid, keep, xs, every, cells, gates, squashed, U);
}

void daiving_lstm_back(long t, long n, long hid, in cells, in gates, in squashed, in U, in above, in above_c, out d_h, out d_c,
                       out d_a) {
    CALL(lstm_back, t, n, hid, cells, gates, squashed, U, above, above_c, d_h, d_c, d_a);
}

void daiving_gru_after(long t, long n, long hid, long keep, long fresh, in xs, out every, out gates, out m, in U, in late) {
    CALL(gru_after, t, n, hid, keep, fresh, xs, every, gates, m, U, late);
}

void daiving_gru_after_back(long t, long n, long hid, long fresh, in every, in gates, in m, in U, in above, out d_h, out d) {
    CALL(gru_after_back, t, n, hid, fresh, every, gates, m, U, above, d_h, d);
}

void daiving_gru_before(long t, long n, long hid, long keep, long fresh, in xs, out every, out gates, out shown, in U) {
    CALL(gru_before, t, n, hid, keep, fresh, xs, every, gates, shown, U);
}

void daiving_gru_before_back(long t, long n, long hid, long fresh, in every, in gates, in U, in above, out d_h, out d) {
    CALL(gru_before_back, t, n, hid, fresh, every, gates, U, above, d_h, d);
}
}
