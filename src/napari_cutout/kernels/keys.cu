// Floats as integers of the same order, so that a flood compares and bins nothing but integers.
//
// What: IEEE 754 numbers of one sign are ordered as their bits; negative ones are turned round and put below.
//       M. Herf, Radix tricks, 2001 (http://stereopsis.com/radix.html).
// Departures: 1. -0.0 equals 0.0. 2. NaN becomes 0xFFFFFFFF, which is no number's key and stands for *outside*.
// Complexity: O(voxels). Memory: none beyond the result.
// Defines: none.

extern "C" __global__ void keys_from_float(const float* image, unsigned int* key, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned int word = __float_as_uint(image[i]);
    unsigned int size = word & 0x7FFFFFFFu;
    if (size > 0x7F800000u) key[i] = 0xFFFFFFFFu;
    else if (size == 0u) key[i] = 0x80000000u;
    else key[i] = (word & 0x80000000u) ? ~word : word | 0x80000000u;
}
