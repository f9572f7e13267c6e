// What the kernels cost: a second table of them that counts calls, time, arithmetic and memory, and the two ceilings of
// this machine to compare with. Time is that of the threads, so a kernel on two cores for one second took two.
#include "profile.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "isa.h"
#include "pool.h"

namespace gvx {

using Clock = std::chrono::steady_clock;

namespace {

struct Counter {
  std::atomic<uint64_t> calls{0}, nanoseconds{0}, operations{0}, bytes{0};
};
Counter counters[PROFILED];
double inside = 0;  // of the calling thread alone

class Timer {
 public:
  Timer(Profiled what, double operations, double numbers) : counter_(counters[static_cast<int>(what)]), start_(Clock::now()) {
    counter_.calls.fetch_add(1, std::memory_order_relaxed);
    counter_.operations.fetch_add(static_cast<uint64_t>(operations), std::memory_order_relaxed);
    counter_.bytes.fetch_add(static_cast<uint64_t>(numbers * sizeof(float)), std::memory_order_relaxed);
  }
  ~Timer() {
    const auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count();
    counter_.nanoseconds.fetch_add(static_cast<uint64_t>(spent), std::memory_order_relaxed);
  }

 private:
  Counter& counter_;
  Clock::time_point start_;
};

// Operations are multiplications and additions; an exponential counts as 20 of them, what exp_ of math.inl takes.
constexpr double EXP = 20;

double numbers_of(const Gemm& g, double rows, double columns) {
  const Epilogue& e = g.epilogue;
  const double written = 1 + (g.accumulate ? 1 : 0) + (e.pre ? 1 : 0) + (e.through ? 2 : 0) + (e.residual ? 1 : 0);
  return rows * static_cast<double>(g.K) + static_cast<double>(g.K) * columns + written * rows * columns;
}
double cost_of(Unary op) {
  switch (op) {
    case Unary::exp: case Unary::sigmoid: case Unary::tanh: case Unary::erf: case Unary::log: case Unary::gelu: case Unary::quick_gelu: return EXP;
    default: return 1;
  }
}

Kernels counting(const Kernels& plain) {
  static const Kernels& to = plain;
  Kernels k = plain;
  k.pack_b = [](const Gemm& g, size_t first, size_t last, float* packed) {
    const Timer timer(Profiled::pack, 0, 2.0 * static_cast<double>((last - first) * to.nr * g.K));
    to.pack_b(g, first, last, packed);
  };
  k.gemm_packed = [](const Gemm& g, const float* packed, size_t m0, size_t m1, size_t p0, size_t p1) {
    const double rows = static_cast<double>(m1 - m0), columns = static_cast<double>(std::min(g.N, p1 * to.nr) - std::min(g.N, p0 * to.nr));
    const Timer timer(Profiled::product, 2.0 * rows * columns * static_cast<double>(g.K), numbers_of(g, rows, columns));
    to.gemm_packed(g, packed, m0, m1, p0, p1);
  };
  k.unary = [](Unary op, const float* x, float* y, size_t n, float alpha) {
    const Timer timer(Profiled::elementwise, cost_of(op) * static_cast<double>(n), 2.0 * static_cast<double>(n));
    to.unary(op, x, y, n, alpha);
  };
  k.binary = [](Binary op, const float* a, bool a_varies, const float* b, bool b_varies, float* y, size_t n) {
    const bool costly = op == Binary::gelu_grad || op == Binary::quick_gelu_grad;
    const Timer timer(Profiled::elementwise, (costly ? EXP : 1) * static_cast<double>(n), (1.0 + a_varies + b_varies) * static_cast<double>(n));
    to.binary(op, a, a_varies, b, b_varies, y, n);
  };
  k.scale = [](const float* x, float factor, float* y, size_t n) {
    const Timer timer(Profiled::elementwise, static_cast<double>(n), 2.0 * static_cast<double>(n));
    to.scale(x, factor, y, n);
  };
  k.sum = [](const float* x, size_t n) {
    const Timer timer(Profiled::reduction, static_cast<double>(n), static_cast<double>(n));
    return to.sum(x, n);
  };
  k.sum_of_squares = [](const float* x, size_t n) {
    const Timer timer(Profiled::reduction, 2.0 * static_cast<double>(n), static_cast<double>(n));
    return to.sum_of_squares(x, n);
  };
  k.max = [](const float* x, size_t n) {
    const Timer timer(Profiled::reduction, static_cast<double>(n), static_cast<double>(n));
    return to.max(x, n);
  };
  k.column_sum = [](const float* x, size_t rows, size_t stride, size_t n, float* y) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::reduction, size, size + static_cast<double>(n));
    to.column_sum(x, rows, stride, n, y);
  };
  k.column_max = [](const float* x, size_t rows, size_t stride, size_t n, float* y) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::reduction, size, size + static_cast<double>(n));
    to.column_max(x, rows, stride, n, y);
  };
  k.softmax_rows = [](const float* x, float* y, size_t rows, size_t n) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::softmax, (EXP + 3) * size, 2 * size);
    to.softmax_rows(x, y, rows, n);
  };
  k.softmax_columns = [](const float* x, float* y, size_t reduced, size_t inner) {
    const double size = static_cast<double>(reduced * inner);
    const Timer timer(Profiled::softmax, (EXP + 3) * size, 2 * size);
    to.softmax_columns(x, y, reduced, inner);
  };
  k.softmax_grad_rows = [](const float* dy, const float* y, float* dx, size_t rows, size_t n, float factor) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::softmax, 5 * size, 3 * size);
    to.softmax_grad_rows(dy, y, dx, rows, n, factor);
  };
  k.softmax_grad_columns = [](const float* dy, const float* y, float* dx, size_t reduced, size_t inner, float factor) {
    const double size = static_cast<double>(reduced * inner);
    const Timer timer(Profiled::softmax, 5 * size, 3 * size);
    to.softmax_grad_columns(dy, y, dx, reduced, inner, factor);
  };
  k.layer_norm = [](const float* x, const float* gain, const float* bias, float* y, float* mean, float* rstd, size_t rows, size_t n, float eps) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::norm, 8 * size, 2 * size);
    to.layer_norm(x, gain, bias, y, mean, rstd, rows, n, eps);
  };
  k.layer_norm_grad = [](const float* dy, const float* x, const float* gain, const float* mean, const float* rstd, float* dx, float* dgain, float* dbias, size_t rows, size_t n) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::norm, 16 * size, 3 * size);
    to.layer_norm_grad(dy, x, gain, mean, rstd, dx, dgain, dbias, rows, n);
  };
  k.l2_normalize = [](const float* x, float* y, float* inverse, size_t rows, size_t n, float eps) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::norm, 3 * size, 2 * size);
    to.l2_normalize(x, y, inverse, rows, n, eps);
  };
  k.l2_normalize_grad = [](const float* dy, const float* y, const float* inverse, float* dx, size_t rows, size_t n) {
    const double size = static_cast<double>(rows * n);
    const Timer timer(Profiled::norm, 5 * size, 3 * size);
    to.l2_normalize_grad(dy, y, inverse, dx, rows, n);
  };
  k.attention_head = [](const HeadTask& t, float* scratch) {
    const double pairs = static_cast<double>(t.queries * t.keys), size = static_cast<double>(t.size);
    const Timer timer(Profiled::attention, pairs * (4 * size + EXP), 2.0 * static_cast<double>(t.queries + t.keys) * size);
    to.attention_head(t, scratch);
  };
  k.attention_head_grad = [](const HeadGradTask& g, float* scratch) {
    const HeadTask& t = g.forward;
    const double pairs = static_cast<double>(t.queries * t.keys), size = static_cast<double>(t.size);
    const Timer timer(Profiled::attention_grad, pairs * (10 * size + EXP), 4.0 * static_cast<double>(t.queries + t.keys) * size);
    to.attention_head_grad(g, scratch);
  };
  k.adamw = [](const AdamW& a, float* parameter, float* first, float* second, const float* gradient, size_t n) {
    const Timer timer(Profiled::adamw, 14 * static_cast<double>(n), 7 * static_cast<double>(n));
    to.adamw(a, parameter, first, second, gradient, n);
  };
  k.transpose = [](const float* x, float* y, size_t rows, size_t columns, ptrdiff_t ldx, ptrdiff_t ldy) {
    const Timer timer(Profiled::transpose, 0, 2.0 * static_cast<double>(rows * columns));
    to.transpose(x, y, rows, columns, ldx, ldy);
  };
  return k;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

