// Labels of a flood whose levels are known: inside a zone of one level, water comes from the nearest entry.
//
// The distance of a voxel is that to the entries of its zone, which are markers and voxels that have a lower neighbour;
// then every voxel but the markers points at its neighbour with the smallest (level, distance, index), and pointers.cu
// finds the marker that it leads to.
//
// Paper: D. Merrill, M. Garland, A. Grimshaw, Scalable GPU graph traversal, PPoPP 2012, for a breadth-first search of
// linear work. DOI:10.1145/2145816.2145832
// V. Yeghiazaryan, Y. Gabrielyan, I. Voiculescu, Parallel watershed partitioning: GPU-based hierarchical image
// segmentation, J. Parallel Distrib. Comput. 205, 2025, for pointing at neighbours. DOI:10.48550/arXiv.2410.08946
//
// Departures:
// 1. One queue holds all fronts one after another, because every voxel enters it once; an atomic counter grants places.
//    In which order a front lies there depends on the threads, the distances do not.
// 2. The first front is found by its voxels looking for an entry, so that the entries, which most voxels are, are never
//    in the queue.
// 3. Plateaus by distance from the entries of the flooded zones, not by distance from any lower voxel: pits without a
//    marker do not tilt a plateau.
//
// Work: O(n); a launch for every step of distance. Memory: one INDEX a voxel and 4 bytes.
#include "portable.cuh"

#define FAR NEVER

extern "C" __global__ void zone_enter(unsigned int* distance, const unsigned int* level, const int* markers, INDEX n,
                                      const int* territory, INDEX nz, INDEX ny, INDEX nx, int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    const Grid grid = {nz, ny, nx, connectivity};
    const Place at = place_of(grid, p);
    bool is_entry = markers[p] != 0;
    for (int d = 0; d < DIRECTIONS && !is_entry; ++d) {
        const INDEX q = neighbour(grid, at, d);
        is_entry = q >= 0 && level[q] < level[p] && is_joined(territory, p, q);
    }
    distance[p] = is_entry ? 0 : FAR;
}

__device__ __forceinline__ bool is_same_zone(const unsigned int* level, const int* territory, INDEX p, INDEX q) {
    return q >= 0 && level[q] == level[p] && is_joined(territory, p, q);
}

// The voxels at distance 1, into the queue.
extern "C" __global__ void zone_start(INDEX* queue, unsigned long long* queued, unsigned int* distance,
                                      const unsigned int* level, INDEX n, const int* territory, INDEX nz, INDEX ny,
                                      INDEX nx, int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    if (level[p] == NEVER || RELAXED_LOAD(&distance[p]) == 0) return;
    const Grid grid = {nz, ny, nx, connectivity};
    const Place at = place_of(grid, p);
    for (int d = 0; d < DIRECTIONS; ++d) {
        const INDEX q = neighbour(grid, at, d);
        if (!is_same_zone(level, territory, p, q) || RELAXED_LOAD(&distance[q]) != 0) continue;
        RELAXED_STORE(&distance[p], 1u);
        queue[atomicAdd(queued, 1ULL)] = p;
        return;
    }
}

// One step on from the front that lies in the queue from `first`, `n` voxels long.
extern "C" __global__ void zone_step(INDEX* queue, unsigned long long* queued, unsigned int* distance,
                                     const unsigned int* level, INDEX first, INDEX n, const int* territory, INDEX nz,
                                     INDEX ny, INDEX nx, int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = queue[first + thread_index()];
    const Grid grid = {nz, ny, nx, connectivity};
    const Place at = place_of(grid, p);
    const unsigned int next = RELAXED_LOAD(&distance[p]) + 1;
    for (int d = 0; d < DIRECTIONS; ++d) {
        const INDEX q = neighbour(grid, at, d);
        if (!is_same_zone(level, territory, p, q) || RELAXED_LOAD(&distance[q]) != FAR) continue;
        if (atomicCAS(&distance[q], FAR, next) == FAR) queue[atomicAdd(queued, 1ULL)] = q;
    }
}

// A marker points at itself, another voxel at the neighbour that water comes from, and -1 is never reached.
extern "C" __global__ void zone_point(INDEX* pointer, const unsigned int* level, const unsigned int* distance,
                                      const int* markers, INDEX n, const int* territory, INDEX nz, INDEX ny, INDEX nx,
                                      int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    const Grid grid = {nz, ny, nx, connectivity};
    const Place at = place_of(grid, p);
    INDEX source = level[p] != NEVER && markers[p] != 0 ? p : -1;
    const bool is_asked = level[p] != NEVER && markers[p] == 0;
    for (int d = 0; d < DIRECTIONS && is_asked; ++d) {  // indices rise with the direction: of equals the first stays
        const INDEX q = neighbour(grid, at, d);
        if (q < 0 || !is_joined(territory, p, q)) continue;
        const bool is_nearer = source < 0 || level[q] < level[source] ||
                               (level[q] == level[source] && distance[q] < distance[source]);
        if (is_nearer) source = q;
    }
    pointer[p] = source;
}

// `pointer` leads straight to a marker.
extern "C" __global__ void zone_label(int* labels, const INDEX* pointer, const int* markers, INDEX n) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    labels[p] = pointer[p] < 0 ? 0 : markers[pointer[p]];
}
