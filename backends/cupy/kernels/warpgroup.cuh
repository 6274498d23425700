// Products of matrices in shared memory by four warps (wgmma). Compute capability 9.0, architecture sm_90a.
#pragma once
#include <barrier.cuh>

// A tile of 64 columns of 16-bit numbers in rows of 128 bytes, swizzled by 128 bytes as a tensor copy leaves it, from an
// address that is a multiple of 1024; steps of 16 columns add 32 bytes to it.
DEVICE u64 tile_descriptor(const void* tile) {
    const u64 address = shared_address(tile);
    return (address & 0x3FFFF) >> 4 | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}

// Before the first product, and wherever the registers of d have been touched.
DEVICE void products_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Wait until all but the last N groups are done.
template <int N> DEVICE void products_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }

// d[64][64] += a[64][16] b[64][16]^T of bfloat16. Warp w of the four has rows 16 w to 16 w + 15, and in them lane l the
// rows l / 4 and l / 4 + 8, the columns 8 j + l % 4 * 2 and the next, in d[4 j] to d[4 j + 3].
DEVICE void product_64x64x16(float (&d)[32], u64 a, u64 b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "%32, %33, 1, 1, 1, 0, 0;"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
          "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
          "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
          "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
        : "l"(a), "l"(b));
}
