// Depthwise convolutions of arrays of REAL, channels last: each channel has kernels of its own.
//
// Bound by memory: 9 products for each element that is read and written. A thread has 16 bytes of channels, so that a
// warp reads whole lines, and RUN columns of the output, which share the columns of the input and the weights. Rows are
// shared through the first-level cache, for which a block has a tile that is about as high as wide.
#include <convolution_special.cuh>

constexpr int WIDTH = 16 / sizeof(REAL);
constexpr int RUN = 4;   // columns of a thread
constexpr int TAPS = 3;  // of a row of the kernel, in the gradient of the weights

// What a column has in this thread's channels; zero beside the image.
template <int V> DEVICE void load_column(const REAL* row, int column, int length, int channels, float (&to)[V]) {
    if ((u32)column < (u32)length) {
        load<V>(row + column * channels, to);
    } else {
#pragma unroll
        for (int v = 0; v < V; ++v) to[v] = 0;
    }
}

// ------------------------------------------------------------------ forward, and the gradient of the input

// Add a row of taps. The columns of the output are `first` and those at distances of w.part.
template <int V>
DEVICE void add_row(float (&sums)[RUN][V], const REAL* row, const float* weights, int lane, int lanes, const Axis& w,
                    int channels, int first) {
    const int start = first * w.step + w.shift, pitch = lanes * V;
    if (w.part == 1 && w.step == w.dilation) {
        // The next tap meets the columns of this one and one more: a ring of columns stays in registers.
        float ring[RUN][V];
#pragma unroll
        for (int r = 0; r < RUN - 1; ++r) load_column<V>(row, start + r * w.step, w.in, channels, ring[r]);
#pragma unroll 1
        for (int tap = 0; tap < w.taps; tap += RUN) {
#pragma unroll
            for (int i = 0; i < RUN; ++i) {
                if (tap + i >= w.taps) break;
                constexpr int last = RUN - 1;
                load_column<V>(row, start + (tap + i + last) * w.step, w.in, channels, ring[(i + last) % RUN]);
                float weight[V];
                load_pieces<V>(weights + (tap + i) * pitch, lane, lanes, weight);
#pragma unroll
                for (int r = 0; r < RUN; ++r)
#pragma unroll
                    for (int v = 0; v < V; ++v) sums[r][v] += ring[(i + r) % RUN][v] * weight[v];
            }
        }
        return;
    }
#pragma unroll 1  // registers are scarce
    for (int tap = 0; tap < w.taps; ++tap) {
        int column = start + tap * w.dilation;
        if (w.part > 1) {
            const int place = column;
            column = place / w.part;
            if (column * w.part != place) continue;
        }
        float weight[V];
        load_pieces<V>(weights + tap * pitch, lane, lanes, weight);
#pragma unroll
        for (int r = 0; r < RUN; ++r) {
            float values[V];
            load_column<V>(row, column + r * w.step, w.in, channels, values);
#pragma unroll
            for (int v = 0; v < V; ++v) sums[r][v] += values[v] * weight[v];
        }
    }
}

// How a block is cut: `lanes` threads side by side have its channels, tile_runs * tile_rows of these the places.
struct Tile {
    int lanes, runs, rows, steps;
};

// An output channel q meets `gather` input channels from q / spread * gather on, with the weights from q * gather on.
struct Channels {
    int of_output, spread, gather;
};

