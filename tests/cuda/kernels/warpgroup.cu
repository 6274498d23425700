// C = A B^T of bfloat16 by a producer warp, which fills a ring of stages with tensor copies, and four warps that take
// products of them. M, N and K are multiples of 64.
#include <tensor_core.cuh>
#include <warpgroup.cuh>

KERNEL(160) warpgroup(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int n, int k) {
    constexpr int STAGES = 3, TILE = 64 * 64;
    DYNAMIC_SHARED(u16, shared);
    __shared__ Barrier full[STAGES];
    __shared__ Barrier empty[STAGES];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, steps = k / 64;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            barrier_init(full + stage, 1);
            barrier_init(empty + stage, 128);
        }
        barrier_fence();
    }
    __syncthreads();
    if (warp == 4) {
        if (lane != 0) return;
        for (int step = 0; step < steps; ++step) {
            const int stage = step % STAGES;
            if (step >= STAGES) barrier_wait(empty + stage, (step / STAGES - 1) & 1);
            barrier_arrive_expecting(full + stage, 2 * TILE * 2);
            copy_tile(shared + stage * 2 * TILE, a, full + stage, blockIdx.y * 64, step * 64);
            copy_tile(shared + stage * 2 * TILE + TILE, b, full + stage, blockIdx.x * 64, step * 64);
        }
        return;
    }
    float sums[32] = {};
    for (int step = 0; step < steps; ++step) {
        const int stage = step % STAGES;
        const u16* tile = shared + stage * 2 * TILE;
        barrier_wait(full + stage, step / STAGES & 1);
        products_fence();
#pragma unroll
        for (int depth = 0; depth < 64; depth += 16)
            product_64x64x16(sums, tile_descriptor(tile + depth), tile_descriptor(tile + TILE + depth));
        products_commit();
        products_wait<0>();
        barrier_arrive(empty + stage);
    }
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            const int row = blockIdx.y * 64 + warp * 16 + lane / 4 + e / 2 * 8;
            c[(i64)row * n + blockIdx.x * 64 + j * 8 + lane % 4 * 2 + e % 2] = sums[j * 4 + e];
        }
}
