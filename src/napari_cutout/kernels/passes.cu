// The level at which water reaches every voxel, by Boruvka's minimum spanning forest over the basins of an image.
//
// Water enters at voxel p at level start[p] and crosses from voxel p to q at the higher of their keys. Every voxel gets
// the lowest possible highest level on its way from any source: max(own key, level of its basin). With ROOT as one more
// basin, joined to voxel p by a pass of weight start[p], the level of a basin is the highest pass on its way to ROOT in
// a minimum spanning tree.
//
// Paper: O. Boruvka 1926, in J. Nesetril, E. Milkova, H. Nesetrilova, Otakar Boruvka on minimum spanning tree problem,
// Discrete Math. 233, 2001. DOI:10.1016/S0012-365X(00)00224-7
// V. Vineet, P. Harish, S. Patidar, P. J. Narayanan, Fast minimum spanning tree for large graphs on the GPU, High
// Performance Graphics 2009. DOI:10.1145/1572769.1572796
// That watersheds are minimum spanning forests: J. Cousty, G. Bertrand, L. Najman, M. Couprie, Watershed cuts, IEEE
// Trans. Pattern Anal. Mach. Intell. 31, 2009. DOI:10.1109/TPAMI.2008.173
//
// Departures:
// 1. The graph is never built: its edges are the steps between voxels of different components, seen anew each round.
// 2. A component picks in two phases, the lowest weight and then the smallest name of a pass, both by atomicMin. Names
//    are the same seen from either side, so passes are in one strict order: the picks make trees whose only cycles are
//    two components that pick one pass, and the smaller of them becomes the root. No thread order can show.
// 3. The tree is not kept. level = max over the rounds of what the voxel's component picked, until it hangs on ROOT:
//    a) No way out of a component is lower than its pick, so no level is lower than that.
//    b) Along a chain of picks they never rise, for the pass by which a chain enters a component was open to that
//       component too. So the way from a voxel to the pass that its component picked, through parts that joined
//       earlier, is nowhere higher than what those parts and this component picked; and a component that hangs on ROOT
//       is entered at a voxel whose level is not above the entering pass.
// 4. Components that hang on ROOT rest; those without any pass are never reached.
//
// Work: O(n) a round, at most log2(basins) + 1 rounds. Memory: one INDEX and 12 bytes a voxel beside level and start,
// written only at the voxel that a component is named by.
#include "portable.cuh"

#define ROOTED -2
#define NO_PASS 0x7FFFFFFFFFFFFFFFLL

struct Terrain {
    const unsigned int *key, *start;
    const INDEX* component;
    const int* territory;
    Grid grid;
};

// How high the pass is from voxel p in a direction, STAY for the one to ROOT; NEVER where there is none.
__device__ __forceinline__ unsigned int height(const Terrain& terrain, INDEX p, Place at, int direction) {
    if (direction == STAY) return terrain.start[p];
    const INDEX q = neighbour(terrain.grid, at, direction);
    if (q < 0 || terrain.component[q] == terrain.component[p] || !is_joined(terrain.territory, p, q)) return NEVER;
    return terrain.key[p] > terrain.key[q] ? terrain.key[p] : terrain.key[q];
}

// A pass is named by its smaller voxel and the direction from there.
__device__ __forceinline__ long long name_of(Grid grid, INDEX p, Place at, int direction) {
    if (direction >= STAY) return static_cast<long long>(p) * DIRECTIONS + direction;
    return static_cast<long long>(neighbour(grid, at, direction)) * DIRECTIONS + (DIRECTIONS - 1 - direction);
}

extern "C" __global__ void pass_clear(unsigned int* weight, long long* pass, INDEX n) {
    if (thread_index() >= n) return;
    weight[thread_index()] = NEVER;
    pass[thread_index()] = NO_PASS;
}

