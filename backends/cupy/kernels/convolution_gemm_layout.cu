// Arrays in the form that implicit GEMM takes: channels in multiples of 16 bytes, filled up with zeros.
#include <common.cuh>

// to[row][0 .. held) = from[row][0 .. length) and zeros; n elements in all.
KERNEL(256) fill_up(const REAL* from, REAL* to, int length, int held, i64 n) {
    const i64 i = thread_index();
    if (i >= n) return;
    const u32 row = (u32)i / (u32)held, column = (u32)i % (u32)held;
    to[i] = column < (u32)length ? from[(i64)row * length + column] : REAL();
}

// Weights for the gradient of the input: to[group][tap][channel][0 .. held) = from[group][output][tap][channel], by
// tiles of 32 x 32 outputs and channels, so that both sides are read and written along rows. Blocks: tiles, taps,
// groups.
KERNEL(256) exchange(const REAL* from, REAL* to, int outputs, int taps, int channels, int held) {
    __shared__ REAL tile[32][33];  // one more, so that a column lies in all banks
    const int x = threadIdx.x % 32, y = threadIdx.x / 32, tap = blockIdx.y, group = blockIdx.z;
    const int across = (channels + 31) / 32;
    const int channel = blockIdx.x % across * 32, output = blockIdx.x / across * 32;
    for (int i = y; i < 32; i += 8) {
        const bool is_inside = output + i < outputs && channel + x < channels;
        const i64 row = ((i64)group * outputs + output + i) * taps + tap;
        tile[i][x] = is_inside ? from[row * channels + channel + x] : REAL();
    }
    __syncthreads();
    for (int i = y; i < 32; i += 8) {
        const i64 row = ((i64)group * taps + tap) * channels + channel + i;
        if (channel + i < channels && output + x < held) to[row * held + output + x] = tile[x][i];
    }
}
