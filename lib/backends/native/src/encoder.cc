// A pre-norm transformer layer as one operation: x + attention(norm(x)), then + mlp(norm(…)). Everything that works row by
// row runs on a few dozen rows at a time, from the layer norm to the residual, while they are in the cache of one core;
// only the heads of attention need all rows of a sample at once. Where rows are cut depends on the shape alone, so the
// sums over them are the same with any number of threads.
#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "ops.h"
#include "pool.h"

namespace gvx {

namespace {

constexpr size_t ROWS = 112;      // of a chunk: eight register tiles high
constexpr size_t FEWEST = 28;     // rows that are worth a chunk of their own
constexpr size_t FEW_CHUNKS = 8;

size_t chunks_of(size_t rows) { return std::max<size_t>({1, rows / ROWS, std::min(FEW_CHUNKS, rows / FEWEST)}); }

template <class F>
void in_chunks(size_t rows, F&& work) {
  const size_t chunks = chunks_of(rows);
  Pool::instance().run(static_cast<int>(chunks), [&](int i) {
    const size_t begin = rows * i / chunks, end = rows * (i + 1) / chunks;
    work(static_cast<size_t>(i), begin, end - begin);
  });
}

/** A matrix by which rows are multiplied, packed. */
struct Factor {
  Gemm g;
  const float* packed = nullptr;
  size_t panels() const { return (g.N + kernels().nr - 1) / kernels().nr; }
  size_t floats() const { return panels() * kernels().nr * g.K; }

  void times(const float* x, size_t x_stride, size_t rows, float* y, const Epilogue& epilogue, bool accumulate = false) const {
    Gemm one = g;
    one.A = x, one.a_row = static_cast<ptrdiff_t>(x_stride), one.a_col = 1;
    one.M = rows;
    one.C = y, one.ldc = static_cast<ptrdiff_t>(g.N);
    one.epilogue = epilogue;
    one.accumulate = accumulate;
    kernels().gemm_packed(one, packed, 0, rows, 0, panels());
  }
};

Factor right_side(const float* w, size_t n, size_t k, ptrdiff_t row, ptrdiff_t column) {
  Factor f;
  f.g.N = n, f.g.K = k;
  f.g.B = w, f.g.b_row = row, f.g.b_col = column;
  return f;
}
/** x @ wᵀ and dy @ w of a linear layer w [out, in]. */
Factor forward_of(const float* w, size_t in, size_t out) { return right_side(w, out, in, 1, static_cast<ptrdiff_t>(in)); }
Factor backward_of(const float* w, size_t in, size_t out) { return right_side(w, in, out, static_cast<ptrdiff_t>(in), 1); }

/** Packs the factors that are not packed yet; at most seven. They stay until the next call. */
void pack(std::initializer_list<Factor*> factors) {
  static thread_local Scratch memory;
  struct Fresh {
    Factor* factor;
    float* packed;
    size_t first, last;
  };
  Fresh fresh[7];
  size_t count = 0, total = 0, panels = 0;
  for (Factor* f : factors)
    if (!f->packed) {
      fresh[count++] = {f, nullptr, panels, panels + f->panels()};
      total += f->floats(), panels += f->panels();
    }
  if (count == 0) return;
  float* at = memory.get(total);
  for (size_t i = 0; i < count; i++) fresh[i].packed = at, at += fresh[i].factor->floats();
  const size_t each = std::max<size_t>(1, total / panels);
  Pool::instance().range(panels, 16384 / each + 1, [&](size_t begin, size_t end) {
    for (size_t i = 0; i < count; i++) {
      const Fresh& f = fresh[i];
      if (begin < f.last && end > f.first) kernels().pack_b(f.factor->g, std::max(begin, f.first) - f.first, std::min(end, f.last) - f.first, f.packed);
    }
  });
  for (size_t i = 0; i < count; i++) fresh[i].factor->packed = fresh[i].packed;
}

Epilogue with_bias(const float* bias) {
  Epilogue e;
  e.bias = bias;
  return e;
}

Attention attention_of(const EncoderLayer& l) { return {l.samples, l.heads, l.longest, l.longest, l.channels / l.heads, l.scale, l.causal, l.sequences}; }

/** y = factor of the row * x. */
void scale_rows(const float* x, const float* factor, float* y, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++) kernels().scale(x + r * n, factor[r], y + r * n, n);
}

/** w [out, in] = dyᵀ @ x over all rows, and the sum of the rows of dy. */
void weight_gradient(const float* dy, size_t out, const float* x, size_t in, size_t rows, float* w, float* bias) {
  Gemm g;
  g.M = out, g.N = in, g.K = rows;
  g.A = dy, g.a_row = 1, g.a_col = static_cast<ptrdiff_t>(out);
  g.B = x, g.b_row = static_cast<ptrdiff_t>(in), g.b_col = 1;
  g.C = w, g.ldc = static_cast<ptrdiff_t>(in);
  gemm(g);
  reduce(Reduction::sum, dy, bias, 1, rows, out);
}

}  // namespace

