// The coarse levels of a lattice: graphs in rows of neighbours, how their nodes are merged, and a cycle through them.
//
// The neighbours of node i stand from start[i] to start[i + 1] in `to` and `weight`; `sink` is what leaks to voxels
// whose value is fixed. A vector of n nodes has one more item, which is 0: nodes that are merged with none belong to
// it. Definitions and departures of the pairs stand in lattice.cu.
//
// Paper: Y. Notay, An aggregation-based algebraic multigrid method, Electron. Trans. Numer. Anal. 37, 2010, for cycles
// over aggregates.
// N. Bell, S. Dalton, L. N. Olson, Exposing fine-grained parallelism in algebraic multigrid methods, SIAM J. Sci.
// Comput. 34, 2012, for pairs, sums and cycles on a GPU. DOI:10.1137/110838844
//
// Departures:
// 1. Contraction is not a product of sparse matrices: one thread counts and then writes the row of an aggregate, going
//    through its members in their order and looking for each neighbour in what came before. Rows are short, sums have
//    one order.
// 2. Members are counted and placed by integer atomics, and then each thread sorts those of an aggregate; who came
//    first cannot show.
// 3. A sum over members is gathered by the aggregate, so there are no float atomics; on the way down it is fused with
//    the first Jacobi step and the residual, which are never stored.
// 4. Aggregates are plain, without a smoothed prolongation, under a W-cycle and a direct solution at the end, so the
//    preconditioner stays symmetric and the same in every iteration.
//
// Work: O(edges) a launch, contraction O(edges x length of a row), twice. Memory: 8 bytes an edge and 12 a node of a
// graph, 8 for each node that is merged, and 12 a node for each label; the first graph, of pairs, and the second are
// held together for a while, about 60 bytes a voxel.
//
// -D INDEX   int (default) or long long: the type of the place where a row begins, and of a cell's in member_sum
// -D LABELS  1 (default) or 2: the labels whose vectors a thread goes through together, so that weights are read once.
#include "pairs.cuh"

struct Graph {
    const INDEX* start;
    const int* to;
    const float *weight, *sink, *inverse;
};

// ---- pairs ---------------------------------------------------------------------------------------------------------

// The bits of the strongest edge, 0 where there is none; what leaks counts as one.
extern "C" __global__ void node_strongest(int* strongest, const INDEX* start, const float* weight, const float* sink,
                                          int n) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    int most = start[i + 1] > start[i] ? bits_of(sink[i]) : 0;
    for (INDEX e = start[i]; e < start[i + 1]; ++e) most = max(most, bits_of(weight[e]));
    strongest[i] = most;
}

// Every node without a mate proposes to the best of its strong neighbours that has none.
extern "C" __global__ void node_propose(int* proposed, const int* mate, const int* strongest, const int* block,
                                        const INDEX* start, const int* to, const float* weight, int n) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    Choice choice;
    const bool is_asked = strongest[i] != 0 && mate[i] < 0;
    for (INDEX e = start[i]; e < start[i + 1] && is_asked; ++e) {
        const int j = to[e], bits = bits_of(weight[e]);
        const int rank = (bits >> EXPONENT) << 1 | static_cast<int>(block[i] == block[j]);
        if (rank < choice.rank || mate[j] >= 0) continue;
        if (bits < strongest[i] - STRONG && bits < strongest[j] - STRONG) continue;
        choice.consider(i, j, rank);
    }
    proposed[i] = choice.node;
}

// Join those who propose to each other.
extern "C" __global__ void pair_accept(int* mate, const int* proposed, int n) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    const int j = proposed[i];
    if (j >= 0 && proposed[j] == i) mate[i] = j;
}

// The first of every pair; who is left alone joins the pair that its strongest edge leads to, and -1 has no edge.
extern "C" __global__ void node_join(int* root, const int* mate, const int* strongest, const INDEX* start,
                                     const int* to, const float* weight, int n) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    int found = strongest[i] == 0 ? -1 : mate[i] < 0 ? i : min(i, mate[i]);
    int least = max(strongest[i] - STRONG, 1);
    const bool is_alone = strongest[i] != 0 && mate[i] < 0;
    for (INDEX e = start[i]; e < start[i + 1] && is_alone; ++e) {
        const int j = to[e], bits = bits_of(weight[e]);
        if (mate[j] < 0 || bits < least) continue;
        least = bits + 1;
        found = min(j, mate[j]);
    }
    root[i] = found;
}

// The block of the image in which each place lies, where blocks have edges of 2 to the power of the shifts.
extern "C" __global__ void block_find(int* block, const int* place, int n, int height, int width, int shift_z,
                                      int shift_y, int shift_x) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    const int line = place[i] / width, rows = (height >> shift_y) + 1, columns = (width >> shift_x) + 1;
    const int plane_and_row = (line / height >> shift_z) * rows + (line % height >> shift_y);
    block[i] = plane_and_row * columns + (place[i] % width >> shift_x);
}

