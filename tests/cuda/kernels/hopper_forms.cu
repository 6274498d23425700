// What sm_90a offers, each by itself: boxes of arrays of five axes, products of all shapes, of rows and of columns, and
// registers that one group of warps gives to another.
#include <common.cuh>
#include <warpgroup.cuh>

DEVICE void wait_for_copies(Barrier* barrier) {
    barrier_wait(barrier, 0);
    __syncthreads();
}

DEVICE void set_up(Barrier* barrier) {
    if (threadIdx.x == 0) barrier_init(barrier, 1);
    barrier_fence();
    __syncthreads();
}

// The rows of a box one after the other, as they were before the swizzle.
KERNEL(128) copied(const __grid_constant__ TensorMap x, u16* out, i32 n, i32 d, i32 h, i32 w, i32 c, i32 rows) {
    DYNAMIC_SHARED(u8, memory);
    Barrier* barrier = (Barrier*)(memory + rows * 128);
    set_up(barrier);
    if (threadIdx.x == 0) {
        barrier_arrive_expecting(barrier, rows * 128);
        copy_box(memory, x, barrier, n, d, h, w, c);
    }
    wait_for_copies(barrier);
    for (int i = threadIdx.x; i < rows * 64; i += 128) out[i] = *(u16*)(memory + ((i * 2) ^ (i / 64 % 8 << 4)));
}

// out[64][COLUMNS] = the sum over 64 of a b^T, whose operands lie by rows, or by columns if OF_A or OF_B says so.
KERNEL(128) multiplied(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* out) {
    constexpr int BYTES = 64 * 128;
    DYNAMIC_SHARED(u8, memory);
    Barrier* barrier = (Barrier*)(memory + BYTES + COLUMNS * 128);
    set_up(barrier);
    if (threadIdx.x == 0) {
        barrier_arrive_expecting(barrier, BYTES + COLUMNS * 128);
        copy_box(memory, a, barrier, 0, 0, 0, 0, 0);
        if (OF_B)
            for (int i = 0; i < COLUMNS / 64; ++i) copy_box(memory + (1 + i) * BYTES, b, barrier, 0, 0, 0, 0, i * 64);
        else
            copy_box(memory + BYTES, b, barrier, 0, 0, 0, 0, 0);
    }
    wait_for_copies(barrier);
    float sums[COLUMNS / 2] = {};
    products_fence();
#pragma unroll
    for (int k = 0; k < 64; k += 16) {
        const u8 *at_a = memory, *at_b = memory + BYTES;
        product<OF_A, OF_B>(
            REAL{}, sums, OF_A ? columns_descriptor(at_a + k * 128, BYTES) : tile_descriptor(at_a + k * 2),
            OF_B ? columns_descriptor(at_b + k * 128, BYTES) : tile_descriptor(at_b + k * 2));
    }
    products_commit();
    products_wait<0>();
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; ++i)
        out[(warp * 16 + lane / 4 + i / 2 % 2 * 8) * COLUMNS + i / 4 * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

// The first 128 threads copy a number each, the others add 128.
KERNEL(384, 1) shared_out(const float* x, float* out) {
    if (threadIdx.x < 128) {
        registers_shrink<40>();
        out[threadIdx.x] = x[threadIdx.x];
    } else {
        registers_grow<232>();
        float sum = 0;
        for (int i = 0; i < 128; ++i) sum += x[threadIdx.x + i];
        out[threadIdx.x] = sum;
    }
}
