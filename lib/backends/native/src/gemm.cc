#include <algorithm>

#include "ops.h"
#include "pool.h"

namespace gvx {

namespace {

constexpr double WORTH_THREADS = 3e5;         // multiply-adds; below, waking a thread costs more than it gives
constexpr size_t PACK_TOGETHER = 32 * 1024;   // numbers of B that are worth packing with all threads
constexpr size_t DEEP = 1024;                 // K from which a small C is summed over slices of K
constexpr size_t SMALL_C = 128 * 1024;
constexpr size_t SLICE = 512;

size_t panels_of(const Gemm& g) { return (g.N + kernels().nr - 1) / kernels().nr; }
size_t packed_floats(const Gemm& g) { return panels_of(g) * kernels().nr * g.K; }

/** B need not be packed: its rows are whole vectors and near each other. */
bool lies_well(const Gemm& g) { return g.b_col == 1 && g.b_row <= NEAR && g.N % (kernels().nr / 2) == 0; }

/** B in panels: those that came with it, or packed now; null when it is read where it lies. */
const float* packed_b(const Gemm& g, Scratch& scratch) {
  if (g.packed || lies_well(g)) return g.packed;
  float* packed = scratch.get(packed_floats(g));
  kernels().pack_b(g, 0, panels_of(g), packed);
  return packed;
}

Gemm slice_of(const Gemm& g, size_t k0, size_t k1) {
  Gemm slice = g;
  slice.K = k1 - k0;
  slice.A += static_cast<ptrdiff_t>(k0) * g.a_col;
  if (g.packed) {
    slice.packed += k0 * kernels().nr;
    slice.packed_rows = g.packed_rows ? g.packed_rows : g.K;
  } else {
    slice.B += static_cast<ptrdiff_t>(k0) * g.b_row;
  }
  return slice;
}

/** K in slices, so that what is packed of B is used while it is in the cache. */
void gemm_sliced(const Gemm& g, Scratch& scratch) {
  const size_t slices = std::max<size_t>(1, g.K / SLICE);
  for (size_t s = 0; s < slices; s++) {
    Gemm slice = slice_of(g, g.K * s / slices, g.K * (s + 1) / slices);
    slice.accumulate = g.accumulate || s > 0;
    if (s + 1 < slices) slice.epilogue = Epilogue{};
    kernels().gemm_packed(slice, packed_b(slice, scratch), 0, slice.M, 0, panels_of(slice));
  }
}

/** C = sum of the products of slices of K. The slices depend on the shape alone, so the sum is the same on any machine size. */
void gemm_deep(const Gemm& g) {
  static thread_local Scratch partials;
  const size_t slices = std::min<size_t>(16, g.K / SLICE), size = g.M * g.N;
  float* sums = partials.get(slices * size);
  Pool::instance().run(static_cast<int>(slices), [&](int s) {
    static thread_local Scratch scratch;
    Gemm slice = slice_of(g, g.K * s / slices, g.K * (s + 1) / slices);
    slice.C = sums + s * size;
    slice.ldc = static_cast<ptrdiff_t>(g.N);
    slice.accumulate = false;
    gemm_sliced(slice, scratch);
  });
  Pool::instance().range(g.M, 8192 / (g.N + 1), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      float* c = g.C + static_cast<ptrdiff_t>(i) * g.ldc;
      if (!g.accumulate) {
        kernels().column_sum(sums + i * g.N, slices, size, g.N, c);
      } else {
        for (size_t s = 0; s < slices; s++)
          for (size_t j = 0; j < g.N; j++) c[j] += sums[s * size + i * g.N + j];
      }
    }
  });
}

/** B is packed once; then tiles of C are claimed one by one. */
void gemm_tiled(const Gemm& g) {
  static thread_local Scratch scratch;
  Pool& pool = Pool::instance();
  const size_t panels = panels_of(g), mr = kernels().mr;
  const float* packed;
  if (!g.packed && !lies_well(g) && g.K * g.N > PACK_TOGETHER) {
    float* fresh = scratch.get(packed_floats(g));
    pool.range(panels, 1, [&](size_t begin, size_t end) { kernels().pack_b(g, begin, end, fresh); });
    packed = fresh;
  } else {
    packed = packed_b(g, scratch);
  }
  const double work = static_cast<double>(g.M) * g.N * g.K;
  const size_t wanted = std::max<size_t>(pool.size(), std::min<size_t>(4 * pool.size(), static_cast<size_t>(work / WORTH_THREADS)));
  const size_t by_rows = std::max<size_t>(1, std::min(wanted, g.M / (2 * mr)));
  const size_t by_columns = std::min(panels, (wanted + by_rows - 1) / by_rows);
  pool.run(static_cast<int>(by_rows * by_columns), [&](int chunk) {
    const size_t r = chunk / by_columns, c = chunk % by_columns;
    kernels().gemm_packed(g, packed, g.M * r / by_rows, g.M * (r + 1) / by_rows, panels * c / by_columns, panels * (c + 1) / by_columns);
  });
}

}  // namespace

void gemm_serial(const Gemm& g) {
  if (g.M == 0 || g.N == 0) return;
  static thread_local Scratch scratch;
  if (g.K >= DEEP) return gemm_sliced(g, scratch);
  kernels().gemm_packed(g, packed_b(g, scratch), 0, g.M, 0, panels_of(g));
}

void gemm(const Gemm& g) {
  if (g.M == 0 || g.N == 0) return;
  // The order of the sums over K must not depend on the number of threads, so this comes first.
  if (g.K >= DEEP && g.M * g.N <= SMALL_C && plain(g.epilogue)) return gemm_deep(g);
  if (Pool::instance().size() == 1 || static_cast<double>(g.M) * g.N * g.K < WORTH_THREADS) {
    static thread_local Scratch scratch;
    return kernels().gemm_packed(g, packed_b(g, scratch), 0, g.M, 0, panels_of(g));
  }
  gemm_tiled(g);
}

void gemm_batch(const Gemm& g, size_t batch, ptrdiff_t a, ptrdiff_t b, ptrdiff_t c) {
  const auto at = [&](size_t i) {
    Gemm one = g;
    one.A += static_cast<ptrdiff_t>(i) * a;
    one.B += static_cast<ptrdiff_t>(i) * b;
    one.C += static_cast<ptrdiff_t>(i) * c;
    return one;
  };
  const double work = static_cast<double>(g.M) * g.N * g.K;
  if (batch < static_cast<size_t>(Pool::instance().size()) && work > 1e6) {
    for (size_t i = 0; i < batch; i++) gemm(at(i));
    return;
  }
  Pool::instance().range(batch, static_cast<size_t>(WORTH_THREADS / (work + 1)) + 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) gemm_serial(at(i));
  });
}

}  // namespace gvx
