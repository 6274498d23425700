// Pooling of arrays (batch, depth, height, width, channels) of REAL.
//
// A thread has 16 bytes of channels of one place, or a single channel, so that neighbours read neighbours; windows that
// overlap find their places in the cache. Backward, each place of the image gathers from the windows that it is in: no
// atomics, the same sum every time. Every kernel takes the sizes as the launcher prepares them for `quotient`, and
// `vectors` of channels.
#include <windows.cuh>

typedef Computed<REAL>::type SUM;
const int VECTOR = 16 / (int)sizeof(REAL);
const int BLOCK = 256;

// ------------------------------------------------------------------ max pooling

// NaN is larger than any number; among equals the first stays.
DEVICE bool is_larger(SUM value, SUM best) { return !(value <= best) && best == best; }

// The largest elements of a window, and their numbers: those of taps, or of places of the image.
template <int N> struct Winners {
    Channels<SUM, N> best;
    int number[N];
};

template <int N, bool PLACES>
DEVICE Winners<N> largest(const REAL* x, const Place& at, u64 vectors, const Windows& of) {
    const Taps d = taps_of(of.d, at.d), h = taps_of(of.h, at.h), w = taps_of(of.w, at.w);
    const int channels = size_of(vectors) * N, step = of.w.dilation * channels;
    const auto number_of = [&](int kd, int kh, int kw) {
        if (!PLACES) return (kd * of.h.kernel + kh) * of.w.kernel + kw;
        const int row = (d.start + kd * of.d.dilation) * size_of(of.h.length) + h.start + kh * of.h.dilation;
        return row * size_of(of.w.length) + w.start + kw * of.w.dilation;
    };
    Winners<N> found;
    found.best = all_channels<N>(-(SUM)__uint_as_float(0x7F800000));
#pragma unroll
    for (int k = 0; k < N; ++k) found.number[k] = number_of(d.first, h.first, w.first);  // stays if all are -infinity
    for (int kd = d.first; kd < d.stop; ++kd) {
        for (int kh = h.first; kh < h.stop; ++kh) {
            const int row = row_of(at.n, d.start + kd * of.d.dilation, h.start + kh * of.h.dilation, of.d.length,
                                   of.h.length);
            int from = (row * size_of(of.w.length) + w.start + w.first * of.w.dilation) * channels + at.channel;
#pragma unroll 2
            for (int kw = w.first; kw < w.stop; ++kw, from += step) {
                const Channels<SUM, N> values = load_channels<N>(x + from);
                const int number = number_of(kd, kh, kw);
#pragma unroll
                for (int k = 0; k < N; ++k) {
                    if (is_larger(values.of[k], found.best.of[k])) {
                        found.best.of[k] = values.of[k];
                        found.number[k] = number;
                    }
                }
            }
        }
    }
    return found;
}

template <int N, class T> DEVICE void store_numbers(T* to, const int (&numbers)[N]) {
    Packed<T, N> packed;
#pragma unroll
    for (int k = 0; k < N; ++k) packed.of[k] = (T)numbers[k];
    *(Packed<T, N>*)to = packed;
}

template <int N> DEVICE void max_at(const REAL* x, REAL* y, u8* taps, int i, u64 vectors, const Windows& of) {
    const Place at = output_of<N>(i, vectors, of);
    const Winners<N> found = largest<N, false>(x, at, vectors, of);
    store_channels<N>(y + i * N, found.best);
    store_numbers(taps + i * N, found.number);
}
// For windows of at most 255 taps.
KERNEL(256, 4) max_pool(const REAL* __restrict__ x, REAL* __restrict__ y, u8* __restrict__ taps, i32 n, bool packed,
                        u64 vectors, u64 depth, u64 height, u64 width, u64 out_depth, u64 out_height, u64 out_width,
                        u64 stride_d, u64 stride_h, u64 stride_w, u64 window_d, u64 window_h, u64 window_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) max_at<VECTOR>(x, y, taps, (int)i, vectors, of);
    else max_at<1>(x, y, taps, (int)i, vectors, of);
}

