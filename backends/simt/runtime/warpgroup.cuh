// The functions of the header of this name among the kernels, for the CPU.
#pragma once
#include <barrier.cuh>

extern "C" {
u64 simt_shared_offset(const void* pointer);
void simt_product(float* d, u64 a, u64 b);
void simt_products_commit(void);
void simt_products_wait(int keep_groups);
}
SIMT u64 tile_descriptor(const void* tile) {
    const u64 address = simt_shared_offset(tile);
    return (address & 0x3FFFF) >> 4 | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}
SIMT void products_fence() {}
SIMT void products_commit() { simt_products_commit(); }
template <int N> SIMT void products_wait() { simt_products_wait(N); }
SIMT void product_64x64x16(float (&d)[32], u64 a, u64 b) { simt_product(d, a, b); }
