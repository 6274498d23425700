// The functions of the header of this name among the kernels, for the CPU.
#pragma once
#include <common.cuh>

extern "C" {
u32 simt_to_bf16(float value);
u32 simt_to_f16(float value);
u32 simt_to_tf32(float value);
float simt_from_f16(u32 bits);
}
SIMT u32 pack_bf16(float low, float high) { return simt_to_bf16(low) | simt_to_bf16(high) << 16; }
SIMT u32 pack_f16(float low, float high) { return simt_to_f16(low) | simt_to_f16(high) << 16; }
SIMT u32 float_to_tf32(float value) { return simt_to_tf32(value); }
SIMT float to_float(bf16 number) { return __uint_as_float((u32)number.bits << 16); }
SIMT float to_float(f16 number) { return simt_from_f16(number.bits); }
