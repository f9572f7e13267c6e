// One head of attention: matrices of a few dozen to a few hundred rows that stay in the cache, so what counts is the work
// around the products. The rows of q, k, v and of their gradients are read and written where they lie in [N, H * d].
// Scores are held transposed, [keys, queries]: maxima and sums over the keys are then element-wise over vectors of
// queries, without a horizontal reduction or a ragged end for each query.

/** c [m, n] (+)= a [m, k] @ b [k, n], n a multiple of half a tile's width. ROWS: a's rows are contiguous; else its columns. */
template <bool ROWS>
GVX_TARGET static void multiply(size_t m, size_t n, size_t k, const float* a, ptrdiff_t as, const float* b, ptrdiff_t bs, float* c, ptrdiff_t ldc, bool accumulate) {
  const size_t panels = (m + MR - 1) / MR;
  for (size_t column = 0; column < n; column += NR) {
    const bool wide = n - column >= NR;
    for (size_t p = 0; p < panels; p++) {
      const size_t r0 = m * p / panels, r1 = m * (p + 1) / panels;
      const float* from = a + static_cast<ptrdiff_t>(r0) * (ROWS ? as : 1);
      tile_for(r1 - r0, wide, ROWS)(k, from, as, b + column, bs, Place{c + static_cast<ptrdiff_t>(r0) * ldc + static_cast<ptrdiff_t>(column), ldc, accumulate});
    }
  }
}

/** x [rows, n] as it is when its columns fill half tiles, else a copy with zeros up to `padded` columns. */
GVX_TARGET static const float* padded_rows(const float* x, ptrdiff_t* stride, size_t rows, size_t n, size_t padded, float* copy) {
  if (n == padded) return x;
  for (size_t r = 0; r < rows; r++) {
    std::memcpy(copy + r * padded, x + static_cast<ptrdiff_t>(r) * *stride, n * sizeof(float));
    for (size_t j = n; j < padded; j++) copy[r * padded + j] = 0;
  }
  *stride = static_cast<ptrdiff_t>(padded);
  return copy;
}

/** y [rows, n] (+)= x [rows, padded]. */
GVX_TARGET static void take_back(const float* x, size_t padded, float* y, ptrdiff_t stride, size_t rows, size_t n, bool accumulate) {
  for (size_t r = 0; r < rows; r++) {
    const float* from = x + r * padded;
    float* to = y + static_cast<ptrdiff_t>(r) * stride;
    for (size_t j = 0; j < n; j++) to[j] = accumulate ? to[j] + from[j] : from[j];
  }
}

/** x [rows, n] -> [n, padded], zeros beyond the rows. */
GVX_TARGET static void transposed(const float* x, ptrdiff_t stride, size_t rows, size_t n, size_t padded, float* y) {
  transpose(x, y, rows, n, stride, static_cast<ptrdiff_t>(padded));
  if (rows < padded)
    for (size_t j = 0; j < n; j++)
      for (size_t r = rows; r < padded; r++) y[j * padded + r] = 0;
}

static size_t half_tiles(size_t n) { return (n + GVX_LANES - 1) / GVX_LANES * GVX_LANES; }

static size_t attention_scratch(size_t queries, size_t keys, size_t d) {
  const size_t ld = half_tiles(queries), wide = half_tiles(d), longest = std::max(ld, keys);
  return 2 * keys * ld + 2 * d * ld + 4 * longest * wide + 2 * ld + 64;
}

/** Queries worked on together: their maxima and sums stay in registers or the nearest cache. */
constexpr size_t TOGETHER = 2 * GVX_LANES;

/** Key j is hidden from the queries before `j - visible + 1`, and from the padding's point of view nothing matters. */
GVX_MATH void hide_from_earlier(float* row, size_t key, size_t visible, size_t begin, size_t end) {
  if (visible == 0 || key < visible) return;
  const size_t first = key - visible + 1;  // the first query that sees it
  for (size_t i = begin; i < std::min(end, first); i++) row[i - begin] = -__builtin_inff();
}

