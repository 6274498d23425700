// Convolutions with one to four channels on tensor cores: of REAL = bf16, f16, or float as tf32.
//
// 3 to 64 channels by 7x7, stride 2, from 256 images of 224x224: 60 GFLOP for 0.5 GB of 16-bit numbers. On an H100
// memory takes 0.15 ms, products one by one 1 ms; on tensor cores, with 4 channels for 3 and 52 taps for 49, also about
// 0.15 ms.
//
// In which order the terms of a sum come is free, as long as both factors have the same. So lane l of a warp, which
// holds the terms l % 4 * 2, that + 1, + 8 and + 9 of 16, is given the four channels (the last may be zeros) of one
// tap: one load of 8 bytes from where that tap lies, for whatever stride and dilation. In which order outputs come is
// free, too: a lane is given neighbours, which it writes together.
#include <convolution_patch.cuh>
#include <tensor_core.cuh>

constexpr int WORDS = sizeof(REAL);  // registers for four channels
typedef Vector<u32, WORDS> Pixel;

DEVICE u32 word(bf16 value) { return value.bits; }
DEVICE u32 word(f16 value) { return value.bits; }
DEVICE u32 word(float value) { return float_to_tf32(value); }
DEVICE void product(bf16, float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_bf16(d, a, b); }
DEVICE void product(f16, float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_f16(d, a, b); }
DEVICE void product(float, float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_tf32(d, a, b); }

DEVICE Pixel pixel_of(const REAL* from, int channels) {
    Pixel pixel = {};
#pragma unroll
    for (int c = 0; c < 4; ++c)
        if (from && c < channels) pixel.of[c * WORDS / 4] |= word(from[c]) << (WORDS == 2 ? c % 2 * 16 : 0);
    return pixel;
}

// ------------------------------------------------------------------ forward: rows are places, columns outputs

// Column `column` of tile `tile` stands for this output: a lane has the columns l % 4 * 2 and the next of every tile,
// which are so four neighbours in two tiles, and the four lanes of a row write 16 neighbours at once.
DEVICE int output_of(int tile, int column) { return tile / 2 * 16 + column / 2 * 4 + tile % 2 * 2 + column % 2; }

