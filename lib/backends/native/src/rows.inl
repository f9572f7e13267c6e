// Element-wise and row-wise loops, written so that the compiler vectorises them. Included after math.inl.

#define GVX_UNARY(name, expression)         \
  case Unary::name:                         \
    _Pragma("omp simd") for (size_t i = 0; i < n; i++) { \
      const float v = x[i];                 \
      y[i] = (expression);                  \
    }                                       \
    break;

GVX_TARGET static void unary(Unary op, const float* x, float* y, size_t n, float alpha) {
  switch (op) {
    GVX_UNARY(exp, exp_(v))
    GVX_UNARY(sqrt, std::sqrt(v))
    GVX_UNARY(rsqrt, 1.f / std::sqrt(v))
    GVX_UNARY(square, v * v)
    GVX_UNARY(neg, -v)
    GVX_UNARY(sigmoid, sigmoid_(v))
    GVX_UNARY(relu, relu_(v))
    GVX_UNARY(tanh, tanh_(v))
    GVX_UNARY(erf, erf_(v))
    GVX_UNARY(abs, std::fabs(v))
    GVX_UNARY(step, v > 0.f ? 1.f : (v != v ? v : alpha))
    GVX_UNARY(reciprocal, 1.f / v)
    GVX_UNARY(gelu, gelu_(v))
    GVX_UNARY(quick_gelu, quick_gelu_(v))
    GVX_UNARY(log, log_(v))
    case Unary::count: break;
  }
}
#undef GVX_UNARY

#define GVX_LOOP(left, right, expression)   \
  _Pragma("omp simd") for (size_t i = 0; i < n; i++) { \
    const float p = (left), q = (right);    \
    y[i] = (expression);                    \
  }
#define GVX_BINARY(name, expression)                      \
  case Binary::name:                                      \
    if (a_varies && b_varies) GVX_LOOP(a[i], b[i], expression) \
    else if (a_varies) GVX_LOOP(a[i], b0, expression)     \
    else if (b_varies) GVX_LOOP(a0, b[i], expression)     \
    else GVX_LOOP(a0, b0, expression)                     \
    break;

GVX_TARGET static void binary(Binary op, const float* a, bool a_varies, const float* b, bool b_varies, float* y, size_t n) {
  if (n == 0) return;
  const float a0 = a[0], b0 = b[0];
  switch (op) {
    GVX_BINARY(add, p + q)
    GVX_BINARY(sub, p - q)
    GVX_BINARY(mul, p * q)
    GVX_BINARY(div, p / q)
    GVX_BINARY(max, p > q ? p : (p != p ? p : q))
    GVX_BINARY(min, p < q ? p : (p != p ? p : q))
    GVX_BINARY(squared_difference, (p - q) * (p - q))
    GVX_BINARY(gelu_grad, p * gelu_derivative(q))
    GVX_BINARY(quick_gelu_grad, p * quick_gelu_derivative(q))
    GVX_BINARY(relu_grad, p * relu_derivative(q))
    case Binary::count: break;
  }
}
#undef GVX_BINARY
#undef GVX_LOOP

/** In float within 4,096 numbers, in double beyond. */
GVX_TARGET static double sum(const float* x, size_t n) {
  double total = 0;
  for (size_t i = 0; i < n; i += 4096) {
    const size_t m = std::min<size_t>(4096, n - i);
    const float* p = x + i;
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t j = 0; j < m; j++) s += p[j];
    total += s;
  }
  return total;
}

GVX_TARGET static double sum_of_squares(const float* x, size_t n) {
  double total = 0;
  for (size_t i = 0; i < n; i += 4096) {
    const size_t m = std::min<size_t>(4096, n - i);
    const float* p = x + i;
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t j = 0; j < m; j++) s += p[j] * p[j];
    total += s;
  }
  return total;
}

/** NaN if there is one. */
GVX_TARGET static float max(const float* x, size_t n) {
  float best = -__builtin_inff();
  int broken = 0;
#pragma omp simd reduction(max : best) reduction(| : broken)
  for (size_t j = 0; j < n; j++) {
    best = x[j] > best ? x[j] : best;
    broken |= x[j] != x[j];
  }
  return broken ? __builtin_nanf("") : best;
}

