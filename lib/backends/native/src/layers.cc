// The layers of the model as single operations, forward and backward.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops.h"
#include "pool.h"

namespace gvx {

namespace {
constexpr size_t GRAIN = 16384;    // numbers a thread should at least get
constexpr size_t PARTIALS = 16;    // pieces of a sum over rows; fixed, so that it does not depend on the threads
constexpr size_t QUERIES = 256;    // rows of attention weights held at a time
constexpr double WORTH = 4e5;      // multiply-adds of a piece of attention

size_t grain(size_t per_row) { return GRAIN / (per_row + 1) + 1; }
}  // namespace

size_t weight_panel() { return kernels().nr; }

namespace {
/** Turns each panel of `rows` x `columns` numbers where it lies, to `columns` x `rows`. */
void turn_panels(float* panels, size_t count, size_t rows, size_t columns) {
  const size_t size = rows * columns;
  Pool::instance().range(count, grain(size), [&](size_t begin, size_t end) {
    static thread_local Scratch scratch;
    float* turned = scratch.get(size);
    for (float* panel = panels + begin * size; panel != panels + end * size; panel += size) {
      kernels().transpose(panel, turned, rows, columns, static_cast<ptrdiff_t>(columns), static_cast<ptrdiff_t>(rows));
      std::memcpy(panel, turned, size * sizeof(float));
    }
  });
}
}  // namespace

void pack_weight(float* w, size_t in, size_t out) { turn_panels(w, out / weight_panel(), weight_panel(), in); }

void unpack_weight(float* w, size_t in, size_t out) { turn_panels(w, out / weight_panel(), in, weight_panel()); }

void linear(const Linear& l, const float* x, const float* w, const float* b, float* pre, float* y, const float* packed) {
  Gemm g;
  g.M = l.rows, g.N = l.out, g.K = l.in;
  g.B = w, g.b_row = 1, g.b_col = static_cast<ptrdiff_t>(l.in);
  g.packed = packed;
  g.A = x, g.a_row = static_cast<ptrdiff_t>(l.in), g.a_col = 1;
  g.C = y, g.ldc = static_cast<ptrdiff_t>(l.out);
  g.epilogue.bias = b;
  g.epilogue.pre = pre;
  g.epilogue.activation = l.activation;
  gemm(g);
}

void layer_norm(const float* x, const float* gain, const float* bias, float* y, float* mean, float* rstd, size_t rows, size_t n, float eps) {
  Pool::instance().range(rows, grain(n), [&](size_t b, size_t e) { kernels().layer_norm(x + b * n, gain, bias, y + b * n, mean + b, rstd + b, e - b, n, eps); });
}

void layer_norm_grad(const float* dy, const float* x, const float* gain, const float* mean, const float* rstd, float* dx, float* dgain, float* dbias, size_t rows, size_t n) {
  static thread_local Scratch scratch;
  const size_t parts = std::max<size_t>(1, std::min(PARTIALS, rows * n / GRAIN));
  float* sums = scratch.get(parts * 2 * n);  // of each part: gain, bias
  std::memset(sums, 0, parts * 2 * n * sizeof(float));
  Pool::instance().run(static_cast<int>(parts), [&](int i) {
    const size_t b = rows * i / parts, e = rows * (i + 1) / parts;
    kernels().layer_norm_grad(dy + b * n, x + b * n, gain, mean + b, rstd + b, dx + b * n, sums + 2 * i * n, sums + (2 * i + 1) * n, e - b, n);
  });
  kernels().column_sum(sums, parts, 2 * n, n, dgain);
  kernels().column_sum(sums + n, parts, 2 * n, n, dbias);
}

void l2_normalize(const float* x, float* y, float* inverse, size_t rows, size_t n, float eps) {
  Pool::instance().range(rows, grain(n), [&](size_t b, size_t e) { kernels().l2_normalize(x + b * n, y + b * n, inverse + b, e - b, n, eps); });
}

void l2_normalize_grad(const float* dy, const float* y, const float* inverse, float* dx, size_t rows, size_t n) {
  Pool::instance().range(rows, grain(n), [&](size_t b, size_t e) { kernels().l2_normalize_grad(dy + b * n, y + b * n, inverse + b, dx + b * n, e - b, n); });
}

namespace {

/** A sample's rows: queries from `query`, keys from `key`; before them `before` keys that lie in the rows `prefix`. */
struct Sample {
  size_t query, key, queries, own_keys, before;
  const int32_t* prefix;
  size_t keys() const { return before + own_keys; }
};
Sample sample_of(const Attention& a, size_t index) {
  const Sequences& all = a.sequences;
  if (!all.starts) return {index * a.queries, index * a.keys, a.queries, a.keys, 0, nullptr};
  const size_t begin = static_cast<size_t>(all.starts[index]), n = static_cast<size_t>(all.starts[index + 1]) - begin;
  const int32_t first = all.prefix_starts[index];
  return {begin, begin, n, n, static_cast<size_t>(all.prefix_starts[index + 1] - first), all.prefixes + first};
}

/** Rows of a head of a sample that begin at `column`: where they lie, or with those of its prefix copied to `copy`. */
Heads rows_of(const Sample& s, Heads x, size_t column, size_t size, float* copy) {
  if (s.before == 0) return {x.data + s.key * x.stride + column, x.stride};
  for (size_t j = 0; j < s.before; j++) std::memcpy(copy + j * size, x.data + static_cast<size_t>(s.prefix[j]) * x.stride + column, size * sizeof(float));
  copy_rows_serial(x.data + s.key * x.stride + column, x.stride, copy + s.before * size, size, s.own_keys, size);
  return {copy, size};
}

/** Attention of `queries` queries from `from` on to the keys and values of their sample. */
HeadTask head_at(const Attention& a, const Sample& s, Heads q, Heads k, Heads v, size_t head, size_t from, size_t queries) {
  HeadTask t;
  t.queries = queries, t.keys = s.keys(), t.size = a.head_size;
  t.scale = a.scale;
  t.visible = a.causal ? s.before + from + 1 : 0;
  t.q = q.data + (s.query + from) * q.stride + head * a.head_size, t.q_stride = static_cast<ptrdiff_t>(q.stride);
  t.k = k.data, t.k_stride = static_cast<ptrdiff_t>(k.stride);
  t.v = v.data, t.v_stride = static_cast<ptrdiff_t>(v.stride);
  t.y = nullptr, t.y_stride = 0;
  t.log_sum = nullptr;
  return t;
}

/**
 * What a sample has found for the keys and values of a head, [keys, 2 size] each row of k and v: its own rows to dk and dv,
 * those of its prefix, which other samples have, too, to `shared` [before, 2 heads size].
 */
void hand_out(const Sample& s, const float* found, size_t column, size_t size, HeadsOut dk, HeadsOut dv, float* shared, size_t width) {
  copy_rows_serial(found, 2 * size, shared + column, 2 * width, s.before, size);
  copy_rows_serial(found + size, 2 * size, shared + width + column, 2 * width, s.before, size);
  found += s.before * 2 * size;
  copy_rows_serial(found, 2 * size, dk.data + s.key * dk.stride + column, dk.stride, s.own_keys, size);
  copy_rows_serial(found + size, 2 * size, dv.data + s.key * dv.stride + column, dv.stride, s.own_keys, size);
}

/** Adds what all samples have found for the rows of their prefixes, one sample after the other. */
void add_shared(const Attention& a, const float* shared, HeadsOut dk, HeadsOut dv) {
  const Sequences& all = a.sequences;
  const size_t size = a.head_size, width = a.heads * size;
  Pool::instance().run(static_cast<int>(a.heads), [&](int head) {
    const size_t column = static_cast<size_t>(head) * size;
    const auto add = [&](const float* found, float* sum) {
      for (size_t j = 0; j < size; j++) sum[j] += found[j];
    };
    for (int32_t i = 0; i < all.prefix_starts[a.batch]; i++) {
      const size_t row = static_cast<size_t>(all.prefixes[i]);
      const float* found = shared + static_cast<size_t>(i) * 2 * width + column;
      add(found, dk.data + row * dk.stride + column);
      add(found + width, dv.data + row * dv.stride + column);
    }
  });
}

}  // namespace

void attention(const Attention& a, Heads q, Heads k, Heads v, HeadsOut y, float* log_sum) {
  const size_t most = (a.queries + QUERIES - 1) / QUERIES;
  const double work = 2.0 * std::min(a.queries, QUERIES) * a.keys * a.head_size;
  Pool::instance().range(a.batch * a.heads * most, static_cast<size_t>(WORTH / (work + 1)) + 1, [&](size_t begin, size_t end) {
    static thread_local Scratch scratch, copies;
    for (size_t i = begin; i < end; i++) {
      const size_t index = i / most / a.heads, head = i / most % a.heads, column = head * a.head_size, block = i % most;
      const Sample s = sample_of(a, index);
      const size_t blocks = (s.queries + QUERIES - 1) / QUERIES;
      if (block >= blocks) continue;
      const size_t from = s.queries * block / blocks, n = s.queries * (block + 1) / blocks - from;
      float* copy = copies.get(2 * s.keys() * a.head_size);
      HeadTask t = head_at(a, s, q, rows_of(s, k, column, a.head_size, copy), rows_of(s, v, column, a.head_size, copy + s.keys() * a.head_size), head, from, n);
      if (a.causal) t.keys = std::min(s.keys(), s.before + from + n);  // nobody here sees more
      t.y = y.data + (s.query + from) * y.stride + column;
      t.y_stride = static_cast<ptrdiff_t>(y.stride);
      t.log_sum = log_sum ? log_sum + s.query * a.heads + head * s.queries + from : nullptr;
      kernels().attention_head(t, scratch.get(kernels().attention_scratch(n, t.keys, t.size)));
    }
  });
}

void attention_grad(const Attention& a, Heads dy, Heads q, Heads k, Heads v, const float* log_sum, HeadsOut dq, HeadsOut dk, HeadsOut dv) {
  const double work = 5.0 * a.queries * a.keys * a.head_size;
  const size_t size = a.head_size, width = a.heads * size;
  static thread_local Scratch of_prefixes;
  float* shared = a.sequences.starts ? of_prefixes.get(static_cast<size_t>(a.sequences.prefix_starts[a.batch]) * 2 * width) : nullptr;
  Pool::instance().range(a.batch * a.heads, static_cast<size_t>(WORTH / (work + 1)) + 1, [&](size_t begin, size_t end) {
    static thread_local Scratch scratch, copies;
    for (size_t i = begin; i < end; i++) {
      const size_t index = i / a.heads, head = i % a.heads, column = head * size;
      const Sample s = sample_of(a, index);
      const size_t blocks = (s.queries + QUERIES - 1) / QUERIES;
      float* copy = copies.get(4 * s.keys() * size);
      float* found = copy + 2 * s.keys() * size;
      const Heads its_k = rows_of(s, k, column, size, copy), its_v = rows_of(s, v, column, size, copy + s.keys() * size);
      const HeadsOut its_dk = s.before ? HeadsOut{found, 2 * size} : HeadsOut{dk.data + s.key * dk.stride + column, dk.stride};
      const HeadsOut its_dv = s.before ? HeadsOut{found + size, 2 * size} : HeadsOut{dv.data + s.key * dv.stride + column, dv.stride};
      for (size_t block = 0; block < blocks; block++) {
        const size_t from = s.queries * block / blocks, n = s.queries * (block + 1) / blocks - from, row = s.query + from;
        HeadGradTask g;
        g.forward = head_at(a, s, q, its_k, its_v, head, from, n);
        g.forward.log_sum = const_cast<float*>(log_sum) + s.query * a.heads + head * s.queries + from;
        g.dy = dy.data + row * dy.stride + column, g.dy_stride = static_cast<ptrdiff_t>(dy.stride);
        g.dq = dq.data + row * dq.stride + column, g.dq_stride = static_cast<ptrdiff_t>(dq.stride);
        g.dk = its_dk.data, g.dk_stride = static_cast<ptrdiff_t>(its_dk.stride);
        g.dv = its_dv.data, g.dv_stride = static_cast<ptrdiff_t>(its_dv.stride);
        g.accumulate = block > 0;
        kernels().attention_head_grad(g, scratch.get(kernels().attention_scratch(n, s.keys(), size)));
      }
      if (s.before) hand_out(s, found, column, size, dk, dv, shared + static_cast<size_t>(a.sequences.prefix_starts[index]) * 2 * width, width);
    }
  });
  if (shared) add_shared(a, shared, dk, dv);
}

void assign_groups(const float* logits, const float* noise, float* soft, float* hard, size_t batch, size_t groups, size_t tokens, float temperature) {
  const size_t size = groups * tokens;
  const float factor = 1.f / temperature;
  Pool::instance().range(batch, 8192 / (size + 1) + 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      const float* x = logits + i * size;
      float* s = soft + i * size;
      if (noise) kernels().binary(Binary::add, x, true, noise + i * size, true, s, size);
      else std::memcpy(s, x, size * sizeof(float));
      if (hard) {
        float* h = hard + i * size;
        std::memset(h, 0, size * sizeof(float));
        for (size_t t = 0; t < tokens; t++) {
          size_t best = 0;
          for (size_t g = 1; g < groups; g++)
            if (s[g * tokens + t] > s[best * tokens + t]) best = g;
          h[best * tokens + t] = 1.f;
        }
      }
      if (factor != 1.f) kernels().scale(s, factor, s, size);
      kernels().softmax_columns(s, s, groups, tokens);
    }
  });
}

