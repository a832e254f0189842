// The Laplacian of a lattice of voxels: its weights, how voxels are merged, and what conjugate gradients do with it.
//
// Neighbours are joined by edges that weigh exp(-sum of squared differences) + 1e-10. Arrays of cells have a plane of
// zeros before the first voxel and one after the last, and edges that would leave the image weigh 0; so only
// edges_weigh asks where it is. A cell is a voxel's place in them: voxel v is cell v + plane.
//
// Paper: L. Grady, Random walks for image segmentation, IEEE Trans. Pattern Anal. Mach. Intell. 28, 2006, for the
// weights. DOI:10.1109/TPAMI.2006.233
// A. Napov, Y. Notay, An algebraic multigrid method with guaranteed convergence rate, SIAM J. Sci. Comput. 34, 2012,
// for merging pairs of pairs. DOI:10.1137/100818509
// M. Luby, A simple parallel algorithm for the maximal independent set problem, SIAM J. Comput. 15, 1986, for proposals
// that are ranked by chance. DOI:10.1137/0215074
//
// Departures:
// 1. Pairs are those who propose to each other, in rounds, so no order of threads can show. Edges are ranked by the
//    exponent of their weight, then by whether they lie inside a block of the image, then by a hash of both ends.
// 2. No quality of an aggregate is tested: an edge is taken if it weighs a quarter of the strongest of either end, and
//    who is left alone joins the pair that its strongest edge leads to.
// 3. One damped Jacobi step before and after, fused with the residual and with the sums of the iteration; what a
//    neighbour's step is worth is computed again and not stored.
// 4. Sums over voxels are in double. Thread t adds up the voxels t, t + n_threads..., so the sum depends on n_threads
//    and not on blocks; no float atomics.
//
// Work: O(n) a launch. Memory: 16 bytes a voxel of weights, and 16 for each label (x, r, p and q); while pairs are
// found 12, for the strongest edge, the mate and the proposal; 12 bytes for each thread of a sum.
//
// -D INDEX   int (default) or long long: the type of a cell's place, and of where a row of the graph begins
// -D LABELS  1 (default) or 2: the labels whose vectors a thread goes through together, so that weights are read once.
#include "pairs.cuh"

// Weights to the next voxel along each axis, and the inverse of their sum at free voxels, 0 at others.
struct Lattice {
    const float *wz, *wy, *wx, *inverse;
    INDEX row, plane;

    __device__ __forceinline__ INDEX step(int k) const {
        const INDEX steps = k < 2 ? plane : k < 4 ? row : 1;
        return k % 2 ? -steps : steps;
    }

    __device__ __forceinline__ float weight(INDEX cell, int k) const {
        const float* edges = k < 2 ? wz : k < 4 ? wy : wx;
        return edges[k % 2 ? cell + step(k) : cell];
    }
};

#define SIDES 6

// ---- weights -------------------------------------------------------------------------------------------------------

// Add the squared differences of a channel to the edges; what is added across a border is 0 or thrown away later.
extern "C" __global__ void squares_add(float* ez, float* ey, float* ex, const float* values, INDEX n, INDEX row,
                                       INDEX plane, float share_z, float share_y, float share_x) {
    if (thread_index() >= n) return;
    const INDEX v = static_cast<INDEX>(thread_index());
    float* const edges[] = {ez, ey, ex};
    const INDEX steps[] = {plane, row, 1};
    const float shares[] = {share_z, share_y, share_x};
    for (int axis = 0; axis < 3; ++axis) {
        if (v >= n - steps[axis]) continue;
        const float difference = values[v + steps[axis]] - values[v];
        edges[axis][v + plane] += difference * difference * shares[axis];
    }
}

