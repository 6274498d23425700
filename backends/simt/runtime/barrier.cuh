// The functions of the header of this name among the kernels, for the CPU.
#pragma once
#include <async_copy.cuh>

typedef u64 Barrier;
struct alignas(64) TensorMap {
    u64 opaque[16];
};

extern "C" {
void simt_barrier_init(void* barrier, u32 arrivals);
void simt_barrier_arrive(void* barrier);
void simt_barrier_arrive_expecting(void* barrier, u32 bytes);
void simt_barrier_wait(void* barrier, u32 parity);
void simt_barrier_fence(void);
void simt_copy_box(void* to, const void* map, void* barrier, int axes, const int* first);
}
SIMT void barrier_init(Barrier* barrier, u32 arrivals) { simt_barrier_init(barrier, arrivals); }
SIMT void barrier_fence() { simt_barrier_fence(); }
SIMT void barrier_arrive(Barrier* barrier) { simt_barrier_arrive(barrier); }
SIMT void barrier_arrive_expecting(Barrier* barrier, u32 bytes) { simt_barrier_arrive_expecting(barrier, bytes); }
SIMT void barrier_wait(Barrier* barrier, u32 parity) { simt_barrier_wait(barrier, parity); }
SIMT void copy_tile(void* to, const TensorMap& map, Barrier* barrier, int row, int column) {
    const int first[5] = {0, 0, 0, row, column};
    simt_copy_box(to, &map, barrier, 2, first);
}
SIMT void copy_box(void* to, const TensorMap& map, Barrier* barrier, int n, int d, int h, int w, int c) {
    const int first[5] = {n, d, h, w, c};
    simt_copy_box(to, &map, barrier, 5, first);
}
