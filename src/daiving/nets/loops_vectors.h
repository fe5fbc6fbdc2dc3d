// Vectors of W floats, and the product of a matrix with one that is laid out for it. loops_kernels.h includes this.

typedef float vec __attribute__((vector_size(W * 4)));
typedef int ivec __attribute__((vector_size(W * 4)));
constexpr long COLUMNS = 2 * W;

// W numbers from p, or m of them and zeros behind.
static inline vec load(const float *p, long m) {
    vec v = {};
    if (m >= W)
        std::memcpy(&v, p, sizeof v);
    else
        std::memcpy(&v, p, m * 4);
    return v;
}

static inline void store(float *p, vec v, long m) {
    if (m >= W)
        std::memcpy(p, &v, sizeof v);
    else
        std::memcpy(p, &v, m * 4);
}

static inline vec all(float x) { return x - vec{}; }

// exp and tanh by the polynomials of S. Moshier's Cephes library (expf, tanhf): within two units of the last place.
// Comparisons with NaN are false, so that NaN comes out where it went in.
static inline vec exponential(vec x) {
    x = x > all(88.0f) ? all(88.0f) : x;
    x = x < all(-87.0f) ? all(-87.0f) : x;
    const vec magic = all(12582912.0f);  // 1.5 * 2^23: behind adding it, the last bits are the rounded number
    const vec shifted = x * 1.44269504f + magic;
    const vec n = shifted - magic;
    const vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const vec result = (vec)((ivec)p + ((ivec)shifted << 23));
    return x == x ? result : x;  // whichever of its many bit patterns a NaN has
}

static inline vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(-x)); }

static inline vec tangent(vec x) {
    const ivec bits = (ivec)x;
    const vec size = (vec)(bits & 0x7fffffff), z = x * x;
    vec small = z * -5.70498872745e-3f + 2.06390887954e-2f;
    small = small * z - 5.37397155531e-2f;
    small = small * z + 1.33314422036e-1f;
    small = small * z - 3.33332819422e-1f;
    small = small * z * x + x;
    const vec large = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
    return size < all(0.625f) ? small : (vec)((ivec)large | (bits & (int)0x80000000));
}

static inline float *memory(long numbers) { return (float *)std::aligned_alloc(64, (numbers * 4 + 63) / 64 * 64); }

// A k x columns matrix laid out as it will be read: strips of COLUMNS, each k rows one behind the other, zeros at the end.
struct Packed {
    float *data;
    long k, columns;
    // element (row, column) of the matrix is from[row * down + column * right]; rows from `turn` on come first.
    Packed(const float *from, long k, long columns, long down, long right, long turn = 0) : k(k), columns(columns) {
        const long strips = (columns + COLUMNS - 1) / COLUMNS;
        data = memory(strips * k * COLUMNS);
        for (long s = 0; s < strips; s++)
            for (long row = 0; row < k; row++) {
                const float *source = from + ((row + turn) % k) * down;
                float *to = data + (s * k + row) * COLUMNS;
                for (long c = 0; c < COLUMNS; c++)
                    to[c] = s * COLUMNS + c < columns ? source[(s * COLUMNS + c) * right] : 0.0f;
            }
    }
    Packed(const Packed &) = delete;
    ~Packed() { std::free(data); }
};

template <int R>
static inline void strip(long k, const float *a, long lda, const float *b, float *c, long ldc, const float *add, long lda2, long m) {
    vec sum[R][2];
    for (int r = 0; r < R; r++)
        for (int half = 0; half < 2; half++)
            sum[r][half] = add && m > half * W ? load(add + r * lda2 + half * W, m - half * W) : vec{};
    for (long i = 0; i < k; i++) {
        vec left, right;
        std::memcpy(&left, b + i * COLUMNS, sizeof left);
        std::memcpy(&right, b + i * COLUMNS + W, sizeof right);
        for (int r = 0; r < R; r++) {
            const float x = a[r * lda + i];
            sum[r][0] += x * left;
            sum[r][1] += x * right;
        }
    }
    for (int r = 0; r < R; r++)
        for (int half = 0; half < 2; half++)
            if (m > half * W) store(c + r * ldc + half * W, sum[r][half], m - half * W);
}

// c = add + a b for n rows; `add` may be null, or with ld_add = 0 one row for all.
static void product(long n, const float *a, long lda, const Packed &b, float *c, long ldc, const float *add, long ld_add) {
    for (long j = 0; j < b.columns; j += COLUMNS) {
        const float *panel = b.data + (j / COLUMNS) * b.k * COLUMNS;
        const long m = b.columns - j;
        for (long i = 0; i < n; i += ROWS) {
            const float *from = a + i * lda, *plus = add ? add + i * ld_add + j : nullptr;
            float *to = c + i * ldc + j;
            switch (n - i < ROWS ? n - i : ROWS) {
#define CASE(R) \
    case R: \
        strip<R>(b.k, from, lda, panel, to, ldc, plus, ld_add, m); \
        break;
                CASE(1) CASE(2) CASE(3) CASE(4)
#if ROWS == 8
                CASE(5) CASE(6) CASE(7) CASE(8)
#endif
#undef CASE
            }
        }
    }
}

// For every run of up to W numbers in n rows of hid: row i, column j, m numbers.
#define EVERYWHERE \
    for (long i = 0; i < n; i++) \
        for (long j = 0, m = hid; j < hid; j += W, m -= W)
