// The gradient of the weights of a convolution by wgmma: rows are outputs, columns the channels of the input under
// every tap, in blocks of 64, and the depth is every place of the output, 64 of them in a step. Both operands lie in
// memory by places, and are read by columns. Steps are boxes as in convolution_hopper.cu: places outside of the output
// count zero times what lies under the kernel there (which is nonsense if that is no finite number).
//
// The places are shared out to gridDim.z blocks for each tile of the weights. Each writes its sums, and another kernel
// adds them in their order, so that the result does not depend on who was first.
//
// With 128 ROWS each of the two groups of warps has half of them. With 64, for few outputs, each has half of the depth
// of every step, and writes sums of its own: a tile can have 192 columns then, which 3 x 3 taps are a multiple of.
// By bytes and FLOP a step is as in convolution_hopper.cu: 87 FLOP a byte with 128 x 256, 49 with 64 x 192.
#include <convolution_hopper.cuh>

KERNEL(384, 1)
gradient_of_weight(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap grad, float* sums, i32 out_n,
                   i32 out_d, i32 out_h, i32 out_w, i32 box_n, i32 box_d, i32 box_h, i32 box_w, i32 kernel_d,
                   i32 kernel_h, i32 kernel_w, i32 stride_d, i32 stride_h, i32 stride_w, i32 before_d, i32 before_h,
                   i32 before_w, i32 dilation_d, i32 dilation_h, i32 dilation_w, i32 channels, i32 outputs, i32 boxes) {
    constexpr int BLOCKS = COLUMNS / 64, TILES = ROWS / 64 + BLOCKS, BYTES = TILES * TILE;
    const Four sizes = {out_n, out_d, out_h, out_w}, box = {box_n, box_d, box_h, box_w};
    const int filled = box_n * box_d * box_h * box_w;
    const int taps = kernel_d * kernel_h * kernel_w, slices = over(channels, 64);
    const int first_row = blockIdx.y * ROWS, first_block = blockIdx.x * BLOCKS;
    const int from = (i64)boxes * blockIdx.z / gridDim.z, end = (i64)boxes * (blockIdx.z + 1) / gridDim.z;
    DYNAMIC_SHARED(u8, memory);
    Ring<STAGES, BYTES> ring = {memory, 0, 0};
    ring.set_up();
    for (int i = 0; i < STAGES * TILES; ++i) clear_rows(memory + i * TILE, filled, 64);
    barrier_fence();
    __syncthreads();

    if (threadIdx.x < 128) {
        registers_shrink<OF_COPYING>();
        if (threadIdx.x != 0) return;
        int d[BLOCKS], h[BLOCKS], w[BLOCKS], channel[BLOCKS];  // of each block: where its tap is, seen from a place
#pragma unroll
        for (int i = 0; i < BLOCKS; ++i) {
            const int tap = (first_block + i) / slices;
            d[i] = tap / (kernel_w * kernel_h) * dilation_d - before_d;
            h[i] = tap / kernel_w % kernel_h * dilation_h - before_h;
            w[i] = tap % kernel_w * dilation_w - before_w;
            channel[i] = (first_block + i) % slices * 64;
        }
#pragma unroll 1
        for (int i = from; i < end; ++i) {
            const Four first = first_place(i, sizes, box);
            barrier_wait(ring.empty(), ring.parity ^ 1);
            barrier_arrive_expecting(ring.full(), TILES * filled * ROW);
#pragma unroll
            for (int k = 0; k < ROWS / 64; ++k)
                copy_box(ring.tile() + k * TILE, grad, ring.full(), first.n, first.d, first.h, first.w,
                         first_row + k * 64);
#pragma unroll
            for (int k = 0; k < BLOCKS; ++k)
                copy_box(ring.tile() + (ROWS / 64 + k) * TILE, x, ring.full(), first.n, first.d * stride_d + d[k],
                         first.h * stride_h + h[k], first.w * stride_w + w[k], channel[k]);
            ring.next();
        }
    } else {
        registers_grow<OF_MULTIPLYING>();
        const int group = __shfl_sync(~0u, (int)threadIdx.x / 128, 0) - 1;
        const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
        const int half_of_rows = ROWS == 128 ? group : 0, half_of_depth = ROWS == 128 ? 0 : group;
        float own[COLUMNS / 2] = {};
        Barrier* before = nullptr;
#pragma unroll 1
        for (int i = from; i < end; ++i) {
            const u8* a = ring.tile() + half_of_rows * TILE + half_of_depth * 32 * ROW;
            const u8* b = ring.tile() + ROWS / 64 * TILE + half_of_depth * 32 * ROW;
            barrier_wait(ring.full(), ring.parity);
            products_fence();
#pragma unroll
            for (int depth = 0; depth < (ROWS == 128 ? 64 : 32); depth += DEPTH)
                product<true, true>(REAL{}, own, columns_descriptor(a + depth * ROW, TILE),
                                    columns_descriptor(b + depth * ROW, TILE));
            products_commit();
            products_wait<1>();  // those of the step before
            if (before) give_back(before);
            before = ring.empty();
            ring.next();
        }
        products_wait<0>();
        if (before) give_back(before);

        const int part = ROWS == 128 ? blockIdx.z : blockIdx.z * 2 + group;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = first_row + half_of_rows * 64 + warp * 16 + lane / 4 + half * 8;
            if (row >= outputs) continue;
            float* weights = sums + ((i64)part * outputs + row) * taps * channels;
#pragma unroll
            for (int block = 0; block < BLOCKS; ++block) {
                const int tap = (first_block + block) / slices, slice = (first_block + block) % slices;
                if (tap >= taps) continue;
#pragma unroll
                for (int j = 0; j < 8; ++j) {
                    const int channel = slice * 64 + j * 8 + lane % 4 * 2;
                    const float* sum = own + (block * 8 + j) * 4 + half * 2;
                    float2* to = (float2*)(weights + (i64)tap * channels + channel);
                    if (channel < channels) *to = float2{sum[0], sum[1]};
                }
            }
        }
    }
}
