// Pointer jumping: every item of a forest is pointed straight at its root.
//
// Paper: J. JaJa, An Introduction to Parallel Algorithms, Addison-Wesley 1992, section 2.2.2. The use for watersheds:
// V. Yeghiazaryan, Y. Gabrielyan, I. Voiculescu, Parallel watershed partitioning: GPU-based hierarchical image
// segmentation, J. Parallel Distrib. Comput. 205, 2025 ("path reduction"). DOI:10.48550/arXiv.2410.08946
//
// Departures:
// 1. In place, and not in steps of all threads together: a pointer that another thread has moved meanwhile leads to the
//    same root, only sooner.
// 2. Several jumps in a launch, so that the host asks less often whether all is done.
//
// Work: O(n log(longest chain)). Memory: none beyond the pointers.
#include "portable.cuh"

#define JUMPS 8

// A root points at itself; a negative pointer leads out of the forest, and what leads to it gets it. `unfinished`
// becomes 1 if any chain is longer still.
extern "C" __global__ void pointer_jump(INDEX* pointer, int* unfinished, INDEX n) {
    if (thread_index() >= n) return;
    const INDEX item = static_cast<INDEX>(thread_index());
    INDEX at = RELAXED_LOAD(&pointer[item]);
    if (at < 0) return;
    for (int jump = 0; jump < JUMPS; ++jump) {
        const INDEX next = RELAXED_LOAD(&pointer[at]);
        if (next == at) break;
        at = next;
        if (at < 0) break;
    }
    RELAXED_STORE(&pointer[item], at);
    if (at >= 0 && RELAXED_LOAD(&pointer[at]) != at) RELAXED_STORE(unfinished, 1);
}
