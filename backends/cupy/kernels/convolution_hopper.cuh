// What the convolutions by groups of warps share: the ring of stages between the thread that copies and the warps that
// multiply, and the places of an array that a tile has as its rows.
#pragma once
#include <numbers.cuh>
#include <warpgroup.cuh>

constexpr int ROW = 128;         // bytes: 64 numbers, by which a tile is swizzled
constexpr int TILE = 64 * ROW;   // 64 such rows
constexpr int DEPTH = 16;        // of one product
constexpr int MULTIPLYING = 8;   // warps; the first four of a block copy, or rather one of their threads does
// Registers of their threads. A block of 384 threads starts with 168 for each: 40 + 2 * 232 = 3 * 168.
constexpr int OF_COPYING = 40, OF_MULTIPLYING = 232;

DEVICE u32 packed(bf16, float low, float high) { return pack_bf16(low, high); }
DEVICE u32 packed(f16, float low, float high) { return pack_f16(low, high); }

// Stages in shared memory, which one thread fills and eight warps empty; behind them lie two barriers for each. The
// parity changes with every turn; who waits for the one before the first waits for nothing, so that stages begin empty.
template <int LENGTH, int BYTES> struct Ring {
    u8* memory;
    int stage;
    u32 parity;

    __device__ __forceinline__ u8* tile() const { return memory + stage * BYTES; }
    __device__ __forceinline__ Barrier* full() const { return (Barrier*)(memory + LENGTH * BYTES) + stage; }
    __device__ __forceinline__ Barrier* empty() const { return full() + LENGTH; }
    __device__ __forceinline__ void next() {
        if (++stage < LENGTH) return;
        stage = 0;
        parity ^= 1;
    }
    __device__ __forceinline__ void set_up() {
        if (threadIdx.x != 0) return;
        for (int i = 0; i < LENGTH; ++i) {
            barrier_init((Barrier*)(memory + LENGTH * BYTES) + i, 1);
            barrier_init((Barrier*)(memory + LENGTH * BYTES) + LENGTH + i, MULTIPLYING);
        }
    }
};

// Rows that no copy fills are zero for good: where a tile has fewer places than rows.
DEVICE void clear_rows(u8* tile, int first, int last) {
    for (int i = first * (ROW / 16) + threadIdx.x; i < last * (ROW / 16); i += blockDim.x) ((uint4*)tile)[i] = uint4{};
}

// What a warp has read may be overwritten.
DEVICE void give_back(Barrier* empty) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(empty);
}

// Sizes or places along the axes of an array.
struct Four {
    int n, d, h, w;
};

DEVICE int over(int size, int part) { return (size + part - 1) / part; }

// The first place of a tile, which is a box; tiles are counted along the last axis first.
DEVICE Four first_place(int tile, const Four& sizes, const Four& box) {
    Four first;
    first.w = tile % over(sizes.w, box.w) * box.w;
    tile /= over(sizes.w, box.w);
    first.h = tile % over(sizes.h, box.h) * box.h;
    tile /= over(sizes.h, box.h);
    first.d = tile % over(sizes.d, box.d) * box.d;
    first.n = tile / over(sizes.d, box.d) * box.n;
    return first;
}

// The place that a row of a tile is, counted through the whole array; -1 if it is none.
DEVICE i64 place_of(int row, const Four& first, const Four& sizes, const Four& box) {
    const int w = first.w + row % box.w, h = first.h + row / box.w % box.h;
    const int d = first.d + row / (box.w * box.h) % box.d, image = row / (box.w * box.h * box.d);
    const int n = first.n + image;
    const bool inside = image < box.n && n < sizes.n && d < sizes.d && h < sizes.h && w < sizes.w;
    return inside ? (((i64)n * sizes.d + d) * sizes.h + h) * sizes.w + w : -1;
}

// Lane q of four has numbers q of four rows i; afterwards it has all four of row q: 16 bytes that are stored at once.
DEVICE void turn_quad(u32 (&values)[4]) {
#pragma unroll
    for (int bit = 1; bit < 4; bit *= 2) {
        const bool odd = threadIdx.x & bit;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (i & bit) continue;
            const u32 got = __shfl_xor_sync(~0u, odd ? values[i] : values[i | bit], bit);
            if (odd) values[i] = got;
            else values[i | bit] = got;
        }
    }
}
