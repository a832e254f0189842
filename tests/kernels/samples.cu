// Small kernels that test the shims and portable.cuh; the package ships none of them.
#include "portable.cuh"

extern "C" __global__ void values_gather(const unsigned int* values, unsigned long long* total, unsigned int* lowest,
                                         unsigned int* highest, const float* weight, long long n) {
    const long long i = thread_index();
    if (i >= n) return;
    atomicAdd(total, static_cast<unsigned long long>(values[i]));
    atomicMin(lowest, values[i]);
    atomicMax(highest, values[i]);
    if (weight != nullptr) atomicAdd(total, static_cast<unsigned long long>(weight[i]));
}

extern "C" __global__ void neighbours_list(INDEX* listed, INDEX nz, INDEX ny, INDEX nx, int connectivity) {
    const Grid grid = {nz, ny, nx, connectivity};
    const long long i = thread_index();
    if (i >= static_cast<long long>(nz) * ny * nx) return;
    const INDEX p = static_cast<INDEX>(i);
    for (int d = 0; d < DIRECTIONS; ++d) listed[i * DIRECTIONS + d] = neighbour(grid, place_of(grid, p), d);
}

extern "C" __global__ void trees_start(INDEX* parent, INDEX n) {
    if (thread_index() < n) parent[thread_index()] = static_cast<INDEX>(thread_index());
}

// Join what touches and has one territory; territory 0 stays apart.
extern "C" __global__ void trees_join(INDEX* parent, const int* territory, INDEX nz, INDEX ny, INDEX nx,
                                      int connectivity) {
    const Grid grid = {nz, ny, nx, connectivity};
    if (thread_index() >= static_cast<long long>(nz) * ny * nx) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    if (!is_inside(territory, p)) return;
    for (int d = 0; d < STAY; ++d) {
        const INDEX q = neighbour(grid, place_of(grid, p), d);
        if (q >= 0 && is_joined(territory, p, q)) unite(parent, p, q);
    }
}

extern "C" __global__ void trees_flatten(INDEX* parent, INDEX n) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    RELAXED_STORE(&parent[p], find_root(parent, p));
}