float cross_entropy(const float* logits, const float* targets, float* probabilities, size_t rows, size_t n) {
  double total = 0;
  for (size_t r = 0; r < rows; r++) {
    const float *x = logits + r * n, *t = targets + r * n;
    float* p = probabilities + r * n;
    const float most = kernels().max(x, n);
    double sum = 0, weight = 0, dot = 0;
    for (size_t j = 0; j < n; j++) p[j] = x[j] - most;
    kernels().unary(Unary::exp, p, p, n, 0);
    sum = kernels().sum(p, n);
    for (size_t j = 0; j < n; j++) {
      weight += t[j];
      if (t[j] != 0.f) dot += static_cast<double>(t[j]) * (x[j] - most);
    }
    if (weight != 0) total += weight * std::log(sum);
    total -= dot;
    kernels().scale(p, static_cast<float>(1 / sum), p, n);
    if (most != most) total = most;
  }
  return static_cast<float>(total / static_cast<double>(rows));
}

void cross_entropy_grad(const float* probabilities, const float* targets, float factor, float* dx, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++) {
    const float *p = probabilities + r * n, *t = targets + r * n;
    const float weight = static_cast<float>(kernels().sum(t, n));
    for (size_t j = 0; j < n; j++) dx[r * n + j] = (p[j] * weight - t[j]) * factor;
  }
}

