// The product: register tiles of MR x NR numbers, written once with the compiler's vector types.
// B is packed into panels of NR columns, and A panel by panel, where that pays: not when A's rows are contiguous (unless their
// stride would map a whole panel onto a few cache sets), nor when what is read together lies near each other anyway.

typedef float Vec __attribute__((vector_size(4 * GVX_LANES)));
typedef float VecU __attribute__((vector_size(4 * GVX_LANES), aligned(4)));

constexpr size_t MR = GVX_MR, NR = 2 * GVX_LANES;
constexpr size_t DEPTH = 384;                 // of a block of K: a panel of A stays in L1
constexpr size_t L2_FLOATS = 640 * 1024 / 4;  // of a block of B
constexpr size_t FINISHED_TOGETHER = std::max<size_t>(1, 256 / NR);  // panels of C: long loops, and still in L1

/** Where a tile of C goes, and what is added to it on its way: while it is in registers that costs next to nothing. */
struct Place {
  float* c;
  ptrdiff_t ldc;
  bool accumulate = false;          // to what lies there
  const float* bias = nullptr;      // of the tile's columns
  const float* residual = nullptr;  // lies as c does
};

/** c [rows, vectors * lanes] (+)= a @ b. ROWS: a's rows are contiguous and `as` apart; else its columns are. b's rows are `bs` apart. */
template <int ROWS_OF_TILE, int VECTORS, bool ROWS>
GVX_TARGET static void tile(size_t K, const float* __restrict a, ptrdiff_t as, const float* __restrict b, ptrdiff_t bs, const Place& to) {
  Vec sum[ROWS_OF_TILE][VECTORS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS_OF_TILE; i++)
#pragma GCC unroll 2
    for (int j = 0; j < VECTORS; j++) sum[i][j] = Vec{};
  // Every third row has a pointer of its own, the others are one or two strides away: that fits the address registers.
  const float* base[(ROWS_OF_TILE + 2) / 3];
#pragma GCC unroll 6
  for (int i = 0; i < (ROWS_OF_TILE + 2) / 3; i++) base[i] = a + 3 * i * as;
  for (size_t k = 0; k < K; k++) {
    Vec row[VECTORS];
#pragma GCC unroll 2
    for (int j = 0; j < VECTORS; j++) row[j] = *reinterpret_cast<const VecU*>(b + j * GVX_LANES);
    __builtin_prefetch(b + 8 * bs);
    if (VECTORS * GVX_LANES > 16) __builtin_prefetch(b + 8 * bs + 16);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS_OF_TILE; i++) {
      const float x = ROWS ? base[i / 3][(i % 3) * as + static_cast<ptrdiff_t>(k)] : a[i];
#pragma GCC unroll 2
      for (int j = 0; j < VECTORS; j++) sum[i][j] += x * row[j];
    }
    if (!ROWS) a += as;
    b += bs;
  }
#define GVX_EACH_SUM(expression)                                                       \
  _Pragma("GCC unroll 16") for (int i = 0; i < ROWS_OF_TILE; i++)                      \
      _Pragma("GCC unroll 2") for (int j = 0; j < VECTORS; j++) {                      \
    [[maybe_unused]] const ptrdiff_t at = i * to.ldc + j * GVX_LANES;                  \
    expression;                                                                        \
  }
  if (to.accumulate) GVX_EACH_SUM(sum[i][j] = *reinterpret_cast<const VecU*>(to.c + at) + sum[i][j])
  if (to.bias) {
    Vec bias[VECTORS];
#pragma GCC unroll 2
    for (int j = 0; j < VECTORS; j++) bias[j] = *reinterpret_cast<const VecU*>(to.bias + j * GVX_LANES);
    GVX_EACH_SUM(sum[i][j] += bias[j])
  }
  if (to.residual) GVX_EACH_SUM(sum[i][j] += *reinterpret_cast<const VecU*>(to.residual + at))
  GVX_EACH_SUM(*reinterpret_cast<VecU*>(to.c + at) = sum[i][j])
#undef GVX_EACH_SUM
}

using Tile = void (*)(size_t, const float*, ptrdiff_t, const float*, ptrdiff_t, const Place&);

template <int VECTORS, bool ROWS, int... I>
static const Tile* tiles_of(std::integer_sequence<int, I...>) {
  static const Tile table[] = {tile<I + 1, VECTORS, ROWS>...};
  return table;
}

static Tile tile_for(size_t rows, bool wide, bool contiguous_rows) {
  using All = std::make_integer_sequence<int, GVX_MR>;
  const Tile* table = wide ? (contiguous_rows ? tiles_of<2, true>(All{}) : tiles_of<2, false>(All{})) : (contiguous_rows ? tiles_of<1, true>(All{}) : tiles_of<1, false>(All{}));
  return table[rows - 1];
}

