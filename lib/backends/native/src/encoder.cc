// A pre-norm transformer layer as one operation: x + attention(norm(x)), then + mlp(norm(…)). Everything that works row by
// row runs on a few dozen rows at a time, from the layer norm to the residual, while they are in the cache of one core;
// only the heads of attention need all rows of a sample at once. Where rows are cut depends on the shape alone, so the
// sums over them are the same with any number of threads.
#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "ops.h"
#include "pool.h"

namespace gvx {

namespace {

constexpr size_t ROWS = 112;      // of a chunk: eight register tiles high
constexpr size_t FEWEST = 28;     // rows that are worth a chunk of their own
constexpr size_t FEW_CHUNKS = 8;
constexpr size_t PARTS = 12;      // of all rows, that have sums of their own
constexpr size_t FEW_WEIGHTS = 64 * 1024;     // of a layer: their gradients fit the cache of a core beside the rows they come from
constexpr size_t MANY_INNER = 512 * 1024;     // numbers between the two products of the MLP, which do not

size_t chunks_of(size_t rows) { return std::max<size_t>({1, rows / ROWS, std::min(FEW_CHUNKS, rows / FEWEST)}); }

template <class F>
void in_chunks(size_t rows, F&& work) {
  const size_t chunks = chunks_of(rows);
  Pool::instance().run(static_cast<int>(chunks), [&](int i) {
    const size_t begin = rows * i / chunks, end = rows * (i + 1) / chunks;
    work(static_cast<size_t>(i), begin, end - begin);
  });
}

/** Whether the gradients of the weights are summed while the rows they come from are in the cache, in each part of all rows by itself. */
bool sums_in_parts(const EncoderLayer& l) { return l.channels * (4 * l.channels + 2 * l.hidden) <= FEW_WEIGHTS && l.rows * l.hidden >= MANY_INNER; }
size_t parts_of(const EncoderLayer& l) { return sums_in_parts(l) ? std::min(PARTS, chunks_of(l.rows)) : chunks_of(l.rows); }

/** work(part, from, rows): the chunks of a part one after the other. */
template <class F>
void in_parts(const EncoderLayer& l, F&& work) {
  const size_t parts = parts_of(l);
  Pool::instance().run(static_cast<int>(parts), [&](int part) {
    const size_t begin = l.rows * part / parts, rows = l.rows * (part + 1) / parts - begin;
    const size_t chunks = std::max<size_t>(1, (rows + ROWS / 2) / ROWS);
    for (size_t i = 0; i < chunks; i++) work(static_cast<size_t>(part), begin + rows * i / chunks, rows * (i + 1) / chunks - rows * i / chunks);
  });
}

/** A matrix by which rows are multiplied, packed. */
struct Factor {
  Gemm g;
  const float* packed = nullptr;
  size_t panels() const { return (g.N + kernels().nr - 1) / kernels().nr; }
  size_t floats() const { return panels() * kernels().nr * g.K; }

