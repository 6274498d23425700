// What pooling and upsampling share: the neighbouring channels that a thread handles, and quick divisions of indices.
#pragma once
#include <numbers.cuh>

// What elements are computed with: numbers of 16 bits as floats.
template <class T> struct Computed {
    typedef float type;
};
template <> struct Computed<double> {
    typedef double type;
};
DEVICE float widened(float number) { return number; }
DEVICE double widened(double number) { return number; }
DEVICE float widened(bf16 number) { return to_float(number); }
DEVICE float widened(f16 number) { return to_float(number); }

// N channels of a place, in registers.
template <class S, int N> struct Channels {
    S of[N];
};
template <int N, class S> DEVICE Channels<S, N> all_channels(S value) {
    Channels<S, N> channels;
#pragma unroll
    for (int k = 0; k < N; ++k) channels.of[k] = value;
    return channels;
}

// The same in memory. One access moves 16 bytes at most.
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Packed {
    T of[N];
};

// With N > 1 the address has to be aligned as Packed is.
template <int N, class T> DEVICE Packed<T, N> load_packed(const T* from) { return *(const Packed<T, N>*)from; }
template <int N, class T> DEVICE Channels<typename Computed<T>::type, N> load_channels(const T* from) {
    const Packed<T, N> packed = load_packed<N>(from);
    Channels<typename Computed<T>::type, N> channels;
#pragma unroll
    for (int k = 0; k < N; ++k) channels.of[k] = widened(packed.of[k]);
    return channels;
}

DEVICE u32 rounded_pair(float low, float high, bf16) { return pack_bf16(low, high); }
DEVICE u32 rounded_pair(float low, float high, f16) { return pack_f16(low, high); }

// Two at a time, as the device rounds them.
template <int N, class T> DEVICE void store_channels(T* to, const Channels<float, N>& channels) {
    Packed<T, N> packed;
#pragma unroll
    for (int k = 0; k < N; k += 2) {
        const u32 pair = rounded_pair(channels.of[k], channels.of[N > 1 ? k + 1 : k], T());
        packed.of[k].bits = (u16)pair;
        if (N > 1) packed.of[N > 1 ? k + 1 : k].bits = (u16)(pair >> 16);
    }
    *(Packed<T, N>*)to = packed;
}
template <int N> DEVICE void store_channels(float* to, const Channels<float, N>& channels) {
    *(Packed<float, N>*)to = *(const Packed<float, N>*)&channels;
}
template <int N> DEVICE void store_channels(double* to, const Channels<double, N>& channels) {
    *(Packed<double, N>*)to = *(const Packed<double, N>*)&channels;
}

// Division by a size that the launcher has prepared: a product and a shift, where the device would take 20 steps.
// `by` holds the size d in its low half, ceil(2**p / d) in the high one, with p = 31 + ceil(log2 d). Exact below 2**31.
DEVICE int size_of(u64 by) { return (int)(u32)by; }
DEVICE int quotient(int n, u64 by) {
    const int p = 63 - __clz(size_of(by) - 1);
    return (int)((u64)(u32)n * (u32)(by >> 32) >> p);
}

// Take the last index off the number of an element: returns it, and leaves those before it in `n`.
DEVICE int split_off(int& n, u64 by) {
    const int before = quotient(n, by), last = n - before * size_of(by);
    n = before;
    return last;
}
