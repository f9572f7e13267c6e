// Runs every operation of the native backend on arrays of exactly the size they should need, with 1, 2, 3 and 7 threads,
// for the sanitizers (scripts/check-native.sh), and compares the products with a plain loop.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <vector>

#include "../../../lib/backends/native/src/ops.h"
#include "../../../lib/backends/native/src/pool.h"

using namespace gvx;
using Array = std::vector<float>;

static uint32_t state = 1;
static float number() {
  state = state * 1664525u + 1013904223u;
  return static_cast<float>(state >> 8) / 8388608.f - 1.f;
}
static Array numbers(size_t n) {
  Array out(n);
  for (float& x : out) x = number();
  return out;
}
static size_t pick(size_t most) { return 1 + static_cast<size_t>((number() + 1.f) / 2.f * static_cast<float>(most)) % most; }

static int failures = 0;
static void expect_near(double actual, double expected, double scale, const char* what) {
  if (std::fabs(actual - expected) <= 1e-4 * (1 + scale)) return;
  std::printf("%s: %g, expected %g\n", what, actual, expected);
  failures++;
}

static void products(size_t m, size_t n, size_t k, bool ta, bool tb) {
  const Array a = numbers(m * k), b = numbers(k * n), bias = numbers(n);
  Array c(m * n);
  Gemm g;
  g.M = m, g.N = n, g.K = k;
  g.A = a.data(), g.a_row = static_cast<ptrdiff_t>(ta ? 1 : k), g.a_col = static_cast<ptrdiff_t>(ta ? m : 1);
  g.B = b.data(), g.b_row = static_cast<ptrdiff_t>(tb ? 1 : n), g.b_col = static_cast<ptrdiff_t>(tb ? k : 1);
  g.C = c.data(), g.ldc = static_cast<ptrdiff_t>(n);
  if (k % 2) g.epilogue.bias = bias.data();
  gemm(g);
  for (size_t i = 0; i < m; i += 1 + m / 5)
    for (size_t j = 0; j < n; j += 1 + n / 5) {
      double sum = k % 2 ? bias[j] : 0;
      for (size_t q = 0; q < k; q++) sum += static_cast<double>(a[ta ? q * m + i : i * k + q]) * b[tb ? j * k + q : q * n + j];
      expect_near(c[i * n + j], sum, std::sqrt(static_cast<double>(k)), "product");
    }
}

static void layers(size_t rows, size_t in, size_t out) {
  const Array x = numbers(rows * in), w = numbers(out * in), b = numbers(out), d = numbers(rows * in);
  Array y(rows * out), pre(rows * out);
  for (int activation = 0; activation < 4; activation++)
    linear({rows, in, out, static_cast<Activation>(activation)}, x.data(), w.data(), b.data(), activation ? pre.data() : nullptr, y.data());
  if (out % weight_panel() == 0) {
    Array packed = w, again(rows * out);
    pack_weight(packed.data(), in, out);
    linear({rows, in, out, Activation::quick_gelu}, x.data(), nullptr, b.data(), nullptr, again.data(), packed.data());
    if (y != again) std::puts("a packed weight gives another product"), failures++;
    unpack_weight(packed.data(), in, out);
    if (packed != w) std::puts("a weight is not what it was before it was packed"), failures++;
  }
  Array z(rows * in), mean(rows), rstd(rows), gain = numbers(in), dx(rows * in), dgain(in), dbias(in);
  layer_norm(x.data(), gain.data(), gain.data(), z.data(), mean.data(), rstd.data(), rows, in, 1e-5f);
  layer_norm_grad(d.data(), x.data(), gain.data(), mean.data(), rstd.data(), dx.data(), dgain.data(), dbias.data(), rows, in);
  l2_normalize(x.data(), z.data(), rstd.data(), rows, in, 1e-12f);
  l2_normalize_grad(d.data(), z.data(), rstd.data(), dx.data(), rows, in);
  Array unit(rows * in), inverse(in), variance(in), center(in);
  batch_norm(x.data(), gain.data(), gain.data(), z.data(), unit.data(), inverse.data(), center.data(), variance.data(), rows, in, 1e-5f);
  batch_norm_grad(d.data(), unit.data(), inverse.data(), gain.data(), dx.data(), dgain.data(), dbias.data(), rows, in);
  expect_near(cross_entropy(x.data(), x.data(), z.data(), rows, in) * 0, 0, 0, "cross-entropy");
  cross_entropy_grad(z.data(), x.data(), 0.5f, dx.data(), rows, in);
}

