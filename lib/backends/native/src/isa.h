// What is compiled once for each instruction set, and the table through which the rest of the code calls it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace gvx {

enum class Activation : int { none = 0, relu = 1, gelu = 2, quick_gelu = 3 };

/** What happens to a row-major product C [M, N] before it is final, in this order; all pointers may be null. */
struct Epilogue {
  const float* bias = nullptr;  // [N], added
  float* pre = nullptr;         // [M, N], receives the value before the activation
  Activation activation = Activation::none;
  // [M, N], what went into an activation: C is multiplied by the slope there, and the array receives its value
  float* through = nullptr;
  Activation slope_of = Activation::none;
  const float* row_factor = nullptr;  // [M], multiplied
  const float* residual = nullptr;    // [M, N], added
};

inline bool plain(const Epilogue& e) {
  return !e.bias && !e.pre && e.activation == Activation::none && !e.through && !e.row_factor && !e.residual;
}

/** C [M, N] (+)= A [M, K] @ B [K, N]. A and B have any strides; rows of C are contiguous and `ldc` apart. */
struct Gemm {
  size_t M = 0, N = 0, K = 0;
  const float* A = nullptr;
  ptrdiff_t a_row = 0, a_col = 0;
  const float* B = nullptr;
  ptrdiff_t b_row = 0, b_col = 0;
  const float* packed = nullptr;  // B as pack_b leaves it, if somebody has done that before
  size_t packed_rows = 0;         // of the panels in `packed`, when that are more than K
  float* C = nullptr;
  ptrdiff_t ldc = 0;
  bool accumulate = false;
  Epilogue epilogue;
};

/** Rows (of B; columns of A) that are no farther apart, in numbers, are read where they lie: packing them costs more than it gives. */
constexpr ptrdiff_t NEAR = 256;

enum class Unary : int { exp, sqrt, rsqrt, square, neg, sigmoid, relu, tanh, erf, abs, step, reciprocal, gelu, quick_gelu, log, count };
enum class Binary : int { add, sub, mul, div, max, min, squared_difference, gelu_grad, quick_gelu_grad, relu_grad, count };

struct AdamW {
  float gradient_scale, step_size, beta1, beta2, eps, inverse_sqrt_correction2, decay;
};

/** Attention of one head of one sample. q, y [queries, size]; k, v [keys, size]; rows `*_stride` numbers apart. */
struct HeadTask {
  size_t queries, keys, size;
  float scale;
  size_t visible;  // query r sees the first `visible + r` keys; 0: all
  const float *q, *k, *v;
  ptrdiff_t q_stride, k_stride, v_stride;
  float* y;
  ptrdiff_t y_stride;
  float* log_sum;  // [queries]: logarithm of the sum of the exponentials; made by the forward pass, may be null there
};

struct HeadGradTask {
  HeadTask forward;
  const float* dy;
  float *dq, *dk, *dv;
  ptrdiff_t dy_stride, dq_stride, dk_stride, dv_stride;
  bool accumulate;  // add to dk and dv: there were queries before these
};

struct Kernels {
  const char* name;
  size_t mr, nr;  // rows and columns of the register tile
  /** Columns [panel * nr, …) of B for every k, `nr` numbers a row, zero-padded: panels `first` to `last`. */
  void (*pack_b)(const Gemm&, size_t first, size_t last, float* packed);
  /** Rows [m0, m1) times panels [p0, p1) of B, packed, or where it lies when `packed` is null (then it has whole half tiles). */
  void (*gemm_packed)(const Gemm&, const float* packed, size_t m0, size_t m1, size_t p0, size_t p1);
  void (*unary)(Unary, const float* x, float* y, size_t n, float alpha);
  void (*binary)(Binary, const float* a, bool a_varies, const float* b, bool b_varies, float* y, size_t n);
  double (*sum)(const float* x, size_t n);
  double (*sum_of_squares)(const float* x, size_t n);
  float (*max)(const float* x, size_t n);
  /** y[j] = sum over rows of x[row * stride + j]. */
  void (*column_sum)(const float* x, size_t rows, size_t stride, size_t n, float* y);
  void (*column_max)(const float* x, size_t rows, size_t stride, size_t n, float* y);
  /** y = factor * x. */
  void (*scale)(const float* x, float factor, float* y, size_t n);
  void (*softmax_rows)(const float* x, float* y, size_t rows, size_t n);
  /** Softmax over `reduced` rows for each of `inner` columns. */
  void (*softmax_columns)(const float* x, float* y, size_t reduced, size_t inner);
  void (*softmax_grad_rows)(const float* dy, const float* y, float* dx, size_t rows, size_t n, float factor);
  void (*softmax_grad_columns)(const float* dy, const float* y, float* dx, size_t reduced, size_t inner, float factor);
  void (*layer_norm)(const float* x, const float* gain, const float* bias, float* y, float* mean, float* rstd, size_t rows, size_t n, float eps);
  /** dgain and dbias are added to. */
  void (*layer_norm_grad)(const float* dy, const float* x, const float* gain, const float* mean, const float* rstd, float* dx, float* dgain, float* dbias, size_t rows, size_t n);
  void (*l2_normalize)(const float* x, float* y, float* inverse, size_t rows, size_t n, float eps);
  void (*l2_normalize_grad)(const float* dy, const float* y, const float* inverse, float* dx, size_t rows, size_t n);
  /** Numbers of memory that a head needs. */
  size_t (*attention_scratch)(size_t queries, size_t keys, size_t size);
  void (*attention_head)(const HeadTask&, float* scratch);
  void (*attention_head_grad)(const HeadGradTask&, float* scratch);
  void (*adamw)(const AdamW&, float* parameter, float* first, float* second, const float* gradient, size_t n);
  void (*transpose)(const float* x, float* y, size_t rows, size_t columns, ptrdiff_t ldx, ptrdiff_t ldy);
  /** Multiplies and adds in registers alone; returns how many operations that were. */
  uint64_t (*multiply_add)(size_t rounds);
};

/** The table of the best instruction set of this processor, or of the one named by GVX_ISA (avx512, avx2, portable). */
const Kernels& kernels();
/** Another table in its place, or null for its own. Not to be called while work is running. */
void use_kernels(const Kernels*);

}  // namespace gvx
