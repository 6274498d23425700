// Implicit GEMM: a convolution as a product of matrices, one of which is never written out. What its kernels share: how
// positions are counted without divisions, how tiles lie in shared memory, and their product.
//
// Defined from outside: REAL (bf16, f16 or float); TENSOR, 1 for tensor cores and 0 for exact float32 sums; TILE_ROWS
// and TILE_COLUMNS of the product that a block of 256 threads computes.
#pragma once
#include <tensor_core.cuh>

// Three stages take 48 KB with tiles of 128: two blocks fit on every multiprocessor, also where it has 100 KB.
constexpr int STAGES = 3;
constexpr int CHUNK = 16 / sizeof(REAL);  // elements of an asynchronous copy
constexpr int DEPTH = 4 * CHUNK;          // terms of the sum in a stage

// A number by its digits, the lowest one first; the last digit has no limit.
struct Digits {
    int of[4];
};

DEVICE Digits digits_of(int number, int first, int second, int third) {
    Digits digits;
    digits.of[0] = number % first;
    number /= first;
    digits.of[1] = number % second;
    number /= second;
    digits.of[2] = number % third;
    digits.of[3] = number / third;
    return digits;
}

// One carry for each digit at most, since those that are added are below the limits, too.
DEVICE void advance(Digits& digits, const Digits& by, int first, int second, int third) {
    const int limits[3] = {first, second, third};
    int carry = 0;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
        const int sum = digits.of[i] + by.of[i] + carry;
        carry = sum >= limits[i];
        digits.of[i] = carry ? sum - limits[i] : sum;
    }
    digits.of[3] += by.of[3] + carry;
}

DEVICE bool is_inside(int i, int length) { return (u32)i < (u32)length; }

// A tile by rows: of each row the DEPTH terms of a stage, 64 bytes. Eight rows at the same chunk lie in all 32 banks;
// 16 rows further down everything repeats.
DEVICE int by_row(int row, int chunk) { return row * DEPTH + (chunk ^ (row >> 1 & 3)) * CHUNK; }

// A tile by terms: WIDTH elements for each of the DEPTH terms. Without conflicts are eight terms at the same chunk of
// 16-bit numbers (ldmatrix), and four terms of eight neighbouring floats.
template <int WIDTH> DEVICE int by_term(int term, int chunk) {
    return term * WIDTH + (chunk ^ (sizeof(REAL) == 2 ? term & 7 : (term & 3) << 1)) * CHUNK;
}

DEVICE float stored(float value, float) { return value; }
DEVICE bf16 stored(float value, bf16) { return {(u16)pack_bf16(value, 0.f)}; }
DEVICE f16 stored(float value, f16) { return {(u16)pack_f16(value, 0.f)}; }
DEVICE float to_float(float number) { return number; }

// ------------------------------------------------------------------ the product of two tiles

// Sums holds what a thread has of the tile: at row(i), column(j) and the WIDE - 1 columns behind it, for i < DOWN and
// j < ACROSS. `add_by_row` and `add_by_term` add the product of two tiles that lie so. Lanes that differ in the bits
// LANES_OF_ROWS have the same columns, and so have the WARPS_DOWN warps of which this one is number `warp_down`.
#if TENSOR
DEVICE void multiply(bf16, float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_bf16(d, a, b); }
DEVICE void multiply(f16, float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_f16(d, a, b); }
DEVICE void multiply(float, float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_tf32(d, a, b); }

