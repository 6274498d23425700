// The gradient of the weights of a convolution: for every output, tap and channel a sum over all places. The sum is
// long and the result small, so it is cut into splits, whose sums another kernel adds in order.
#include <convolution_gemm.cuh>

// partial[split][group][output][tap][channel], with `kept` channels of each group: x has `channels`, the gradient has
// `outputs` rounded up to a multiple of CHUNK; both are filled up with zeros. A split has `steps` stages, of DEPTH
// places each.
KERNEL(256, 2) convolution_weight_gradient(
    const REAL* x, const REAL* grad, float* partial, int places, int outputs, int channels, int kept, int steps,
    int depth, int height, int width, int out_d, int out_h, int out_w, int taps_d, int taps_h, int taps_w, int stride_d,
    int stride_h, int stride_w, int before_d, int before_h, int before_w, int dilation_d, int dilation_h,
    int dilation_w) {
    constexpr int CHUNKS = TILE_ROWS / CHUNK, TERMS = 256 / CHUNKS;  // chunks of a term; terms that are copied at once
    constexpr int COPIES = DEPTH / TERMS;
    constexpr int STAGE = (TILE_ROWS + TILE_COLUMNS) * DEPTH;
    static_assert(TILE_ROWS == TILE_COLUMNS, "a thread copies the same chunk of both");
    DYNAMIC_SHARED(REAL, shared);

    const int thread = threadIdx.x, chunk = thread % CHUNKS, group = blockIdx.z, split = blockIdx.y;
    const int columns = taps_d * taps_h * taps_w * channels, tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const int first_row = blockIdx.x / tiles * TILE_ROWS, first_column = blockIdx.x % tiles * TILE_COLUMNS;
    const int first_place = split * steps * DEPTH;
    const int left = places - first_place, terms = left < steps * DEPTH ? left : steps * DEPTH;
    const int own_steps = (terms + DEPTH - 1) / DEPTH;

    const int output = first_row + chunk * CHUNK, outputs_held = (outputs + CHUNK - 1) / CHUNK * CHUNK;
    const u32 grad_pitch = gridDim.z * outputs_held, grad_at = group * outputs_held + output;
    // The tap and the channel of this thread's chunk: where it reads, relative to a place of the output.
    const int column = first_column + chunk * CHUNK;
    const Digits tap = digits_of(column, channels, taps_w, taps_h);
    const int z = tap.of[3] * dilation_d - before_d, y = tap.of[2] * dilation_h - before_h,
              x_ = tap.of[1] * dilation_w - before_w;
    const u32 pitch = gridDim.z * channels, at = group * channels + tap.of[0];

    Digits place[COPIES];
    int term[COPIES];
#pragma unroll
    for (int i = 0; i < COPIES; ++i) {
        term[i] = thread / CHUNKS + i * TERMS;
        place[i] = digits_of(first_place + term[i], out_w, out_h, out_d);
    }
    const Digits ahead = digits_of(DEPTH, out_w, out_h, out_d);

    const auto load = [&](int stage) {
        REAL* a = shared + stage * STAGE;
        REAL* b = a + TILE_ROWS * DEPTH;
#pragma unroll
        for (int i = 0; i < COPIES; ++i) {
            const int row = thread / CHUNKS + i * TERMS;
            const bool is_term = term[i] < terms, in_grad = is_term && output < outputs_held;
            const u32 from_grad = (u32)(first_place + term[i]) * grad_pitch + grad_at;
            copy_async16(a + by_term<TILE_ROWS>(row, chunk), in_grad ? grad + from_grad : grad, in_grad);
            const int pz = place[i].of[2] * stride_d + z, py = place[i].of[1] * stride_h + y,
                      px = place[i].of[0] * stride_w + x_;
            const bool in_x = is_term && column < columns && is_inside(pz, depth) && is_inside(py, height) &&
                              is_inside(px, width);
            const u32 from_x = ((((u32)place[i].of[3] * depth + pz) * height + py) * width + px) * pitch + at;
            copy_async16(b + by_term<TILE_COLUMNS>(row, chunk), in_x ? x + from_x : x, in_x);
            term[i] += DEPTH;
            advance(place[i], ahead, out_w, out_h, out_d);
        }
    };

#pragma unroll
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (stage < own_steps) load(stage);
        copy_commit();
    }
    Sums<false> sums;
    int stage = 0;
    for (int step = 0; step < own_steps; ++step) {
        copy_wait<STAGES - 2>();
        __syncthreads();  // the stage has come for all, and the one before it is free
        if (step + STAGES - 1 < own_steps) load(stage == 0 ? STAGES - 1 : stage - 1);
        copy_commit();
        const REAL* a = shared + stage * STAGE;
        sums.add_by_term(a, a + TILE_ROWS * DEPTH);
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }

    const i64 row_length = (i64)(columns / channels) * kept;
#pragma unroll
    for (int j = 0; j < Sums<false>::ACROSS; ++j)
#pragma unroll
        for (int k = 0; k < Sums<false>::WIDE; ++k) {
            const int to = first_column + sums.column(j) + k, channel = to % channels;
            if (to >= columns || channel >= kept) continue;
#pragma unroll
            for (int i = 0; i < Sums<false>::DOWN; ++i) {
                const int row = first_row + sums.row(i);
                if (row >= outputs) continue;
                const i64 all_rows = ((i64)split * gridDim.z + group) * outputs + row;
                partial[all_rows * row_length + to / channels * kept + channel] = sums.value(i, j, k);
            }
        }
}
