// SLIC superpixels: the nearest centre of every voxel, and what the voxels of each centre add up to.
//
// Paper: R. Achanta et al., SLIC superpixels compared to state-of-the-art superpixel methods, IEEE Trans. Pattern Anal.
// Mach. Intell. 34, 2012. DOI:10.1109/TPAMI.2012.120
// C. Y. Ren, V. A. Prisacariu, I. D. Reid, gSLICr: SLIC superpixels at over 250Hz, 2015, for one thread per voxel that
// looks for its centre. DOI:10.48550/arXiv.1509.04232
//
// Departures:
// 1. A voxel looks at every centre whose window holds it, not at those of the cells around it: centres may wander. Each
//    cell of the grid has a list of the centres whose windows reach into it, in rising order, so that of several at the
//    same distance the first wins.
// 2. It begins with the centre of its own cell, a little farther away than it is, as the host does: a voxel that no
//    window holds stays with that.
// 3. Distances are float32 sums of products in one order. What is added up is whole numbers, by atomics; a thread adds
//    up a strip of voxels before it touches memory that others write to.
//
// Work: voxels x centres near a voxel (64 in 3-D, 16 in 2-D). Memory: 4 bytes a voxel for the number, 4 for the grey
// level of each channel, and about 125 numbers a centre for the lists.
#include "portable.cuh"

// Voxels that a thread adds up.
#define STRIP 16

#define LONGER (1.0f + 1.0f / 4194304.0f)
#define LONGER_BY 1e-30f
#define COLOUR_UNITS 1048576.0
#define ROUNDER 6755399441055744.0

struct Centres {
    const float *places, *colours;
    int n_channels;
};

// The squared distances along z, y and x.
struct Apart {
    float z, y, x;
};

__device__ __forceinline__ float squared(float length) { return length * length; }

__device__ __forceinline__ Apart apart(Centres centres, int k, float z, float y, float x) {
    const float* place = centres.places + 3LL * k;
    return {squared(z - place[0]), squared(y - place[1]), squared(x - place[2])};
}

__device__ __forceinline__ float distance(Centres centres, int k, Apart space, const float* values, INDEX voxel,
                                          INDEX n) {
    const float* colour = centres.colours + static_cast<long long>(centres.n_channels) * k;
    float sum = (space.z + space.y) + space.x;
    for (int c = 0; c < centres.n_channels; ++c)
        sum = sum + squared(values[static_cast<long long>(c) * n + voxel] - colour[c]);
    return sum;
}

// `known` is null where every voxel has a number. `cell_z`, `cell_y`, `cell_x` are the cells along each axis, `axis_z`,
// `axis_y`, `axis_x` the places; `reach` is how far a window reaches along each, squared. The centres near cell c are
// those from `start[c]` to `start[c + 1]` in `near`.
extern "C" __global__ void slic_assign(int* labels, const float* values, const bool* known, INDEX n, INDEX ny, INDEX nx,
                                       const int* cell_z, const int* cell_y, const int* cell_x, int cells_y,
                                       int cells_x, const int* of_cell, const float* axis_z, const float* axis_y,
                                       const float* axis_x, const float* places, const float* colours, int n_channels,
                                       const float* reach, const long long* start, const int* near) {
    if (thread_index() >= n) return;
    const INDEX voxel = static_cast<INDEX>(thread_index());
    if (known != nullptr && !known[voxel]) {
        labels[voxel] = -1;
        return;
    }
    const INDEX line = voxel / nx;
    const INDEX iz = line / ny, iy = line % ny, ix = voxel % nx;
    const float z = axis_z[iz], y = axis_y[iy], x = axis_x[ix];
    const int cell = (cell_z[iz] * cells_y + cell_y[iy]) * cells_x + cell_x[ix];
    const Centres centres = {places, colours, n_channels};
    int best = of_cell[cell];
    float least = distance(centres, best, apart(centres, best, z, y, x), values, voxel, n) * LONGER + LONGER_BY;
    for (long long i = start[cell]; i < start[cell + 1]; ++i) {
        const Apart space = apart(centres, near[i], z, y, x);
        if (space.z > reach[0] || space.y > reach[1] || space.x > reach[2]) continue;
        const float found = distance(centres, near[i], space, values, voxel, n);
        if (found < least) {
            least = found;
            best = near[i];
        }
    }
    labels[voxel] = best;
}

__device__ __forceinline__ void add(long long* sum, long long summand) {
    atomicAdd(reinterpret_cast<unsigned long long*>(sum), static_cast<unsigned long long>(summand));
}

__device__ __forceinline__ long long units(float value) {
    return static_cast<long long>((static_cast<double>(value) * COLOUR_UNITS + ROUNDER) - ROUNDER);
}

// Add the voxels of every centre to `counts`, their indices, three a centre, to `places`, and their grey levels,
// `n_channels` a centre, to `colours`. The first voxel has the indices `first_z`, `first_y`, `first_x` in the whole.
extern "C" __global__ void slic_add(long long* counts, long long* places, long long* colours, const int* labels,
                                    const float* values, INDEX n, INDEX ny, INDEX nx, long long first_z,
                                    long long first_y, long long first_x, int n_channels) {
    const long long begin = thread_index() * STRIP, end = begin + STRIP < n ? begin + STRIP : n;
    long long from = begin;
    while (from < end) {
        const int k = labels[from];
        long long z = 0, y = 0, x = 0, to = from;
        for (; to < end && labels[to] == k; ++to) {
            const long long line = to / nx;
            z += first_z + line / ny;
            y += first_y + line % ny;
            x += first_x + to % nx;
        }
        if (k >= 0) {
            add(&counts[k], to - from);
            add(&places[3LL * k], z);
            add(&places[3LL * k + 1], y);
            add(&places[3LL * k + 2], x);
            for (int c = 0; c < n_channels; ++c) {
                long long colour = 0;
                for (long long i = from; i < to; ++i) colour += units(values[static_cast<long long>(c) * n + i]);
                add(&colours[static_cast<long long>(n_channels) * k + c], colour);
            }
        }
        from = to;
    }
}