void encoder_layer(const EncoderLayer& l, const EncoderWeights<const float>& w, const float* x, float* y, const EncoderSaved& saved, const EncoderPacked& packed) {
  const size_t c = l.channels, hidden = l.hidden;
  Factor q = forward_of(w.q, c, c), k = forward_of(w.k, c, c), v = forward_of(w.v, c, c), out = forward_of(w.out, c, c);
  Factor fc1 = forward_of(w.fc1, c, hidden), fc2 = forward_of(w.fc2, hidden, c);
  q.packed = packed.q, k.packed = packed.k, v.packed = packed.v, out.packed = packed.out, fc1.packed = packed.fc1, fc2.packed = packed.fc2;
  pack({&q, &k, &v, &out, &fc1, &fc2});

  in_chunks(l.rows, [&](size_t, size_t from, size_t rows) {
    static thread_local Scratch scratch;
    float* normed = scratch.get(rows * (c + 2));
    kernels().layer_norm(x + from * c, w.norm1, w.norm1_bias, normed, normed + rows * c, normed + rows * (c + 1), rows, c, l.eps);
    q.times(normed, c, rows, saved.q + from * c, with_bias(w.q_bias));
    k.times(normed, c, rows, saved.k + from * c, with_bias(w.k_bias));
    v.times(normed, c, rows, saved.v + from * c, with_bias(w.v_bias));
  });

  attention(attention_of(l), {saved.q, c}, {saved.k, c}, {saved.v, c}, {saved.attended, c}, saved.log_sum);

  in_chunks(l.rows, [&](size_t, size_t from, size_t rows) {
    static thread_local Scratch scratch;
    float* normed = scratch.get(rows * (2 * c + hidden + 2));
    float* inner = normed + rows * (c + 2);
    float* middle = saved.middle ? saved.middle + from * c : inner + rows * hidden;
    Epilogue to_middle = with_bias(w.out_bias);
    to_middle.row_factor = l.attention_factor ? l.attention_factor + from : nullptr;
    to_middle.residual = x + from * c;
    out.times(saved.attended + from * c, c, rows, middle, to_middle);
    kernels().layer_norm(middle, w.norm2, w.norm2_bias, normed, normed + rows * c, normed + rows * (c + 1), rows, c, l.eps);
    Epilogue to_inner = with_bias(w.fc1_bias);
    to_inner.pre = saved.pre ? saved.pre + from * hidden : nullptr;
    to_inner.activation = l.activation;
    fc1.times(normed, c, rows, inner, to_inner);
    Epilogue to_y = with_bias(w.fc2_bias);
    to_y.row_factor = l.mlp_factor ? l.mlp_factor + from : nullptr;
    to_y.residual = middle;
    fc2.times(inner, hidden, rows, y + from * c, to_y);
  });
}

size_t encoder_grad_work(const EncoderLayer& l) {
  const size_t branches = (l.mlp_factor ? 1 : 0) + (l.attention_factor ? 1 : 0);
  return l.rows * (l.hidden + std::max(l.hidden, 3 * l.channels) + (3 + branches) * l.channels) + (2 * chunks_of(l.rows) + 3 * l.channels + 3) * l.channels;
}

