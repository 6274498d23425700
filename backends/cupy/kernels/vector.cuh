// Neighbouring elements that move through memory together.
#pragma once
#include <common.cuh>

// Eight of them; a bus transaction of a thread is 16 bytes at most, so larger elements go in several.
template <class T> struct alignas(8 * sizeof(T) < 16 ? 8 * sizeof(T) : 16) Eight {
    T of[8];
};

template <class T> DEVICE bool is_aligned(const T* pointer) { return (u64)pointer % alignof(Eight<T>) == 0; }

// Load elements i .. i + 7 of n; what lies behind the end is `rest`.
template <class T> DEVICE Eight<T> load_eight(const T* from, i64 i, i64 n, T rest) {
    if (i + 8 <= n && is_aligned(from + i)) return *(const Eight<T>*)(from + i);
    Eight<T> values;
#pragma unroll
    for (int k = 0; k < 8; ++k) values.of[k] = i + k < n ? from[i + k] : rest;
    return values;
}

template <class T> DEVICE void store_eight(T* to, i64 i, i64 n, const Eight<T>& values) {
    if (i + 8 <= n && is_aligned(to + i)) {
        *(Eight<T>*)(to + i) = values;
        return;
    }
#pragma unroll
    for (int k = 0; k < 8; ++k)
        if (i + k < n) to[i + k] = values.of[k];
}