// ---- aggregates ----------------------------------------------------------------------------------------------------

extern "C" __global__ void root_mark(int* is_root, const int* root, int n) {
    if (thread_index() >= n) return;
    is_root[thread_index()] = root[thread_index()] == thread_index();
}

// `rank` is the running sum of what root_mark wrote; nodes without a root get the number of roots. `place` gets where
// each root begins: `before` says where nodes began, null stands for voxels.
extern "C" __global__ void root_number(int* number, int* place, const int* rank, const int* root, const int* before,
                                       int n) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    number[i] = root[i] < 0 ? rank[n - 1] : rank[root[i]] - 1;
    if (root[i] == i) place[rank[i] - 1] = before == nullptr ? i : before[i];
}

// Number by way of a coarser level: `number` becomes where its nodes belong there; `none` is what stands for no node.
extern "C" __global__ void number_follow(int* number, const int* further, int n, int none, int none_there) {
    if (thread_index() >= n) return;
    int& own = number[thread_index()];
    own = own == none ? none_there : further[own];
}

extern "C" __global__ void member_count(int* counts, const int* number, int n, int n_graph) {
    if (thread_index() >= n) return;
    const int own = number[thread_index()];
    if (own < n_graph) atomicAdd(&counts[own], 1);
}

// `cursor` begins as where the members of each aggregate begin, and ends as where they end.
extern "C" __global__ void member_place(int* members, int* cursor, const int* number, int n, int n_graph) {
    if (thread_index() >= n) return;
    const int own = number[thread_index()];
    if (own < n_graph) members[atomicAdd(&cursor[own], 1)] = static_cast<int>(thread_index());
}

// By insertion: threads place members nearly in their order, and there are few.
extern "C" __global__ void member_sort(int* members, const int* begins, int n_graph) {
    if (thread_index() >= n_graph) return;
    const int begin = begins[thread_index()], end = begins[thread_index() + 1];
    for (int m = begin + 1; m < end; ++m) {
        const int inserted = members[m];
        int at = m;
        for (; at > begin && members[at - 1] > inserted; --at) members[at] = members[at - 1];
        members[at] = inserted;
    }
}

extern "C" __global__ void member_largest(int* largest, const int* values, const int* begins, const int* members,
                                          int n_graph) {
    if (thread_index() >= n_graph) return;
    int most = 0;
    for (int m = begins[thread_index()]; m < begins[thread_index() + 1]; ++m) most = max(most, values[members[m]]);
    largest[thread_index()] = most;
}

// Tell whether no edge of an aggregate before that one, which is edge `at` of member m, leads to the same aggregate.
__device__ __forceinline__ bool is_first(const INDEX* start, const int* to, const int* number,
                                         const int* members, int m, INDEX at) {
    const int other = number[to[at]];
    for (int earlier = 0; earlier <= m; ++earlier) {
        const INDEX end = earlier == m ? at : start[members[earlier] + 1];
        for (INDEX e = start[members[earlier]]; e < end; ++e) {
            if (number[to[e]] == other) return false;
        }
    }
    return true;
}

// How many aggregates each one leads to: the length of its row.
extern "C" __global__ void node_room(INDEX* room, const int* number, const int* begins, const int* members,
                                     const INDEX* start, const int* to, int n_graph) {
    if (thread_index() >= n_graph) return;
    const int own = static_cast<int>(thread_index()), n_members = begins[own + 1] - begins[own];
    const int* of_own = members + begins[own];
    INDEX found = 0;
    for (int m = 0; m < n_members; ++m) {
        for (INDEX e = start[of_own[m]]; e < start[of_own[m] + 1]; ++e) {
            const int other = number[to[e]];
            if (other == own || other == n_graph) continue;
            found += is_first(start, to, number, of_own, m, e);
        }
    }
    room[own] = found;
}

// Sum up the edges between aggregates, in the order of their nodes.
extern "C" __global__ void node_contract(const INDEX* start, int* to, float* weight, float* sink,
                                         float* inverse, const int* number, const int* begins, const int* members,
                                         const INDEX* fine_start, const int* fine_to,
                                         const float* fine_weight, const float* fine_sink, int n_graph) {
    if (thread_index() >= n_graph) return;
    const int own = static_cast<int>(thread_index());
    Row<INDEX> edges = {to, weight, start[own], start[own]};
    float leak = 0.0f;
    for (int m = begins[own]; m < begins[own + 1]; ++m) {
        const int i = members[m];
        leak += fine_sink[i];
        for (INDEX e = fine_start[i]; e < fine_start[i + 1]; ++e) {
            const int other = number[fine_to[e]];
            if (other == n_graph) leak += fine_weight[e];
            else if (other != own) edges.add(other, fine_weight[e]);
        }
    }
    sink[own] = leak;
    inverse[own] = inverse_of(edges.degree(leak));
}