template <int V>
DEVICE void convolve(const REAL* x, const REAL* weight, const REAL* bias, REAL* out, const Axis& d, const Axis& h,
                     const Axis& w, const Channels& channels, const Tile& tile, bool flipped, bool has_bias,
                     bool relu) {
    DYNAMIC_SHARED(float, weights);  // a row of the block's channels for each tap, and one for the bias
    const int taps = d.taps * h.taps * w.taps, rows = channels.gather * taps, pitch = tile.lanes * V;
    const int slabs = (channels.of_output + pitch - 1) / pitch;
    const int runs_of_row = (w.out + RUN * w.part - 1) / (RUN * w.part) * w.part;
    const int tiles_x = (runs_of_row + tile.runs - 1) / tile.runs;
    const int tiles_y = (h.out + tile.rows * tile.steps - 1) / (tile.rows * tile.steps);
    const int slab = blockIdx.x % slabs, number = blockIdx.x / slabs;
    const int tile_x = number % tiles_x, tile_y = number / tiles_x % tiles_y, plane = number / tiles_x / tiles_y;

    for (int i = threadIdx.x; i < (rows + 1) * pitch; i += blockDim.x) {
        const int row = i / pitch, channel = slab * pitch + number_at<V>(i % pitch, tile.lanes);
        const int tap = flipped ? row / taps * taps + taps - 1 - row % taps : row;
        float value = 0;
        if (channel < channels.of_output) {
            if (row < rows) value = widened(weight[channel * rows + tap]);
            if (row == rows && has_bias) value = widened(bias[channel]);
        }
        weights[i] = value;
    }
    __syncthreads();

    const int lane = threadIdx.x % tile.lanes, member = threadIdx.x / tile.lanes;
    const int channel = slab * pitch + lane * V, run = tile_x * tile.runs + member % tile.runs;
    if (member >= tile.runs * tile.rows || channel >= channels.of_output || run >= runs_of_row) return;
    const int first = run / w.part * (RUN * w.part) + run % w.part;
    const int image = plane / d.out, depth = plane % d.out;
    const int inputs = channels.of_output / channels.spread * channels.gather;
    int row = tile_y * tile.steps * tile.rows + member / tile.runs;
    for (int step = 0; step < tile.steps && row < h.out; ++step, row += tile.rows) {
        float sums[RUN][V];
        load_pieces<V>(weights + rows * pitch, lane, tile.lanes, sums[0]);
#pragma unroll
        for (int r = 1; r < RUN; ++r)
#pragma unroll
            for (int v = 0; v < V; ++v) sums[r][v] = sums[0][v];
        const float* weights_of_row = weights;
#pragma unroll 1
        for (int j = 0; j < channels.gather; ++j)
#pragma unroll 1
            for (int kd = 0; kd < d.taps; ++kd)
#pragma unroll 1
                for (int kh = 0; kh < h.taps; ++kh, weights_of_row += w.taps * pitch) {
                    const int from_d = source(d, depth, kd), from_h = source(h, row, kh);
                    if (from_d < 0 || from_h < 0) continue;
                    const REAL* begin = x + (i64)((image * d.in + from_d) * h.in + from_h) * w.in * inputs +
                                        channel / channels.spread * channels.gather + j;
                    add_row<V>(sums, begin, weights_of_row, lane, tile.lanes, w, inputs, first);
                }
        REAL* to = out + (i64)(plane * h.out + row) * w.out * channels.of_output + channel;
#pragma unroll
        for (int r = 0; r < RUN; ++r) {
            const int column = first + r * w.part;
            if (column >= w.out) break;
#pragma unroll
            for (int v = 0; v < V; ++v) sums[r][v] = relu && sums[r][v] < 0 ? 0.f : sums[r][v];  // NaN stays NaN
            store<V>(to + column * channels.of_output, sums[r]);
        }
    }
}

// 16-bit numbers take about 150 registers, with which two blocks fit a multiprocessor: 384 threads with some loads of
// 16 bytes under way each are more than the latency of memory needs. (With 256 threads registers are spilled.)
KERNEL(192, 2) depthwise(const REAL* __restrict__ x, const REAL* __restrict__ weight, const REAL* __restrict__ bias,
                         REAL* __restrict__ out, i32 in_d, i32 in_h, i32 in_w, i32 out_d, i32 out_h, i32 out_w,
                         i32 kernel_d, i32 kernel_h, i32 kernel_w, i32 step_d, i32 step_h, i32 step_w, i32 part_d,
                         i32 part_h, i32 part_w, i32 shift_d, i32 shift_h, i32 shift_w, i32 dilation_d, i32 dilation_h,
                         i32 dilation_w, i32 channels, i32 spread, i32 gather, i32 lanes, i32 tile_runs, i32 tile_rows,
                         i32 steps, bool flipped, bool has_bias, bool relu, bool vectors) {
    const Axis d{in_d, out_d, kernel_d, step_d, part_d, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, part_h, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, part_w, shift_w, dilation_w};
    const Channels of{channels, spread, gather};
    const Tile tile{lanes, tile_runs, tile_rows, steps};
    if (vectors)
        convolve<WIDTH>(x, weight, bias, out, d, h, w, of, tile, flipped, has_bias, relu);
    else
        convolve<1>(x, weight, bias, out, d, h, w, of, tile, flipped, has_bias, relu);
}

// ------------------------------------------------------------------ the gradient of the weights