/** scores [keys, ld] -> exponentials; sums and maxima of each query. */
GVX_TARGET static void exponentials(float* scores, size_t keys, size_t ld, float factor, size_t visible, float* most, float* sum) {
  for (size_t c = 0; c < ld; c += TOGETHER) {
    const size_t n = std::min(TOGETHER, ld - c);
    float m[TOGETHER], s[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++) m[i] = -__builtin_inff(), s[i] = 0;
    for (size_t j = 0; j < keys; j++) {
      float* p = scores + j * ld + c;
      hide_from_earlier(p, j, visible, c, c + n);
      if (n == TOGETHER) {
#pragma omp simd
        for (size_t i = 0; i < TOGETHER; i++) m[i] = p[i] > m[i] ? p[i] : m[i];
      } else {
#pragma omp simd
        for (size_t i = 0; i < GVX_LANES; i++) m[i] = p[i] > m[i] ? p[i] : m[i];
      }
    }
    for (size_t i = 0; i < TOGETHER; i++) m[i] *= factor;
    for (size_t j = 0; j < keys; j++) {
      float* p = scores + j * ld + c;
      if (n == TOGETHER) {
#pragma omp simd
        for (size_t i = 0; i < TOGETHER; i++) {
          const float e = exp_below(p[i] * factor - m[i]);
          p[i] = e;
          s[i] += e;
        }
      } else {
#pragma omp simd
        for (size_t i = 0; i < GVX_LANES; i++) {
          const float e = exp_below(p[i] * factor - m[i]);
          p[i] = e;
          s[i] += e;
        }
      }
    }
    for (size_t i = 0; i < n; i++) most[c + i] = m[i], sum[c + i] = s[i];
  }
}

/** scores [keys, ld] -> weights, from the logarithms of the sums [ld]. */
GVX_TARGET static void weights_of_scores(float* scores, size_t keys, size_t ld, float factor, size_t visible, const float* log_sum) {
  for (size_t j = 0; j < keys; j++) {
    float* p = scores + j * ld;
    hide_from_earlier(p, j, visible, 0, ld);
#pragma omp simd
    for (size_t i = 0; i < ld; i++) p[i] = exp_below(p[i] * factor - log_sum[i]);
  }
}

/** In place on the gradient of the weights [keys, ld]: that of the scores. */
GVX_TARGET static void scores_gradient(float* gradient, const float* weights, size_t keys, size_t ld, float factor, float* sum) {
  for (size_t i = 0; i < ld; i++) sum[i] = 0;
  for (size_t j = 0; j < keys; j++) {
    const float *d = gradient + j * ld, *p = weights + j * ld;
#pragma omp simd
    for (size_t i = 0; i < ld; i++) sum[i] += d[i] * p[i];
  }
  for (size_t j = 0; j < keys; j++) {
    float* d = gradient + j * ld;
    const float* p = weights + j * ld;
#pragma omp simd
    for (size_t i = 0; i < ld; i++) d[i] = p[i] * (d[i] - sum[i]) * factor;
  }
}

