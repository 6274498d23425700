// CUDA C++ for g++: included before every kernel that the simulator builds. What a thread does to others is a call of
// the runtime (runtime.hpp), which is compiled apart; here are only names.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstring>

#define __global__ __attribute__((noinline))  // so that every instruction belongs to a line of the kernel
#define __device__
#define __host__
#define __constant__ static const
#define __launch_bounds__(...)
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
// All shared variables lie in one section, which is poisoned before each block.
#define __shared__ static __attribute__((section("simt_shared")))
#define SIMT static inline __attribute__((always_inline))

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
SIMT float2 make_float2(float x, float y) { return {x, y}; }
SIMT float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

extern "C" {
extern struct SimtPosition {
    dim3 thread, block, block_size, grid_size;
} simt_position;
void simt_sync_block(int kind, int value, int* result);
void simt_sync_warp(unsigned mask);
// Publish bytes to the lanes of the mask; returns a table of 64 bytes for each lane of the warp.
const unsigned char* simt_exchange(unsigned mask, const void* value, int size, const char* operation);
unsigned simt_lane(void);
void* simt_dynamic_shared(void);
// Tell the checks of an access that the compiler does not see.
void simt_touch(const volatile void* address, size_t size, int is_write, int is_atomic);
[[noreturn]] void simt_fail(const char* text);
}
#define threadIdx simt_position.thread
#define blockIdx simt_position.block
#define blockDim simt_position.block_size
#define gridDim simt_position.grid_size
#define warpSize 32
// The start is aligned as on a device; the size is given at the launch.
#define DYNAMIC_SHARED(type, name) type* name = (type*)simt_dynamic_shared()

// ------------------------------------------------------------------ barriers and collectives

SIMT void __syncthreads() { simt_sync_block(0, 0, nullptr); }
SIMT int __syncthreads_count(int p) {
    int result;
    return simt_sync_block(1, p != 0, &result), result;
}
SIMT int __syncthreads_and(int p) {
    int result;
    return simt_sync_block(2, p != 0, &result), result == (int)(blockDim.x * blockDim.y * blockDim.z);
}
SIMT int __syncthreads_or(int p) {
    int result;
    return simt_sync_block(3, p != 0, &result), result != 0;
}
SIMT void __syncwarp(unsigned mask = ~0u) { simt_sync_warp(mask); }
SIMT void __threadfence() {}
SIMT void __threadfence_block() {}

template <class T> SIMT T simt_from_lane(const unsigned char* table, unsigned mask, unsigned lane) {
    // What a lane outside the mask would give is undefined on a device.
    if (!(mask >> lane & 1)) simt_fail("a shuffle reads from a lane that is not in its mask");
    T value;
    memcpy(&value, table + 64 * lane, sizeof value);
    return value;
}
template <class T> SIMT T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const unsigned char* table = simt_exchange(mask, &value, sizeof value, "__shfl_sync");
    const unsigned lane = simt_lane();
    return simt_from_lane<T>(table, mask, (lane & ~(width - 1u)) | (source & (width - 1)));
}
template <class T> SIMT T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    const unsigned char* table = simt_exchange(mask, &value, sizeof value, "__shfl_xor_sync");
    const unsigned lane = simt_lane(), other = lane ^ bits, end = (lane & ~(width - 1u)) + width;
    return other < end ? simt_from_lane<T>(table, mask, other) : value;
}
template <class T> SIMT T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned char* table = simt_exchange(mask, &value, sizeof value, "__shfl_down_sync");
    const unsigned lane = simt_lane(), other = lane + by, end = (lane & ~(width - 1u)) + width;
    return other < end ? simt_from_lane<T>(table, mask, other) : value;
}
template <class T> SIMT T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned char* table = simt_exchange(mask, &value, sizeof value, "__shfl_up_sync");
    const unsigned lane = simt_lane(), first = lane & ~(width - 1u);
    return lane - first >= by ? simt_from_lane<T>(table, mask, lane - by) : value;
}
SIMT unsigned simt_votes(unsigned mask, int p, const char* operation) {
    const unsigned char* table = simt_exchange(mask, &p, sizeof p, operation);
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane) {
        int vote;
        memcpy(&vote, table + 64 * lane, sizeof vote);
        if (mask >> lane & 1) result |= (unsigned)(vote != 0) << lane;
    }
    return result;
}
SIMT unsigned __ballot_sync(unsigned mask, int p) { return simt_votes(mask, p, "__ballot_sync"); }
SIMT int __any_sync(unsigned mask, int p) { return simt_votes(mask, p, "__any_sync") != 0; }
SIMT int __all_sync(unsigned mask, int p) { return simt_votes(mask, p, "__all_sync") == mask; }

// ------------------------------------------------------------------ atomics: threads run one at a time

template <class T, class F> SIMT T simt_atomic(T* address, F change) {
    simt_touch(address, sizeof(T), 1, 1);
    T old;
    memcpy(&old, address, sizeof old);
    const T changed = change(old);
    memcpy(address, &changed, sizeof changed);
    return old;
}
template <class T, class U> SIMT T atomicAdd(T* p, U v) {
    return simt_atomic(p, [=](T old) { return (T)(old + (T)v); });
}
template <class T, class U> SIMT T atomicMax(T* p, U v) {
    return simt_atomic(p, [=](T old) { return old < (T)v ? (T)v : old; });
}
template <class T, class U> SIMT T atomicMin(T* p, U v) {
    return simt_atomic(p, [=](T old) { return (T)v < old ? (T)v : old; });
}
template <class T, class U> SIMT T atomicExch(T* p, U v) {
    return simt_atomic(p, [=](T) { return (T)v; });
}
template <class T> SIMT T atomicCAS(T* p, T expected, T wanted) {
    return simt_atomic(p, [=](T old) { return old == expected ? wanted : old; });
}

// ------------------------------------------------------------------ arithmetic

template <class A, class B> SIMT constexpr auto min(A a, B b) { return b < a ? b : a; }
template <class A, class B> SIMT constexpr auto max(A a, B b) { return a < b ? b : a; }
SIMT unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
SIMT unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
SIMT int __popc(unsigned x) { return __builtin_popcount(x); }
SIMT int __clz(int x) { return x ? __builtin_clz(x) : 32; }
SIMT int __ffs(int x) { return __builtin_ffs(x); }
SIMT float __uint_as_float(unsigned x) {
    float f;
    return memcpy(&f, &x, 4), f;
}
SIMT unsigned __float_as_uint(float f) {
    unsigned x;
    return memcpy(&x, &f, 4), x;
}
SIMT float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
SIMT float __fmul_rn(float a, float b) { return a * b; }
SIMT float __fadd_rn(float a, float b) { return a + b; }
// The C library keeps these two names for itself.
SIMT float simt_expf(float x) { return expf(x); }
SIMT float simt_logf(float x) { return logf(x); }
#define __expf simt_expf
#define __logf simt_logf
SIMT float __fdividef(float a, float b) { return a / b; }
SIMT float rsqrtf(float x) { return 1.f / sqrtf(x); }
template <class T> SIMT T __ldg(const T* p) { return *p; }
