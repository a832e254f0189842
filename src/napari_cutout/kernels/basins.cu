// Plateaus of an image, and the way down from each: what divides an image into the basins of its minima.
//
// A plateau is a connected set of voxels with one key. Its exit is a lower voxel beside it; one without an exit is a
// regional minimum. Pointing every voxel at the exit of its plateau, or at the plateau's first voxel where there is no
// exit, makes a forest whose trees are the basins (pointers.cu finds their roots).
//
// Paper: D. P. Playne, K. Hawick, A new algorithm for parallel connected-component labelling on GPUs, IEEE Trans.
// Parallel Distrib. Syst. 29, 2018, for the plateaus. DOI:10.1109/TPDS.2018.2799216
// V. Yeghiazaryan, Y. Gabrielyan, I. Voiculescu, Parallel watershed partitioning: GPU-based hierarchical image
// segmentation, J. Parallel Distrib. Comput. 205, 2025, for the basins. DOI:10.48550/arXiv.2410.08946
//
// Departures:
// 1. Components are of equal keys inside a territory, with every connectivity; no neighbour is left out as redundant.
// 2. All voxels of a plateau leave by one lower neighbour, that with the smallest index: with an exit each, one plateau
//    would belong to several basins. Which exit it is cannot be seen in a flood level (see passes.cu).
//
// Work: O(n) launches of constant work but for the unions. Memory: two INDEX a voxel, one of which stays.
#include "portable.cuh"

// Every voxel is a tree of its own, without an exit (written as n); -1 outside.
extern "C" __global__ void plateau_start(INDEX* parent, INDEX* exit, const unsigned int* key, INDEX n,
                                         const int* territory) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    parent[p] = is_inside(territory, p) && key[p] != NEVER ? p : -1;
    exit[p] = n;
}

extern "C" __global__ void plateau_join(INDEX* parent, const unsigned int* key, INDEX n, const int* territory, INDEX nz,
                                        INDEX ny, INDEX nx, int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    if (!is_inside(territory, p) || key[p] == NEVER) return;
    const Grid grid = {nz, ny, nx, connectivity};
    const Place at = place_of(grid, p);
    for (int d = 0; d < STAY; ++d) {  // the other half of the neighbours joins this one
        const INDEX q = neighbour(grid, at, d);
        if (q >= 0 && key[q] == key[p] && is_joined(territory, p, q)) unite(parent, p, q);
    }
}

extern "C" __global__ void plateau_flatten(INDEX* parent, INDEX n) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    if (RELAXED_LOAD(&parent[p]) >= 0) RELAXED_STORE(&parent[p], find_root(parent, p));
}

extern "C" __global__ void plateau_leave(INDEX* exit, const INDEX* parent, const unsigned int* key, INDEX n,
                                         const int* territory, INDEX nz, INDEX ny, INDEX nx, int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    if (parent[p] < 0) return;
    const Grid grid = {nz, ny, nx, connectivity};
    const Place at = place_of(grid, p);
    for (int d = 0; d < DIRECTIONS; ++d) {
        const INDEX q = neighbour(grid, at, d);
        if (q < 0 || key[q] >= key[p] || !is_joined(territory, p, q)) continue;
        if (q < RELAXED_LOAD(&exit[parent[p]])) atomicMin(&exit[parent[p]], q);
        return;  // indices rise with the direction: the first is the smallest
    }
}

// Turn `parent`, which names plateaus, into a pointer one step down.
extern "C" __global__ void basin_point(INDEX* parent, const INDEX* exit, INDEX n) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    if (parent[p] >= 0 && exit[parent[p]] < n) parent[p] = exit[parent[p]];
}
