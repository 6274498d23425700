// The windows of pooling: which places of the image a window has, which windows a place is in.
#pragma once
#include <channels.cuh>

// Windows along a spatial axis: window o has the places o * stride - padding + k * dilation for k below `kernel`, of
// which those outside the image do not count.
struct Axis {
    u64 length, size, stride;
    int kernel, padding, dilation;
};
struct Windows {
    Axis d, h, w;
};
// The launcher packs kernel, padding and dilation: 21 bits each.
DEVICE Axis axis(u64 length, u64 size, u64 stride, u64 window) {
    const u64 mask = (1 << 21) - 1;
    return {length, size, stride, (int)(window & mask), (int)(window >> 21 & mask), (int)(window >> 42)};
}

// Rounded up.
DEVICE int divided(int n, int by) { return by == 1 ? n : (n + by - 1) / by; }

// The taps k of a window that lie in the image: from `first` to below `stop`. Tap 0 is at `start`, maybe outside.
struct Taps {
    int start, first, stop;
};
DEVICE Taps taps_of(const Axis& a, int o) {
    const int start = o * size_of(a.stride) - a.padding, behind = divided(size_of(a.length) - start, a.dilation);
    return {start, start < 0 ? divided(-start, a.dilation) : 0, behind < a.kernel ? behind : a.kernel};
}

// The windows that may have a place: from `first` to below `stop`. It is `reach` behind the begin of window 0.
struct Cover {
    int reach, first, stop;
};
DEVICE Cover cover_of(const Axis& a, int place) {
    const int reach = place + a.padding, stop = quotient(reach, a.stride) + 1;
    const int low = reach - (a.kernel - 1) * a.dilation;
    const int first = low <= 0 ? 0 : quotient(low + size_of(a.stride) - 1, a.stride);
    return {reach, first, stop < size_of(a.size) ? stop : size_of(a.size)};
}
// Which tap of window o the place is, or -1 if it lies between two of them.
DEVICE int tap_at(const Axis& a, const Cover& cover, int o) {
    const int offset = cover.reach - o * size_of(a.stride);
    if (a.dilation == 1) return offset;
    return offset % a.dilation ? -1 : offset / a.dilation;
}

// A place of the output, or backward of the image.
struct Place {
    int n, d, h, w, channel;
};
DEVICE Place place_of(int number, int channel, u64 depth, u64 height, u64 width) {
    const int w = split_off(number, width), h = split_off(number, height), d = split_off(number, depth);
    return {number, d, h, w, channel};
}
template <int N> DEVICE Place output_of(int i, u64 vectors, const Windows& of) {
    const int channel = split_off(i, vectors) * N;
    return place_of(i, channel, of.d.size, of.h.size, of.w.size);
}
template <int N> DEVICE Place input_of(int i, u64 vectors, const Windows& of) {
    const int channel = split_off(i, vectors) * N;
    return place_of(i, channel, of.d.length, of.h.length, of.w.length);
}
// The number of a row of an array; elements are counted in 32 bits, which the launcher sees to.
DEVICE int row_of(int n, int d, int h, u64 depth, u64 height) { return (n * size_of(depth) + d) * size_of(height) + h; }