// Add the products of a row of the gradient with a row of the input, for TAPS taps from `start` on.
template <int V>
DEVICE void add_products(float (&sums)[TAPS * V], const REAL* x, const REAL* grad, const Axis& w, int inputs,
                         int outputs, int start) {
    if (w.step == w.dilation) {
        float ring[TAPS][V];
#pragma unroll
        for (int j = 0; j < TAPS - 1; ++j) load_column<V>(x, start + j * w.step, w.in, inputs, ring[j]);
        for (int column = 0; column < w.out; column += TAPS) {
#pragma unroll
            for (int i = 0; i < TAPS; ++i) {
                if (column + i >= w.out) break;
                float values[V];
                load<V>(grad + (column + i) * outputs, values);
                load_column<V>(x, start + (column + i + TAPS - 1) * w.step, w.in, inputs, ring[(i + TAPS - 1) % TAPS]);
#pragma unroll
                for (int j = 0; j < TAPS; ++j)
#pragma unroll
                    for (int v = 0; v < V; ++v) sums[j * V + v] += values[v] * ring[(i + j) % TAPS][v];
            }
        }
        return;
    }
    for (int column = 0; column < w.out; ++column) {
        float values[V];
        load<V>(grad + column * outputs, values);
#pragma unroll
        for (int j = 0; j < TAPS; ++j) {
            float others[V];
            load_column<V>(x, start + column * w.step + j * w.dilation, w.in, inputs, others);
#pragma unroll
            for (int v = 0; v < V; ++v) sums[j * V + v] += values[v] * others[v];
        }
    }
}

// A thread has TAPS taps of one row of the kernel ("chunk"), and every row_lanes-th row of its slice of the output. The
// chunks of a slice are in one block, if they are not too many, so that rows come from the cache all but once.
template <int V>
DEVICE void correlate(const REAL* x, const REAL* grad, float* partials, const Axis& d, const Axis& h, const Axis& w,
                      int outputs, int spread, int rows, int rows_of_slice, int lanes, int chunks, int row_lanes) {
    DYNAMIC_SHARED(float, buffer);
    const int across = (w.taps + TAPS - 1) / TAPS, slabs = (outputs + lanes * V - 1) / (lanes * V);
    const int chunk_blocks = (d.taps * h.taps * across + chunks - 1) / chunks;
    const int slab = blockIdx.x / chunk_blocks % slabs, slice = blockIdx.x / chunk_blocks / slabs;
    const int lane = threadIdx.x % lanes, member = threadIdx.x % (lanes * chunks);
    const int row_lane = threadIdx.x / (lanes * chunks);
    const int chunk = blockIdx.x % chunk_blocks * chunks + member / lanes;
    const int first = chunk % across * TAPS, kh = chunk / across % h.taps, kd = chunk / across / h.taps;
    const int channel = (slab * lanes + lane) * V, inputs = outputs / spread;
    const bool active = row_lane < row_lanes && channel < outputs && kd < d.taps;

    float sums[TAPS * V] = {};
    const int begin = slice * rows_of_slice, end = rows - begin < rows_of_slice ? rows : begin + rows_of_slice;
    for (int row = begin + row_lane; active && row < end; row += row_lanes) {
        const int from_h = source(h, row % h.out, kh), from_d = source(d, row / h.out % d.out, kd);
        if (from_d < 0 || from_h < 0) continue;
        const int image = row / h.out / d.out;
        const REAL* line = x + (i64)((image * d.in + from_d) * h.in + from_h) * w.in * inputs + channel / spread;
        add_products<V>(sums, line, grad + (i64)row * w.out * outputs + channel, w, inputs, outputs,
                        w.shift + first * w.dilation);
    }
    add_lanes(sums, buffer, row_lane, row_lanes, member, lanes * chunks);
    if (!active || row_lane != 0) return;
    const int taps = d.taps * h.taps * w.taps;
#pragma unroll
    for (int j = 0; j < TAPS; ++j) {
        if (first + j >= w.taps) break;
        const int tap = (kd * h.taps + kh) * w.taps + first + j;
#pragma unroll
        for (int v = 0; v < V; ++v) partials[((i64)slice * outputs + channel + v) * taps + tap] = sums[j * V + v];
    }
}

KERNEL(256, 2) depthwise_weight_gradient(const REAL* __restrict__ x, const REAL* __restrict__ grad, float* partials,
                                         i32 in_d, i32 in_h, i32 in_w, i32 out_d, i32 out_h, i32 out_w, i32 kernel_d,
                                         i32 kernel_h, i32 kernel_w, i32 step_d, i32 step_h, i32 step_w, i32 shift_d,
                                         i32 shift_h, i32 shift_w, i32 dilation_d, i32 dilation_h, i32 dilation_w,
                                         i32 outputs, i32 spread, i32 rows, i32 rows_of_slice, i32 lanes, i32 chunks,
                                         i32 row_lanes, bool vectors) {
    const Axis d{in_d, out_d, kernel_d, step_d, 1, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, 1, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, 1, shift_w, dilation_w};
    if (vectors)
        correlate<WIDTH>(x, grad, partials, d, h, w, outputs, spread, rows, rows_of_slice, lanes, chunks, row_lanes);
    else
        correlate<1>(x, grad, partials, d, h, w, outputs, spread, rows, rows_of_slice, lanes, chunks, row_lanes);
}

KERNEL(256) depthwise_weight_sum(const float* partials, REAL* gradient, i32 n, i32 slices) {
    sum_slices(partials, gradient, n, slices);
}
