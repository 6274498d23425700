// Convolutions with one to four channels, of arrays of REAL, channels last: the first layer of a network.
//
// A product of matrices whose inner length is taps * channels: 27 for 3x3 of an RGB image, 147 for 7x7. A patch of the
// input lies in shared memory, from which every place takes its own window. 3 to 64 channels by 7x7, stride 2, from 256
// images of 224x224: 60 GFLOP for 1 GB of floats. On an H100 the products take 0.9 ms or more, the memory 0.3 ms, so
// what counts is that few loads come between products: a thread has 8 places and 8 outputs, 64 products for 10 loads.
// With numbers of 16 bits the tensor cores do it (convolution_narrow_tensor.cu).
#include <convolution_patch.cuh>

constexpr int OUTPUTS = 8;  // of a thread, side by side
constexpr int PLACES = 8;   // of a thread; or terms (a tap and a channel), in the gradient of the weights

// Blocks with blockIdx.x along the tiles, of which each does several with one copy of the weights in shared memory,
// and blockIdx.y along the outputs.
KERNEL(256, 2) narrow_forward(const REAL* __restrict__ x, const REAL* __restrict__ weight,
                              const REAL* __restrict__ bias, REAL* __restrict__ out, i32 in_d, i32 in_h, i32 in_w,
                              i32 out_d, i32 out_h, i32 out_w, i32 kernel_d, i32 kernel_h, i32 kernel_w, i32 step_d,
                              i32 step_h, i32 step_w, i32 shift_d, i32 shift_h, i32 shift_w, i32 dilation_d,
                              i32 dilation_h, i32 dilation_w, i32 channels, i32 outputs, i32 lanes, i32 tile_rows,
                              i32 tile_columns, i32 tiles_in_all, bool has_bias, bool relu, bool vectors) {
    const Axis d{in_d, out_d, kernel_d, step_d, 1, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, 1, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, 1, shift_w, dilation_w};
    const Tiling tiles = tiling(h, w, tile_rows, tile_columns);
    const int terms = kernel_d * kernel_h * kernel_w * channels, pitch = lanes * OUTPUTS;
    const int first_output = blockIdx.y * pitch, places = tile_rows * tile_columns;
    DYNAMIC_SHARED(float, weights);  // a row of outputs for each term, and one for the bias
    int* offsets = (int*)(weights + (terms + 1) * pitch);
    float* patch = (float*)(offsets + terms);

    for (int i = threadIdx.x; i < (terms + 1) * pitch; i += blockDim.x) {
        const int term = i / pitch, output = first_output + number_at<OUTPUTS>(i % pitch, lanes);
        float value = 0;
        if (output < outputs) {
            if (term < terms) value = widened(weight[output * terms + term]);
            if (term == terms && has_bias) value = widened(bias[output]);
        }
        weights[i] = value;
    }
    for (int term = threadIdx.x; term < terms; term += blockDim.x)
        offsets[term] = pixels_to(term / channels, h, w, tiles) * channels + term % channels;

    const int lane = threadIdx.x % lanes, member = threadIdx.x / lanes, members = blockDim.x / lanes;
    const int output = first_output + lane * OUTPUTS;
    int window[PLACES];  // members lie side by side, so that the threads of a warp meet different banks
#pragma unroll
    for (int i = 0; i < PLACES; ++i) {
        const int place = member + i * members;
        window[i] = place < places ? first_pixel(place, h, w, tiles) * channels : 0;
    }
    for (int tile = blockIdx.x; tile < tiles_in_all; tile += gridDim.x) {
        const Corner at = corner(tile, d, tiles);
        __syncthreads();  // for those who read the patch of the tile before
        fill_patch(x, at, d, h, w, tiles, channels, [=](int pixel, const REAL* from) {
            for (int c = 0; c < channels; ++c) patch[pixel * channels + c] = from ? widened(from[c]) : 0.f;
        });
        __syncthreads();
        float sums[PLACES][OUTPUTS];
        load_pieces<OUTPUTS>(weights + terms * pitch, lane, lanes, sums[0]);
#pragma unroll
        for (int i = 1; i < PLACES; ++i)
#pragma unroll
            for (int o = 0; o < OUTPUTS; ++o) sums[i][o] = sums[0][o];
        for (int term = 0; term < terms; ++term) {
            const float* at_term = patch + offsets[term];
            float factors[OUTPUTS];
            load_pieces<OUTPUTS>(weights + term * pitch, lane, lanes, factors);
#pragma unroll
            for (int i = 0; i < PLACES; ++i) {
                const float value = at_term[window[i]];
#pragma unroll
                for (int o = 0; o < OUTPUTS; ++o) sums[i][o] += value * factors[o];
            }
        }
#pragma unroll
        for (int i = 0; i < PLACES; ++i) {
            const int place = member + i * members;
            const int row = at.row + place / tile_columns, column = at.column + place % tile_columns;
            if (place >= places || row >= out_h || column >= out_w) continue;
            const i64 line = (i64)(at.image * out_d + at.depth) * out_h + row;
            REAL* to = out + (line * out_w + column) * outputs + output;
#pragma unroll
            for (int o = 0; o < OUTPUTS; ++o) sums[i][o] = relu && sums[i][o] < 0 ? 0.f : sums[i][o];  // NaN stays NaN
            if (vectors && output + OUTPUTS <= outputs) {
#pragma unroll
                for (int o = 0; o < OUTPUTS; o += 4) {
                    const float four[4] = {sums[i][o], sums[i][o + 1], sums[i][o + 2], sums[i][o + 3]};
                    store<4>(to + o, four);
                }
            } else {
#pragma unroll
                for (int o = 0; o < OUTPUTS; ++o)
                    if (output + o < outputs) assign(to[o], sums[i][o]);
            }
        }
    }
}