// A warp has 32 places of a tile of 256 and 8 * TILES outputs.
template <int TILES>
DEVICE void forward(const REAL* x, const REAL* weight, const REAL* bias, REAL* out, const Axis& d, const Axis& h,
                    const Axis& w, int channels, int outputs, const Tiling& tiles, int tiles_in_all, int pitch,
                    bool has_bias, bool relu, bool vectors) {
    DYNAMIC_SHARED(Pixel, weights);  // for each output its taps; pitch / 4 is odd, so that lanes meet different banks
    float* biases = (float*)(weights + 8 * TILES * pitch);
    int* offsets = (int*)(biases + 8 * TILES);
    Pixel* patch = (Pixel*)(offsets + pitch);
    const int taps = d.taps * h.taps * w.taps, first_output = blockIdx.y * 8 * TILES;
    for (int i = threadIdx.x; i < 8 * TILES * pitch; i += blockDim.x) {
        const int tap = i % pitch, output = first_output + output_of(i / pitch / 8, i / pitch % 8);
        const bool there = output < outputs && tap < taps;
        weights[i] = pixel_of(there ? weight + (output * taps + tap) * channels : nullptr, channels);
    }
    for (int i = threadIdx.x; i < 8 * TILES; i += blockDim.x)
        biases[i] = has_bias && first_output + i < outputs ? widened(bias[first_output + i]) : 0.f;
    for (int tap = threadIdx.x; tap < pitch; tap += blockDim.x)
        offsets[tap] = tap < taps ? pixels_to(tap, h, w, tiles) : -1;

    const int lane = threadIdx.x % 32, quarter = lane % 4, first_place = threadIdx.x / 32 * 32 + lane / 4;
    const int places = tiles.rows * tiles.columns;
    int windows[4];  // of the places first_place, and 8, 16, 24 behind it
#pragma unroll
    for (int j = 0; j < 4; ++j)
        windows[j] = first_place + 8 * j < places ? first_pixel(first_place + 8 * j, h, w, tiles) : 0;
    for (int tile = blockIdx.x; tile < tiles_in_all; tile += gridDim.x) {
        const Corner at = corner(tile, d, tiles);
        __syncthreads();  // for those who read the patch of the tile before
        fill_patch(x, at, d, h, w, tiles, channels,
                   [=](int pixel, const REAL* from) { patch[pixel] = pixel_of(from, channels); });
        __syncthreads();
        float sums[2][TILES][4] = {};
        for (int tap = quarter; tap < taps + quarter; tap += 4) {
            const int offset = offsets[tap];
            Pixel pixels[4] = {};  // zeros behind the last tap: what lies elsewhere may be NaN
#pragma unroll
            for (int j = 0; j < 4; ++j)
                if (offset >= 0) pixels[j] = patch[windows[j] + offset];
#pragma unroll
            for (int t = 0; t < TILES; ++t) {
                const Pixel factor = weights[(t * 8 + lane / 4) * pitch + tap];
#pragma unroll
                for (int i = 0; i < 2; ++i)
#pragma unroll
                    for (int k = 0; k < WORDS; k += 2) {
                        const Pixel &low = pixels[2 * i], &high = pixels[2 * i + 1];
                        const u32 a[4] = {low.of[k], high.of[k], low.of[k + 1], high.of[k + 1]};
                        const u32 b[2] = {factor.of[k], factor.of[k + 1]};
                        product(REAL(), sums[i][t], a, b);
                    }
            }
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int place = first_place + 8 * j;
            const int row = at.row + place / tiles.columns, column = at.column + place % tiles.columns;
            if (place >= places || row >= h.out || column >= w.out) continue;
            const i64 line = (i64)(at.image * d.out + at.depth) * h.out + row;
#pragma unroll
            for (int t = 0; t < TILES; t += 2) {  // two tiles have four neighbours
                const int output = output_of(t, quarter * 2);
                REAL* to = out + (line * w.out + column) * outputs + first_output + output;
                float four[4];
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    const float sum = sums[j / 2][t + k / 2][j % 2 * 2 + k % 2] + biases[output + k];
                    four[k] = relu && sum < 0 ? 0.f : sum;  // NaN stays NaN
                }
                if (vectors && first_output + output + 4 <= outputs) {
                    store<4>(to, four);
                } else {
#pragma unroll
                    for (int k = 0; k < 4; ++k)
                        if (first_output + output + k < outputs) assign(to[k], four[k]);
                }
            }
        }
    }
}

KERNEL(256, 2) narrow_tensor_forward_16(const REAL* __restrict__ x, const REAL* __restrict__ weight,
                                        const REAL* __restrict__ bias, REAL* __restrict__ out, i32 in_d, i32 in_h,
                                        i32 in_w, i32 out_d, i32 out_h, i32 out_w, i32 kernel_d, i32 kernel_h,
                                        i32 kernel_w, i32 step_d, i32 step_h, i32 step_w, i32 shift_d, i32 shift_h,
                                        i32 shift_w, i32 dilation_d, i32 dilation_h, i32 dilation_w, i32 channels,
                                        i32 outputs, i32 tile_rows, i32 tile_columns, i32 tiles_in_all, i32 pitch,
                                        bool has_bias, bool relu, bool vectors) {
    const Axis d{in_d, out_d, kernel_d, step_d, 1, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, 1, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, 1, shift_w, dilation_w};
    forward<2>(x, weight, bias, out, d, h, w, channels, outputs, tiling(h, w, tile_rows, tile_columns), tiles_in_all,
               pitch, has_bias, relu, vectors);
}

KERNEL(256, 2) narrow_tensor_forward_64(const REAL* __restrict__ x, const REAL* __restrict__ weight,
                                        const REAL* __restrict__ bias, REAL* __restrict__ out, i32 in_d, i32 in_h,
                                        i32 in_w, i32 out_d, i32 out_h, i32 out_w, i32 kernel_d, i32 kernel_h,
                                        i32 kernel_w, i32 step_d, i32 step_h, i32 step_w, i32 shift_d, i32 shift_h,
                                        i32 shift_w, i32 dilation_d, i32 dilation_h, i32 dilation_w, i32 channels,
                                        i32 outputs, i32 tile_rows, i32 tile_columns, i32 tiles_in_all, i32 pitch,
                                        bool has_bias, bool relu, bool vectors) {
    const Axis d{in_d, out_d, kernel_d, step_d, 1, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, 1, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, 1, shift_w, dilation_w};
    forward<8>(x, weight, bias, out, d, h, w, channels, outputs, tiling(h, w, tile_rows, tile_columns), tiles_in_all,
               pitch, has_bias, relu, vectors);
}