  void times(const float* x, size_t x_stride, size_t rows, float* y, const Epilogue& epilogue) const {
    Gemm one = g;
    one.A = x, one.a_row = static_cast<ptrdiff_t>(x_stride), one.a_col = 1;
    one.M = rows;
    one.C = y, one.ldc = static_cast<ptrdiff_t>(g.N);
    one.epilogue = epilogue;
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

/** Packs the factors that are not packed yet; at most six. They stay until the next call. */
void pack(std::initializer_list<Factor*> factors) {
  static thread_local Scratch memory;
  struct Fresh {
    Factor* factor;
    float* packed;
    size_t first, last;
  };
  Fresh fresh[6];
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

/** dyᵀ @ x: the gradient of w [out, in]. */
Gemm gradient_of(const float* dy, size_t out, const float* x, size_t in, size_t rows, float* w) {
  Gemm g;
  g.M = out, g.N = in, g.K = rows;
  g.A = dy, g.a_row = 1, g.a_col = static_cast<ptrdiff_t>(out);
  g.B = x, g.b_row = static_cast<ptrdiff_t>(in), g.b_col = 1;
  g.C = w, g.ldc = static_cast<ptrdiff_t>(in);
  return g;
}

/** w [out, in] = dyᵀ @ x over all rows, and the sum of the rows of dy. */
void weight_gradient(const float* dy, size_t out, const float* x, size_t in, size_t rows, float* w, float* bias) {
  gemm(gradient_of(dy, out, x, in, rows, w));
  reduce(Reduction::sum, dy, bias, 1, rows, out);
}

/** Adds what some rows give. */
void add_weight_gradient(const float* dy, size_t out, const float* x, size_t in, size_t rows, float* w, float* bias) {
  Gemm g = gradient_of(dy, out, x, in, rows, w);
  g.accumulate = true;
  gemm_serial(g);
  static thread_local Scratch scratch;
  float* sum = scratch.get(out);
  kernels().column_sum(dy, rows, out, out, sum);
  kernels().binary(Binary::add, sum, true, bias, true, bias, out);
}

/** Where the gradients of a layer lie that a part sums: those of the norms, and the others where it sums them all. */
struct Sums {
  size_t norm1, norm1_bias, norm2, norm2_bias, norms, qkv, qkv_bias, out, out_bias, fc1, fc1_bias, fc2, fc2_bias, all;
  explicit Sums(const EncoderLayer& l) {
    const size_t c = l.channels;
    size_t at = 0;
    const auto next = [&](size_t n) { return std::exchange(at, at + n); };
    norm1 = next(c), norm1_bias = next(c), norm2 = next(c), norm2_bias = next(c), norms = at;
    qkv = next(3 * c * c), qkv_bias = next(3 * c), out = next(c * c), out_bias = next(c);
    fc1 = next(c * l.hidden), fc1_bias = next(l.hidden), fc2 = next(c * l.hidden), fc2_bias = next(c);
    all = at;
  }
};

/** Where what a backward pass works with lies. */
struct GradWork {
  size_t d_inner, d_qkv, d_middle, d_attended, sums, total, normed, d_mlp, d_out, inner, floats;
  explicit GradWork(const EncoderLayer& l) {
    const size_t size = l.rows * l.channels;
    const bool in_cache = sums_in_parts(l);
    const Sums each(l);
    size_t at = 0;
    const auto next = [&](size_t n) { return std::exchange(at, at + n); };
    // the first is done with when the second begins; summed in the cache the first, and what follows `total`, is a chunk's own
    d_inner = d_qkv = next(l.rows * std::max(in_cache ? 0 : l.hidden, 3 * l.channels));
    d_middle = next(size), d_attended = next(size);
    sums = next(parts_of(l) * (in_cache ? each.all : each.norms)), total = next(in_cache ? each.all : each.out);  // norms and qkv at least
    normed = next(in_cache ? 0 : size);
    d_mlp = next(l.mlp_factor && !in_cache ? size : 0), d_out = next(l.attention_factor && !in_cache ? size : 0);
    inner = next(in_cache ? 0 : l.rows * l.hidden);
    floats = at;
  }
};

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

size_t encoder_grad_work(const EncoderLayer& l) { return GradWork(l).floats; }

void encoder_layer_grad(const EncoderLayer& l, const EncoderWeights<const float>& w, const float* x, const float* dy, const EncoderSaved& saved, float* dx, const EncoderWeights<float>& grad, float* work) {
  const size_t c = l.channels, hidden = l.hidden, parts = parts_of(l);
  const bool in_cache = sums_in_parts(l);
  const Sums each(l);
  const GradWork at(l);
  const size_t stride = in_cache ? each.all : each.norms;
  float *d_middle = work + at.d_middle, *d_attended = work + at.d_attended, *d_qkv = work + at.d_qkv, *sums = work + at.sums, *total = work + at.total;
  std::memset(sums, 0, parts * stride * sizeof(float));

  // dx = the gradient of a layer norm whose output has the gradient d, + rest; `normed` receives that output again
  const auto through_norm = [&](size_t rows, const float* in, const float* gain, const float* bias, const float* d, const float* rest, float* out, float* normed, float* moments, float* d_gain, float* d_bias) {
    float *mean = moments, *rstd = moments + rows;
    kernels().layer_norm(in, gain, bias, normed, mean, rstd, rows, c, l.eps);
    kernels().layer_norm_grad(d, in, gain, mean, rstd, out, d_gain, d_bias, rows, c);
    kernels().binary(Binary::add, out, true, rest, true, out, rows * c);
  };

  float* stacked = total + each.qkv;  // the weights of q, k and v; it is free until their gradients come
  const float* const of_qkv[] = {w.q, w.k, w.v};
  for (size_t i = 0; i < 3; i++) std::memcpy(stacked + i * c * c, of_qkv[i], c * c * sizeof(float));
  Factor fc2 = backward_of(w.fc2, hidden, c), fc1 = backward_of(w.fc1, c, hidden), out = backward_of(w.out, c, c), qkv = backward_of(stacked, c, 3 * c);
  Factor again = forward_of(w.fc1, c, hidden);
  if (saved.pre) pack({&fc2, &fc1, &out, &qkv});
  else pack({&again, &fc2, &fc1, &out, &qkv});

  // what goes into the activation, and then what comes out of it
  float* inner = saved.pre ? saved.pre : work + at.inner;
  in_parts(l, [&](size_t part, size_t from, size_t rows) {
    static thread_local Scratch scratch;
    float* sum = sums + part * stride;
    float* local = scratch.get(rows * (4 * c + 2 * hidden + 2));
    const auto take = [&](size_t n) { return std::exchange(local, local + rows * n); };
    const auto rows_of = [&](float* all, size_t n) { return in_cache ? take(n) : all + from * n; };
    float *d_normed = take(c), *moments = take(2);
    float *normed = rows_of(work + at.normed, c), *d_inner = rows_of(work + at.d_inner, hidden);
    float* t = saved.pre ? inner + from * hidden : rows_of(inner, hidden);
    const float *d_mlp = dy + from * c, *middle = saved.middle + from * c, *d_out = d_middle + from * c;
    if (l.mlp_factor) {
      float* scaled = rows_of(work + at.d_mlp, c);
      scale_rows(d_mlp, l.mlp_factor + from, scaled, rows, c);
      d_mlp = scaled;
    }
    if (!saved.pre) {
      kernels().layer_norm(middle, w.norm2, w.norm2_bias, normed, moments, moments + rows, rows, c, l.eps);
      again.times(normed, c, rows, t, with_bias(w.fc1_bias));
    }
    Epilogue through;
    through.through = t;
    through.slope_of = l.activation;
    fc2.times(d_mlp, c, rows, d_inner, through);
    fc1.times(d_inner, hidden, rows, d_normed, Epilogue{});
    through_norm(rows, middle, w.norm2, w.norm2_bias, d_normed, dy + from * c, d_middle + from * c, normed, moments, sum + each.norm2, sum + each.norm2_bias);
    if (l.attention_factor) {
      float* scaled = rows_of(work + at.d_out, c);
      scale_rows(d_out, l.attention_factor + from, scaled, rows, c);
      d_out = scaled;
    }
    out.times(d_out, c, rows, d_attended + from * c, Epilogue{});
    if (!in_cache) return;
    add_weight_gradient(d_mlp, c, t, hidden, rows, sum + each.fc2, sum + each.fc2_bias);
    add_weight_gradient(d_inner, hidden, normed, c, rows, sum + each.fc1, sum + each.fc1_bias);
    add_weight_gradient(d_out, c, saved.attended + from * c, c, rows, sum + each.out, sum + each.out_bias);
  });
  if (!in_cache) {
    weight_gradient(l.mlp_factor ? work + at.d_mlp : dy, c, inner, hidden, l.rows, grad.fc2, grad.fc2_bias);
    weight_gradient(work + at.d_inner, hidden, work + at.normed, c, l.rows, grad.fc1, grad.fc1_bias);
    weight_gradient(l.attention_factor ? work + at.d_out : d_middle, c, saved.attended, c, l.rows, grad.out, grad.out_bias);
  }

  attention_grad(attention_of(l), {d_attended, c}, {saved.q, c}, {saved.k, c}, {saved.v, c}, saved.log_sum, {d_qkv, 3 * c}, {d_qkv + c, 3 * c}, {d_qkv + 2 * c, 3 * c});
  in_parts(l, [&](size_t part, size_t from, size_t rows) {
    static thread_local Scratch scratch;
    float* sum = sums + part * stride;
    float* d_normed = scratch.get(rows * (2 * c + 2));
    float *moments = d_normed + rows * c, *normed = in_cache ? moments + 2 * rows : work + at.normed + from * c;
    const float* d = d_qkv + from * 3 * c;
    qkv.times(d, 3 * c, rows, d_normed, Epilogue{});
    through_norm(rows, x + from * c, w.norm1, w.norm1_bias, d_normed, d_middle + from * c, dx + from * c, normed, moments, sum + each.norm1, sum + each.norm1_bias);
    if (in_cache) add_weight_gradient(d, 3 * c, normed, c, rows, sum + each.qkv, sum + each.qkv_bias);
  });
  if (!in_cache) weight_gradient(d_qkv, 3 * c, work + at.normed, c, l.rows, total + each.qkv, total + each.qkv_bias);

  Pool::instance().range(stride, 4096, [&](size_t begin, size_t end) { kernels().column_sum(sums + begin, parts, stride, end - begin, total + begin); });
  const auto give = [&](size_t from, float* to, size_t n) { std::memcpy(to, total + from, n * sizeof(float)); };
  give(each.norm1, grad.norm1, c), give(each.norm1_bias, grad.norm1_bias, c), give(each.norm2, grad.norm2, c), give(each.norm2_bias, grad.norm2_bias, c);
  float *const matrices[] = {grad.q, grad.k, grad.v}, *const biases[] = {grad.q_bias, grad.k_bias, grad.v_bias};
  for (size_t i = 0; i < 3; i++) give(each.qkv + i * c * c, matrices[i], c * c), give(each.qkv_bias + i * c, biases[i], c);
  if (!in_cache) return;
  give(each.out, grad.out, c * c), give(each.out_bias, grad.out_bias, c);
  give(each.fc1, grad.fc1, c * hidden), give(each.fc1_bias, grad.fc1_bias, hidden);
  give(each.fc2, grad.fc2, c * hidden), give(each.fc2_bias, grad.fc2_bias, c);
}

}  // namespace gvx