template <int N> DEVICE void places_at(const REAL* x, i64* places, int i, u64 vectors, const Windows& of) {
    const Place at = output_of<N>(i, vectors, of);
    store_numbers(places + i * N, largest<N, true>(x, at, vectors, of).number);
}
// Where in its image the largest element of each window is, counted row by row.
KERNEL(256, 4) max_pool_places(const REAL* __restrict__ x, i64* __restrict__ places, i32 n, bool packed, u64 vectors,
                               u64 depth, u64 height, u64 width, u64 out_depth, u64 out_height, u64 out_width,
                               u64 stride_d, u64 stride_h, u64 stride_w, u64 window_d, u64 window_h, u64 window_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) places_at<VECTOR>(x, places, (int)i, vectors, of);
    else places_at<1>(x, places, (int)i, vectors, of);
}

template <int N, class T>
DEVICE void gather_max_at(const REAL* grad, const T* taps, REAL* out, int i, u64 vectors, const Windows& of) {
    const Place at = input_of<N>(i, vectors, of);
    const Cover d = cover_of(of.d, at.d), h = cover_of(of.h, at.h), w = cover_of(of.w, at.w);
    Channels<SUM, N> sum = all_channels<N>((SUM)0);
#pragma unroll 1
    for (int od = d.first; od < d.stop; ++od) {
        const int kd = tap_at(of.d, d, od);
        if (kd < 0) continue;
#pragma unroll 1
        for (int oh = h.first; oh < h.stop; ++oh) {
            const int kh = tap_at(of.h, h, oh);
            if (kh < 0) continue;
            const int row = row_of(at.n, od, oh, of.d.size, of.h.size);
#pragma unroll 2
            for (int ow = w.first; ow < w.stop; ++ow) {
                const int kw = tap_at(of.w, w, ow);
                if (kw < 0) continue;
                const int from = (row * size_of(of.w.size) + ow) * size_of(vectors) * N + at.channel;
                const int tap = (kd * of.h.kernel + kh) * of.w.kernel + kw;
                const Packed<T, N> winners = load_packed<N>(taps + from);
                const Channels<SUM, N> values = load_channels<N>(grad + from);
                // Chosen, not multiplied by 0 or 1: infinity stays alone.
#pragma unroll
                for (int k = 0; k < N; ++k) sum.of[k] += (int)winners.of[k] == tap ? values.of[k] : (SUM)0;
            }
        }
    }
    store_channels<N>(out + i * N, sum);
}
KERNEL(256, 4) max_pool_backward(const REAL* __restrict__ grad, const u8* __restrict__ taps, REAL* __restrict__ out,
                                 i32 n, bool packed, u64 vectors, u64 depth, u64 height, u64 width, u64 out_depth,
                                 u64 out_height, u64 out_width, u64 stride_d, u64 stride_h, u64 stride_w, u64 window_d,
                                 u64 window_h, u64 window_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) gather_max_at<VECTOR>(grad, taps, out, (int)i, vectors, of);
    else gather_max_at<1>(grad, taps, out, (int)i, vectors, of);
}

KERNEL(256, 4) max_pool_wide_backward(const REAL* __restrict__ grad, const i32* __restrict__ taps,
                                      REAL* __restrict__ out, i32 n, bool packed, u64 vectors, u64 depth, u64 height,
                                      u64 width, u64 out_depth, u64 out_height, u64 out_width, u64 stride_d,
                                      u64 stride_h, u64 stride_w, u64 window_d, u64 window_h, u64 window_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) gather_max_at<VECTOR>(grad, taps, out, (int)i, vectors, of);
    else gather_max_at<1>(grad, taps, out, (int)i, vectors, of);
}

// ------------------------------------------------------------------ average pooling

