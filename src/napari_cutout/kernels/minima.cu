// Regional minima, numbered by their first voxel in scan order: the plateaus without an exit of basins.cu.
//
// Paper: L. Vincent, Morphological grayscale reconstruction in image analysis: applications and efficient algorithms,
// IEEE Trans. Image Process. 2, 1993, section IV. DOI:10.1109/83.217222
//
// Departures:
// 1. No reconstruction: the plateaus and their exits are known.
//
// Work: O(n), and a running sum between the two kernels. Memory: one INDEX a voxel for that sum.
#include "portable.cuh"

// 1 at the first voxel of a minimum, which the plateau is named by.
extern "C" __global__ void minimum_mark(INDEX* is_first, const INDEX* parent, const INDEX* exit, INDEX n) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    is_first[p] = parent[p] == p && exit[p] == n;
}

// `rank` is the running sum of what minimum_mark wrote.
extern "C" __global__ void minimum_number(int* labels, const INDEX* rank, const INDEX* parent, const INDEX* exit,
                                          INDEX n) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    const bool is_minimum = parent[p] >= 0 && exit[parent[p]] == n;
    labels[p] = is_minimum ? static_cast<int>(rank[parent[p]]) : 0;
}
