// Philox4x64-10: the random numbers of nnx, as docs/random.md defines them. Integers only, so the same bits everywhere.
#pragma once
#include <common.cuh>

// The eight 32-bit words of one block, in order.
struct Words {
    u32 of[8];
};

DEVICE Words philox(u64 block, u64 key0, u64 key1) {
    const u64 multiplier0 = 0xD2E7470EE14C6C93ull, multiplier1 = 0xCA5A826395121157ull;
    u64 x0 = block, x1 = 0, x2 = 0, x3 = 0;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 high0 = __umul64hi(multiplier0, x0), low0 = multiplier0 * x0;
        const u64 high1 = __umul64hi(multiplier1, x2), low1 = multiplier1 * x2;
        x0 = high1 ^ x1 ^ key0;
        x1 = low1;
        x2 = high0 ^ x3 ^ key1;
        x3 = low0;
        key0 += 0x9E3779B97F4A7C15ull;
        key1 += 0xBB67AE8584CAA73Bull;
    }
    return {{(u32)x0, (u32)(x0 >> 32), (u32)x1, (u32)(x1 >> 32), (u32)x2, (u32)(x2 >> 32), (u32)x3, (u32)(x3 >> 32)}};
}

// Exact: 24 bits fit a float, and the factor is a power of two.
DEVICE float uniform_of(u32 word) { return (float)(word >> 8) * 0x1p-24f; }

// In 64 bits, because the threshold of probability 1 is 2**32.
DEVICE bool is_kept(u32 word, u64 threshold) { return (u64)word < threshold; }
