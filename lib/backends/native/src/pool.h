// A fork-join pool for one caller (the JavaScript thread) and a few workers.
//
// Work is cut into chunks that are claimed one by one, so a worker that the operating system has put aside delays only
// the chunk it holds. The caller takes part and waits for chunks, not for workers: a worker that wakes up late finds
// nothing left and goes back to sleep. Everybody spins for some microseconds (the next operation usually follows at
// once) and then sleeps, so that an idle machine is left alone. When the caller has waited longer for the others than
// it has worked itself, the machine is crowded: for some time it does all chunks alone. Which chunks there are does not
// change with that, so the results do not either.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace gvx {

class Pool {
 public:
  /** The one pool of the process. Never destroyed: threads must not be joined while the process exits. */
  static Pool& instance();

  /** Threads that take part, the caller included. */
  int size() const { return static_cast<int>(workers_.size()) + 1; }
  /** Not to be called while work is running. */
  void resize(int threads);

  /** Calls work(chunk) for every chunk of [0, chunks), in any order, on any thread; returns when all are done. */
  template <class F>
  void run(int chunks, F&& work) {
    if (chunks <= 1 || workers_.empty()) {
      for (int i = 0; i < chunks; i++) work(i);
      return;
    }
    dispatch(chunks, [](void* context, int chunk) { (*static_cast<std::remove_reference_t<F>*>(context))(chunk); },
             const_cast<void*>(static_cast<const void*>(&work)));
  }

  /** Calls work(begin, end) on pieces of [0, n) of at least `grain`, a few for each thread. */
  template <class F>
  void range(size_t n, size_t grain, F&& work) {
    if (n == 0) return;
    grain = std::max<size_t>(1, grain);
    const size_t most = workers_.empty() ? 1 : 4 * static_cast<size_t>(size());
    const int chunks = static_cast<int>(std::min(most, std::max<size_t>(1, n / grain)));
    run(chunks, [&](int i) {
      const size_t begin = n * i / chunks, end = n * (i + 1) / chunks;
      if (end > begin) work(begin, end);
    });
  }

 private:
  using Call = void (*)(void*, int);
  using Clock = std::chrono::steady_clock;
  void dispatch(int chunks, Call call, void* context);
  void note_crowding(Clock::duration worked, Clock::duration waited, Clock::time_point now);
  void join();
  void claim(uint64_t job);
  void loop(uint64_t seen);

  std::vector<std::thread> workers_;
  // A ticket is the number of the job (upper half) and how many of its chunks nobody has claimed (lower half): one
  // compare-and-swap claims a chunk and proves that there is one and that the job it belongs to is still the current one. How many chunks
  // there are must not be read beside it: between two jobs that number is already the next one's.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> chunks_{0}, unfinished_{0}, sleepers_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<bool> stop_{false}, caller_sleeps_{false}, out_of_memory_{false};
  // Of the caller alone: until when it works alone, and for how long it will the next time.
  Clock::time_point alone_until_{};
  Clock::duration penalty_{};
  std::mutex mutex_;
  std::condition_variable work_, finished_;
};

/** Memory of one thread that grows and stays: packed panels and partial results. 64-byte aligned. */
class Scratch {
 public:
  ~Scratch();
  float* get(size_t floats);

 private:
  float* data_ = nullptr;
  size_t size_ = 0;
};

/** Cores this process may really use: affinity mask and cgroup quota considered. */
int usable_cores();

}  // namespace gvx
