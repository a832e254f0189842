// What the kernels share: the grid, its neighbours, territories and union-find.
//
// Only what runs everywhere unchanged: integer atomics, no warp intrinsics. Wherever threads compete, the smallest
// value wins, so no result depends on their order.
//
// -D INDEX   int (default) or long long: the type of a voxel's linear index. int holds up to 2^31 - 1 voxels.
#pragma once

#ifndef INDEX
#define INDEX int
#endif

// A word that another thread may write at the same time: never cached in a register, never torn. Reading an older
// value is harmless wherever these are used.
#ifndef RELAXED_LOAD
template <class T> __device__ __forceinline__ T relaxed_load(const T* at) {
    return *static_cast<const volatile T*>(at);
}
template <class T> __device__ __forceinline__ void relaxed_store(T* at, T value) {
    *static_cast<volatile T*>(at) = value;
}
#define RELAXED_LOAD(at) relaxed_load(at)
#define RELAXED_STORE(at, value) relaxed_store(at, value)
#endif

// Above every key and level: the level of what is never reached, the key of what is outside.
#define NEVER 0xFFFFFFFFu

// The item of this thread. 64-bit, because the last block may reach beyond the largest INDEX.
__device__ __forceinline__ long long thread_index() {
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// ---- grid ----------------------------------------------------------------------------------------------------------

// C-contiguous, x fastest; an image has nz = 1. `connectivity` counts the axes that a step may cross, 1 to 3.
struct Grid {
    INDEX nz, ny, nx;
    int connectivity;
};

struct Place {
    INDEX z, y, x;
};

__device__ __forceinline__ Place place_of(Grid grid, INDEX voxel) {
    const INDEX line = voxel / grid.nx;
    return {line / grid.ny, line % grid.ny, voxel % grid.nx};
}

// Directions 0 to 26 are the steps (z, y, x) of -1, 0, 1 in scan order: a larger direction leads to a larger index,
// 13 stays, and d and 26 - d are opposite.
#define DIRECTIONS 27
#define STAY 13

// The voxel that lies one step away, or -1 where the grid ends or the step crosses more axes than it may.
__device__ __forceinline__ INDEX neighbour(Grid grid, Place from, int direction) {
    const int dz = direction / 9 - 1, dy = direction / 3 % 3 - 1, dx = direction % 3 - 1;
    const int crossed = (dz != 0) + (dy != 0) + (dx != 0);
    if (crossed == 0 || crossed > grid.connectivity) return -1;
    const INDEX z = from.z + dz, y = from.y + dy, x = from.x + dx;
    if (z < 0 || z >= grid.nz || y < 0 || y >= grid.ny || x < 0 || x >= grid.nx) return -1;
    return (z * grid.ny + y) * grid.nx + x;
}

// ---- territories ---------------------------------------------------------------------------------------------------

// Voxels of territory 0 take no part, and neighbours of different territories do not touch; a null pointer is one
// territory everywhere.
__device__ __forceinline__ bool is_inside(const int* territory, INDEX voxel) {
    return territory == nullptr || territory[voxel] != 0;
}

__device__ __forceinline__ bool is_joined(const int* territory, INDEX voxel, INDEX other) {
    return territory == nullptr || territory[voxel] == territory[other];
}

// ---- union-find ----------------------------------------------------------------------------------------------------

// Trees of voxels, as `parent`: a root is its own parent, and every parent is smaller than its child.

__device__ __forceinline__ INDEX find_root(const INDEX* parent, INDEX voxel) {
    for (INDEX next = RELAXED_LOAD(&parent[voxel]); next != voxel; next = RELAXED_LOAD(&parent[voxel])) voxel = next;
    return voxel;
}

// Join the trees of two voxels; the smaller root stays a root.
__device__ __forceinline__ void unite(INDEX* parent, INDEX voxel, INDEX other) {
    for (;;) {
        voxel = find_root(parent, voxel);
        other = find_root(parent, other);
        if (voxel == other) return;
        const INDEX low = voxel < other ? voxel : other, high = voxel < other ? other : voxel;
        const INDEX before = atomicMin(&parent[high], low);
        if (before == high) return;  // it was a root until now; otherwise its old parent must be joined too
        voxel = before;
        other = low;
    }
}