#if defined(__clang__)
#define GVX_ZIP(low, high, ...) __builtin_shufflevector(low, high, __VA_ARGS__)
#else
typedef int32_t Indices __attribute__((vector_size(4 * GVX_LANES)));
#define GVX_ZIP(low, high, ...) __builtin_shuffle(low, high, Indices{__VA_ARGS__})
#endif
#if GVX_LANES == 16
#define GVX_ZIP_LOW(a, b) GVX_ZIP(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define GVX_ZIP_HIGH(a, b) GVX_ZIP(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif GVX_LANES == 8
#define GVX_ZIP_LOW(a, b) GVX_ZIP(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define GVX_ZIP_HIGH(a, b) GVX_ZIP(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define GVX_ZIP_LOW(a, b) GVX_ZIP(a, b, 0, 4, 1, 5)
#define GVX_ZIP_HIGH(a, b) GVX_ZIP(a, b, 2, 6, 3, 7)
#endif

/** A square of as many numbers a side as a vector has, turned: row i of x and i + half are zipped, until all are. */
GVX_TARGET static void turn_square(const float* x, ptrdiff_t x_stride, float* y, ptrdiff_t y_stride) {
  constexpr int N = GVX_LANES;
  Vec a[N], b[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; i++) a[i] = *reinterpret_cast<const VecU*>(x + i * x_stride);
#pragma GCC unroll 4
  for (int round = 1; round < N; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < N / 2; i++) {
      b[2 * i] = GVX_ZIP_LOW(a[i], a[i + N / 2]);
      b[2 * i + 1] = GVX_ZIP_HIGH(a[i], a[i + N / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; i++) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < N; i++) *reinterpret_cast<VecU*>(y + i * y_stride) = a[i];
}
#undef GVX_ZIP
#undef GVX_ZIP_LOW
#undef GVX_ZIP_HIGH

/** y [columns, rows] = xᵀ, x [rows, columns]. */
GVX_TARGET static void transpose(const float* __restrict x, float* __restrict y, size_t rows, size_t columns, ptrdiff_t ldx, ptrdiff_t ldy) {
  constexpr size_t N = GVX_LANES;
  const size_t whole_rows = rows / N * N, whole_columns = columns / N * N;
  for (size_t r = 0; r < whole_rows; r += N)
    for (size_t c = 0; c < whole_columns; c += N)
      turn_square(x + static_cast<ptrdiff_t>(r) * ldx + static_cast<ptrdiff_t>(c), ldx, y + static_cast<ptrdiff_t>(c) * ldy + static_cast<ptrdiff_t>(r), ldy);
  const auto rest = [&](size_t r0, size_t r1, size_t c0, size_t c1) {
    for (size_t c = c0; c < c1; c++)
      for (size_t r = r0; r < r1; r++) y[static_cast<ptrdiff_t>(c) * ldy + static_cast<ptrdiff_t>(r)] = x[static_cast<ptrdiff_t>(r) * ldx + static_cast<ptrdiff_t>(c)];
  };
  rest(0, whole_rows, whole_columns, columns);
  rest(whole_rows, rows, 0, columns);
}

GVX_TARGET static void pack_b(const Gemm& g, size_t first, size_t last, float* packed) {
  for (size_t panel = first; panel < last; panel++) {
    float* out = packed + panel * NR * g.K;
    const size_t n = std::min(NR, g.N - panel * NR);
    const float* in = g.B + static_cast<ptrdiff_t>(panel * NR) * g.b_col;
    if (g.b_col == 1 && n == NR) {
      for (size_t k = 0; k < g.K; k++, in += g.b_row, out += NR) std::memcpy(out, in, NR * sizeof(float));
    } else if (g.b_col == 1) {
      for (size_t k = 0; k < g.K; k++, in += g.b_row, out += NR) {
        for (size_t j = 0; j < n; j++) out[j] = in[j];
        for (size_t j = n; j < NR; j++) out[j] = 0;
      }
    } else if (g.b_row == 1) {
      transpose(in, out, n, g.K, g.b_col, NR);
      for (size_t k = 0; n < NR && k < g.K; k++)
        for (size_t j = n; j < NR; j++) out[k * NR + j] = 0;
    } else {
      for (size_t k = 0; k < g.K; k++, in += g.b_row, out += NR) {
        for (size_t j = 0; j < n; j++) out[j] = in[static_cast<ptrdiff_t>(j) * g.b_col];
        for (size_t j = n; j < NR; j++) out[j] = 0;
      }
    }
  }
}

/** Columns of A are contiguous: a panel is copies of ROWS_OF_TILE numbers, a known size that takes two or three moves. */
template <int ROWS_OF_TILE>
GVX_TARGET static void pack_columns(const float* in, ptrdiff_t stride, size_t depth, float* out) {
  for (size_t k = 0; k < depth; k++, in += stride, out += ROWS_OF_TILE) std::memcpy(out, in, ROWS_OF_TILE * sizeof(float));
}

using PackColumns = void (*)(const float*, ptrdiff_t, size_t, float*);
template <int... I>
static const PackColumns* pack_columns_of(std::integer_sequence<int, I...>) {
  static const PackColumns table[] = {pack_columns<I + 1>...};
  return table;
}

/** Rows of A as a panel whose columns are contiguous, `rows` apart. */
GVX_TARGET static void pack_a(const Gemm& g, size_t row, size_t rows, size_t k0, size_t depth, float* out) {
  const float* in = g.A + static_cast<ptrdiff_t>(row) * g.a_row + static_cast<ptrdiff_t>(k0) * g.a_col;
  if (g.a_row == 1) return pack_columns_of(std::make_integer_sequence<int, GVX_MR>{})[rows - 1](in, g.a_col, depth, out);
  for (size_t k = 0; k < depth; k += 8) {
    const size_t d = std::min<size_t>(8, depth - k);
    for (size_t i = 0; i < rows; i++) {
      const float* from = in + static_cast<ptrdiff_t>(i) * g.a_row + static_cast<ptrdiff_t>(k) * g.a_col;
      for (size_t q = 0; q < d; q++) out[(k + q) * rows + i] = from[static_cast<ptrdiff_t>(q) * g.a_col];
    }
  }
}

/** c = activation(c); `pre`, if there is one, receives what went in. */
GVX_TARGET static void activate(Activation activation, float* __restrict c, float* __restrict pre, size_t n) {
#define GVX_ACTIVATE(function)                                        \
  if (pre) {                                                          \
    _Pragma("omp simd") for (size_t j = 0; j < n; j++) {              \
      const float x = c[j];                                           \
      pre[j] = x;                                                     \
      c[j] = function(x);                                             \
    }                                                                 \
  } else {                                                            \
    _Pragma("omp simd") for (size_t j = 0; j < n; j++) c[j] = function(c[j]); \
  }
  switch (activation) {
    case Activation::none: GVX_ACTIVATE() break;
    case Activation::relu: GVX_ACTIVATE(relu_) break;
    case Activation::gelu: GVX_ACTIVATE(gelu_) break;
    case Activation::quick_gelu: GVX_ACTIVATE(quick_gelu_) break;
  }
#undef GVX_ACTIVATE
}

/** c *= activation'(t), t = activation(t). */
GVX_TARGET static void go_through(Activation activation, float* __restrict c, float* __restrict t, size_t n) {
  if (activation == Activation::relu) {
#pragma omp simd
    for (size_t j = 0; j < n; j++) c[j] *= relu_derivative(t[j]), t[j] = relu_(t[j]);
  } else if (activation == Activation::gelu) {
#pragma omp simd
    for (size_t j = 0; j < n; j++) {
      const float x = t[j], e = gelu_exponential(x), erf = gelu_erf(x, e);
      c[j] *= gelu_slope(x, e, erf);
      t[j] = gelu_value(x, erf);
    }
  } else if (activation == Activation::quick_gelu) {
#pragma omp simd
    for (size_t j = 0; j < n; j++) c[j] *= quick_gelu_derivative(t[j]), t[j] = quick_gelu_(t[j]);
  }
}

/** What of an epilogue is left when bias and, without the rest, residual have been added in the registers. */
static bool has_rest(const Epilogue& e) { return e.pre || e.activation != Activation::none || e.through || e.row_factor; }

/** Finishes rows of C that are still in the nearest cache. */
GVX_TARGET static void finish(const Gemm& g, size_t m0, size_t rows, size_t n0, size_t n) {
  const Epilogue& e = g.epilogue;
  for (size_t i = m0; i < m0 + rows; i++) {
    const ptrdiff_t at = static_cast<ptrdiff_t>(i) * g.ldc + static_cast<ptrdiff_t>(n0);
    float* __restrict c = g.C + at;
    if (e.pre || e.activation != Activation::none) activate(e.activation, c, e.pre ? e.pre + at : nullptr, n);
    if (e.through) go_through(e.slope_of, c, e.through + at, n);
    if (e.row_factor) {
      const float factor = e.row_factor[i];
#pragma omp simd
      for (size_t j = 0; j < n; j++) c[j] *= factor;
    }
    if (e.residual) {
      const float* __restrict residual = e.residual + at;
#pragma omp simd
      for (size_t j = 0; j < n; j++) c[j] += residual[j];
    }
  }
}

/** A tile whose columns do not fill vectors: it came out beside C. */
GVX_TARGET static void place_edge(const float* edge, size_t rows, size_t n, const Place& to) {
  for (size_t i = 0; i < rows; i++) {
    float* c = to.c + static_cast<ptrdiff_t>(i) * to.ldc;
    const float* residual = to.residual ? to.residual + static_cast<ptrdiff_t>(i) * to.ldc : nullptr;
    for (size_t j = 0; j < n; j++) {
      float sum = to.accumulate ? c[j] + edge[i * NR + j] : edge[i * NR + j];
      if (to.bias) sum += to.bias[j];
      if (residual) sum += residual[j];
      c[j] = sum;
    }
  }
}

GVX_TARGET static void gemm_packed(const Gemm& g, const float* packed, size_t m0, size_t m1, size_t p0, size_t p1) {
  alignas(64) float panel[MR * DEPTH];
  alignas(64) float edge[MR * NR];
  const size_t rows_total = m1 - m0, panels_of_rows = (rows_total + MR - 1) / MR;
  const size_t blocks = std::max<size_t>(1, (g.K + DEPTH - 1) / DEPTH), depth_of_block = (g.K + blocks - 1) / blocks;
  const size_t panels_of_block = std::max<size_t>(1, L2_FLOATS / (NR * std::max<size_t>(1, depth_of_block)));
  const bool rest = has_rest(g.epilogue);
  const size_t panel_floats = NR * (g.packed_rows ? g.packed_rows : g.K);
  const ptrdiff_t bs = packed ? static_cast<ptrdiff_t>(NR) : g.b_row;
  const bool rows_in_place = g.a_col == 1 && (g.a_row % 1024 != 0 || rows_total < 8);
  const bool columns_in_place = g.a_row == 1 && g.a_col > 1 && g.a_col <= NEAR;
  for (size_t q0 = p0; q0 < p1; q0 += panels_of_block) {
    const size_t q1 = std::min(p1, q0 + panels_of_block);
    for (size_t block = 0; block < blocks; block++) {
      const size_t k0 = block * depth_of_block, depth = std::min(depth_of_block, g.K - std::min(g.K, k0));
      const bool accumulate = g.accumulate || block > 0, last = block + 1 == blocks;
      for (size_t p = 0; p < panels_of_rows; p++) {
        // Panels of almost equal height: 64 rows are 13 + 13 + 13 + 13 + 12, not 4 x 14 + 8.
        const size_t r0 = m0 + rows_total * p / panels_of_rows, r1 = m0 + rows_total * (p + 1) / panels_of_rows, rows = r1 - r0;
        const float* a = g.A + static_cast<ptrdiff_t>(r0) * g.a_row + static_cast<ptrdiff_t>(k0) * g.a_col;
        ptrdiff_t as = rows_in_place ? g.a_row : g.a_col;
        if (!rows_in_place && !columns_in_place) {
          pack_a(g, r0, rows, k0, depth, panel);
          a = panel;
          as = static_cast<ptrdiff_t>(rows);
        }
        for (size_t s0 = q0, s1; s0 < q1; s0 = s1) {
          s1 = std::min(q1, s0 + FINISHED_TOGETHER);
          for (size_t q = s0; q < s1; q++) {
            const size_t n0 = q * NR, n = std::min(NR, g.N - n0);
            const float* b = packed ? packed + q * panel_floats + k0 * NR : g.B + static_cast<ptrdiff_t>(k0) * g.b_row + static_cast<ptrdiff_t>(q * NR);
            const ptrdiff_t at = static_cast<ptrdiff_t>(r0) * g.ldc + static_cast<ptrdiff_t>(n0);
            Place to{g.C + at, g.ldc, accumulate};
            if (last && g.epilogue.bias) to.bias = g.epilogue.bias + n0;
            if (last && g.epilogue.residual && !rest) to.residual = g.epilogue.residual + at;
            const Tile multiplied = tile_for(rows, n > NR / 2, rows_in_place);
            if (n == NR || n == NR / 2) {
              multiplied(depth, a, as, b, bs, to);
            } else {
              multiplied(depth, a, as, b, bs, Place{edge, NR});
              place_edge(edge, rows, n, to);
            }
          }
          if (last && rest) finish(g, r0, rows, s0 * NR, std::min(g.N, s1 * NR) - s0 * NR);
        }
      }
    }
  }
}