// Blocks with blockIdx.x along slices of the tiles, y along the outputs, z along the terms. Of the threads, `lanes` lie
// along the outputs, `columns` along the terms; the rest shares the places. (With 256 threads registers are spilled;
// the 147 terms and 64 outputs of an RGB image by 7x7 keep 152 threads busy.)
KERNEL(192, 2) narrow_weight_gradient(const REAL* __restrict__ x, const REAL* __restrict__ grad, float* partials,
                                      i32 in_d, i32 in_h, i32 in_w, i32 out_d, i32 out_h, i32 out_w, i32 kernel_d,
                                      i32 kernel_h, i32 kernel_w, i32 step_d, i32 step_h, i32 step_w, i32 shift_d,
                                      i32 shift_h, i32 shift_w, i32 dilation_d, i32 dilation_h, i32 dilation_w,
                                      i32 channels, i32 outputs, i32 lanes, i32 columns, i32 tile_rows,
                                      i32 tile_columns, i32 tiles_in_all, i32 tiles_of_slice) {
    const Axis d{in_d, out_d, kernel_d, step_d, 1, shift_d, dilation_d};
    const Axis h{in_h, out_h, kernel_h, step_h, 1, shift_h, dilation_h};
    const Axis w{in_w, out_w, kernel_w, step_w, 1, shift_w, dilation_w};
    const Tiling tiles = tiling(h, w, tile_rows, tile_columns);
    const int terms = kernel_d * kernel_h * kernel_w * channels, pitch = lanes * OUTPUTS;
    const int first_output = blockIdx.y * pitch, places = tile_rows * tile_columns;
    DYNAMIC_SHARED(float, gradients);  // a row of outputs for each place
    int* windows = (int*)(gradients + places * pitch);
    float* patch = (float*)(windows + places);

    const int member = threadIdx.x % (lanes * columns), share = threadIdx.x / (lanes * columns);
    const int shares = blockDim.x / (lanes * columns), lane = member % lanes;
    const int first_term = blockIdx.z * columns * PLACES + member / lanes;
    int offsets[PLACES];
#pragma unroll
    for (int i = 0; i < PLACES; ++i) {
        const int term = first_term + i * columns;
        offsets[i] = term < terms ? pixels_to(term / channels, h, w, tiles) * channels + term % channels : 0;
    }
    float sums[PLACES * OUTPUTS] = {};
    const int begin = blockIdx.x * tiles_of_slice;
    for (int tile = begin; tile < begin + tiles_of_slice && tile < tiles_in_all; ++tile) {
        const Corner at = corner(tile, d, tiles);
        __syncthreads();
        fill_patch(x, at, d, h, w, tiles, channels, [=](int pixel, const REAL* from) {
            for (int c = 0; c < channels; ++c) patch[pixel * channels + c] = from ? widened(from[c]) : 0.f;
        });
        for (int i = threadIdx.x; i < places * pitch; i += blockDim.x) {
            const int place = i / pitch, output = first_output + number_at<OUTPUTS>(i % pitch, lanes);
            const int row = at.row + place / tile_columns, column = at.column + place % tile_columns;
            const bool inside = row < out_h && column < out_w;
            const i64 line = (i64)(at.image * out_d + at.depth) * out_h + row;
            gradients[i] = inside && output < outputs ? widened(grad[(line * out_w + column) * outputs + output]) : 0.f;
            if (i % pitch == 0) windows[place] = inside ? first_pixel(place, h, w, tiles) * channels : -1;
        }
        __syncthreads();
        for (int place = share; share < shares && place < places; place += shares) {
            if (windows[place] < 0) continue;  // not even a product with zero: what lies there may be NaN
            const float* window = patch + windows[place];
            float factors[OUTPUTS];
            load_pieces<OUTPUTS>(gradients + place * pitch, lane, lanes, factors);
#pragma unroll
            for (int i = 0; i < PLACES; ++i) {
                const float value = window[offsets[i]];
#pragma unroll
                for (int o = 0; o < OUTPUTS; ++o) sums[i * OUTPUTS + o] += value * factors[o];
            }
        }
    }
    __syncthreads();  // the memory is used again
    add_lanes(sums, gradients, share, shares, member, lanes * columns);
    if (share != 0) return;
#pragma unroll
    for (int i = 0; i < PLACES; ++i) {
        const int term = first_term + i * columns;
#pragma unroll
        for (int o = 0; o < OUTPUTS; ++o) {
            const int output = first_output + lane * OUTPUTS + o;
            if (term < terms && output < outputs)
                partials[((i64)blockIdx.x * outputs + output) * terms + term] = sums[i * OUTPUTS + o];
        }
    }
}

