// C = A B in float32, by tiles of 64 x 64 in static shared memory: barriers, and edges that are not full.
#include <common.cuh>

KERNEL(256) tiled(const float* a, const float* b, float* c, int m, int n, int k) {
    __shared__ float rows[16][68];
    __shared__ float columns[16][68];
    const int thread = threadIdx.x, tx = thread % 16, ty = thread / 16;
    const int first_row = blockIdx.y * 64, first_column = blockIdx.x * 64;
    float sums[4][4] = {};
    for (int k0 = 0; k0 < k; k0 += 16) {
        for (int i = thread; i < 64 * 16; i += 256) {
            const int row = i / 16, column = i % 16;
            rows[column][row] =
                first_row + row < m && k0 + column < k ? a[(i64)(first_row + row) * k + k0 + column] : 0.f;
        }
        for (int i = thread; i < 64 * 16; i += 256) {
            const int row = i / 64, column = i % 64;
            columns[row][column] =
                k0 + row < k && first_column + column < n ? b[(i64)(k0 + row) * n + first_column + column] : 0.f;
        }
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < 16; ++kk)
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] += rows[kk][ty * 4 + i] * columns[kk][tx * 4 + j];
        __syncthreads();
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
            const int row = first_row + ty * 4 + i, column = first_column + tx * 4 + j;
            if (row < m && column < n) c[(i64)row * n + column] = sums[i][j];
        }
}
