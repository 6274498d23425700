// Products of matrices in shared memory by four warps (wgmma). Compute capability 9.0, architecture sm_90a.
#pragma once
#include <barrier.cuh>

// A tile of 64 columns of 16-bit numbers in rows of 128 bytes, swizzled by 128 bytes as a tensor copy leaves it, from an
// address that is a multiple of 1024; steps of 16 columns add 32 bytes to it.
DEVICE u64 tile_descriptor(const void* tile) {
    const u64 address = shared_address(tile);
    return (address & 0x3FFFF) >> 4 | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}

// The same tile for an operand that is read by columns: its rows are the depth of the product, its columns the rows of
// the operand; the next 64 of those are in a tile `pitch` bytes further. Steps of 16 in depth add 2048 bytes.
DEVICE u64 columns_descriptor(const void* tile, u32 pitch) {
    const u64 address = shared_address(tile);
    return (address & 0x3FFFF) >> 4 | (u64)(pitch >> 4) << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}

// Before the first product, and wherever the registers of d have been touched.
DEVICE void products_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Wait until all but the last N groups are done.
template <int N> DEVICE void products_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }

// Registers that each thread of four warps gives to its block, or takes of what others gave (setmaxnreg): afterwards it
// has N, a multiple of 8. In kernels that say how many blocks shall fit on a multiprocessor: KERNEL(threads, 1).
template <int N> DEVICE void registers_shrink() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N> DEVICE void registers_grow() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }

// product(T{}, d, a, b): d[64][N] += a[64][16] b[N][16]^T of bf16 or f16, N / 2 numbers of d in each thread: warp w of
// the four has rows 16 w to 16 w + 15, and in them lane l the rows l / 4 and l / 4 + 8, the columns 8 j + l % 4 * 2 and
// the next, in d[4 j] to d[4 j + 3]. Operands are read by rows, or by columns if the template says so.
#define D_32                                                                                                           \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                           \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define D_64 D_32 ", "                                                                                                 \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                                 \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define D_96 D_64 ", "                                                                                                 \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "                                 \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define D_128 D_96 ", "                                                                                                \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "                     \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define IN_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define IN_16(i) IN_4(i), IN_4(i + 4), IN_4(i + 8), IN_4(i + 12)
#define IN_32 IN_16(0), IN_16(16)
#define IN_64 IN_32, IN_16(32), IN_16(48)
#define IN_96 IN_64, IN_16(64), IN_16(80)
#define IN_128 IN_96, IN_16(96), IN_16(112)
#define NAME_OF_bf16 "bf16"
#define NAME_OF_f16 "f16"
#define PRODUCT(T, columns, numbers, a_at, b_at, a_columns_at, b_columns_at)                                           \
    template <bool A_BY_COLUMNS = false, bool B_BY_COLUMNS = false>                                                    \
    DEVICE void product(T, float (&d)[numbers], u64 a, u64 b) {                                                        \
        asm volatile("wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." NAME_OF_##T "." NAME_OF_##T               \
                     " {" D_##numbers "}, %" #a_at ", %" #b_at ", 1, 1, 1, %" #a_columns_at ", %" #b_columns_at ";"    \
                     : IN_##numbers                                                                                    \
                     : "l"(a), "l"(b), "n"((int)A_BY_COLUMNS), "n"((int)B_BY_COLUMNS));                                \
    }
PRODUCT(bf16, 64, 32, 32, 33, 34, 35)
PRODUCT(f16, 64, 32, 32, 33, 34, 35)
PRODUCT(bf16, 128, 64, 64, 65, 66, 67)
PRODUCT(f16, 128, 64, 64, 65, 66, 67)
PRODUCT(bf16, 192, 96, 96, 97, 98, 99)
PRODUCT(f16, 192, 96, 96, 97, 98, 99)
PRODUCT(bf16, 256, 128, 128, 129, 130, 131)
PRODUCT(f16, 256, 128, 128, 129, 130, 131)

DEVICE void product_64x64x16(float (&d)[32], u64 a, u64 b) { product(bf16{}, d, a, b); }