// What the sum over a window is divided by: a number, times how many of its places along an axis lie in the image or no
// more than `margin` from it, if that is not negative.
struct Divisor {
    int number, margin_d, margin_h, margin_w;
};
DEVICE int places_counted(const Axis& a, int o, int margin) {
    if (margin < 0) return 1;
    const int start = o * size_of(a.stride) - a.padding, stop = start + a.kernel, end = size_of(a.length) + margin;
    return (stop < end ? stop : end) - (start > -margin ? start : -margin);
}
DEVICE int divisor_of(const Divisor& by, const Windows& of, int od, int oh, int ow) {
    return by.number * places_counted(of.d, od, by.margin_d) * places_counted(of.h, oh, by.margin_h) *
           places_counted(of.w, ow, by.margin_w);
}

template <int N>
DEVICE void average_at(const REAL* x, REAL* y, int i, u64 vectors, const Divisor& by, const Windows& of) {
    const Place at = output_of<N>(i, vectors, of);
    const Taps d = taps_of(of.d, at.d), h = taps_of(of.h, at.h), w = taps_of(of.w, at.w);
    const int channels = size_of(vectors) * N;
    Channels<SUM, N> sum = all_channels<N>((SUM)0);
    for (int kd = d.first; kd < d.stop; ++kd) {
        for (int kh = h.first; kh < h.stop; ++kh) {
            const int row = row_of(at.n, d.start + kd, h.start + kh, of.d.length, of.h.length);
            int from = (row * size_of(of.w.length) + w.start + w.first) * channels + at.channel;
#pragma unroll 2
            for (int kw = w.first; kw < w.stop; ++kw, from += channels) {
                const Channels<SUM, N> values = load_channels<N>(x + from);
#pragma unroll
                for (int k = 0; k < N; ++k) sum.of[k] += values.of[k];
            }
        }
    }
    const SUM divisor = (SUM)divisor_of(by, of, at.d, at.h, at.w);
#pragma unroll
    for (int k = 0; k < N; ++k) sum.of[k] /= divisor;
    store_channels<N>(y + i * N, sum);
}
KERNEL(256, 4) avg_pool(const REAL* __restrict__ x, REAL* __restrict__ y, i32 n, bool packed, u64 vectors, i32 divisor,
                        i32 margin_d, i32 margin_h, i32 margin_w, u64 depth, u64 height, u64 width, u64 out_depth,
                        u64 out_height, u64 out_width, u64 stride_d, u64 stride_h, u64 stride_w, u64 window_d,
                        u64 window_h, u64 window_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) average_at<VECTOR>(x, y, (int)i, vectors, {divisor, margin_d, margin_h, margin_w}, of);
    else average_at<1>(x, y, (int)i, vectors, {divisor, margin_d, margin_h, margin_w}, of);
}

template <int N>
DEVICE void gather_average_at(const REAL* grad, REAL* out, int i, u64 vectors, const Divisor& by, const Windows& of) {
    const Place at = input_of<N>(i, vectors, of);
    const Cover d = cover_of(of.d, at.d), h = cover_of(of.h, at.h), w = cover_of(of.w, at.w);
    Channels<SUM, N> sum = all_channels<N>((SUM)0);
    const bool counted = by.margin_d >= 0 || by.margin_h >= 0 || by.margin_w >= 0;
    SUM share = (SUM)1 / (SUM)by.number;  // one division for all channels, and mostly for all windows
#pragma unroll 1
    for (int od = d.first; od < d.stop; ++od) {
#pragma unroll 1
        for (int oh = h.first; oh < h.stop; ++oh) {
            const int row = row_of(at.n, od, oh, of.d.size, of.h.size);
#pragma unroll 2
            for (int ow = w.first; ow < w.stop; ++ow) {
                const int from = (row * size_of(of.w.size) + ow) * size_of(vectors) * N + at.channel;
                if (counted) share = (SUM)1 / (SUM)divisor_of(by, of, od, oh, ow);
                const Channels<SUM, N> values = load_channels<N>(grad + from);
#pragma unroll
                for (int k = 0; k < N; ++k) sum.of[k] += values.of[k] * share;
            }
        }
    }
    store_channels<N>(out + i * N, sum);
}
KERNEL(256, 4) avg_pool_backward(const REAL* __restrict__ grad, REAL* __restrict__ out, i32 n, bool packed, u64 vectors,
                                 i32 divisor, i32 margin_d, i32 margin_h, i32 margin_w, u64 depth, u64 height,
                                 u64 width, u64 out_depth, u64 out_height, u64 out_width, u64 stride_d, u64 stride_h,
                                 u64 stride_w, u64 window_d, u64 window_h, u64 window_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) gather_average_at<VECTOR>(grad, out, (int)i, vectors, {divisor, margin_d, margin_h, margin_w}, of);
    else gather_average_at<1>(grad, out, (int)i, vectors, {divisor, margin_d, margin_h, margin_w}, of);
}

