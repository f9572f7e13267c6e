#include "pool.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#if defined(__linux__)
#include <sched.h>
#endif

namespace gvx {

namespace {

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#else
  std::this_thread::yield();
#endif
}

// Between two operations of a training step lie about 10 µs of JavaScript; sleeping and waking costs about as much.
constexpr auto WORKER_SPIN = std::chrono::microseconds(40);
constexpr auto CALLER_SPIN = std::chrono::microseconds(40);

// A worker that was put aside in the middle of a chunk comes back after some milliseconds.
constexpr auto CROWDED = std::chrono::microseconds(500);
constexpr auto SHORTEST_PENALTY = std::chrono::milliseconds(10);
constexpr auto LONGEST_PENALTY = std::chrono::milliseconds(320);

template <class Done>
bool spin(std::chrono::microseconds limit, Done&& done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 32; i++) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

}  // namespace

Pool& Pool::instance() {
  static Pool* pool = new Pool();
  return *pool;
}

void Pool::resize(int threads) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (auto& worker : workers_) worker.join();
  workers_.clear();
  stop_ = false;
  const uint64_t seen = ticket_.load() >> 32;
  for (int i = 1; i < threads; i++) workers_.emplace_back([this, seen] { loop(seen); });
}

void Pool::dispatch(int chunks, Call call, void* context) {
  const auto start = Clock::now();
  if (start < alone_until_) {
    for (int i = 0; i < chunks; i++) call(context, i);
    return;
  }
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  chunks_.store(chunks, std::memory_order_relaxed);
  unfinished_.store(chunks, std::memory_order_relaxed);
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(job << 32 | static_cast<uint32_t>(chunks));
  if (sleepers_.load() > 0) {
    // The lock makes sure that a worker about to sleep has either seen the ticket or hears the call.
    { std::lock_guard<std::mutex> lock(mutex_); }
    work_.notify_all();
  }
  claim(job);
  const auto done = Clock::now();
  join();
  const auto end = Clock::now();
  note_crowding(done - start, end - done, end);
  if (out_of_memory_.exchange(false)) throw std::bad_alloc();
}

/** Each time in a row that the caller has to wait doubles the time it then works alone; a good turn shortens it. */
void Pool::note_crowding(Clock::duration worked, Clock::duration waited, Clock::time_point now) {
  if (waited > CROWDED && waited > worked) {
    penalty_ = std::min<Clock::duration>(LONGEST_PENALTY, std::max<Clock::duration>(SHORTEST_PENALTY, 2 * penalty_));
    alone_until_ = now + penalty_;
  } else if (penalty_.count() > 0) {
    penalty_ -= penalty_ / 16;
  }
}

/** Waits for the chunks that others have claimed. */
void Pool::join() {
  if (unfinished_.load(std::memory_order_acquire) == 0) return;
  if (spin(CALLER_SPIN, [&] { return unfinished_.load(std::memory_order_acquire) == 0; })) return;
  std::unique_lock<std::mutex> lock(mutex_);
  caller_sleeps_ = true;
  finished_.wait(lock, [&] { return unfinished_.load() == 0; });
  caller_sleeps_ = false;
}

/** Claims and does chunks of a job until none is left. */
void Pool::claim(uint64_t job) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const int left = static_cast<int>(ticket & 0xffffffffu);
    if (ticket >> 32 != job || left == 0) return;
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    // Now that a chunk is ours, the job cannot end, and its fields cannot change, before we have counted it as finished.
    try {
      call_.load(std::memory_order_relaxed)(context_.load(std::memory_order_relaxed), chunks_.load(std::memory_order_relaxed) - left);
    } catch (const std::bad_alloc&) {
      out_of_memory_ = true;  // thrown again in the caller's thread
    }
    if (unfinished_.fetch_sub(1) == 1 && caller_sleeps_.load()) {
      { std::lock_guard<std::mutex> lock(mutex_); }
      finished_.notify_one();
    }
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void Pool::loop(uint64_t seen) {
  const auto news = [&] { return ticket_.load() >> 32 != seen || stop_.load(); };
  for (;;) {
    if (!spin(WORKER_SPIN, news)) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleepers_++;
      work_.wait(lock, news);
      sleepers_--;
    }
    if (stop_.load()) return;
    seen = ticket_.load(std::memory_order_acquire) >> 32;
    claim(seen);
  }
}

Scratch::~Scratch() { std::free(data_); }

float* Scratch::get(size_t floats) {
  if (floats > size_) {
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
    const size_t bytes = ((floats + std::min<size_t>(floats / 4, 1 << 16)) * sizeof(float) + 63) / 64 * 64;
#if defined(_WIN32)
    void* memory = _aligned_malloc(bytes, 64);
#else
    void* memory = std::aligned_alloc(64, bytes);
#endif
    if (!memory) throw std::bad_alloc();
    data_ = static_cast<float*>(memory);
    size_ = bytes / sizeof(float);
  }
  return data_;
}

int usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = std::min(cores, CPU_COUNT(&set));
  const auto quota = [&](double allowed, double period) {
    if (allowed > 0 && period > 0) cores = std::min(cores, static_cast<int>(std::ceil(allowed / period)));
  };
  double allowed = 0, period = 0;
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {  // cgroup v2: "max 100000" or "200000 100000"
    if (std::fscanf(file, "%lf %lf", &allowed, &period) == 2) quota(allowed, period);
    std::fclose(file);
  } else {
    const auto read = [](const char* path, double& value) {
      std::FILE* f = std::fopen(path, "r");
      if (!f) return false;
      const bool ok = std::fscanf(f, "%lf", &value) == 1;
      std::fclose(f);
      return ok;
    };
    if (read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", allowed) && read("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period)) quota(allowed, period);
  }
#endif
  return std::max(1, cores);
}

}  // namespace gvx