template <bool BY_ROW> struct Sums {
    static constexpr int WARPS_DOWN = TILE_ROWS > TILE_COLUMNS ? 4 : 2;
    static constexpr int TALL = TILE_ROWS / WARPS_DOWN / 16, BROAD = TILE_COLUMNS * WARPS_DOWN / 8 / 8;
    static constexpr int DOWN = 2 * TALL, ACROSS = BROAD, WIDE = 2, LANES_OF_ROWS = 4 | 8 | 16;
    static constexpr int UNROLLED = sizeof(REAL) == 2 ? 2 : 1;  // with tf32, both steps at once do not fit registers
    float of[TALL][BROAD][4];
    int lane, warp_down, top, left;

    __device__ __forceinline__ Sums() : of{} {
        const int warp = threadIdx.x / 32;
        lane = threadIdx.x % 32;
        warp_down = warp % WARPS_DOWN;
        top = warp_down * TALL * 16;
        left = warp / WARPS_DOWN * BROAD * 8;
    }
    __device__ __forceinline__ int row(int i) const { return top + i / 2 * 16 + i % 2 * 8 + lane / 4; }
    __device__ __forceinline__ int column(int j) const { return left + j * 8 + lane % 4 * 2; }
    __device__ __forceinline__ float value(int i, int j, int k) const { return of[i / 2][j][i % 2 * 2 + k]; }

    // A step of two chunks: 16 terms, or 8 of tf32, whose registers are filled by the same matrices.
    __device__ __forceinline__ void add_by_row(const REAL* a, const REAL* b) {
#pragma unroll(UNROLLED)
        for (int step = 0; step < 2; ++step) {
            u32 of_a[TALL][4], of_b[BROAD / 2][4];
#pragma unroll
            for (int i = 0; i < TALL; ++i)
                load_matrices(of_a[i], a + i * 16 * DEPTH + by_row(top + lane % 16, step * 2 + lane / 16));
#pragma unroll
            for (int j = 0; j < BROAD / 2; ++j)
                load_matrices(of_b[j], b + j * 16 * DEPTH +
                                           by_row(left + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
            add(of_a, of_b);
        }
    }

    __device__ __forceinline__ void add_by_term(const REAL* a, const REAL* b) {
#pragma unroll(UNROLLED)
        for (int step = 0; step < 2; ++step) {
            u32 of_a[TALL][4], of_b[BROAD / 2][4];
            if constexpr (sizeof(REAL) == 2) {
#pragma unroll
                for (int i = 0; i < TALL; ++i)
                    load_matrices_transposed(of_a[i], a + by_term<TILE_ROWS>(step * 16 + lane / 16 * 8 + lane % 8,
                                                                             (top + i * 16) / 8 + lane / 8 % 2));
#pragma unroll
                for (int j = 0; j < BROAD / 2; ++j)
                    load_matrices_transposed(of_b[j], b + by_term<TILE_COLUMNS>(step * 16 + lane / 8 % 2 * 8 + lane % 8,
                                                                                (left + j * 16) / 8 + lane / 16));
            } else {  // ldmatrix transposes 16-bit numbers only
#pragma unroll
                for (int e = 0; e < 4; ++e) {
#pragma unroll
                    for (int i = 0; i < TALL; ++i) {
                        const int term = step * 8 + e / 2 * 4 + lane % 4, at = top + i * 16 + e % 2 * 8 + lane / 4;
                        of_a[i][e] = __float_as_uint(to_float(a[by_term<TILE_ROWS>(term, at / CHUNK) + at % CHUNK]));
                    }
#pragma unroll
                    for (int j = 0; j < BROAD / 2; ++j) {
                        const int term = step * 8 + e % 2 * 4 + lane % 4, at = left + j * 16 + e / 2 * 8 + lane / 4;
                        of_b[j][e] = __float_as_uint(to_float(b[by_term<TILE_COLUMNS>(term, at / CHUNK) + at % CHUNK]));
                    }
                }
            }
            add(of_a, of_b);
        }
    }

    __device__ __forceinline__ void add(u32 (&of_a)[TALL][4], u32 (&of_b)[BROAD / 2][4]) {
        if constexpr (sizeof(REAL) == 4) {  // the tensor core would cut the mantissa off
#pragma unroll
            for (int e = 0; e < 4; ++e) {
#pragma unroll
                for (int i = 0; i < TALL; ++i) of_a[i][e] = float_to_tf32(__uint_as_float(of_a[i][e]));
#pragma unroll
                for (int j = 0; j < BROAD / 2; ++j) of_b[j][e] = float_to_tf32(__uint_as_float(of_b[j][e]));
            }
        }
#pragma unroll
        for (int i = 0; i < TALL; ++i)
#pragma unroll
            for (int j = 0; j < BROAD; ++j) {
                const u32 pair[2] = {of_b[j / 2][j % 2 * 2], of_b[j / 2][j % 2 * 2 + 1]};
                multiply(REAL(), of[i][j], of_a[i], pair);
            }
    }
};
#else
template <int N> struct alignas(4 * N) Floats {
    float of[N];
};

// 16 x 16 threads, 4 x 8 of them in a warp. By rows a thread has every 16th row and column, so that lanes read from
// neighbouring ones; by terms it has four neighbours at a time.
template <bool BY_ROW> struct Sums {
    static constexpr int DOWN = TILE_ROWS / 16, ACROSS = TILE_COLUMNS / 16, WIDE = 1;
    static constexpr int WARPS_DOWN = 4, LANES_OF_ROWS = 8 | 16;
    static constexpr int AT_ONCE = DOWN * ACROSS > 32 ? 2 : 4;  // terms, as registers allow
    typedef Floats<AT_ONCE> Some;
    typedef Floats<4> Four;
    float of[DOWN][ACROSS];
    int warp_down, top, left;

    __device__ __forceinline__ Sums() : of{} {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        warp_down = warp / 2;
        top = warp_down * 4 + lane / 8;
        left = warp % 2 * 8 + lane % 8;
    }
    static __device__ __forceinline__ int place(int first, int i) {
        return BY_ROW ? first + 16 * i : first * 4 + i / 4 * 64 + i % 4;
    }
    __device__ __forceinline__ int row(int i) const { return place(top, i); }
    __device__ __forceinline__ int column(int j) const { return place(left, j); }
    __device__ __forceinline__ float value(int i, int j, int) const { return of[i][j]; }

    __device__ __forceinline__ void add_by_row(const REAL* a, const REAL* b) {
#pragma unroll 1
        for (int term = 0; term < DEPTH; term += AT_ONCE) {  // unrolled, it would spill registers
            const int chunk = term / CHUNK, rest = term % CHUNK;
            Some of_b[ACROSS];
#pragma unroll
            for (int j = 0; j < ACROSS; ++j) of_b[j] = *(const Some*)(b + j * 16 * DEPTH + by_row(left, chunk) + rest);
#pragma unroll
            for (int i = 0; i < DOWN; ++i) {
                const Some of_a = *(const Some*)(a + i * 16 * DEPTH + by_row(top, chunk) + rest);
#pragma unroll
                for (int k = 0; k < AT_ONCE; ++k)
#pragma unroll
                    for (int j = 0; j < ACROSS; ++j) of[i][j] += of_a.of[k] * of_b[j].of[k];
            }
        }
    }

    __device__ __forceinline__ void add_by_term(const REAL* a, const REAL* b) {
#pragma unroll 2
        for (int term = 0; term < DEPTH; ++term) {
            Four of_a[DOWN / 4], of_b[ACROSS / 4];
#pragma unroll
            for (int i = 0; i < DOWN / 4; ++i)
                of_a[i] = *(const Four*)(a + by_term<TILE_ROWS>(term, row(4 * i) / CHUNK));
#pragma unroll
            for (int j = 0; j < ACROSS / 4; ++j)
                of_b[j] = *(const Four*)(b + by_term<TILE_COLUMNS>(term, column(4 * j) / CHUNK));
#pragma unroll
            for (int i = 0; i < DOWN; ++i)
#pragma unroll
                for (int j = 0; j < ACROSS; ++j) of[i][j] += of_a[i / 4].of[i % 4] * of_b[j / 4].of[j % 4];
        }
    }
};
#endif
