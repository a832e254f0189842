// A kernel with barriers and shared memory, to test the shims; the package does not ship it.
#define BLOCK 64

// Reverse every block of values through shared memory, twice: without a barrier, a thread reads too early.
extern "C" __global__ void blocks_reverse(const int* values, int* reversed) {
    __shared__ int shared[BLOCK];
    const int t = threadIdx.x, at = blockIdx.x * BLOCK + t;
    shared[t] = values[at];
    __syncthreads();
    const int opposite = shared[BLOCK - 1 - t];
    __syncthreads();
    shared[t] = 2 * opposite;
    __syncthreads();
    reversed[at] = shared[t] + shared[BLOCK - 1 - t] - 2 * values[at];
}
