// The number formats of tensor cores, and one product of each shape by one warp.
#include <tensor_core.cuh>

KERNEL(256) round_all(const float* x, u32* bf16, u32* f16, u32* tf32, int n) {
    const i64 i = thread_index();
    if (i >= n) return;
    bf16[i] = pack_bf16(x[i], -x[i]);
    f16[i] = pack_f16(x[i], -x[i]);
    tf32[i] = float_to_tf32(x[i]);
}

// c[16][8] = a[16][8] b[8][8] in tf32.
KERNEL(32) product_tf32(const float* a, const float* b, float* c) {
    const int row = threadIdx.x / 4, pair = threadIdx.x % 4;
    const u32 of_a[4] = {float_to_tf32(a[row * 8 + pair]), float_to_tf32(a[(row + 8) * 8 + pair]),
                         float_to_tf32(a[row * 8 + pair + 4]), float_to_tf32(a[(row + 8) * 8 + pair + 4])};
    const u32 of_b[2] = {float_to_tf32(b[pair * 8 + row]), float_to_tf32(b[(pair + 4) * 8 + row])};
    float sums[4] = {};
    mma_tf32(sums, of_a, of_b);
    for (int e = 0; e < 4; ++e) c[(row + e / 2 * 8) * 8 + pair * 2 + e % 2] = sums[e];
}

// The transpose of an 8 x 32 matrix of 16-bit numbers, by ldmatrix.trans.
KERNEL(32) transpose(const u16* x, u16* y) {
    __shared__ __align__(16) u16 rows[8][32];
    const int lane = threadIdx.x;
    for (int i = 0; i < 8; ++i) rows[i][lane] = x[i * 32 + lane];
    __syncwarp();
    u32 r[4];
    load_matrices_transposed(r, &rows[lane % 8][lane / 8 * 8]);
    for (int matrix = 0; matrix < 4; ++matrix)
        for (int half = 0; half < 2; ++half)
            y[(matrix * 8 + lane / 4) * 8 + lane % 4 * 2 + half] = (u16)(r[matrix] >> 16 * half);
}