bool Inside::counting = false;

Inside::~Inside() {
  if (counting && start_ != Clock::time_point{}) inside += seconds_since(start_);
}

void profile(bool on) {
  static const Kernels table = counting(kernels());
  use_kernels(on ? &table : nullptr);
  Inside::counting = on;
  if (!on) return;
  inside = 0;
  for (Counter& c : counters) c.calls = 0, c.nanoseconds = 0, c.operations = 0, c.bytes = 0;
}

void read_profile(double* out) {
  for (const Counter& c : counters) {
    *out++ = static_cast<double>(c.calls.load());
    *out++ = static_cast<double>(c.nanoseconds.load()) * 1e-9;
    *out++ = static_cast<double>(c.operations.load());
    *out++ = static_cast<double>(c.bytes.load());
  }
  *out = inside;
}

double fma_peak() {
  double best = 0;
  for (int i = 0; i < 40; i++) {  // short windows: on a shared machine the best one is nobody else's
    const auto start = Clock::now();
    const double operations = static_cast<double>(kernels().multiply_add(100'000));
    best = std::max(best, operations / seconds_since(start));
  }
  return best;
}

double memory_bandwidth() {
  constexpr size_t N = 16 << 20;  // two arrays of 64 MB: more than the caches hold
  std::vector<float> x(N, 1.f), y(N);
  double best = 0;
  for (int i = 0; i < 12; i++) {
    const auto start = Clock::now();
    Pool::instance().range(N, 1 << 16, [&](size_t b, size_t e) { kernels().scale(x.data() + b, 2.f, y.data() + b, e - b); });
    best = std::max(best, 2.0 * N * sizeof(float) / seconds_since(start));
  }
  return best;
}

}  // namespace gvx