static void attend(size_t batch, size_t heads, size_t queries, size_t keys, size_t size, bool causal) {
  const size_t c = heads * size;
  const Array q = numbers(batch * queries * c), k = numbers(batch * keys * c), v = numbers(batch * keys * c);
  Array y(q.size()), sums(batch * heads * queries), dq(q.size()), dk(k.size()), dv(k.size());
  const Attention a{batch, heads, queries, keys, size, 0.3f, causal};
  attention(a, {q.data(), c}, {k.data(), c}, {v.data(), c}, {y.data(), c}, sums.data());
  attention_grad(a, {y.data(), c}, {q.data(), c}, {k.data(), c}, {v.data(), c}, sums.data(), {dq.data(), c}, {dk.data(), c}, {dv.data(), c});
  double sum = 0, most = -1e9;  // the first output of the first head, query 0
  for (size_t j = 0; j < (causal ? 1 : keys); j++) {
    double s = 0;
    for (size_t i = 0; i < size; i++) s += static_cast<double>(q[i]) * k[j * c + i];
    most = std::fmax(most, s * 0.3);
  }
  double value = 0;
  for (size_t j = 0; j < (causal ? 1 : keys); j++) {
    double s = 0;
    for (size_t i = 0; i < size; i++) s += static_cast<double>(q[i]) * k[j * c + i];
    const double e = std::exp(s * 0.3 - most);
    sum += e;
    value += e * v[j * c];
  }
  expect_near(y[0], value / sum, 1, "attention");
}

/** Every sample but the first goes on from up to `before` rows of those before it. */
static void encode(const std::vector<int32_t>& lengths, int32_t before, size_t heads, size_t size, size_t hidden, bool causal, bool factors) {
  std::vector<int32_t> starts{0}, prefix_starts{0}, prefixes;
  size_t longest = 0;
  for (const int32_t n : lengths) {
    const int32_t shared = std::min(before, starts.back());
    for (int32_t i = 0; i < shared; i++) prefixes.push_back(i);
    prefix_starts.push_back(prefix_starts.back() + shared);
    longest = std::max(longest, static_cast<size_t>(shared + n));
    starts.push_back(starts.back() + n);
  }
  const Sequences sequences{starts.data(), prefix_starts.data(), prefixes.data()};
  const size_t rows = static_cast<size_t>(starts.back()), c = heads * size;
  const Array factor = numbers(rows), x = numbers(rows * c), dy = numbers(rows * c);
  const EncoderLayer l{rows, c, hidden, heads, lengths.size(), longest, 0.3f, 1e-5f, causal, Activation::gelu, sequences, factors ? factor.data() : nullptr, factors ? factor.data() : nullptr};
  const size_t sizes[] = {c, c, c * c, c, c * c, c, c * c, c, c * c, c, c, c, hidden * c, hidden, c * hidden, c};
  std::vector<Array> weights, gradients;
  for (const size_t n : sizes) weights.push_back(numbers(n)), gradients.emplace_back(n);
  const auto of = [](auto& arrays, auto* as) {
    using Number = std::remove_pointer_t<decltype(as)>;
    return EncoderWeights<Number>{arrays[0].data(), arrays[1].data(), arrays[2].data(), arrays[3].data(), arrays[4].data(), arrays[5].data(), arrays[6].data(), arrays[7].data(), arrays[8].data(), arrays[9].data(), arrays[10].data(), arrays[11].data(), arrays[12].data(), arrays[13].data(), arrays[14].data(), arrays[15].data()};
  };
  const auto w = of(weights, static_cast<const float*>(nullptr));
  Array q(rows * c), k(rows * c), v(rows * c), attended(rows * c), middle(rows * c), sums(rows * heads), pre(rows * hidden), y(rows * c), z(rows * c), dx(rows * c);
  encoder_layer(l, w, x.data(), y.data(), {q.data(), k.data(), v.data(), attended.data(), nullptr, nullptr, nullptr});
  const EncoderSaved saved{q.data(), k.data(), v.data(), attended.data(), middle.data(), sums.data(), pre.data()};
  encoder_layer(l, w, x.data(), z.data(), saved);
  for (size_t i = 0; i < y.size(); i += 1 + y.size() / 7) expect_near(y[i], z[i], 0, "layer");
  if (c % weight_panel() == 0) {
    Array once = weights[4], twice = weights[14], same(rows * c);
    pack_weight(once.data(), c, c);
    pack_weight(twice.data(), hidden, c);
    encoder_layer(l, w, x.data(), same.data(), {q.data(), k.data(), v.data(), attended.data(), nullptr, nullptr, nullptr}, {nullptr, once.data(), nullptr, nullptr, nullptr, twice.data()});
    if (y != same) std::puts("packed weights give another layer"), failures++;
  }
  Array work(encoder_grad_work(l));
  Array dz(rows * c);
  EncoderSaved less = saved;
  less.pre = nullptr;
  encoder_layer_grad(l, w, x.data(), dy.data(), less, dz.data(), of(gradients, static_cast<float*>(nullptr)), work.data());
  encoder_layer_grad(l, w, x.data(), dy.data(), saved, dx.data(), of(gradients, static_cast<float*>(nullptr)), work.data());
  for (size_t i = 0; i < dx.size(); i += 1 + dx.size() / 7) expect_near(dx[i], dz[i], 0, "gradient of a layer");
}