// ------------------------------------------------------------------ windows of many places

// One thread for a window would leave most of the device idle where there are few windows, as in global pooling. Here a
// block has `lanes` vectors of channels of one window, a power of two, and its threads share the taps of each vector:
// group g has those in the image with the numbers g, g + groups, ... `parts` blocks have the channels of a window.
struct Share {
    int window, vector, group, groups;
};
DEVICE Share share_of(int lanes, u64 parts) {
    int window = blockIdx.x;
    const int part = split_off(window, parts), t = threadIdx.x;
    return {window, part * lanes + t % lanes, t / lanes, BLOCK / lanes};
}

// Calls work(address of the channels, tap) for each tap of a group.
template <class F>
DEVICE void each_tap(const REAL* x, const Share& share, int N, u64 vectors, const Windows& of, F work) {
    const Place at = place_of(share.window, share.vector * N, of.d.size, of.h.size, of.w.size);
    const Taps d = taps_of(of.d, at.d), h = taps_of(of.h, at.h), w = taps_of(of.w, at.w);
    const int rows = h.stop - h.first, columns = w.stop - w.first;
    const int taps = share.vector < size_of(vectors) ? (d.stop - d.first) * rows * columns : 0;
    for (int t = share.group; t < taps; t += share.groups) {
        const int row = t / columns, kw = w.first + t - row * columns;
        const int kd = d.first + row / rows, kh = h.first + row % rows;
        const int line = row_of(at.n, d.start + kd * of.d.dilation, h.start + kh * of.h.dilation, of.d.length,
                                of.h.length);
        const int place = line * size_of(of.w.length) + w.start + kw * of.w.dilation;
        work(x + (place * size_of(vectors) * N + at.channel), (kd * of.h.kernel + kh) * of.w.kernel + kw);
    }
}

// Of two elements of a window: the larger, or if none is, the one that comes first.
DEVICE bool wins(SUM value, int tap, SUM best, int best_tap) {
    return is_larger(value, best) || (tap < best_tap && !is_larger(best, value));
}