// ---- one cycle -----------------------------------------------------------------------------------------------------

// What flows out of a node, also to fixed voxels; `value(j)` is the value of node j.
template <class Value> __device__ __forceinline__ float flow_from(const Graph& graph, int i, Value value) {
    const float h = value(i);
    const INDEX begin = graph.start[i], end = graph.start[i + 1];
    float flow = graph.sink[i] * h, other = 0.0f;
    for (INDEX e = begin; e < end; ++e) {  // two sums, in the order of the host
        const float more = graph.weight[e] * (h - value(graph.to[e]));
        const bool is_second = (e - begin) % 2 != 0;
        if (is_second) other += more;
        else flow += more;
    }
    return flow + other;
}

// Sum up a vector of cells over the members of every aggregate.
extern "C" __global__ void member_sum(float* sums, const float* values, const int* begins, const int* members, int on,
                                      int n_graph, INDEX length, INDEX plane) {
    if (thread_index() >= n_graph) return;
    const long long own = thread_index();
    FOR_LABELS(k, on) {
        const float* given = values + 1LL * k * length + plane;
        float sum = 0.0f;
        for (int m = begins[own]; m < begins[own + 1]; ++m) sum += given[members[m]];
        sums[1LL * k * (n_graph + 1) + own] = sum;
    }
}

// The same for what is left of r after one Jacobi step from zero.
extern "C" __global__ void cycle_descend(float* sums, const float* r, const INDEX* start,
                                         const int* to, const float* weight, const float* sink, const float* inverse,
                                         const int* begins, const int* members, int on, int n, int n_graph) {
    if (thread_index() >= n_graph) return;
    const long long own = thread_index();
    const Graph graph = {start, to, weight, sink, inverse};
    FOR_LABELS(k, on) {
        const float* given = r + 1LL * k * (n + 1);
        const auto stepped = [=](int j) { return STEP * (given[j] * inverse[j]); };
        float sum = 0.0f;
        for (int m = begins[own]; m < begins[own + 1]; ++m) {
            sum += given[members[m]] - flow_from(graph, members[m], stepped);
        }
        sums[1LL * k * (n_graph + 1) + own] = sum;
    }
}

// A Jacobi step from zero and the coarse correction.
extern "C" __global__ void cycle_ascend(float* y, const float* r, const float* inverse, const int* number,
                                        const float* coarse, int on, int n, int n_graph) {
    if (thread_index() >= n) return;
    const long long i = thread_index();
    FOR_LABELS(k, on) {
        const float more = coarse[1LL * k * (n_graph + 1) + number[i]];
        y[1LL * k * (n + 1) + i] = STEP * (r[1LL * k * (n + 1) + i] * inverse[i]) + more;
    }
}

// One Jacobi step from y, to which what is in x before is added where `adds` is not 0.
extern "C" __global__ void cycle_step(float* x, const float* y, const float* r, const INDEX* start,
                                      const int* to, const float* weight, const float* sink, const float* inverse,
                                      int adds, int on, int n) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    const Graph graph = {start, to, weight, sink, inverse};
    FOR_LABELS(k, on) {
        const float* given = y + 1LL * k * (n + 1);
        float* const found = x + 1LL * k * (n + 1) + i;
        const float left = r[1LL * k * (n + 1) + i] - flow_from(graph, i, [=](int j) { return given[j]; });
        const float stepped = given[i] + STEP * (left * inverse[i]);
        *found = adds != 0 ? stepped + *found : stepped;
    }
}

// Take the Laplacian of x from r.
extern "C" __global__ void cycle_leave(float* r, const float* x, const INDEX* start, const int* to,
                                       const float* weight, const float* sink, int on, int n) {
    if (thread_index() >= n) return;
    const int i = static_cast<int>(thread_index());
    const Graph graph = {start, to, weight, sink, nullptr};
    FOR_LABELS(k, on) {
        const float* given = x + 1LL * k * (n + 1);
        r[1LL * k * (n + 1) + i] -= flow_from(graph, i, [=](int j) { return given[j]; });
    }
}

// The last level: r times the inverse of its Laplacian, which is symmetric.
extern "C" __global__ void cycle_finish(float* x, const float* r, const double* inverse, int on, int n) {
    if (thread_index() >= n) return;
    const long long i = thread_index();
    FOR_LABELS(k, on) {
        double sum = 0.0;
        for (int j = 0; j < n; ++j) sum += static_cast<double>(r[1LL * k * (n + 1) + j]) * inverse[1LL * j * n + i];
        x[1LL * k * (n + 1) + i] = static_cast<float>(sum);
    }
}
