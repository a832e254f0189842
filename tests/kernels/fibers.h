// The threads of a block as fibers of one CPU thread, blocks over all cores: for kernels with barriers. A fiber runs
// up to the next __syncthreads; when all have got there, they go on.
#pragma once
#include <ucontext.h>

#include <memory>
#include <vector>

#include "cuda_on_cpu.h"

#define __shared__ static thread_local

struct Fiber {
    static constexpr std::size_t STACK = 64 * 1024;
    std::unique_ptr<char[]> stack{new char[STACK]};
    ucontext_t context;
    bool is_done;
};

// The block that a CPU thread is at.
struct Block {
    std::vector<Fiber> fibers;
    ucontext_t scheduler;
    Fiber* running;
    void (*call)(void*);
    void* body;
};
static thread_local Block current;

inline void __syncthreads() { swapcontext(&current.running->context, &current.scheduler); }

inline void run_fiber() {
    current.call(current.body);
    current.running->is_done = true;
    swapcontext(&current.running->context, &current.scheduler);
}

inline void start(Fiber& fiber) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = Fiber::STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, run_fiber, 0);
    fiber.is_done = false;
}

inline void run_block(dim3 block) {
    const std::size_t n = count(block);
    if (current.fibers.size() < n) current.fibers.resize(n);
    for (std::size_t t = 0; t < n; ++t) start(current.fibers[t]);
    for (std::size_t left = n; left;) {
        for (std::size_t t = 0; t < n; ++t) {
            Fiber& fiber = current.fibers[t];
            if (fiber.is_done) continue;
            threadIdx = position(t, block);
            current.running = &fiber;
            swapcontext(&current.scheduler, &fiber.context);
            left -= fiber.is_done;
        }
    }
}

template <class Body> void run_grid(dim3 grid, dim3 block, Body body) {
#pragma omp parallel for schedule(dynamic) if (count(grid) > 1)
    for (unsigned long long b = 0; b < count(grid); ++b) {
        gridDim = grid, blockDim = block, blockIdx = position(b, grid);
        current.call = [](void* at) { (*static_cast<Body*>(at))(); };
        current.body = &body;
        run_block(block);
    }
}
