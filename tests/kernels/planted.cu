// Bugs that no value shows, to test that the sanitizers see them.

extern "C" __global__ void planted_race(int* counter) { ++*counter; }

extern "C" __global__ void planted_overrun(int* values, int n) {
    const int i = threadIdx.x;
    if (i <= n) values[i] = i;
}

extern "C" __global__ void planted_overflow(int* values) { values[0] += values[1]; }
