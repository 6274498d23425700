// The functions of the header of this name among the kernels, for the CPU.
#pragma once
#include <async_copy.cuh>
#include <numbers.cuh>

extern "C" {
void simt_load_matrices(u32* r, const void* row, int transposed);
void simt_mma(float* d, const u32* a, const u32* b, int type);
}
SIMT void load_matrices(u32 (&r)[4], const void* row) { simt_load_matrices(r, row, 0); }
SIMT void load_matrices_transposed(u32 (&r)[4], const void* row) { simt_load_matrices(r, row, 1); }
SIMT void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simt_mma(d, a, b, 0); }
SIMT void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simt_mma(d, a, b, 1); }
SIMT void mma_tf32(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simt_mma(d, a, b, 2); }
