// One translation unit, the same sources for each instruction set in a namespace of its own: separate units with
// different compiler flags could leak AVX-512 copies of inline library functions to machines without it.
#include "isa.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif


// Vectors of 128 bits are a part of every arm64, as NEON with 32 registers, and of every x86-64, as SSE with 16, which has
// no addition fused with a multiplication (GVX_FUSED).
#if defined(__aarch64__)
#define GVX_NAME "neon"
#define GVX_MR 12
#define GVX_FUSED 1
#else
#define GVX_NAME "portable"
#define GVX_MR 4
#define GVX_FUSED 0
#endif
#define GVX_TARGET
#define GVX_LANES 4
namespace gvx::portable {
#include "math.inl"
#include "gemm.inl"
#include "rows.inl"
#include "attention.inl"
#include "table.inl"
}  // namespace gvx::portable
#undef GVX_NAME
#undef GVX_TARGET
#undef GVX_LANES
#undef GVX_MR
#undef GVX_MATH
#undef GVX_FUSED

#if defined(__x86_64__)
#define GVX_FUSED 1
#define GVX_NAME "avx2"
#define GVX_TARGET __attribute__((target("avx2,fma")))
#define GVX_LANES 8
#define GVX_MR 6
namespace gvx::avx2 {
#include "math.inl"
#include "gemm.inl"
#include "rows.inl"
#include "attention.inl"
#include "table.inl"
}  // namespace gvx::avx2
#undef GVX_NAME
#undef GVX_TARGET
#undef GVX_LANES
#undef GVX_MR
#undef GVX_MATH

#define GVX_NAME "avx512"
#define GVX_TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")))
#define GVX_LANES 16
#define GVX_MR 14
namespace gvx::avx512 {
#include "math.inl"
#include "gemm.inl"
#include "rows.inl"
#include "attention.inl"
#include "table.inl"
}  // namespace gvx::avx512
#endif

namespace gvx {

namespace {

const Kernels& best_table() {
#if defined(__x86_64__)
  const char* wish = std::getenv("GVX_ISA");
  const auto allowed = [&](const char* name) { return !wish || !*wish || std::strcmp(wish, name) == 0; };
  __builtin_cpu_init();
  if (allowed("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return avx512::TABLE;
  if ((allowed("avx2") || (wish && std::strcmp(wish, "avx512") == 0)) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return avx2::TABLE;
#endif
  return portable::TABLE;
}

std::atomic<const Kernels*>& table_in_use() {
  static std::atomic<const Kernels*> table{&best_table()};
  return table;
}

}  // namespace

const Kernels& kernels() { return *table_in_use().load(std::memory_order_relaxed); }
void use_kernels(const Kernels* table) { table_in_use().store(table ? table : &best_table()); }

}  // namespace gvx
