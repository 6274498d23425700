// Convolution by wgmma from tiles that tensor copies fetch: an implicit product of matrices, whose rows are places of
// the output, whose columns are its channels, and whose depth is every channel of the input under every tap.
//
// A tile of places is a box of the output, so that what lies under one tap is a box of the input, shifted and with
// steps: one tensor copy, which puts zeros where the padding is. Rows outside of the output are not stored.
//
// REAL is bf16 or f16. A block computes 128 STRIPS places by COLUMNS channels at a time and goes on to another such
// tile: while its last products run and its results are stored, the first stages of the next one are filled. TURNED
// gives the gradient of the input of a convolution with stride 1, from that of its output: there channels and outputs
// change roles, the taps are taken in reverse, and the weights are read by columns, where they lie.
//
// An H100 or H200 multiplies some 790 TFLOP/s (measured), and its L2 cache gives some 6 to 7 TB/s (published). A step of
// 64 channels takes (128 STRIPS + COLUMNS) * 128 bytes for 16384 STRIPS COLUMNS FLOP: 87 FLOP a byte with 128 x 256 or
// 256 x 128, which the cache bounds to 520 to 600 TFLOP/s; 52 with 256 x 64, 310 to 360; 43 with 128 x 64. Blocks that
// share what they copy (clusters) would be bound by the tensor cores.
#include <convolution_hopper.cuh>

KERNEL(384, 1)
convolve(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap weight, const REAL* bias, REAL* out,
         i32 out_n, i32 out_d, i32 out_h, i32 out_w, i32 box_n, i32 box_d, i32 box_h, i32 box_w, i32 kernel_d,
         i32 kernel_h, i32 kernel_w, i32 stride_d, i32 stride_h, i32 stride_w, i32 before_d, i32 before_h, i32 before_w,
         i32 dilation_d, i32 dilation_h, i32 dilation_w, i32 slices, i32 outputs, i32 tiles, bool has_bias, bool relu) {
    constexpr int PLACES = 128 * STRIPS * ROW, BYTES = PLACES + COLUMNS * ROW;
    const Four sizes = {out_n, out_d, out_h, out_w}, box = {box_n, box_d, box_h, box_w};
    const int filled = box_n * box_d * box_h * box_w, column_tiles = over(outputs, COLUMNS);
    DYNAMIC_SHARED(u8, memory);
    Ring<STAGES, BYTES> ring = {memory, 0, 0};
    ring.set_up();
    for (int i = 0; i < STAGES; ++i) clear_rows(memory + i * BYTES, filled, 128 * STRIPS);
    barrier_fence();
    __syncthreads();

    if (threadIdx.x < 128) {
        registers_shrink<OF_COPYING>();
        if (threadIdx.x != 0) return;
        for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            const Four first = first_place(tile / column_tiles, sizes, box);
            const int column = tile % column_tiles * COLUMNS;
            for (int i = 0; i < kernel_d; ++i)
                for (int j = 0; j < kernel_h; ++j)
                    for (int k = 0; k < kernel_w; ++k) {
                        const int d = first.d * stride_d - before_d + i * dilation_d;
                        const int h = first.h * stride_h - before_h + j * dilation_h;
                        const int w = first.w * stride_w - before_w + k * dilation_w;
#pragma unroll 1
                        for (int slice = 0; slice < slices; ++slice) {
                            u8* to = ring.tile();
                            barrier_wait(ring.empty(), ring.parity ^ 1);
                            barrier_arrive_expecting(ring.full(), (filled + COLUMNS) * ROW);
                            copy_box(to, x, ring.full(), first.n, d, h, w, slice * 64);
                            to += PLACES;
                            if (TURNED) {
#pragma unroll
                                for (int c = 0; c < COLUMNS; c += 64)
                                    copy_box(to + c * ROW, weight, ring.full(), slice * 64, kernel_d - 1 - i,
                                             kernel_h - 1 - j, kernel_w - 1 - k, column + c);
                            } else {
                                copy_box(to, weight, ring.full(), column, i, j, k, slice * 64);
                            }
                            ring.next();
                        }
                    }
        }
    } else {
        registers_grow<OF_MULTIPLYING>();
        // By a shuffle, so that the compiler knows it to be the same in a warp, and with it the descriptors.
        const int group = __shfl_sync(~0u, (int)threadIdx.x / 128, 0) - 1;
        const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
        const int steps = kernel_d * kernel_h * kernel_w * slices;
        for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            float sums[STRIPS][COLUMNS / 2] = {};
            Barrier* before = nullptr;
#pragma unroll 1
            for (int step = 0; step < steps; ++step) {
                const u8* a = ring.tile() + group * STRIPS * TILE;
                const u8* b = ring.tile() + PLACES;
                barrier_wait(ring.full(), ring.parity);
                products_fence();
#pragma unroll
                for (int depth = 0; depth < 64; depth += DEPTH) {
                    const u64 of_b = TURNED ? columns_descriptor(b + depth * ROW, TILE)
                                            : tile_descriptor(b + depth * 2);
#pragma unroll
                    for (int strip = 0; strip < STRIPS; ++strip) {
                        const u64 of_a = tile_descriptor(a + strip * TILE + depth * 2);
                        product<false, TURNED>(REAL{}, sums[strip], of_a, of_b);
                    }
                }
                products_commit();
                products_wait<1>();  // those of the step before
                if (before) give_back(before);
                before = ring.empty();
                ring.next();
            }
            products_wait<0>();
            give_back(before);

            const Four first = first_place(tile / column_tiles, sizes, box);
            const int first_column = tile % column_tiles * COLUMNS;
#pragma unroll
            for (int strip = 0; strip < STRIPS; ++strip) {
                const int row = (group * STRIPS + strip) * 64 + warp * 16 + lane / 4;
                const i64 places[2] = {place_of(row, first, sizes, box), place_of(row + 8, first, sizes, box)};
#pragma unroll
                for (int j = 0; j < COLUMNS / 8; j += 4) {
                    u32 values[2][4];
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        const int column = first_column + (j + i) * 8 + lane % 4 * 2;
                        float more[2] = {};
                        if (has_bias && column < outputs) {
                            more[0] = to_float(bias[column]);
                            more[1] = to_float(bias[column + 1]);
                        }
#pragma unroll
                        for (int half = 0; half < 2; ++half) {
                            const float* sum = sums[strip] + (j + i) * 4 + half * 2;
                            const float low = sum[0] + more[0], high = sum[1] + more[1];
                            values[half][i] = packed(REAL{}, relu && low < 0 ? 0 : low, relu && high < 0 ? 0 : high);
                        }
                    }
                    const int column = first_column + (j + lane % 4) * 8;
#pragma unroll
                    for (int half = 0; half < 2; ++half) {
                        turn_quad(values[half]);
                        if (places[half] < 0 || column >= outputs) continue;
                        *(uint4*)(out + places[half] * outputs + column) =
                            uint4{values[half][0], values[half][1], values[half][2], values[half][3]};
                    }
                }
            }
        }
    }
}
