#pragma once
#include <chrono>

namespace gvx {

/** Kinds of kernels that are told apart. lib/backends/native/profile.ts has their names in this order. */
enum class Profiled : int { product, pack, attention, attention_grad, norm, softmax, elementwise, reduction, transpose, adamw, count };
constexpr int PROFILED = static_cast<int>(Profiled::count);

/** Counts from now on, from zero; or no longer. Not to be called while work is running. */
void profile(bool on);
/** Of each kind: calls, seconds of all threads together, arithmetic operations, bytes read and written; last `Inside`. */
void read_profile(double* out);

/** While it lives, the calling thread is inside of the backend and not in JavaScript. */
class Inside {
 public:
  Inside() {
    if (counting) start_ = std::chrono::steady_clock::now();
  }
  ~Inside();
  static bool counting;

 private:
  std::chrono::steady_clock::time_point start_{};
};

/** Multiplications and additions a second that one core of this machine is capable of. */
double fma_peak();
/** Bytes a second that can be read and written in memory with the threads of the pool. */
double memory_bandwidth();

}  // namespace gvx
