// C = A B^T by tensor cores, of 16-bit numbers in tiles of 64 x 64 x 32: two stages of asynchronous copies, ldmatrix,
// mma.sync. PRODUCT is mma_bf16 or mma_f16. K is a multiple of 8; M and N are any.
#include <tensor_core.cuh>

KERNEL(128) pipeline(const u16* a, const u16* b, float* c, int m, int n, int k) {
    constexpr int TILE = 64, DEPTH = 32, PITCH = DEPTH + 8;  // the pitch keeps ldmatrix free of bank conflicts
    DYNAMIC_SHARED(u16, shared);
    const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int first_row = blockIdx.y * TILE, first_column = blockIdx.x * TILE;
    const int rows = warp % 2 * 32, columns = warp / 2 * 32;
    const int steps = (k + DEPTH - 1) / DEPTH;

    const auto load = [&](int step) {
        u16* to_a = shared + step % 2 * 2 * TILE * PITCH;
        u16* to_b = to_a + TILE * PITCH;
        for (int i = thread; i < TILE * DEPTH / 8; i += 128) {
            const int row = i / 4, column = i % 4 * 8, depth = step * DEPTH + column;
            const bool in_a = first_row + row < m && depth < k, in_b = first_column + row < n && depth < k;
            copy_async16(to_a + row * PITCH + column, in_a ? a + (i64)(first_row + row) * k + depth : a, in_a);
            copy_async16(to_b + row * PITCH + column, in_b ? b + (i64)(first_column + row) * k + depth : b, in_b);
        }
        copy_commit();
    };

    float sums[2][4][4] = {};
    load(0);
    for (int step = 0; step < steps; ++step) {
        if (step + 1 < steps) {
            load(step + 1);
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        const u16* tile_a = shared + step % 2 * 2 * TILE * PITCH;
        const u16* tile_b = tile_a + TILE * PITCH;
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 16) {
            u32 of_a[2][4], of_b[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i)
                load_matrices(of_a[i], tile_a + (rows + i * 16 + lane % 16) * PITCH + depth + lane / 16 * 8);
#pragma unroll
            for (int j = 0; j < 2; ++j)
                load_matrices(of_b[j], tile_b + (columns + j * 16 + lane % 8 + lane / 16 * 8) * PITCH + depth +
                                           lane / 8 % 2 * 8);
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    const u32 pair[2] = {of_b[j / 2][j % 2 * 2], of_b[j / 2][j % 2 * 2 + 1]};
                    PRODUCT(sums[i][j], of_a[i], pair);
                }
        }
        __syncthreads();  // before the next copies overwrite this stage
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int row = first_row + rows + i * 16 + lane / 4 + e / 2 * 8;
                const int column = first_column + columns + j * 8 + lane % 4 * 2 + e % 2;
                if (row < m && column < n) c[(i64)row * n + column] = sums[i][j][e];
            }
}
