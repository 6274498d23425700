// Resampling of arrays (batch, depth, height, width, channels): each element of the output is a sum of products of
// neighbouring elements, with a weight for each axis. The derivative is such a sum, too, with the tables of the
// launcher transposed: every place gathers from the outputs that read it, in one order, without atomics.
//
// A thread has 16 bytes of channels, or one channel, of up to four places of a row, which lie a quarter of the row
// apart: neighbouring threads still write neighbouring places, and what precedes the loop is paid for once.
#include <channels.cuh>

const int PER_THREAD = 4;

// The weights of the places that make one place along an axis: those of the input from `first` on, `count` of them.
template <class W> struct Row {
    int first, count;
    const W* weights;
};
// Row o of an axis whose first row is `before` rows and `weights` weights into the tables; each has room for `taps`.
template <class W> DEVICE Row<W> row_of(const i32* spans, const W* weights, int before, int taps, int o) {
    const i32* span = spans + 2 * (before + o);
    return {span[0], span[1], weights + o * taps};
}

struct Sizes {
    int depth, height, width;
    u64 out_depth, out_height;
    int out_width, taps_d, taps_h, taps_w;
};

template <int N, class T, class W>
DEVICE void resample_at(const T* x, T* y, const i32* spans, const W* weights, int i, u64 vectors, u64 quarter,
                        const Sizes& of) {
    const int channels = size_of(vectors) * N, channel = split_off(i, vectors) * N, ow = split_off(i, quarter);
    const int line = i, oh = split_off(i, of.out_height), od = split_off(i, of.out_depth);
    const int out_depth = size_of(of.out_depth), out_height = size_of(of.out_height);
    const W* weights_h = weights + out_depth * of.taps_d;
    const Row<W> d = row_of(spans, weights, 0, of.taps_d, od);
    const Row<W> h = row_of(spans, weights_h, out_depth, of.taps_h, oh);
#pragma unroll 1
    for (int o = ow; o < of.out_width; o += size_of(quarter)) {
        const Row<W> w = row_of(spans, weights_h + out_height * of.taps_h, out_depth + out_height, of.taps_w, o);
        Channels<W, N> sum = all_channels<N>((W)0);
        for (int kd = 0; kd < d.count; ++kd) {
            for (int kh = 0; kh < h.count; ++kh) {
                const W by_row = d.weights[kd] * h.weights[kh];
                const int row = (i * of.depth + d.first + kd) * of.height + h.first + kh;
                int from = (row * of.width + w.first) * channels + channel;
#pragma unroll 2
                for (int kw = 0; kw < w.count; ++kw, from += channels) {
                    const Channels<W, N> values = load_channels<N>(x + from);
                    const W weight = by_row * w.weights[kw];
#pragma unroll
                    for (int k = 0; k < N; ++k) sum.of[k] += weight * values.of[k];
                }
            }
        }
        store_channels<N>(y + ((line * of.out_width + o) * channels + channel), sum);
    }
}

// n threads; `quarter` is how many of them a row takes for each vector of channels. `spans` has two numbers for each
// place of the output along the depth, then the height, then the width: where it begins to read, and how many places.
KERNEL(256, 4) resample(const REAL* __restrict__ x, REAL* __restrict__ y, const i32* __restrict__ spans,
                        const float* __restrict__ weights, i32 n, bool packed, u64 vectors, u64 quarter, i32 depth,
                        i32 height, i32 width, u64 out_depth, u64 out_height, i32 out_width, i32 taps_d, i32 taps_h,
                        i32 taps_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Sizes of = {depth, height, width, out_depth, out_height, out_width, taps_d, taps_h, taps_w};
    if (packed) resample_at<16 / (int)sizeof(REAL)>(x, y, spans, weights, (int)i, vectors, quarter, of);
    else resample_at<1>(x, y, spans, weights, (int)i, vectors, quarter, of);
}

// The same in double.
KERNEL(256, 4) resample_double(const double* __restrict__ x, double* __restrict__ y, const i32* __restrict__ spans,
                               const double* __restrict__ weights, i32 n, bool packed, u64 vectors, u64 quarter,
                               i32 depth, i32 height, i32 width, u64 out_depth, u64 out_height, i32 out_width,
                               i32 taps_d, i32 taps_h, i32 taps_w) {
    const i64 i = thread_index();
    if (i >= n) return;
    const Sizes of = {depth, height, width, out_depth, out_height, out_width, taps_d, taps_h, taps_w};
    if (packed) resample_at<2>(x, y, spans, weights, (int)i, vectors, quarter, of);
    else resample_at<1>(x, y, spans, weights, (int)i, vectors, quarter, of);
}
