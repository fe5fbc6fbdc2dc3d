// The loops over the steps, for one kind of processor. loops.cpp includes this file once for each, with
//     ISA   the namespace      W   floats in a vector      ROWS   rows of a product that are worked out at once
//
// All matrices are row by row, float32. `every` holds h before the first step and behind each: (t+1) x n x hid.
// The equations, and why the way back is what it is, stand in loops_torch.py; both files have the same names.

namespace ISA {

#include "loops_vectors.h"

static void rnn(long t, long n, long hid, const float *xs, float *every, const float *U) {
    const Packed Ut(U, hid, hid, 1, hid);
    for (long s = 0; s < t; s++) {
        const float *before = every + s * n * hid;
        float *h = every + (s + 1) * n * hid;
        product(n, before, hid, Ut, h, hid, xs + s * n * hid, hid);
        for (long i = 0; i < n * hid; i += W) store(h + i, tangent(load(h + i, n * hid - i)), n * hid - i);
    }
}

// d_h holds the gradient of the last h when it comes, and that of the first state when it goes; `above` may be null.
static void rnn_back(long t, long n, long hid, const float *every, const float *U, const float *above, float *d_h, float *d_a) {
    const Packed back(U, hid, hid, hid, 1);
    const long size = n * hid;
    for (long s = t - 1; s >= 0; s--) {
        const float *h = every + (s + 1) * size, *add = above ? above + s * size : nullptr;
        float *a = d_a + s * size;
        for (long i = 0; i < size; i += W) {
            const vec y = load(h + i, size - i), d = load(d_h + i, size - i);
            store(a + i, ((add ? d + load(add + i, size - i) : d)) * (1.0f - y * y), size - i);
        }
        product(n, a, hid, back, d_h, hid, nullptr, 0);
    }
}

// gates: room for t (or, with keep = 0, one) x n x 4 hid; squashed likewise x hid; cells: (t+1) x n x hid.
static void lstm(long t, long n, long hid, long keep, const float *xs, float *every, float *cells, float *gates, float *squashed,
                 const float *U) {
    const Packed Ut(U, hid, 4 * hid, 1, hid);
    const long size = n * hid;
    for (long s = 0; s < t; s++) {
        const float *c_ = cells + s * size;
        float *h = every + (s + 1) * size, *c = cells + (s + 1) * size;
        float *a = gates + (keep ? s : 0) * 4 * size, *tanh_c = squashed + (keep ? s : 0) * size;
        product(n, every + s * size, hid, Ut, a, 4 * hid, xs + s * 4 * size, 4 * hid);
        EVERYWHERE {
            float *q = a + i * 4 * hid + j;
            const long at = i * hid + j;
            const vec in = sigmoid(load(q, m)), f = sigmoid(load(q + hid, m));
            const vec g = tangent(load(q + 2 * hid, m)), o = sigmoid(load(q + 3 * hid, m));
            const vec cell = f * load(c_ + at, m) + in * g, squash = tangent(cell);
            store(c + at, cell, m);
            store(h + at, o * squash, m);
            if (!keep) continue;
            store(q, in, m), store(q + hid, f, m), store(q + 2 * hid, g, m), store(q + 3 * hid, o, m);
            store(tanh_c + at, squash, m);
        }
    }
}

static void lstm_back(long t, long n, long hid, const float *cells, const float *gates, const float *squashed, const float *U,
                      const float *above, const float *above_c, float *d_h, float *d_c, float *d_a) {
    const Packed back(U, 4 * hid, hid, hid, 1);
    const long size = n * hid;
    for (long s = t - 1; s >= 0; s--) {
        EVERYWHERE {
            const float *q = gates + s * 4 * size + i * 4 * hid + j;
            float *a = d_a + s * 4 * size + i * 4 * hid + j;
            const long at = i * hid + j, now = s * size + at;
            const vec in = load(q, m), f = load(q + hid, m), g = load(q + 2 * hid, m), o = load(q + 3 * hid, m);
            const vec squash = load(squashed + now, m), c_ = load(cells + now, m);
            vec h = load(d_h + at, m), c = load(d_c + at, m);
            if (above) h += load(above + now, m);
            if (above_c) c += load(above_c + now, m);
            c += h * o * (1.0f - squash * squash);
            store(a, c * g * in * (1.0f - in), m);
            store(a + hid, c * c_ * f * (1.0f - f), m);
            store(a + 2 * hid, c * in * (1.0f - g * g), m);
            store(a + 3 * hid, h * squash * o * (1.0f - o), m);
            store(d_c + at, c * f, m);
        }
        product(n, d_a + s * 4 * size, 4 * hid, back, d_h, hid, nullptr, 0);
    }
}

// late: b_U of the candidate, or null. gates: r, z, n; m_: U_n h + b_Un.
static void gru_after(long t, long n, long hid, long keep, long fresh, const float *xs, float *every, float *gates, float *m_,
                      const float *U, const float *late) {
    const Packed Ut(U, hid, 3 * hid, 1, hid);
    const long size = n * hid;
    float *p = memory(3 * size);
    for (long s = 0; s < t; s++) {
        const float *before = every + s * size;
        float *h = every + (s + 1) * size;
        product(n, before, hid, Ut, p, 3 * hid, nullptr, 0);
        EVERYWHERE {
            const float *x = xs + s * 3 * size + i * 3 * hid + j, *q = p + i * 3 * hid + j;
            const long at = i * hid + j;
            const vec r = sigmoid(load(x, m) + load(q, m)), z = sigmoid(load(x + hid, m) + load(q + hid, m));
            vec inner = load(q + 2 * hid, m);
            if (late) inner += load(late + j, m);
            const vec c = tangent(load(x + 2 * hid, m) + r * inner), old = load(before + at, m);
            store(h + at, fresh ? old + z * (c - old) : c + z * (old - c), m);
            if (!keep) continue;
            float *g = gates + s * 3 * size + i * 3 * hid + j;
            store(g, r, m), store(g + hid, z, m), store(g + 2 * hid, c, m);
            store(m_ + s * size + at, inner, m);
        }
    }
    std::free(p);
}

// d: t x n x 4 hid, in the order m, r, z, n: the first three are what U reads, the last three what x does.
static void gru_after_back(long t, long n, long hid, long fresh, const float *every, const float *gates, const float *m_,
                           const float *U, const float *above, float *d_h, float *d) {
    const Packed back(U, 3 * hid, hid, hid, 1, 2 * hid);  // rows n, r, z
    const long size = n * hid;
    for (long s = t - 1; s >= 0; s--) {
        EVERYWHERE {
            const float *g = gates + s * 3 * size + i * 3 * hid + j;
            float *to = d + s * 4 * size + i * 4 * hid + j;
            const long at = i * hid + j, now = s * size + at;
            const vec r = load(g, m), z = load(g + hid, m), c = load(g + 2 * hid, m), old = load(every + now, m);
            vec h = load(d_h + at, m);
            if (above) h += load(above + now, m);
            const vec w = fresh ? z : 1.0f - z, d_n = h * w * (1.0f - c * c);
            store(to, d_n * r, m);
            store(to + hid, d_n * load(m_ + now, m) * r * (1.0f - r), m);
            store(to + 2 * hid, h * (fresh ? c - old : old - c) * z * (1.0f - z), m);
            store(to + 3 * hid, d_n, m);
            store(d_h + at, h * (1.0f - w), m);
        }
        product(n, d + s * 4 * size, 4 * hid, back, d_h, hid, d_h, hid);
    }
}

// shown: r * h before the step.
static void gru_before(long t, long n, long hid, long keep, long fresh, const float *xs, float *every, float *gates, float *shown,
                       const float *U) {
    const Packed Ut_rz(U, hid, 2 * hid, 1, hid), Ut_n(U + 2 * hid * hid, hid, hid, 1, hid);
    const long size = n * hid;
    for (long s = 0; s < t; s++) {
        const float *before = every + s * size, *x = xs + s * 3 * size;
        float *h = every + (s + 1) * size, *g = gates + (keep ? s : 0) * 3 * size, *seen = shown + (keep ? s : 0) * size;
        product(n, before, hid, Ut_rz, g, 3 * hid, x, 3 * hid);
        EVERYWHERE {
            float *q = g + i * 3 * hid + j;
            const vec r = sigmoid(load(q, m));
            store(q, r, m), store(q + hid, sigmoid(load(q + hid, m)), m);
            store(seen + i * hid + j, r * load(before + i * hid + j, m), m);
        }
        product(n, seen, hid, Ut_n, g + 2 * hid, 3 * hid, x + 2 * hid, 3 * hid);
        EVERYWHERE {
            float *q = g + i * 3 * hid + j;
            const vec c = tangent(load(q + 2 * hid, m)), z = load(q + hid, m), old = load(before + i * hid + j, m);
            store(q + 2 * hid, c, m);
            store(h + i * hid + j, fresh ? old + z * (c - old) : c + z * (old - c), m);
        }
    }
}

static void gru_before_back(long t, long n, long hid, long fresh, const float *every, const float *gates, const float *U,
                            const float *above, float *d_h, float *d) {
    const Packed back_rz(U, 2 * hid, hid, hid, 1), back_n(U + 2 * hid * hid, hid, hid, hid, 1);
    const long size = n * hid;
    float *d_s = memory(size);
    for (long s = t - 1; s >= 0; s--) {
        float *to = d + s * 3 * size;
        const float *g = gates + s * 3 * size, *old = every + s * size;
        EVERYWHERE {
            const float *q = g + i * 3 * hid + j;
            const long at = i * hid + j;
            const vec z = load(q + hid, m), c = load(q + 2 * hid, m), before = load(old + at, m);
            vec h = load(d_h + at, m);
            if (above) h += load(above + s * size + at, m);
            const vec w = fresh ? z : 1.0f - z;
            store(to + i * 3 * hid + 2 * hid + j, h * w * (1.0f - c * c), m);
            store(to + i * 3 * hid + hid + j, h * (fresh ? c - before : before - c) * z * (1.0f - z), m);
            store(d_h + at, h * (1.0f - w), m);
        }
        product(n, to + 2 * hid, 3 * hid, back_n, d_s, hid, nullptr, 0);
        EVERYWHERE {
            const long at = i * hid + j;
            const vec r = load(g + i * 3 * hid + j, m), s_ = load(d_s + at, m);
            store(to + i * 3 * hid + j, s_ * load(old + at, m) * r * (1.0f - r), m);
            store(d_h + at, load(d_h + at, m) + s_ * r, m);
        }
        product(n, to, 3 * hid, back_rz, d_h, hid, d_h, hid);
    }
    std::free(d_s);
}

#undef EVERYWHERE

}  // namespace ISA

#undef ISA
#undef W
#undef ROWS
