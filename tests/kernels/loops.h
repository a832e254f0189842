// The threads of a block one after another, blocks over all cores: the fastest, for kernels without a barrier.
#pragma once
#include "cuda_on_cpu.h"

template <class Body> void run_grid(dim3 grid, dim3 block, Body body) {
#pragma omp parallel for schedule(dynamic, 8) if (count(grid) > 8)
    for (unsigned long long b = 0; b < count(grid); ++b) {
        gridDim = grid, blockDim = block, blockIdx = position(b, grid);
        for (unsigned long long t = 0; t < count(block); ++t) {
            threadIdx = position(t, block);
            body();
        }
    }
}