GVX_TARGET static void attention_head(const HeadTask& t, float* scratch) {
  const size_t n = t.queries, keys = t.keys, d = t.size, ld = half_tiles(n), wide = half_tiles(d);
  const ptrdiff_t row = static_cast<ptrdiff_t>(ld);
  float* scores = scratch;               // [keys, ld]
  float* most = scores + keys * ld;      // [ld]
  float* sum = most + ld;                // [ld]
  float* columns = sum + ld;             // qᵀ [d, ld]
  float* rest = columns + d * ld;
  transposed(t.q, t.q_stride, n, d, ld, columns);
  multiply<true>(keys, ld, d, t.k, t.k_stride, columns, row, scores, row, false);
  exponentials(scores, keys, ld, t.scale, t.visible, most, sum);
  ptrdiff_t v_stride = t.v_stride, y_stride = t.y_stride;
  const float* v = padded_rows(t.v, &v_stride, keys, d, wide, rest);
  float* y = t.y;
  if (d != wide) y = rest + keys * wide, y_stride = static_cast<ptrdiff_t>(wide);
  multiply<false>(n, wide, keys, scores, row, v, v_stride, y, y_stride, false);
  for (size_t i = 0; i < n; i++) {
    const float share = 1.f / sum[i];
    const float* from = y + static_cast<ptrdiff_t>(i) * y_stride;
    float* to = t.y + static_cast<ptrdiff_t>(i) * t.y_stride;
#pragma omp simd
    for (size_t j = 0; j < d; j++) to[j] = from[j] * share;
  }
  if (t.log_sum) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) t.log_sum[i] = most[i] + log_(sum[i]);
  }
}

/** One product of the backward pass whose right side and result have d columns. */
template <bool ROWS>
GVX_TARGET static void multiply_into(size_t m, size_t d, size_t wide, size_t k, const float* a, ptrdiff_t as, const float* b, ptrdiff_t bs, float* out, ptrdiff_t stride, bool accumulate, float* scratch) {
  if (d == wide) return multiply<ROWS>(m, d, k, a, as, b, bs, out, stride, accumulate);
  multiply<ROWS>(m, wide, k, a, as, b, bs, scratch, static_cast<ptrdiff_t>(wide), false);
  take_back(scratch, wide, out, stride, m, d, accumulate);
}

GVX_TARGET static void attention_head_grad(const HeadGradTask& g, float* scratch) {
  const HeadTask& t = g.forward;
  const size_t n = t.queries, keys = t.keys, d = t.size, ld = half_tiles(n), wide = half_tiles(d);
  const ptrdiff_t row = static_cast<ptrdiff_t>(ld);
  float* weights = scratch;                 // [keys, ld]
  float* gradient = weights + keys * ld;    // of the weights, then of the scores
  float* log_sum = gradient + keys * ld;    // [ld]
  float* sum = log_sum + ld;                // [ld]
  float* columns = sum + ld;                // qᵀ, then dyᵀ [d, ld]
  float* rest = columns + 2 * d * ld;       // padded copies, each of the longest
  const size_t longest = std::max(ld, keys) * wide;
  ptrdiff_t k_stride = t.k_stride, q_stride = t.q_stride, dy_stride = g.dy_stride;
  const float* k = padded_rows(t.k, &k_stride, keys, d, wide, rest);
  const float* q = padded_rows(t.q, &q_stride, n, d, wide, rest + longest);
  const float* dy = padded_rows(g.dy, &dy_stride, n, d, wide, rest + 2 * longest);
  float* spare = rest + 3 * longest;
  std::memcpy(log_sum, t.log_sum, n * sizeof(float));
  for (size_t i = n; i < ld; i++) log_sum[i] = 0;

  transposed(t.q, t.q_stride, n, d, ld, columns);
  multiply<true>(keys, ld, d, t.k, t.k_stride, columns, row, weights, row, false);
  weights_of_scores(weights, keys, ld, t.scale, t.visible, log_sum);
  multiply_into<true>(keys, d, wide, n, weights, row, dy, dy_stride, g.dv, g.dv_stride, g.accumulate, spare);
  transposed(g.dy, g.dy_stride, n, d, ld, columns);
  multiply<true>(keys, ld, d, t.v, t.v_stride, columns, row, gradient, row, false);
  scores_gradient(gradient, weights, keys, ld, t.scale, sum);
  multiply_into<false>(n, d, wide, keys, gradient, row, k, k_stride, g.dq, g.dq_stride, false, spare);
  multiply_into<true>(keys, d, wide, n, gradient, row, q, q_stride, g.dk, g.dk_stride, g.accumulate, spare);
}
