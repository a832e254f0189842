// Runs an unmodified .cu file on the CPU: what CUDA C needs beyond C++20. Test-only.
//
// The file that includes this one first defines how blocks run: THREADS_ARE_LOOPS, _FIBERS or _THREADS (see the three
// headers). Every kernel is exported twice: <name>__types says what its arguments are, <name>__launch has the contract
// of cuLaunchKernel.
#pragma once
#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
static thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
using std::abs, std::max, std::min;
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

#define RELAXED_LOAD(at) __atomic_load_n(at, __ATOMIC_RELAXED)
#define RELAXED_STORE(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

// CUDA's atomics are relaxed: they order nothing but the word itself.
template <class T, class F> inline T exchange_by(T* at, F function) {
    T old = RELAXED_LOAD(at);
    while (!__atomic_compare_exchange_n(at, &old, function(old), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return old;
}
template <class T> using Same = std::type_identity_t<T>;
template <class T> inline T atomicAdd(T* at, Same<T> v) { return exchange_by(at, [=](T old) { return T(old + v); }); }
template <class T> inline T atomicMin(T* at, Same<T> v) { return exchange_by(at, [=](T old) { return min(old, v); }); }
template <class T> inline T atomicMax(T* at, Same<T> v) { return exchange_by(at, [=](T old) { return max(old, v); }); }
template <class T> inline T atomicOr(T* at, Same<T> v) { return exchange_by(at, [=](T old) { return T(old | v); }); }
template <class T> inline T atomicExch(T* at, Same<T> v) { return exchange_by(at, [=](T) { return v; }); }
template <class T> inline T atomicCAS(T* at, Same<T> expected, Same<T> v) {
    __atomic_compare_exchange_n(at, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}

// "r f4" is a pointer to floats that are only read, "w u1" one to bytes that are written, "s i8" a 64-bit integer.
template <class T> std::string dtype() {
    const char kind = std::is_same_v<T, bool> ? 'b' : std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
    return kind + std::to_string(sizeof(T));
}
template <class A> std::string type_name() {
    if constexpr (std::is_pointer_v<A>) {
        using Item = std::remove_pointer_t<A>;
        return (std::is_const_v<Item> ? "r " : "w ") + dtype<std::remove_const_t<Item>>();
    } else {
        return "s " + dtype<A>();
    }
}
template <class... A> std::string type_names(void (*)(A...)) { return ((type_name<A>() + ",") + ...); }

inline dim3 position(unsigned long long i, dim3 size) {
    return {unsigned(i % size.x), unsigned(i / size.x % size.y), unsigned(i / size.x / size.y)};
}
inline unsigned long long count(dim3 size) { return 1ULL * size.x * size.y * size.z; }

// Call `body` for every thread of every block, with blockIdx, threadIdx and the sizes set.
template <class Body> void run_grid(dim3 grid, dim3 block, Body body);

template <class... A, std::size_t... I>
void launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block, void** args, std::index_sequence<I...>) {
    run_grid({grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]},
             [=] { kernel(*static_cast<std::remove_cv_t<A>*>(args[I])...); });
}
template <class... A> void launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block, void** args) {
    launch(kernel, grid, block, args, std::index_sequence_for<A...>{});
}

#define EXPORTED extern "C" __attribute__((visibility("default")))
#define EXPORT_KERNEL(name)                                                                   \
    EXPORTED const char* name##__types() {                                                    \
        static const std::string names = type_names(name);                                    \
        return names.c_str();                                                                 \
    }                                                                                         \
    EXPORTED void name##__launch(const unsigned* grid, const unsigned* block, void** args) {  \
        launch(name, grid, block, args);                                                      \
    }
