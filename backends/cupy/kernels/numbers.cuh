// Numbers of 16 bits, and of the 19 that tensor cores use of a float: how they are made, and what they are worth.
#pragma once
#include <common.cuh>

// Two floats to two 16-bit numbers in a register, the first in the low half, rounded to the nearest, ties to even.
DEVICE u32 pack_bf16(float low, float high) {
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}
DEVICE u32 pack_f16(float low, float high) {
    u32 packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}
// A float rounded to the mantissa of tf32, ties away from zero.
DEVICE u32 float_to_tf32(float value) {
    u32 bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

DEVICE float to_float(bf16 number) { return __uint_as_float((u32)number.bits << 16); }
DEVICE float to_float(f16 number) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(number.bits));
    return value;
}
