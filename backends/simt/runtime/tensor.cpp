// Tensor cores: ldmatrix and mma.sync, lane by lane, and the roundings of their number formats.
#include <cmath>
#include <cstring>

#include "runtime.hpp"

namespace simt {

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static float f16_value(uint16_t half) {
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    float value;
    if (exponent == 31) value = mantissa ? NAN : INFINITY;
    else if (exponent == 0) value = ldexpf((float)mantissa, -24);
    else value = ldexpf((float)(mantissa + 1024), exponent - 25);
    return half >> 15 ? -value : value;
}

}  // namespace simt

using namespace simt;

extern "C" {

uint32_t simt_to_bf16(float value) {
    const uint32_t bits = bits_of(value);
    if (value != value) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

float simt_from_f16(uint32_t bits) { return f16_value((uint16_t)bits); }

// To the nearest, ties to even: scaled so that the last bit kept is the unit, rint does it.
uint32_t simt_to_f16(float value) {
    const uint32_t sign = bits_of(value) >> 16 & 0x8000;
    const float size = fabsf(value);
    if (value != value) return 0x7fff;
    if (size >= 65520.f) return sign | 0x7c00;
    if (size == 0) return sign;
    int exponent;
    frexpf(size, &exponent);
    const int unit = (exponent < -13 ? -13 : exponent) - 11;  // log2 of the last bit
    const uint32_t units = (uint32_t)rintf(ldexpf(size, -unit));
    // The leading bit of a normal number adds one to the exponent, and so does a carry of the rounding.
    return sign | ((uint32_t)(unit + 24) * 1024 + units);
}

uint32_t simt_to_tf32(float value) {
    const uint32_t bits = bits_of(value);
    if (value != value || std::isinf(value)) return bits;
    return (bits + 0x1000) & ~0x1fffu;
}

void simt_load_matrices(uint32_t* r, const void* row, int transposed) {
    if ((uintptr_t)row % 16) fail(SIMT_HERE, "misaligned: ldmatrix from an address that is no multiple of 16");
    if (!is_shared(row)) fail(SIMT_HERE, "ldmatrix reads from shared memory only");
    check(row, 16, false, false, SIMT_HERE);
    const auto table = exchange(~0u, &row, sizeof row, "ldmatrix", SIMT_HERE);
    const int lane = block.current % 32;
    for (int matrix = 0; matrix < 4; ++matrix) {
        uint16_t pair[2];
        for (int half = 0; half < 2; ++half) {
            const int i = lane / 4, j = lane % 4 * 2 + half;
            const uint16_t* start;
            memcpy(&start, table[matrix * 8 + (transposed ? j : i)], sizeof start);
            pair[half] = start[transposed ? i : j];
        }
        r[matrix] = pair[0] | (uint32_t)pair[1] << 16;
    }
}

// type: 0 bf16, 1 f16 (both k = 16), 2 tf32 (k = 8)
void simt_mma(float* d, const uint32_t* a, const uint32_t* b, int type) {
    static const char* const names[] = {"mma.sync bf16", "mma.sync f16", "mma.sync tf32"};
    uint32_t own[6];
    memcpy(own, a, 16);
    memcpy(own + 4, b, 8);
    const auto table = exchange(~0u, own, sizeof own, names[type], SIMT_HERE);
    const int lane = block.current % 32, group = lane / 4, pair = lane % 4;
    const int per_register = type == 2 ? 1 : 2;
    float rows[2][16], columns[2][16];  // of a and b: what this lane's four results need
    const auto value = [&](uint32_t word, int half) {
        if (type == 2) return float_of(word & ~0x1fffu);
        const uint16_t bits = (uint16_t)(word >> 16 * half);
        return type ? f16_value(bits) : float_of((uint32_t)bits << 16);
    };
    for (int quad = 0; quad < 4; ++quad) {
        uint32_t of_row[6], of_column[2][6];
        memcpy(of_row, table[group * 4 + quad], 24);
        for (int n = 0; n < 2; ++n) memcpy(of_column[n], table[(pair * 2 + n) * 4 + quad], 24);
        for (int half = 0; half < per_register; ++half)
            for (int part = 0; part < 2; ++part) {
                const int k = part * 4 * per_register + quad * per_register + half;
                for (int i = 0; i < 2; ++i) {
                    rows[i][k] = value(of_row[part * 2 + i], half);
                    columns[i][k] = value(of_column[i][4 + part], half);
                }
            }
    }
    for (int i = 0; i < 4; ++i) {
        float sum = 0;
        for (int k = 0; k < 8 * per_register; ++k) sum += rows[i / 2][k] * columns[i % 2][k];
        d[i] += sum;
    }
}
}