GVX_TARGET static void column_sum(const float* __restrict x, size_t rows, size_t stride, size_t n, float* __restrict y) {
  for (size_t j = 0; j < n; j++) y[j] = 0;
  size_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    const float *a = x + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
#pragma omp simd
    for (size_t j = 0; j < n; j++) y[j] += (a[j] + b[j]) + (c[j] + d[j]);
  }
  for (; i < rows; i++) {
    const float* a = x + i * stride;
#pragma omp simd
    for (size_t j = 0; j < n; j++) y[j] += a[j];
  }
}

GVX_TARGET static void column_max(const float* __restrict x, size_t rows, size_t stride, size_t n, float* __restrict y) {
  for (size_t j = 0; j < n; j++) y[j] = -__builtin_inff();
  for (size_t i = 0; i < rows; i++) {
    const float* a = x + i * stride;
#pragma omp simd
    for (size_t j = 0; j < n; j++) y[j] = (a[j] > y[j] || a[j] != a[j]) ? a[j] : y[j];
  }
}

GVX_TARGET static void scale(const float* x, float factor, float* y, size_t n) {
#pragma omp simd
  for (size_t j = 0; j < n; j++) y[j] = x[j] * factor;
}

GVX_TARGET static void softmax_rows(const float* x, float* y, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    const float m = max(x, n);
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t j = 0; j < n; j++) {
      const float e = exp_below(x[j] - m);
      y[j] = e;
      s += e;
    }
    const float k = 1.f / s;
#pragma omp simd
    for (size_t j = 0; j < n; j++) y[j] *= k;
  }
}

constexpr size_t COLUMNS = 64;  // worked on together, so that the running maxima and sums stay in registers and L1

GVX_TARGET static void softmax_columns(const float* x, float* y, size_t reduced, size_t inner) {
  for (size_t c = 0; c < inner; c += COLUMNS) {
    const size_t n = std::min(COLUMNS, inner - c);
    float m[COLUMNS], s[COLUMNS];
    column_max(x + c, reduced, inner, n, m);
    for (size_t j = 0; j < n; j++) s[j] = 0;
    for (size_t r = 0; r < reduced; r++) {
      const float* a = x + r * inner + c;
      float* b = y + r * inner + c;
#pragma omp simd
      for (size_t j = 0; j < n; j++) {
        const float e = exp_below(a[j] - m[j]);
        b[j] = e;
        s[j] += e;
      }
    }
    for (size_t j = 0; j < n; j++) s[j] = 1.f / s[j];
    for (size_t r = 0; r < reduced; r++) {
      float* b = y + r * inner + c;
#pragma omp simd
      for (size_t j = 0; j < n; j++) b[j] *= s[j];
    }
  }
}

GVX_TARGET static void softmax_grad_rows(const float* dy, const float* y, float* dx, size_t rows, size_t n, float factor) {
  for (size_t r = 0; r < rows; r++, dy += n, y += n, dx += n) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t j = 0; j < n; j++) s += dy[j] * y[j];
#pragma omp simd
    for (size_t j = 0; j < n; j++) dx[j] = y[j] * (dy[j] - s) * factor;
  }
}

GVX_TARGET static void softmax_grad_columns(const float* dy, const float* y, float* dx, size_t reduced, size_t inner, float factor) {
  for (size_t c = 0; c < inner; c += COLUMNS) {
    const size_t n = std::min(COLUMNS, inner - c);
    float s[COLUMNS];
    for (size_t j = 0; j < n; j++) s[j] = 0;
    for (size_t r = 0; r < reduced; r++) {
      const float *a = dy + r * inner + c, *b = y + r * inner + c;
#pragma omp simd
      for (size_t j = 0; j < n; j++) s[j] += a[j] * b[j];
    }
    for (size_t r = 0; r < reduced; r++) {
      const float *a = dy + r * inner + c, *b = y + r * inner + c;
      float* d = dx + r * inner + c;
#pragma omp simd
      for (size_t j = 0; j < n; j++) d[j] = b[j] * (a[j] - s[j]) * factor;
    }
  }
}

