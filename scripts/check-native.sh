#!/usr/bin/env bash
# The native backend under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer:
# npm run check:native. Needs a compiler with the sanitizers; GVX_ISA=avx2 or portable checks the other instruction sets.
set -euo pipefail
cd "$(dirname "$0")/.."

compiler=${CXX:-g++}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
sources=(test/backends/sanitized/driver.cc lib/backends/native/src/{elementwise,encoder,gemm,isa,layers,pool,profile}.cc)
flags=(-std=c++17 -O1 -g -fno-omit-frame-pointer -fopenmp-simd -ffp-contract=fast -fno-math-errno -fno-trapping-math -pthread -Wall -Wextra -Wno-psabi)

"$compiler" "${flags[@]}" -fsanitize=address,undefined -fno-sanitize-recover=all "${sources[@]}" -o "$out/address"
"$compiler" "${flags[@]}" -fsanitize=thread "${sources[@]}" -o "$out/thread"
"$compiler" "${flags[@]}" -fsanitize=thread test/backends/pool-stress.cc lib/backends/native/src/pool.cc -o "$out/pool"
for threads in 2 3 7; do TSAN_OPTIONS=halt_on_error=1 "$out/pool" 5 $threads; done
for isa in ${GVX_ISA:-avx512 avx2 portable}; do
  GVX_ISA=$isa "$out/address"
  GVX_ISA=$isa TSAN_OPTIONS=halt_on_error=1 "$out/thread"
done
echo 'native backend: clean under the sanitizers'