void encoder_layer_grad(const EncoderLayer& l, const EncoderWeights<const float>& w, const float* x, const float* dy, const EncoderSaved& saved, float* dx, const EncoderWeights<float>& grad, float* work) {
  const size_t c = l.channels, hidden = l.hidden, size = l.rows * c;
  float* d_inner = work;  // [rows, hidden], then of q, k and v: [rows, 3 c]
  float* normed = d_inner + l.rows * std::max(hidden, 3 * c);
  float* d_middle = normed + size;
  float* d_attended = d_middle + size;
  float* d_mlp = d_attended + size;         // what comes out of the factors of the branches, where there are any
  float* d_out = l.mlp_factor ? d_mlp + size : d_mlp;
  float* norm_sums = l.attention_factor ? d_out + size : d_out;  // of each chunk: gain, bias
  float* qkv_grad = norm_sums + 2 * chunks_of(l.rows) * c;  // [3 c, c] and [3 c]
  // what goes into the activation, and then what comes out of it
  float* inner = saved.pre ? saved.pre : qkv_grad + 3 * c * (c + 1);
  if (!l.mlp_factor) d_mlp = const_cast<float*>(dy);
  if (!l.attention_factor) d_out = d_middle;
  const auto sum_norms = [&](float* gain, float* bias) {
    kernels().column_sum(norm_sums, chunks_of(l.rows), 2 * c, c, gain);
    kernels().column_sum(norm_sums + c, chunks_of(l.rows), 2 * c, c, bias);
  };
  // dx = the gradient of a layer norm whose output has the gradient d, + rest; `normed` receives that output again
  const auto through_norm = [&](size_t chunk, size_t from, size_t rows, const float* in, const float* gain, const float* bias, const float* d, const float* rest, float* out, float* moments) {
    float *mean = moments, *rstd = moments + rows, *sums = norm_sums + 2 * chunk * c;
    std::memset(sums, 0, 2 * c * sizeof(float));
    kernels().layer_norm(in + from * c, gain, bias, normed + from * c, mean, rstd, rows, c, l.eps);
    kernels().layer_norm_grad(d, in + from * c, gain, mean, rstd, out + from * c, sums, sums + c, rows, c);
    kernels().binary(Binary::add, out + from * c, true, rest + from * c, true, out + from * c, rows * c);
  };

  Factor fc2 = backward_of(w.fc2, hidden, c), fc1 = backward_of(w.fc1, c, hidden), out = backward_of(w.out, c, c);
  Factor q = backward_of(w.q, c, c), k = backward_of(w.k, c, c), v = backward_of(w.v, c, c);
  Factor again = forward_of(w.fc1, c, hidden);
  if (saved.pre) pack({&fc2, &fc1, &out, &q, &k, &v});
  else pack({&again, &fc2, &fc1, &out, &q, &k, &v});

  in_chunks(l.rows, [&](size_t chunk, size_t from, size_t rows) {
    static thread_local Scratch scratch;
    float* d_normed = scratch.get(rows * (c + 2));
    if (l.mlp_factor) scale_rows(dy + from * c, l.mlp_factor + from, d_mlp + from * c, rows, c);
    if (!saved.pre) {
      kernels().layer_norm(saved.middle + from * c, w.norm2, w.norm2_bias, normed + from * c, d_normed + rows * c, d_normed + rows * (c + 1), rows, c, l.eps);
      again.times(normed + from * c, c, rows, inner + from * hidden, with_bias(w.fc1_bias));
    }
    Epilogue through;
    through.through = inner + from * hidden;
    through.slope_of = l.activation;
    fc2.times(d_mlp + from * c, c, rows, d_inner + from * hidden, through);
    fc1.times(d_inner + from * hidden, hidden, rows, d_normed, Epilogue{});
    through_norm(chunk, from, rows, saved.middle, w.norm2, w.norm2_bias, d_normed, dy, d_middle, d_normed + rows * c);
    if (l.attention_factor) scale_rows(d_middle + from * c, l.attention_factor + from, d_out + from * c, rows, c);
    out.times(d_out + from * c, c, rows, d_attended + from * c, Epilogue{});
  });
  sum_norms(grad.norm2, grad.norm2_bias);
  weight_gradient(d_mlp, c, inner, hidden, l.rows, grad.fc2, grad.fc2_bias);
  weight_gradient(d_inner, hidden, normed, c, l.rows, grad.fc1, grad.fc1_bias);
  weight_gradient(d_out, c, saved.attended, c, l.rows, grad.out, grad.out_bias);

  float* d_qkv = d_inner;
  attention_grad(attention_of(l), {d_attended, c}, {saved.q, c}, {saved.k, c}, {saved.v, c}, saved.log_sum, {d_qkv, 3 * c}, {d_qkv + c, 3 * c}, {d_qkv + 2 * c, 3 * c});
  in_chunks(l.rows, [&](size_t chunk, size_t from, size_t rows) {
    static thread_local Scratch scratch;
    float* d_normed = scratch.get(rows * (c + 2));
    const float* d = d_qkv + from * 3 * c;
    q.times(d, 3 * c, rows, d_normed, Epilogue{});
    k.times(d + c, 3 * c, rows, d_normed, Epilogue{}, true);
    v.times(d + 2 * c, 3 * c, rows, d_normed, Epilogue{}, true);
    through_norm(chunk, from, rows, x, w.norm1, w.norm1_bias, d_normed, d_middle, dx, d_normed + rows * c);
  });
  sum_norms(grad.norm1, grad.norm1_bias);
  weight_gradient(d_qkv, 3 * c, normed, c, l.rows, qkv_grad, qkv_grad + 3 * c * c);
  float* const matrices[] = {grad.q, grad.k, grad.v};
  float* const biases[] = {grad.q_bias, grad.k_bias, grad.v_bias};
  for (size_t i = 0; i < 3; i++) {
    std::memcpy(matrices[i], qkv_grad + i * c * c, c * c * sizeof(float));
    std::memcpy(biases[i], qkv_grad + 3 * c * c + i * c, c * sizeof(float));
  }
}

}  // namespace gvx
