// What every kernel uses: short names of integers, the declaration of a kernel, the number of a thread.
//
// Kernels are written for two compilers. NVRTC makes GPU code of them; g++ makes a library that backends/simt runs on
// the CPU. So a .cu file holds plain CUDA C++ without inline PTX: what needs PTX is a function of another header here,
// and the simulator has a header of the same name with the same functions.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;
// Numbers of 16 bits, as arrays hold them; numbers.cuh computes with them.
struct bf16 {
    u16 bits;
};
struct f16 {
    u16 bits;
};

#define DEVICE static __device__ __forceinline__

// KERNEL(threads) name(parameters): the launcher reads the size of a block and the types of the arguments from here.
// A second number is the least number of blocks that shall fit on a multiprocessor.
#define KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)

// In 64 bits, since an array may have more elements than an int counts.
DEVICE i64 thread_index() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }

// DYNAMIC_SHARED(T, name): a pointer to the shared memory whose size the launch gives.
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(1024) unsigned char dynamic_shared[];                                                  \
    type* name = (type*)dynamic_shared
#endif
