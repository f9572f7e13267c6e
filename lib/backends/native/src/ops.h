// The operations behind the kernels of the backend: shapes in, threads inside. All arrays are row-major float32.
#pragma once
#include <cstddef>
#include <cstdint>

#include "isa.h"

namespace gvx {

void gemm(const Gemm&);
/** On the calling thread alone; for use inside a chunk of work. */
void gemm_serial(const Gemm&);
/** `batch` products whose operands lie `a`, `b` and `c` numbers apart. */
void gemm_batch(const Gemm&, size_t batch, ptrdiff_t a, ptrdiff_t b, ptrdiff_t c);

void unary(Unary, const float* x, float* y, size_t n, float alpha);
/** Broadcast over collapsed axes: strides are 0 or those of the operand, the last one 0 or 1. */
void binary(Binary, const float* a, const float* b, float* y, const int32_t* shape, const int32_t* a_strides, const int32_t* b_strides, size_t rank);

enum class Reduction : int { sum = 0, mean = 1, max = 2 };
/** x [outer, reduced, inner] -> y [outer, inner]. */
void reduce(Reduction, const float* x, float* y, size_t outer, size_t reduced, size_t inner);
double sum_of_squares(const float* x, size_t n);
/** x [outer, reduced, inner] -> indices [outer, inner] of the first largest; NaN never wins, as on the cpu backend. */
void argmax(const float* x, int32_t* y, size_t outer, size_t reduced, size_t inner);
void softmax(const float* x, float* y, size_t outer, size_t reduced, size_t inner);
void softmax_grad(const float* dy, const float* y, float* dx, size_t outer, size_t reduced, size_t inner, float factor);

void transpose(const float* x, float* y, const int32_t* shape, const int32_t* permutation, size_t rank);
/** `rows` stretches of `n` numbers. */
void copy_rows(const float* from, size_t from_stride, float* to, size_t to_stride, size_t rows, size_t n);
/** On the calling thread alone; for use inside a chunk of work. */
void copy_rows_serial(const float* from, size_t from_stride, float* to, size_t to_stride, size_t rows, size_t n);
void gather(const float* table, const int32_t* ids, size_t count, float* y, size_t width);
/** Adds rows of x to rows `ids` of y; ids outside [0, rows) are skipped, as tfjs does. */
void scatter_add(const float* x, const int32_t* ids, size_t count, float* y, size_t rows, size_t width);

/** x [rows, in] @ wᵀ + b, activation; `pre` (or null) receives what goes into the activation. */
struct Linear {
  size_t rows, in, out;
  Activation activation;
};
/** `packed` is null, or w after pack_weight; then w itself is not read. The result is the same. */
void linear(const Linear&, const float* x, const float* w, const float* b, float* pre, float* y, const float* packed = nullptr);
/**
 * w [out, in] in the order in which x @ wᵀ reads it, and back, where it lies: so many rows at a time as a panel has, which `out` must be a
 * multiple of.
 */
size_t weight_panel();
void pack_weight(float* w, size_t in, size_t out);
void unpack_weight(float* w, size_t in, size_t out);

void layer_norm(const float* x, const float* gain, const float* bias, float* y, float* mean, float* rstd, size_t rows, size_t n, float eps);
void layer_norm_grad(const float* dy, const float* x, const float* gain, const float* mean, const float* rstd, float* dx, float* dgain, float* dbias, size_t rows, size_t n);
void l2_normalize(const float* x, float* y, float* inverse, size_t rows, size_t n, float eps);
void l2_normalize_grad(const float* dy, const float* y, const float* inverse, float* dx, size_t rows, size_t n);

/** A matrix of rows that lie `stride` apart; head h begins at column h * head_size. */
struct Heads {
  const float* data;
  size_t stride;
};
struct HeadsOut {
  float* data;
  size_t stride;
};
/**
 * Samples of different lengths, one after the other: sample s has the rows starts[s] to starts[s + 1]. Before its own it
 * goes on from the rows prefixes[prefix_starts[s]] to prefixes[prefix_starts[s + 1]], which belong to samples before it.
 */
struct Sequences {
  const int32_t *starts = nullptr, *prefix_starts = nullptr, *prefixes = nullptr;
};
/** causal: query i sees keys 0..i. With sequences queries and keys lie in the same rows, and are here the longest with its prefix. */
struct Attention {
  size_t batch, heads, queries, keys, head_size;
  float scale;
  bool causal;
  Sequences sequences = {};
};
/** log_sum [batch, heads, queries], a number a row and head, is what the backward pass needs; it may be null. */
void attention(const Attention&, Heads q, Heads k, Heads v, HeadsOut y, float* log_sum);
void attention_grad(const Attention&, Heads dy, Heads q, Heads k, Heads v, const float* log_sum, HeadsOut dq, HeadsOut dk, HeadsOut dv);

/**
 * A pre-norm transformer layer. x [rows, channels] are `samples` of equal length, or sequences, which are causal where they go on from others.
 * The activations that a backward pass needs go to Saved; what it can make again at little cost (layer norms, the
 * activation of the MLP) is not kept.
 */
struct EncoderLayer {
  size_t rows, channels, hidden, heads, samples, longest;
  float scale, eps;
  bool causal;
  Activation activation;
  Sequences sequences;
  const float *attention_factor, *mlp_factor;  // [rows] or null: factors of the two branches
};
/** Matrices are [out, in]. The same for the gradients. */
template <class Number>
struct EncoderWeights {
  Number *norm1, *norm1_bias, *q, *q_bias, *k, *k_bias, *v, *v_bias, *out, *out_bias, *norm2, *norm2_bias, *fc1, *fc1_bias, *fc2, *fc2_bias;
};
struct EncoderSaved {
  float *q, *k, *v, *attended, *middle;  // [rows, channels]
  float* log_sum;                        // [rows * heads]
  float* pre;                            // [rows, hidden], before the activation; null: it is computed again
};
/** The matrices of a layer as pack_weight leaves them; each may be null. Where it is not, the one in `weights` is not read. */
struct EncoderPacked {
  const float *q, *k, *v, *out, *fc1, *fc2;
};
/** What is null in `saved` is not kept; q, k, v and attended serve as memory and must be there. */
void encoder_layer(const EncoderLayer&, const EncoderWeights<const float>&, const float* x, float* y, const EncoderSaved& saved, const EncoderPacked& packed = {});
/** Numbers of memory that the backward pass works in. */
size_t encoder_grad_work(const EncoderLayer&);
/** Needs all of `saved` but pre, and overwrites pre. */
void encoder_layer_grad(const EncoderLayer&, const EncoderWeights<const float>&, const float* x, const float* dy, const EncoderSaved& saved, float* dx, const EncoderWeights<float>& gradients, float* work);

/** logits, noise [B, G, N] -> softmax over G of (logits + noise) / temperature, and its one-hot argmax when `hard`. */
void assign_groups(const float* logits, const float* noise, float* soft, float* hard, size_t batch, size_t groups, size_t tokens, float temperature);

/** Mean over rows of -Σ targets · log softmax(logits); probabilities [N, M] are kept for the backward pass. */
float cross_entropy(const float* logits, const float* targets, float* probabilities, size_t rows, size_t n);
void cross_entropy_grad(const float* probabilities, const float* targets, float factor, float* dx, size_t rows, size_t n);

/** Over the rows of x [N, C]: biased variance; `unit` is the normalised x. */
void batch_norm(const float* x, const float* gain, const float* bias, float* y, float* unit, float* inverse, float* mean, float* variance, size_t rows, size_t n, float eps);
void batch_norm_grad(const float* dy, const float* unit, const float* inverse, const float* gain, float* dx, float* dgain, float* dbias, size_t rows, size_t n);

void adamw(const AdamW&, float* parameter, float* first, float* second, const float* gradient, size_t n);
/**
 * A table of `rows` of `width` numbers. Row r has its moments in row moments[r] of first and second, or only decays when
 * that is negative; its gradient is row gradients[r], or zero when that is negative.
 */
void adamw_table(const AdamW&, float* parameter, float* first, float* second, const float* gradient, const int32_t* moments, const int32_t* gradients, size_t rows, size_t width);

/** [B, H, W, C] -> [B, H', W', C]. */
struct Resize {
  size_t batch, height, width, channels, new_height, new_width;
  bool align_corners, half_pixel_centers;
};
void resize_bilinear(const Resize&, const float* x, float* y);

}  // namespace gvx
