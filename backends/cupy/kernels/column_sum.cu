// Sums of the columns of a matrix, in float32 and in a fixed order: parts of the rows first, then the parts.
#include <numbers.cuh>
#include <vector.cuh>

DEVICE float to_float(float number) { return number; }
DEVICE float rounded(float value, float) { return value; }
DEVICE bf16 rounded(float value, bf16) { return {(u16)pack_bf16(value, 0.f)}; }
DEVICE f16 rounded(float value, f16) { return {(u16)pack_f16(value, 0.f)}; }

// partial[part][columns]: a block sums `span` rows of 8 `across` columns, `across` being a power of 2 up to 32.
// Blocks: columns, parts of the rows.
KERNEL(256) sum_parts(const REAL* matrix, float* partial, int rows, int columns, int span, int across) {
    __shared__ float sums[256 * 8];
    const int thread = threadIdx.x, slots = 256 / across, slot = thread / across;
    const int column = (blockIdx.x * across + thread % across) * 8;
    const int first = blockIdx.y * span, last = rows - first < span ? rows : first + span;
    float own[8] = {};
    if (column < columns)
        for (int row = first + slot; row < last; row += slots) {
            const i64 start = (i64)row * columns;
            const Eight<REAL> values = load_eight(matrix, start + column, start + columns, REAL());
#pragma unroll
            for (int k = 0; k < 8; ++k) own[k] += to_float(values.of[k]);
        }
#pragma unroll
    for (int k = 0; k < 8; ++k) sums[k * 256 + thread] = own[k];
    __syncthreads();
    for (int i = thread; i < across * 8; i += 256) {
        const int k = i % 8, at = i / 8, to = (blockIdx.x * across + at) * 8 + k;
        if (to >= columns) continue;
        float total = 0;
        for (int other = 0; other < slots; ++other) total += sums[k * 256 + other * across + at];
        partial[(i64)blockIdx.y * columns + to] = total;
    }
}

// out[column] = the sum of the parts: eight threads for each column, every eighth part each.
KERNEL(256) sum_of_parts(const float* partial, REAL* out, int parts, i64 columns) {
    __shared__ float sums[8][32];
    const int lane = threadIdx.x % 32, slot = threadIdx.x / 32;
    const i64 column = (i64)blockIdx.x * 32 + lane;
    float own = 0;
    if (column < columns) {
#pragma unroll 4
        for (int part = slot; part < parts; part += 8) own += partial[part * columns + column];
    }
    sums[slot][lane] = own;
    __syncthreads();
    if (slot == 0 && column < columns) {
        float total = 0;
#pragma unroll
        for (int other = 0; other < 8; ++other) total += sums[other][lane];
        out[column] = rounded(total, REAL());
    }
}