template <int N>
DEVICE void wide_max(const REAL* x, REAL* y, i32* taps, SUM* values, int* numbers, int lanes, u64 parts, u64 vectors,
                     const Windows& of) {
    const Share share = share_of(lanes, parts);
    Winners<N> found;
    found.best = all_channels<N>(-(SUM)__uint_as_float(0x7F800000));
#pragma unroll
    for (int k = 0; k < N; ++k) found.number[k] = 0x7FFFFFFF;
    const auto meet = [&](int k, SUM value, int tap) {
        if (!wins(value, tap, found.best.of[k], found.number[k])) return;
        found.best.of[k] = value;
        found.number[k] = tap;
    };
    each_tap(x, share, N, vectors, of, [&](const REAL* from, int tap) {
        const Channels<SUM, N> channels = load_channels<N>(from);
#pragma unroll
        for (int k = 0; k < N; ++k) meet(k, channels.of[k], tap);
    });
    const int t = threadIdx.x;
    for (int half = share.groups; half; half /= 2) {
        if (share.group < half) {
#pragma unroll
            for (int k = 0; k < N; ++k) {
                const int other = k * BLOCK + t + half * lanes;
                if (half < share.groups) meet(k, values[other], numbers[other]);
                values[k * BLOCK + t] = found.best.of[k];
                numbers[k * BLOCK + t] = found.number[k];
            }
        }
        __syncthreads();
    }
    if (share.group || share.vector >= size_of(vectors)) return;
    const int to = (share.window * size_of(vectors) + share.vector) * N;
    store_channels<N>(y + to, found.best);
    store_numbers(taps + to, found.number);
}
// For windows of any number of taps.
KERNEL(256, 4) max_pool_wide(const REAL* __restrict__ x, REAL* __restrict__ y, i32* __restrict__ taps, bool packed,
                             u64 vectors, i32 lanes, u64 parts, u64 depth, u64 height, u64 width, u64 out_depth,
                             u64 out_height, u64 out_width, u64 stride_d, u64 stride_h, u64 stride_w, u64 window_d,
                             u64 window_h, u64 window_w) {
    __shared__ SUM values[BLOCK * VECTOR];
    __shared__ int numbers[BLOCK * VECTOR];
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) wide_max<VECTOR>(x, y, taps, values, numbers, lanes, parts, vectors, of);
    else wide_max<1>(x, y, taps, values, numbers, lanes, parts, vectors, of);
}

template <int N> DEVICE void wide_average(const REAL* x, REAL* y, SUM* sums, int lanes, u64 parts, u64 vectors,
                                          const Divisor& by, const Windows& of) {
    const Share share = share_of(lanes, parts);
    Channels<SUM, N> sum = all_channels<N>((SUM)0);
    each_tap(x, share, N, vectors, of, [&](const REAL* from, int) {
        const Channels<SUM, N> channels = load_channels<N>(from);
#pragma unroll
        for (int k = 0; k < N; ++k) sum.of[k] += channels.of[k];
    });
    const int t = threadIdx.x;
    for (int half = share.groups; half; half /= 2) {
        if (share.group < half) {
#pragma unroll
            for (int k = 0; k < N; ++k) {
                if (half < share.groups) sum.of[k] += sums[k * BLOCK + t + half * lanes];
                sums[k * BLOCK + t] = sum.of[k];
            }
        }
        __syncthreads();
    }
    if (share.group || share.vector >= size_of(vectors)) return;
    const Place at = place_of(share.window, 0, of.d.size, of.h.size, of.w.size);
    const SUM divisor = (SUM)divisor_of(by, of, at.d, at.h, at.w);
#pragma unroll
    for (int k = 0; k < N; ++k) sum.of[k] /= divisor;
    store_channels<N>(y + (share.window * size_of(vectors) + share.vector) * N, sum);
}
KERNEL(256, 4) avg_pool_wide(const REAL* __restrict__ x, REAL* __restrict__ y, bool packed, u64 vectors, i32 lanes,
                             u64 parts, i32 divisor, i32 margin_d, i32 margin_h, i32 margin_w, u64 depth, u64 height,
                             u64 width, u64 out_depth, u64 out_height, u64 out_width, u64 stride_d, u64 stride_h,
                             u64 stride_w, u64 window_d, u64 window_h, u64 window_w) {
    __shared__ SUM sums[BLOCK * VECTOR];
    const Windows of = {axis(depth, out_depth, stride_d, window_d), axis(height, out_height, stride_h, window_h),
                        axis(width, out_width, stride_w, window_w)};
    if (packed) wide_average<VECTOR>(x, y, sums, lanes, parts, vectors, {divisor, margin_d, margin_h, margin_w}, of);
    else wide_average<1>(x, y, sums, lanes, parts, vectors, {divisor, margin_d, margin_h, margin_w}, of);
}
