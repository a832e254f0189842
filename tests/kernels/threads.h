// One CPU thread for every thread of a block: hundreds of times slower, but sanitizers see every race.
//
// A thread walks through all blocks. Blocks run in step only where shared memory makes them (-D HAS_BARRIERS);
// elsewhere the threads of different blocks race as well.
#pragma once
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "cuda_on_cpu.h"

#define __shared__ static

static std::unique_ptr<std::barrier<>> block_barrier;

inline void __syncthreads() { block_barrier->arrive_and_wait(); }

template <class Body> void run_grid(dim3 grid, dim3 block, Body body) {
    const auto n = static_cast<std::ptrdiff_t>(count(block));
    block_barrier = std::make_unique<std::barrier<>>(n);
    std::barrier<> block_end(n);
    const auto walk = [&](unsigned long long t) {
        gridDim = grid, blockDim = block, threadIdx = position(t, block);
        for (unsigned long long b = 0; b < count(grid); ++b) {
            blockIdx = position(b, grid);
            body();
#ifdef HAS_BARRIERS
            block_end.arrive_and_wait();
#endif
        }
    };
    std::vector<std::thread> threads;
    threads.reserve(n);
    for (std::ptrdiff_t t = 0; t < n; ++t) threads.emplace_back(walk, t);
    for (std::thread& thread : threads) thread.join();
}
