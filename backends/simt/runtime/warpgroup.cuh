// The functions of the header of this name among the kernels, for the CPU.
#pragma once
#include <barrier.cuh>

extern "C" {
u64 simt_shared_offset(const void* pointer);
void simt_products_fence(void);
void simt_product(float* d, u64 a, u64 b, int columns, int is_f16, int a_by_columns, int b_by_columns);
void simt_products_commit(void);
void simt_products_wait(int keep_groups);
void simt_set_registers(int count, int grow);
}
SIMT u64 tile_descriptor(const void* tile) {
    const u64 address = simt_shared_offset(tile);
    return (address & 0x3FFFF) >> 4 | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}
SIMT u64 columns_descriptor(const void* tile, u32 pitch) {
    const u64 address = simt_shared_offset(tile);
    return (address & 0x3FFFF) >> 4 | (u64)(pitch >> 4) << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}
SIMT void products_fence() { simt_products_fence(); }
SIMT void products_commit() { simt_products_commit(); }
template <int N> SIMT void products_wait() { simt_products_wait(N); }
template <int N> SIMT void registers_shrink() { simt_set_registers(N, 0); }
template <int N> SIMT void registers_grow() { simt_set_registers(N, 1); }
template <bool A_BY_COLUMNS = false, bool B_BY_COLUMNS = false, int N>
SIMT void product(bf16, float (&d)[N], u64 a, u64 b) {
    simt_product(d, a, b, 2 * N, 0, A_BY_COLUMNS, B_BY_COLUMNS);
}
template <bool A_BY_COLUMNS = false, bool B_BY_COLUMNS = false, int N>
SIMT void product(f16, float (&d)[N], u64 a, u64 b) {
    simt_product(d, a, b, 2 * N, 1, A_BY_COLUMNS, B_BY_COLUMNS);
}
SIMT void product_64x64x16(float (&d)[32], u64 a, u64 b) { product(bf16{}, d, a, b); }