// The exponential of what is not positive, rounded as _arithmetic.exp_of rounds it.
__device__ __forceinline__ double exponential(double value) {
    const double lowest = -707.0, rounder = 1.5 * 4503599627370496.0;
    if (!(value > lowest)) return 0.0;
    const double n = (value * 1.4426950408889634 + rounder) - rounder;
    const double r = (value - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double sum = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
    const double factors[] = {1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0,
                              1.0 / 720.0,      1.0 / 120.0,     1.0 / 24.0,     1.0 / 6.0,     0.5,
                              1.0,              1.0};
    for (double factor : factors) sum = sum * r + factor;
    return ldexp(sum, static_cast<int>(n));
}

// Turn sums of squares into weights, 0 where an edge ends outside or at a blocked voxel.
extern "C" __global__ void edges_weigh(float* ez, float* ey, float* ex, const bool* blocked, INDEX n, INDEX depth,
                                       INDEX row, INDEX plane) {
    if (thread_index() >= n) return;
    const INDEX v = static_cast<INDEX>(thread_index());
    float* const edges[] = {ez, ey, ex};
    const INDEX steps[] = {plane, row, 1};
    const bool is_last[] = {v / plane == depth - 1, v % plane >= plane - row, v % row == row - 1};
    for (int axis = 0; axis < 3; ++axis) {
        float& edge = edges[axis][v + plane];
        const bool ends = is_last[axis] || blocked[v] || blocked[v + steps[axis]];
        edge = ends ? 0.0f : static_cast<float>(exponential(-static_cast<double>(edge)) + 1e-10);
    }
}

extern "C" __global__ void degrees_invert(float* inverse, const float* wz, const float* wy, const float* wx,
                                          const bool* free, INDEX n, INDEX row, INDEX plane) {
    if (thread_index() >= n) return;
    const INDEX v = static_cast<INDEX>(thread_index()), i = v + plane;
    const float degree = (wz[i] + wz[i - plane]) + (wy[i] + wy[i - row]) + (wx[i] + wx[i - 1]);
    inverse[i] = free[v] ? inverse_of(degree) : 0.0f;
}

// ---- pairs ---------------------------------------------------------------------------------------------------------

// The bits of the strongest edge of every free voxel, also to fixed ones; 0 where none leads to another free one.
extern "C" __global__ void voxel_strongest(int* strongest, const float* wz, const float* wy, const float* wx,
                                           const float* inverse, INDEX n, INDEX row, INDEX plane) {
    if (thread_index() >= n) return;
    const INDEX v = static_cast<INDEX>(thread_index()), i = v + plane;
    const Lattice lattice = {wz, wy, wx, inverse, row, plane};
    int most = 0;
    bool is_alone = true;
    for (int k = 0; k < SIDES && inverse[i] > 0.0f; ++k) {
        const int bits = bits_of(lattice.weight(i, k));
        most = max(most, bits);
        is_alone = is_alone && !(bits > 0 && inverse[i + lattice.step(k)] > 0.0f);
    }
    strongest[v] = is_alone ? 0 : most;
}

// Every voxel without a mate proposes to the best of its strong neighbours that has none.
extern "C" __global__ void voxel_propose(int* proposed, const int* mate, const int* strongest, const float* wz,
                                         const float* wy, const float* wx, INDEX n, INDEX row, INDEX plane) {
    if (thread_index() >= n) return;
    const INDEX v = static_cast<INDEX>(thread_index()), i = v + plane;
    const Lattice lattice = {wz, wy, wx, nullptr, row, plane};
    Choice choice;
    const bool is_asked = strongest[v] != 0 && mate[v] < 0, is_even = v % row % 2 == 0;
    for (int k = 0; k < SIDES && is_asked; ++k) {
        const INDEX j = v + lattice.step(k);
        const int bits = bits_of(lattice.weight(i, k));
        if (bits == 0 || j < 0 || j >= n) continue;
        const bool is_inside_block = k == (is_even ? 4 : 5);
        const int rank = (bits >> EXPONENT) << 1 | static_cast<int>(is_inside_block);
        if (rank < choice.rank || mate[j] >= 0 || strongest[j] == 0) continue;
        if (bits < strongest[v] - STRONG && bits < strongest[j] - STRONG) continue;
        choice.consider(static_cast<int>(v), static_cast<int>(j), rank);
    }
    proposed[v] = choice.node;
}

// The first of every pair; who is left alone joins the pair that its strongest edge leads to, and -1 has no edge.
extern "C" __global__ void voxel_join(int* root, const int* mate, const int* strongest, const float* wz,
                                      const float* wy, const float* wx, INDEX n, INDEX row, INDEX plane) {
    if (thread_index() >= n) return;
    const INDEX v = static_cast<INDEX>(thread_index()), i = v + plane;
    const Lattice lattice = {wz, wy, wx, nullptr, row, plane};
    int found = strongest[v] == 0 ? -1 : mate[v] < 0 ? static_cast<int>(v) : min(static_cast<int>(v), mate[v]);
    int least = max(strongest[v] - STRONG, 1);
    const bool is_alone = strongest[v] != 0 && mate[v] < 0;
    for (int k = 0; k < SIDES && is_alone; ++k) {
        const INDEX j = v + lattice.step(k);
        const int bits = bits_of(lattice.weight(i, k));
        if (j < 0 || j >= n || mate[j] < 0 || bits < least) continue;
        least = bits + 1;
        found = min(static_cast<int>(j), mate[j]);
    }
    root[v] = found;
}

// ---- the graph of pairs --------------------------------------------------------------------------------------------

// The aggregate that an edge of a voxel leads to: -1 if there is no edge, n_graph if it ends at a voxel that is not
// free.
__device__ __forceinline__ int target_of(const Lattice& lattice, const int* number, int n_graph, INDEX voxel, int k) {
    const INDEX i = voxel + lattice.plane, j = i + lattice.step(k);
    if (lattice.weight(i, k) == 0.0f) return -1;
    return lattice.inverse[j] > 0.0f ? number[j - lattice.plane] : n_graph;
}

__device__ __forceinline__ bool is_first(const Lattice& lattice, const int* number, int n_graph, const int* members,
                                         int m, int k) {
    const int other = target_of(lattice, number, n_graph, members[m], k);
    for (int earlier = 0; earlier <= m; ++earlier) {
        for (int side = 0; side < (earlier == m ? k : SIDES); ++side) {
            if (target_of(lattice, number, n_graph, members[earlier], side) == other) return false;
        }
    }
    return true;
}

// How many aggregates each one leads to: the length of its row.
extern "C" __global__ void voxel_room(INDEX* room, const int* number, const int* begins, const int* members,
                                      const float* wz, const float* wy, const float* wx, const float* inverse,
                                      int n_graph, INDEX row, INDEX plane) {
    if (thread_index() >= n_graph) return;
    const int own = static_cast<int>(thread_index()), n_members = begins[own + 1] - begins[own];
    const Lattice lattice = {wz, wy, wx, inverse, row, plane};
    const int* of_own = members + begins[own];
    INDEX found = 0;
    for (int m = 0; m < n_members; ++m) {
        for (int k = 0; k < SIDES; ++k) {
            const int other = target_of(lattice, number, n_graph, of_own[m], k);
            if (other < 0 || other == own || other == n_graph) continue;
            found += is_first(lattice, number, n_graph, of_own, m, k);
        }
    }
    room[own] = found;
}

// Sum up the edges between aggregates, in the order of their voxels; what ends at a voxel that is not free leaks.
extern "C" __global__ void voxel_contract(const INDEX* start, int* to, float* weight, float* sink,
                                          float* inverse, const int* number, const int* begins, const int* members,
                                          const float* wz, const float* wy, const float* wx, const float* free,
                                          int n_graph, INDEX row, INDEX plane) {
    if (thread_index() >= n_graph) return;
    const int own = static_cast<int>(thread_index());
    const Lattice lattice = {wz, wy, wx, free, row, plane};
    Row<INDEX> edges = {to, weight, start[own], start[own]};
    float leak = 0.0f;
    for (int m = begins[own]; m < begins[own + 1]; ++m) {
        for (int k = 0; k < SIDES; ++k) {
            const int other = target_of(lattice, number, n_graph, members[m], k);
            const float more = lattice.weight(members[m] + plane, k);
            if (other == n_graph) leak += more;
            else if (other >= 0 && other != own) edges.add(other, more);
        }
    }
    sink[own] = leak;
    inverse[own] = inverse_of(edges.degree(leak));
}

// ---- one iteration -------------------------------------------------------------------------------------------------

// What flows out of a free cell to its neighbours, 0 elsewhere; `value(j)` is the value of cell j.
template <class Value> __device__ __forceinline__ float flow_from(const Lattice& lattice, INDEX i, Value value) {
    if (!(lattice.inverse[i] > 0.0f)) return 0.0f;
    const INDEX row = lattice.row, plane = lattice.plane;
    const float h = value(i);
    const float along_z = lattice.wz[i] * (h - value(i + plane)) + lattice.wz[i - plane] * (h - value(i - plane));
    const float along_y = lattice.wy[i] * (h - value(i + row)) + lattice.wy[i - row] * (h - value(i - row));
    const float along_x = lattice.wx[i] * (h - value(i + 1)) + lattice.wx[i - 1] * (h - value(i - 1));
    return along_z + along_y + along_x;
}

// Set q to the Laplacian of p times `sign`, 0 at voxels that are not free; `partial` gets the sums of p times q.
extern "C" __global__ void lattice_apply(float* q, double* partial, const float* p, const float* wz, const float* wy,
                                         const float* wx, const float* inverse, float sign, int on, INDEX n,
                                         INDEX length, INDEX row, INDEX plane, int n_threads) {
    if (thread_index() >= n_threads) return;
    const Lattice lattice = {wz, wy, wx, inverse, row, plane};
    double sums[LABELS] = {};
    for (long long v = thread_index(); v < n; v += n_threads) {
        const INDEX i = static_cast<INDEX>(v) + plane;
        FOR_LABELS(k, on) {
            const float* values = p + 1LL * k * length;
            const float flow = sign * flow_from(lattice, i, [=](INDEX j) { return values[j]; });
            q[1LL * k * length + i] = flow;
            sums[k] += static_cast<double>(values[i]) * static_cast<double>(flow);
        }
    }
    FOR_LABELS(k, on) partial[1LL * k * n_threads + thread_index()] = sums[k];
}

// Go a step along p in x, and along -q in r.
extern "C" __global__ void lattice_advance(float* x, float* r, const float* p, const float* q, float step_0,
                                           float step_1, int on, INDEX n, INDEX length, INDEX plane) {
    if (thread_index() >= n) return;
    FOR_LABELS(k, on) {
        const long long i = 1LL * k * length + plane + thread_index();
        const float step = k == 0 ? step_0 : step_1;
        x[i] += step * p[i];
        r[i] -= step * q[i];
    }
}

// Set p to z plus a share of p.
extern "C" __global__ void lattice_turn(float* p, const float* z, float share_0, float share_1, int on, INDEX n,
                                        INDEX length, INDEX plane) {
    if (thread_index() >= n) return;
    FOR_LABELS(k, on) {
        const long long i = 1LL * k * length + plane + thread_index();
        p[i] = z[i] + (k == 0 ? share_0 : share_1) * p[i];
    }
}

// What is left of r after one Jacobi step from zero.
extern "C" __global__ void lattice_smooth(float* left, const float* r, const float* wz, const float* wy,
                                          const float* wx, const float* inverse, int on, INDEX n, INDEX length,
                                          INDEX row, INDEX plane) {
    if (thread_index() >= n) return;
    const INDEX i = static_cast<INDEX>(thread_index()) + plane;
    const Lattice lattice = {wz, wy, wx, inverse, row, plane};
    FOR_LABELS(k, on) {
        const float* given = r + 1LL * k * length;
        const float flow = flow_from(lattice, i, [=](INDEX j) { return STEP * (given[j] * inverse[j]); });
        left[1LL * k * length + i] = given[i] - flow;
    }
}

// A Jacobi step, plus the coarse correction, plus a second step; `partial` gets the sums of r times that, and `largest`
// its largest magnitudes. `coarse` has n_graph + 1 values for each label.
extern "C" __global__ void lattice_correct(float* out, double* partial, float* largest, const float* r,
                                           const int* number, const float* coarse, const float* wz, const float* wy,
                                           const float* wx, const float* inverse, int on, INDEX n, INDEX length,
                                           INDEX row, INDEX plane, int n_graph, int n_threads) {
    if (thread_index() >= n_threads) return;
    const Lattice lattice = {wz, wy, wx, inverse, row, plane};
    double sums[LABELS] = {};
    float most[LABELS] = {};
    for (long long v = thread_index(); v < n; v += n_threads) {
        const INDEX i = static_cast<INDEX>(v) + plane;
        FOR_LABELS(k, on) {
            const float* given = r + 1LL * k * length;
            const float* correction = coarse + 1LL * k * (n_graph + 1);
            const auto stepped = [=](INDEX j) {
                if (!(inverse[j] > 0.0f)) return 0.0f;
                return STEP * (given[j] * inverse[j]) + correction[number[j - plane]];
            };
            const float left = given[i] - flow_from(lattice, i, stepped);
            const float found = stepped(i) + STEP * (left * inverse[i]);
            out[1LL * k * length + i] = found;
            sums[k] += static_cast<double>(given[i]) * static_cast<double>(found);
            most[k] = max(most[k], found < 0.0f ? -found : found);
        }
    }
    FOR_LABELS(k, on) {
        partial[1LL * k * n_threads + thread_index()] = sums[k];
        largest[1LL * k * n_threads + thread_index()] = most[k];
    }
}
