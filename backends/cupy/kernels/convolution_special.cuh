// What the convolutions of special shapes share: numbers of every type, added up in float; where a tap falls; sums in a
// fixed order.
#pragma once
#include <numbers.cuh>

DEVICE float widened(float value) { return value; }
DEVICE float widened(bf16 value) { return to_float(value); }
DEVICE float widened(f16 value) { return to_float(value); }

// Two sums as 16-bit numbers in a register; the first argument only tells the type.
DEVICE u32 packed(bf16, float low, float high) { return pack_bf16(low, high); }
DEVICE u32 packed(f16, float low, float high) { return pack_f16(low, high); }

DEVICE void assign(float& to, float value) { to = value; }
DEVICE void assign(bf16& to, float value) { to.bits = (u16)pack_bf16(value, 0.f); }
DEVICE void assign(f16& to, float value) { to.bits = (u16)pack_f16(value, 0.f); }

// Neighbours that move through memory as one word of at most 16 bytes.
template <class T, int N> struct alignas(N * sizeof(T)) Vector {
    T of[N];
};

template <int N, class T> DEVICE void load(const T* from, float (&to)[N]) {
    if constexpr (N == 1) {
        to[0] = widened(*from);
    } else if constexpr (sizeof(T) == 2) {
        const Vector<u32, N / 2> words = *(const Vector<u32, N / 2>*)from;
#pragma unroll
        for (int k = 0; k < N / 2; ++k) {
            to[2 * k] = widened(T{(u16)words.of[k]});
            to[2 * k + 1] = widened(T{(u16)(words.of[k] >> 16)});
        }
    } else {
        const Vector<T, N> values = *(const Vector<T, N>*)from;
#pragma unroll
        for (int k = 0; k < N; ++k) to[k] = values.of[k];
    }
}

template <int N, class T> DEVICE void store(T* to, const float (&values)[N]) {
    if constexpr (N == 1) {
        assign(*to, values[0]);
    } else if constexpr (sizeof(T) == 2) {
        Vector<u32, N / 2> words;
#pragma unroll
        for (int k = 0; k < N / 2; ++k) words.of[k] = packed(T(), values[2 * k], values[2 * k + 1]);
        *(Vector<u32, N / 2>*)to = words;
    } else {
        Vector<T, N> rounded;
#pragma unroll
        for (int k = 0; k < N; ++k) rounded.of[k] = values[k];
        *(Vector<T, N>*)to = rounded;
    }
}

// Rows of sums in shared memory, N neighbours for each of `lanes` threads: a row is cut in pieces of 16 bytes of each
// lane, so that the lanes of a warp read 16 bytes side by side, without bank conflicts.
template <int N> constexpr int PIECE = N < 4 ? N : 4;

// The place in a row, and which of the N * lanes numbers stands there.
template <int N> DEVICE int number_at(int place, int lanes) {
    constexpr int piece = PIECE<N>;
    return place % (lanes * piece) / piece * N + place / (lanes * piece) * piece + place % piece;
}

template <int N> DEVICE void load_pieces(const float* row, int lane, int lanes, float (&to)[N]) {
    constexpr int piece = PIECE<N>;
#pragma unroll
    for (int k = 0; k < N / piece; ++k) {
        float part[piece];
        load<piece>(row + (k * lanes + lane) * piece, part);
#pragma unroll
        for (int i = 0; i < piece; ++i) to[k * piece + i] = part[i];
    }
}

// An axis: tap k of the output at `at` meets the input at (at * step + shift + k * dilation) / part, if that is whole.
// A convolution has its stride as step, the gradient of its input has it as part.
struct Axis {
    int in, out, taps, step, part, shift, dilation;
};

// That place; negative if there is none.
DEVICE int source(const Axis& axis, int at, int tap) {
    const int place = at * axis.step + axis.shift + tap * axis.dilation;
    const int index = axis.part == 1 ? place : place / axis.part;
    return index * axis.part == place && index < axis.in ? index : -1;
}

// Add up, in a fixed order, what `lanes` threads hold for each of the members; lane 0 gets the sums. Every thread of
// the block calls it, also those of no lane. lanes * members <= 256; the buffer has 128 * N numbers.
template <int N>
DEVICE void add_lanes(float (&sums)[N], float* buffer, int lane, int lanes, int member, int members) {
    int half = 1;
    while (half * 2 < lanes) half *= 2;
    for (; lanes > 1; lanes = half, half /= 2) {
        const bool gives = lane >= half && lane < lanes, takes = lane < half && lane + half < lanes;
        const int slot = (gives ? lane - half : lane) * members + member;
        if (gives) {
#pragma unroll
            for (int k = 0; k < N; ++k) buffer[k * 128 + slot] = sums[k];
        }
        __syncthreads();
        if (takes) {
#pragma unroll
            for (int k = 0; k < N; ++k) sums[k] += buffer[k * 128 + slot];
        }
        __syncthreads();
    }
}

// The second stage of a gradient of weights: the sums of n elements over slices. 256 threads take 32 elements.
template <class T> DEVICE void sum_slices(const float* partials, T* total, int n, int slices) {
    __shared__ float sums[8][32];
    const int column = threadIdx.x % 32, lane = threadIdx.x / 32;
    const i64 element = (i64)blockIdx.x * 32 + column;
    float sum = 0;
    if (element < n)
        for (int slice = lane; slice < slices; slice += 8) sum += partials[(i64)slice * n + element];
    sums[lane][column] = sum;
    __syncthreads();
    if (lane != 0 || element >= n) return;
    for (int other = 1; other < 8; ++other) sum += sums[other][column];
    assign(total[element], sum);
}