// First phase: the lowest weight out of every component.
extern "C" __global__ void pass_weigh(unsigned int* weight, const INDEX* component, const unsigned int* key,
                                      const unsigned int* start, INDEX n, const int* territory, INDEX nz, INDEX ny,
                                      INDEX nx, int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    const INDEX own = component[p];
    if (own < 0) return;
    const Terrain terrain = {key, start, component, territory, {nz, ny, nx, connectivity}};
    const Place at = place_of(terrain.grid, p);
    unsigned int lowest = NEVER;
    for (int d = 0; d < DIRECTIONS; ++d) {
        const unsigned int found = height(terrain, p, at, d);
        lowest = found < lowest ? found : lowest;
    }
    if (lowest < RELAXED_LOAD(&weight[own])) atomicMin(&weight[own], lowest);
}

// Second phase: among the passes of that weight, the one with the smallest name.
extern "C" __global__ void pass_pick(long long* pass, const unsigned int* weight, const INDEX* component,
                                     const unsigned int* key, const unsigned int* start, INDEX n, const int* territory,
                                     INDEX nz, INDEX ny, INDEX nx, int connectivity) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    const INDEX own = component[p];
    if (own < 0 || weight[own] == NEVER) return;
    const Terrain terrain = {key, start, component, territory, {nz, ny, nx, connectivity}};
    const Place at = place_of(terrain.grid, p);
    long long smallest = NO_PASS;
    for (int d = 0; d < DIRECTIONS; ++d) {
        if (height(terrain, p, at, d) != weight[own]) continue;
        const long long name = name_of(terrain.grid, p, at, d);
        smallest = name < smallest ? name : smallest;
    }
    if (smallest < RELAXED_LOAD(&pass[own])) atomicMin(&pass[own], smallest);
}

// Every voxel of a component that picked is reached no sooner than by that pass.
extern "C" __global__ void level_raise(unsigned int* level, const unsigned int* weight, const INDEX* component,
                                       INDEX n) {
    if (thread_index() >= n) return;
    const INDEX p = static_cast<INDEX>(thread_index());
    if (component[p] < 0) return;
    const unsigned int picked = weight[component[p]];
    if (picked != NEVER && picked > level[p]) level[p] = picked;
}

// Turn the pass of every component into the component on its far side: ROOTED, or itself where there is no pass.
extern "C" __global__ void pass_cross(long long* pass, const INDEX* component, INDEX n, INDEX nz, INDEX ny, INDEX nx,
                                      int connectivity) {
    if (thread_index() >= n) return;
    const INDEX own = static_cast<INDEX>(thread_index());
    if (component[own] != own) return;
    long long target = own;
    if (pass[own] != NO_PASS) {
        const Grid grid = {nz, ny, nx, connectivity};
        const INDEX near = static_cast<INDEX>(pass[own] / DIRECTIONS);
        const int direction = static_cast<int>(pass[own] % DIRECTIONS);
        const INDEX far = neighbour(grid, place_of(grid, near), direction);
        target = direction == STAY ? ROOTED : component[near] != own ? component[near] : component[far];
    }
    pass[own] = target;
}

// Hang every component on the one that it picked; of two that picked each other, the smaller stays a root. They picked
// each other by the same pass, for each one's pass was open to the other. `picked` becomes 1 if there is any.
extern "C" __global__ void pass_link(INDEX* component, int* picked, const long long* pass, INDEX n) {
    if (thread_index() >= n) return;
    const INDEX own = static_cast<INDEX>(thread_index());
    if (component[own] != own) return;
    const INDEX target = static_cast<INDEX>(pass[own]);
    if (target == own) return;
    RELAXED_STORE(picked, 1);
    const bool is_mutual = target >= 0 && pass[target] == own;
    if (!is_mutual || target < own) component[own] = target;
}

// What does not hang on ROOT is never reached.
extern "C" __global__ void level_settle(unsigned int* level, const INDEX* component, INDEX n) {
    if (thread_index() >= n) return;
    if (component[thread_index()] != ROOTED) level[thread_index()] = NEVER;
}
