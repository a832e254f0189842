// What lattice.cu and graph.cu share: the order of edges, the list of labels, and a step of Jacobi's.
//
// -D LABELS  1 (default) or 2: the labels whose vectors a thread goes through together, so that weights are read once.
#pragma once
#include "portable.cuh"

#ifndef LABELS
#define LABELS 1
#endif

// How far a Jacobi step goes.
#define STEP 0.7f

// Bits of a float below its exponent. Of positive numbers the bits, as an integer, rise with the number.
#define EXPONENT 23

// An edge is strong if its bits are no more than this below those of the strongest: a quarter of its weight.
#define STRONG (2 << EXPONENT)

// Labels that are solved are left alone: bit k of `on` says whether label k is not.
#define FOR_LABELS(k, on) for (int k = 0; k < LABELS; ++k) if ((on) >> k & 1)

__device__ __forceinline__ int bits_of(float weight) { return static_cast<int>(__float_as_uint(weight)); }

// 30 bits that look like chance and are the same from both ends of an edge.
__device__ __forceinline__ int chance_of(int i, int j) {
    const unsigned long long low = i < j ? i : j, high = i < j ? j : i;
    unsigned long long h = low * 0x9E3779B97F4A7C15ULL ^ high * 0xC2B2AE3D27D4EB4FULL;
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9ULL;
    return static_cast<int>(h >> 34);
}

// The best node to propose to so far: the highest rank, and of those the highest chance.
struct Choice {
    int rank = -1, chance = -1, node = -1;

    __device__ __forceinline__ void consider(int i, int j, int offered) {
        const int hashed = chance_of(i, j);
        if (offered == rank && hashed <= chance) return;
        rank = offered;
        chance = hashed;
        node = j;
    }
};

// The row of an aggregate while it is written: the aggregates that it leads to, in the order in which they are met.
template <class Place> struct Row {
    int* to;
    float* weight;
    Place begin, end;

    __device__ __forceinline__ void add(int other, float more) {
        Place at = begin;
        while (at < end && to[at] != other) ++at;
        weight[at] = at < end ? weight[at] + more : more;
        to[at] = other;
        end += at == end;
    }

    __device__ __forceinline__ float degree(float sink) const {
        for (Place at = begin; at < end; ++at) sink += weight[at];
        return sink;
    }
};

__device__ __forceinline__ float inverse_of(float degree) { return degree > 0.0f ? 1.0f / degree : 0.0f; }