// ------------------------------------------------------------------ gradient of the weights: places are the terms

// The even halves of two registers side by side, and the odd ones.
DEVICE u32 lows(u32 a, u32 b) { return (a & 0xffff) | b << 16; }
DEVICE u32 highs(u32 a, u32 b) { return a >> 16 | (b & 0xffff0000u); }

// N numbers of a row of the gradient as registers, zeros behind its last one.
template <int N> struct Outputs {
    u32 of[N * sizeof(REAL) / 4];
};
template <int N> DEVICE Outputs<N> outputs_of(const REAL* from, int left, bool vectors) {
    constexpr int words = N * sizeof(REAL) / 4, piece = words < 4 ? words : 4;
    Outputs<N> found = {};
    if (vectors && left >= N) {
#pragma unroll
        for (int k = 0; k < words; k += piece) {
            const Vector<u32, piece> part = *(const Vector<u32, piece>*)(from + k * 4 / sizeof(REAL));
#pragma unroll
            for (int i = 0; i < piece; ++i)
                found.of[k + i] = WORDS == 2 ? part.of[i] : float_to_tf32(__uint_as_float(part.of[i]));
        }
    } else {
#pragma unroll
        for (int k = 0; k < N; ++k)
            if (k < left) found.of[k * WORDS / 4] |= word(from[k]) << (WORDS == 2 ? k % 2 * 16 : 0);
    }
    return found;
}

// Rows are 16 * TILES outputs, columns 8 taps for each channel: a warp has all that, for its share of the places of a
// slice of the tiles. Four places in a row are the terms of a lane. The gradient comes straight from memory, which it
// leaves once: the warps with other taps find it in the first-level cache.
template <int TILES>
DEVICE void correlate(const REAL* x, const REAL* grad, float* partials, const Axis& d, const Axis& h, const Axis& w,
                      int channels, int outputs, const Tiling& tiles, int tiles_in_all, int tiles_of_slice, int groups,
                      bool vectors) {
    DYNAMIC_SHARED(Pixel, patch);
    const int lane = threadIdx.x % 32, row_lane = lane / 4, quarter = lane % 4;
    const int group = threadIdx.x / 32 % groups, share = threadIdx.x / 32 / groups, shares = blockDim.x / 32 / groups;
    const int taps = d.taps * h.taps * w.taps, first_tap = (blockIdx.z * groups + group) * 8;
    const int offset = first_tap + row_lane < taps ? pixels_to(first_tap + row_lane, h, w, tiles) : -1;
    const int output = (blockIdx.y * 8 + row_lane) * 2 * TILES, places = tiles.rows * tiles.columns;
    float sums[TILES * 16] = {};  // four for each tile of outputs and channel
    const int begin = blockIdx.x * tiles_of_slice;
    for (int tile = begin; tile < begin + tiles_of_slice && tile < tiles_in_all; ++tile) {
        const Corner at = corner(tile, d, tiles);
        __syncthreads();
        fill_patch(x, at, d, h, w, tiles, channels,
                   [=](int pixel, const REAL* from) { patch[pixel] = pixel_of(from, channels); });
        __syncthreads();
        for (int step = share; share < shares && step * 16 < places; step += shares) {
            const int place = step * 16 + quarter * 4;
            const int row = at.row + place / tiles.columns, column = at.column + place % tiles.columns;
            const i64 line = (i64)(at.image * d.out + at.depth) * h.out + row;
            const int window = first_pixel(place, h, w, tiles) + offset;
            Outputs<2 * TILES> gradients[4] = {};
            Pixel pixels[4] = {};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                if (row >= h.out || column + i >= w.out) break;  // of both zeros: NaN times zero is not zero
                const REAL* from = grad + (line * w.out + column + i) * outputs + output;
                gradients[i] = outputs_of<2 * TILES>(from, outputs - output, vectors);
                if (offset >= 0) pixels[i] = patch[window + i * w.step];
            }
#pragma unroll
            for (int t = 0; t < TILES; ++t)
#pragma unroll
                for (int c = 0; c < 4; ++c) {
                    if (c >= channels) break;
                    float (&sum)[4] = *(float(*)[4])(sums + (t * 4 + c) * 4);
                    if constexpr (WORDS == 2) {
                        u32 from_x[4], from_grad[4];
#pragma unroll
                        for (int i = 0; i < 4; ++i) {
                            from_x[i] = pixels[i].of[c / 2] >> (c % 2 * 16);
                            from_grad[i] = gradients[i].of[t];
                        }
                        const u32 a[4] = {lows(from_grad[0], from_grad[1]), highs(from_grad[0], from_grad[1]),
                                          lows(from_grad[2], from_grad[3]), highs(from_grad[2], from_grad[3])};
                        const u32 b[2] = {lows(from_x[0], from_x[1]), lows(from_x[2], from_x[3])};
                        product(REAL(), sum, a, b);
                    } else {
#pragma unroll
                        for (int i = 0; i < 4; i += 2) {
                            const u32 *one = gradients[i].of + 2 * t, *other = gradients[i + 1].of + 2 * t;
                            const u32 a[4] = {one[0], one[1], other[0], other[1]};
                            const u32 b[2] = {pixels[i].of[c], pixels[i + 1].of[c]};
                            product(REAL(), sum, a, b);
                        }
                    }
                }
        }
    }
    __syncthreads();  // the memory is used again
    add_lanes(sums, (float*)patch, share, shares, group * 32 + lane, groups * 32);
    if (share != 0) return;
