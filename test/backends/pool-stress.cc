// Short jobs, one right after the other, for some seconds: `pool-stress SECONDS THREADS`. Every chunk must be done once, and the pool
// must not stop. Each job has a chunk more than the one before it, and next to nothing to do: so a worker often looks for a chunk just when
// one job has ended and the next begins, which in a training happens once in a million jobs.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include "../../lib/backends/native/src/pool.h"

int main(int, char** argv) {
  constexpr unsigned ROW = 32, MOST = 34;  // jobs before their chunks are counted, and chunks of a job
  const double seconds = std::atof(argv[1]);
  gvx::Pool& pool = gvx::Pool::instance();
  pool.resize(std::atoi(argv[2]));
  alarm(static_cast<unsigned>(seconds) + 20);  // a job that never returns ends here
  static std::atomic<int> done[ROW][MOST];
  long rows = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (; std::chrono::steady_clock::now() < end; rows++) {
    const auto chunks = [&](unsigned job) { return 2 + job % (2 + static_cast<unsigned>(rows % 31)); };
    for (unsigned job = 0; job < ROW; job++) pool.run(static_cast<int>(chunks(job)), [job](int chunk) { done[job][chunk]++; });
    for (unsigned job = 0; job < ROW; job++)
      for (unsigned chunk = 0; chunk < MOST; chunk++) {
        const int times = done[job][chunk].exchange(0);
        if (times == (chunk < chunks(job))) continue;
        std::printf("chunk %u of a job of %u was done %d times\n", chunk, chunks(job), times);
        return 1;
      }
  }
  std::printf("%ld jobs\n", ROW * rows);
  pool.resize(1);
}