static void elements(size_t a, size_t b, size_t c) {
  const size_t n = a * b * c;
  const Array x = numbers(n), column = numbers(b);
  Array y(n);
  for (int op = 0; op < static_cast<int>(Unary::count); op++) unary(static_cast<Unary>(op), x.data(), y.data(), n, 0.1f);
  const int32_t shape[] = {static_cast<int32_t>(a), static_cast<int32_t>(b), static_cast<int32_t>(c)};
  const int32_t whole[] = {static_cast<int32_t>(b * c), static_cast<int32_t>(c), 1}, middle[] = {0, 1, 0};
  for (int op = 0; op < static_cast<int>(Binary::count); op++) binary(static_cast<Binary>(op), x.data(), column.data(), y.data(), shape, whole, middle, 3);
  Array z(a * c);
  for (int kind = 0; kind < 3; kind++) reduce(static_cast<Reduction>(kind), x.data(), z.data(), a, b, c);
  Array s(a * b);
  for (int kind = 0; kind < 3; kind++) reduce(static_cast<Reduction>(kind), x.data(), s.data(), a * b, c, 1);
  std::vector<int32_t> best(a * c);
  argmax(x.data(), best.data(), a, b, c);
  softmax(x.data(), y.data(), a, b, c);
  Array d(n);
  softmax_grad(x.data(), y.data(), d.data(), a, b, c, 1.f);
  softmax(x.data(), y.data(), a * b, c, 1);
  softmax_grad(x.data(), y.data(), d.data(), a * b, c, 1, 1.f);
  const int32_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (const auto& order : orders) transpose(x.data(), y.data(), shape, order, 3);
  copy_rows(x.data(), b * c, y.data(), b * c, a, b * c);
  assign_groups(x.data(), x.data(), y.data(), d.data(), a, b, c, 0.7f);
  std::vector<int32_t> ids(c);
  for (auto& id : ids) id = static_cast<int32_t>(pick(a) - 1);
  Array rows(c * b * c), table = numbers(n);
  gather(table.data(), ids.data(), c, rows.data(), b * c);
  scatter_add(rows.data(), ids.data(), c, table.data(), a, b * c);
  Array first(n), second(n);
  std::vector<int32_t> moments(a), gradients(a);
  for (size_t i = 0; i < a; i++) moments[i] = pick(2) == 1 ? static_cast<int32_t>(i) : -1, gradients[i] = pick(2) == 1 ? static_cast<int32_t>(a - 1 - i) : -1;
  const AdamW step{1.f, 1e-3f, 0.9f, 0.999f, 1e-8f, 1.f, 0.99f};
  adamw(step, table.data(), first.data(), second.data(), x.data(), n);
  adamw_table(step, table.data(), first.data(), second.data(), x.data(), moments.data(), gradients.data(), a, b * c);
  const Resize r{1, a, b, c, b, a, false, true};
  Array resized(a * b * c);
  resize_bilinear(r, x.data(), resized.data());
  expect_near(sum_of_squares(x.data(), n), sum_of_squares(x.data(), n), 0, "sum");
}

int main() {
  for (const int threads : {1, 2, 3, 7}) {
    Pool::instance().resize(threads);
    for (int i = 0; i < 12; i++) products(pick(90), pick(90), pick(90), pick(2) == 1, pick(2) == 1);
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        products(150, 120, 90, ta, tb);
        products(37, 45, 1100, ta, tb);
        products(60, 1030, 400, ta, tb);
        products(16, 16, 1024, ta, tb);
      }
    layers(pick(300), pick(80), pick(80));
    layers(701, 64, 130);
    layers(40, 45, 96);
    attend(2, 3, pick(40), pick(40), pick(20), false);
    attend(2, 2, 50, 50, 16, true);
    attend(1, 1, 270, 270, 8, true);
    attend(1, 2, 5, 33, 64, false);
    encode({static_cast<int32_t>(pick(40)), 1, static_cast<int32_t>(pick(300))}, static_cast<int32_t>(pick(30)), 2, pick(20), pick(90), true, false);
    encode({50, 50, 50}, 0, 3, 8, 96, false, true);
    encode({30, 9}, 0, 2, 32, 70, false, false);
    encode(std::vector<int32_t>(130, 33), 3, 1, 16, 128, true, true);  // the gradients of the weights are summed in parts
    elements(pick(9), pick(9), pick(9));
    elements(40, 33, 50);
    std::printf("%d threads, %s: %s\n", threads, kernels().name, failures ? "FAILED" : "ok");
  }
  Pool::instance().resize(1);
  return failures ? 1 : 0;
}