void batch_norm(const float* x, const float* gain, const float* bias, float* y, float* unit, float* inverse, float* mean, float* variance, size_t rows, size_t n, float eps) {
  // Pieces of columns: each thread walks down its own, twice, while they are in its cache.
  Pool::instance().range(n, GRAIN / (rows + 1) + 64, [&](size_t b, size_t e) {
    const size_t width = e - b;
    kernels().column_sum(x + b, rows, n, width, mean + b);
    kernels().scale(mean + b, 1.f / static_cast<float>(rows), mean + b, width);
    for (size_t j = b; j < e; j++) variance[j] = 0;
    for (size_t r = 0; r < rows; r++) {
      const float* row = x + r * n;
      for (size_t j = b; j < e; j++) variance[j] += (row[j] - mean[j]) * (row[j] - mean[j]);
    }
    for (size_t j = b; j < e; j++) {
      variance[j] /= static_cast<float>(rows);
      inverse[j] = 1.f / std::sqrt(variance[j] + eps);
    }
    for (size_t r = 0; r < rows; r++) {
      const float* from = x + r * n;
      float *u = unit + r * n, *to = y + r * n;
      for (size_t j = b; j < e; j++) {
        u[j] = (from[j] - mean[j]) * inverse[j];
        to[j] = u[j] * gain[j] + bias[j];
      }
    }
  });
}

void batch_norm_grad(const float* dy, const float* unit, const float* inverse, const float* gain, float* dx, float* dgain, float* dbias, size_t rows, size_t n) {
  Pool::instance().range(n, GRAIN / (rows + 1) + 64, [&](size_t b, size_t e) {
    for (size_t j = b; j < e; j++) dgain[j] = dbias[j] = 0;
    for (size_t r = 0; r < rows; r++) {
      const float *d = dy + r * n, *u = unit + r * n;
      for (size_t j = b; j < e; j++) {
        dbias[j] += d[j];
        dgain[j] += d[j] * u[j];
      }
    }
    const float share = 1.f / static_cast<float>(rows);
    for (size_t r = 0; r < rows; r++) {
      const float *d = dy + r * n, *u = unit + r * n;
      for (size_t j = b; j < e; j++) dx[r * n + j] = (d[j] - dbias[j] * share - u[j] * dgain[j] * share) * gain[j] * inverse[j];
    }
  });
}

}  // namespace gvx