GVX_TARGET static void layer_norm(const float* x, const float* __restrict gain, const float* __restrict bias, float* y, float* mean, float* rstd, size_t rows, size_t n, float eps) {
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    float s = 0, v = 0;
#pragma omp simd reduction(+ : s)
    for (size_t j = 0; j < n; j++) s += x[j];
    const float m = s / static_cast<float>(n);
#pragma omp simd reduction(+ : v)
    for (size_t j = 0; j < n; j++) v += (x[j] - m) * (x[j] - m);
    const float k = 1.f / std::sqrt(v / static_cast<float>(n) + eps);
    mean[r] = m;
    rstd[r] = k;
#pragma omp simd
    for (size_t j = 0; j < n; j++) y[j] = (x[j] - m) * k * gain[j] + bias[j];
  }
}

GVX_TARGET static void layer_norm_grad(const float* dy, const float* x, const float* __restrict gain, const float* mean, const float* rstd, float* dx, float* __restrict dgain, float* __restrict dbias, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
    const float m = mean[r], k = rstd[r];
    float s1 = 0, s2 = 0;
#pragma omp simd reduction(+ : s1, s2)
    for (size_t j = 0; j < n; j++) {
      const float h = (x[j] - m) * k, w = dy[j] * gain[j];
      s1 += w;
      s2 += w * h;
    }
    s1 /= static_cast<float>(n);
    s2 /= static_cast<float>(n);
#pragma omp simd
    for (size_t j = 0; j < n; j++) {
      const float h = (x[j] - m) * k, d = dy[j];
      dgain[j] += d * h;
      dbias[j] += d;
      dx[j] = (d * gain[j] - s1 - h * s2) * k;
    }
  }
}

GVX_TARGET static void l2_normalize(const float* x, float* y, float* inverse, size_t rows, size_t n, float eps) {
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t j = 0; j < n; j++) s += x[j] * x[j];
    const float norm = std::sqrt(s), k = 1.f / (norm > eps ? norm : (norm != norm ? norm : eps));
    inverse[r] = norm > eps ? k : -k;  // the sign says that the norm was clamped: then y is linear in x
#pragma omp simd
    for (size_t j = 0; j < n; j++) y[j] = x[j] * k;
  }
}

GVX_TARGET static void l2_normalize_grad(const float* dy, const float* y, const float* inverse, float* dx, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, dy += n, y += n, dx += n) {
    float s = 0;
    if (inverse[r] > 0) {
#pragma omp simd reduction(+ : s)
      for (size_t j = 0; j < n; j++) s += dy[j] * y[j];
    }
    const float k = std::fabs(inverse[r]);
#pragma omp simd
    for (size_t j = 0; j < n; j++) dx[j] = (dy[j] - y[j] * s) * k;
  }
}

GVX_TARGET static void adamw(const AdamW& a, float* __restrict parameter, float* __restrict first, float* __restrict second, const float* __restrict gradient, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    const float g = gradient[i] * a.gradient_scale;
    const float m = first[i] * a.beta1 + g * (1.f - a.beta1);
    const float v = second[i] * a.beta2 + g * g * (1.f - a.beta2);
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * a.decay - a.step_size * m / (std::sqrt(v) * a.inverse_sqrt_correction2 + a.eps);
  }
}

/** As many independent sums as hide the latency of an FMA and fit the registers. */
GVX_TARGET static uint64_t multiply_add(size_t rounds) {
  constexpr int SUMS = 12;
  Vec sum[SUMS];
  // Unknown to the compiler: it does not compute a sum that it can see to stay what it is, as 1 * 0.999 + 0.001 does.
  volatile float start = 0.5f, by = 0.999f, more = 0.001f;
  for (int i = 0; i < SUMS; i++) sum[i] = Vec{} + (start + static_cast<float>(i));
  const Vec factor = Vec{} + by, term = Vec{} + more;
  for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; i++) sum[i] = sum[i] * factor + term;
  }
  float total = 0;
  for (int i = 0; i < SUMS; i++) total += sum[i][0];
  volatile float kept = total;  // without a use of the sums the compiler would leave them out
  static_cast<void>(kept);
  return 2ull * rounds * SUMS * GVX_LANES;
}
