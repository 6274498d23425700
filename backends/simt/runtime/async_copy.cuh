// The functions of the header of this name among the kernels, for the CPU.
#pragma once
#include <common.cuh>

extern "C" {
void simt_copy_async(void* to, const void* from, int size, int zeros);
void simt_copy_commit(void);
void simt_copy_wait(int keep_groups);
}
SIMT void copy_async16(void* to, const void* from, bool wanted = true) {
    simt_copy_async(to, from, wanted ? 16 : 0, wanted ? 0 : 16);
}
SIMT void copy_async4(void* to, const void* from, bool wanted = true) {
    simt_copy_async(to, from, wanted ? 4 : 0, wanted ? 0 : 4);
}
SIMT void copy_commit() { simt_copy_commit(); }
template <int N> SIMT void copy_wait() { simt_copy_wait(N); }
