// Exact Euclidean distance: one sweep of squared distances along one axis, one thread per voxel.
//
// T. Saito, J. Toriwaki, New algorithms for Euclidean distance transformation of an n-dimensional digitized picture
// with applications, Pattern Recognition 27, 1994. DOI:10.1016/0031-3203(94)90133-3
//
// Departures from the paper:
// 1. Every sweep reads the array of the sweep before and writes another one, so that no thread waits for one beside it.
// 2. Objects end where their labels end: a voxel of another label has height 0, whatever the sweeps before found there.
//    What lies beyond it is farther than it is, so a search that meets it ends by the same rule as any other.
// 3. A search goes both ways at once and ends where a step alone is as far as the best that was found.
// 4. Integers throughout, with the squared edge of a voxel as weight.
//
// Work: voxels x distance, without the division, the stack and the serial line of the lower envelope that the host
// computes; both find the same integers. Memory: two arrays of SQUARED.
//
// -D LABEL    int (default), unsigned char or long long: the type of the labels; any other integer and bool will do too
// -D SQUARED  int (default) or long long: the type that holds all squared distances
#include "portable.cuh"

#ifndef LABEL
#define LABEL int
#endif
#ifndef SQUARED
#define SQUARED int
#endif

// Nothing was found yet. Adding a step's square does not overflow: sums are 64-bit, and squares stay below 2^61.
#define FAR (sizeof(SQUARED) == 4 ? (1LL << 31) - 1 : 1LL << 62)

// What the sweeps before know of a voxel, seen from an object.
__device__ __forceinline__ long long height_of(const LABEL* labels, const SQUARED* before, INDEX voxel, LABEL object) {
    if (labels[voxel] != object) return 0;
    return before == nullptr ? FAR : before[voxel];
}

// `before` is null in the first sweep. `length` voxels of a line lie `stride` apart; `square` is that of a voxel's
// edge.
extern "C" __global__ void distance_sweep(const LABEL* labels, const SQUARED* before, SQUARED* after, INDEX n_voxels,
                                          INDEX length, INDEX stride, long long square) {
    if (thread_index() >= n_voxels) return;
    const INDEX voxel = static_cast<INDEX>(thread_index());
    const LABEL object = labels[voxel];
    if (object == 0) {
        after[voxel] = 0;
        return;
    }
    const INDEX behind = voxel / stride % length, ahead = length - 1 - behind;
    const INDEX reach = behind > ahead ? behind : ahead;
    long long best = height_of(labels, before, voxel, object);
    for (INDEX steps = 1; steps <= reach; ++steps) {
        const long long apart = square * steps * steps;
        if (apart >= best) break;
        if (steps <= behind) best = min(best, apart + height_of(labels, before, voxel - steps * stride, object));
        if (steps <= ahead) best = min(best, apart + height_of(labels, before, voxel + steps * stride, object));
    }
    after[voxel] = static_cast<SQUARED>(best);
}