#pragma unroll
    for (int k = 0; k < TILES * 16; ++k) {
        const int tap = first_tap + quarter * 2 + k % 2, c = k / 4 % 4, to = output + k / 16 * 2 + k / 2 % 2;
        if (tap < taps && c < channels && to < outputs)
            partials[(((i64)blockIdx.x * outputs + to) * taps + tap) * channels + c] = sums[k];
    }
}

constexpr int WIDE = WORDS == 2 ? 4 : 2;  // tiles of 16 outputs; floats take twice the registers

KERNEL(256, 2) narrow_tensor_weight_gradient_16(const REAL* __restrict__ x, const REAL* __restrict__ grad,
                                                float* partials, i32 in_d, i32 in_h, i32 in_w, i32 out_d, i32 out_h,
                                                i32 out_w, i32 kernel_d, i32 kernel_h, i32 kernel_w, i32 step_d,
                                                i32 step_h, i32 step_w, i32 shift_d, i32 shift_h, i32 shift_w,
                                                i32 dilation_d, i32 dilation_h, i32 dilation_w, i32 channels,
                                                i32 outputs, i32 groups, i32 tile_rows, i32 tile_columns,
                                                i32 tiles_in_all, i32 tiles_of_slice, bool vectors) {
    const Axis d{in_d, out_d, kernel_d, step_d, 1, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, 1, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, 1, shift_w, dilation_w};
    correlate<1>(x, grad, partials, d, h, w, channels, outputs, tiling(h, w, tile_rows, tile_columns), tiles_in_all,
                 tiles_of_slice, groups, vectors);
}

KERNEL(256, 2) narrow_tensor_weight_gradient_64(const REAL* __restrict__ x, const REAL* __restrict__ grad,
                                                float* partials, i32 in_d, i32 in_h, i32 in_w, i32 out_d, i32 out_h,
                                                i32 out_w, i32 kernel_d, i32 kernel_h, i32 kernel_w, i32 step_d,
                                                i32 step_h, i32 step_w, i32 shift_d, i32 shift_h, i32 shift_w,
                                                i32 dilation_d, i32 dilation_h, i32 dilation_w, i32 channels,
                                                i32 outputs, i32 groups, i32 tile_rows, i32 tile_columns,
                                                i32 tiles_in_all, i32 tiles_of_slice, bool vectors) {
    const Axis d{in_d, out_d, kernel_d, step_d, 1, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, 1, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, 1, shift_w, dilation_w};
    correlate<WIDE>(x, grad, partials, d, h, w, channels, outputs, tiling(h, w, tile_rows, tile_columns), tiles_in_all,
                    tiles_of_slice, groups, vectors);
}
