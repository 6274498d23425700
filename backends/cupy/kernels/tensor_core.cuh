// Tensor cores by warp: matrices from shared memory (ldmatrix) and their products (mma.sync, compute capability 8.0).
//
// Lane l of a warp holds, of a product d[16][8] += a[16][k] b[k][8], the elements of d at rows l / 4 and l / 4 + 8,
// columns l % 4 * 2 and the next one, in the order (row, column), (row, column + 1), (row + 8, column), ... Two 16-bit
// numbers share a register, the first one in its low half. b is given by columns.
#pragma once
#include <async_copy.cuh>
#include <numbers.cuh>

// Four 8x8 matrices of 16-bit numbers: lane l gives the address of row l % 8 of matrix l / 8, 16 bytes each.
DEVICE void load_matrices(u32 (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, each matrix transposed.
DEVICE void load_matrices_transposed(u32 (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

#define MMA(name, shape, type, registers_of_a, registers_of_b, operands, ...)                                          \
    DEVICE void name(float (&d)[4], const u32 (&a)[registers_of_a], const u32 (&b)[registers_of_b]) {                  \
        asm volatile("mma.sync.aligned." shape ".row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, " operands        \
                     ", {%0, %1, %2, %3};"                                                                             \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                  \
                     : __VA_ARGS__);                                                                                   \
    }
#define MMA_A4_B2 "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])

// k = 16: a is four registers (rows l / 4 and + 8, then the columns from 8 on), b two.
MMA(mma_bf16, "m16n8k16", "bf16", 4, 2, "{%4, %5, %6, %7}, {%8, %9}", MMA_A4_B2)
MMA(mma_f16, "m16n8k16", "f16", 4, 2, "{%4, %5, %6, %7}, {%8, %9}", MMA_A4_B2)
// k = 8, one float in a register, of which the tensor core uses 10 bits of mantissa.
MMA(mma_tf32, "m16n8k8", "tf32", 4, 2, "{%4, %5, %6, %7}, {%8, %9}", MMA_A4_B2)