KERNEL(256) narrow_weight_sum(const float* partials, REAL* gradient, i32 n, i32 slices) {
    sum_slices(partials, gradient, n, slices);
}

// Seldom needed, so it is simple: 8 threads have a pixel, and add up the outputs of every place that it takes part in.
KERNEL(256) narrow_input_gradient(const REAL* __restrict__ grad, const REAL* __restrict__ weight,
                                  REAL* __restrict__ gradient, i32 in_d, i32 in_h, i32 in_w, i32 out_d, i32 out_h,
                                  i32 out_w, i32 kernel_d, i32 kernel_h, i32 kernel_w, i32 stride_d, i32 stride_h,
                                  i32 stride_w, i32 before_d, i32 before_h, i32 before_w, i32 dilation_d,
                                  i32 dilation_h, i32 dilation_w, i32 channels, i32 outputs, i32 pixels) {
    const Axis d{out_d, in_d, kernel_d, 1, stride_d, before_d, -dilation_d};
    const Axis h{out_h, in_h, kernel_h, 1, stride_h, before_h, -dilation_h};
    const Axis w{out_w, in_w, kernel_w, 1, stride_w, before_w, -dilation_w};
    const i64 thread = thread_index();
    const bool inside = thread / 8 < pixels;
    const int pixel = inside ? (int)(thread / 8) : 0, lane = threadIdx.x % 8, taps = kernel_d * kernel_h * kernel_w;
    const int image = pixel / in_w / in_h / in_d;
    float sums[4] = {};
    for (int tap = 0; tap < taps; ++tap) {
        const int from_d = source(d, pixel / in_w / in_h % in_d, tap / kernel_w / kernel_h);
        const int from_h = source(h, pixel / in_w % in_h, tap / kernel_w % kernel_h);
        const int from_w = source(w, pixel % in_w, tap % kernel_w);
        if (from_d < 0 || from_h < 0 || from_w < 0) continue;
        const i64 place = (i64)((image * out_d + from_d) * out_h + from_h) * out_w + from_w;
        for (int output = lane; output < outputs; output += 8) {
            const float factor = widened(grad[place * outputs + output]);
#pragma unroll
            for (int c = 0; c < 4; ++c)
                if (c < channels) sums[c] += factor * widened(weight[(output * taps + tap) * channels + c]);
        }
    }
#pragma unroll
    for (int c = 0; c < 4; ++c)
#pragma unroll
        for (int far = 4; far > 0; far /= 2) sums[c] += __shfl_xor_sync(~0u, sums[c], far);
    if (!inside || lane != 0) return;
#pragma unroll
    for (int c = 0; c < 4; ++c)
        if (c < channels) assign(gradient[(i64)pixel * channels + c], sums[c]);
}
