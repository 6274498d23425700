// Convolutions that gather: row m of the output is the sum over taps and channels of a place of the source, which the
// tap moves, times the weights. With the sizes exchanged, this is the gradient of the input, too: the places of the
// input in one residue class of the stride see every so-manieth tap, and a place of the output gradient for each.
#include <convolution_gemm.cuh>

// Rows are places (image, depth, height, width) of a grid `rows_*`. For axis d the source is read at
// start_d + row * step_d + tap * reach_d, where there is one, and the result is put at first_d + row * put_d.
// `channels` (of a group) are a multiple of CHUNK, and so is what weight_* says: the distances in the weights from tap
// to tap along the axes, from column to column, from group to group. `flags`: 1 adds the bias, 2 is ReLU, and 4 writes
// for each tile of rows the sums of the columns and of their squares to partial[tile][2][columns of all groups].
KERNEL(256, 2) convolution_gather(
    const REAL* source, const REAL* weight, const REAL* bias, REAL* out, float* partial, int flags, int rows,
    int columns, int channels, int depth, int height, int width, int rows_d, int rows_h, int rows_w, int step_d,
    int step_h, int step_w, int start_d, int start_h, int start_w, int taps_d, int taps_h, int taps_w, int reach_d,
    int reach_h, int reach_w, int weight_first, int weight_d, int weight_h, int weight_w, int weight_column,
    int weight_group, int out_d, int out_h, int out_w, int put_d, int put_h, int put_w, int first_d, int first_h,
    int first_w) {
    constexpr int OF_A = TILE_ROWS / 64, OF_B = (TILE_COLUMNS + 63) / 64;  // copies of a thread for each stage
    constexpr int STAGE = (TILE_ROWS + TILE_COLUMNS) * DEPTH;
    DYNAMIC_SHARED(REAL, shared);
    int* places = (int*)(shared + STAGES * STAGE);  // of the output, for each row of the tile; -1 behind the last row

    const int thread = threadIdx.x, chunk = thread % 4, group = blockIdx.z;
    // Neighbouring blocks have the same rows and other columns: the source comes from the cache for all but the first.
    const int tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const int first_row = blockIdx.x / tiles * TILE_ROWS, first_column = blockIdx.x % tiles * TILE_COLUMNS;
    const u32 pitch = gridDim.z * channels;

    // Offsets wrap around where a place is outside of the source, and are not used there.
    u32 at[OF_A], weight_at[OF_B];
    int z[OF_A], y[OF_A], x[OF_A];
#pragma unroll
    for (int i = 0; i < OF_A; ++i) {
        const int tile_row = thread / 4 + i * 64, row = first_row + tile_row;
        const Digits of = digits_of(row < rows ? row : 0, rows_w, rows_h, rows_d);  // behind the end as at 0
        x[i] = start_w + of.of[0] * step_w;
        y[i] = start_h + of.of[1] * step_h;
        z[i] = start_d + of.of[2] * step_d;
        at[i] = ((((u32)of.of[3] * depth + z[i]) * height + y[i]) * width + x[i]) * pitch + group * channels;
        const int plane = (of.of[3] * out_d + first_d + of.of[2] * put_d) * out_h + first_h + of.of[1] * put_h;
        const int place = plane * out_w + first_w + of.of[0] * put_w;
        if (chunk == 0) places[tile_row] = row < rows ? place : -1;
    }
#pragma unroll
    for (int i = 0; i < OF_B; ++i)
        weight_at[i] = (u32)weight_first + group * (u32)weight_group +
                       (first_column + thread / 4 + i * 64) * (u32)weight_column;

    // Where this thread's chunk is in the sum: channel, and tap by its axes.
    Digits term = digits_of(chunk * CHUNK, channels, taps_w, taps_h);
    const Digits ahead = digits_of(DEPTH, channels, taps_w, taps_h);
    const int steps = (taps_d * taps_h * taps_w * channels + DEPTH - 1) / DEPTH;

    const auto load = [&](int stage) {
        REAL* a = shared + stage * STAGE;
        REAL* b = a + TILE_ROWS * DEPTH;
        const int dz = term.of[3] * reach_d, dy = term.of[2] * reach_h, dx = term.of[1] * reach_w;
        const bool is_term = term.of[3] < taps_d;
        const u32 moved = (((u32)dz * height + dy) * width + dx) * pitch + term.of[0];
        const u32 tap = term.of[3] * (u32)weight_d + term.of[2] * (u32)weight_h + term.of[1] * (u32)weight_w;
        const REAL* from = weight + (tap + term.of[0]);
#pragma unroll
        for (int i = 0; i < OF_A; ++i) {
            const bool wanted = is_term && is_inside(z[i] + dz, depth) && is_inside(y[i] + dy, height) &&
                                is_inside(x[i] + dx, width);
            copy_async16(a + by_row(thread / 4 + i * 64, chunk), wanted ? source + (at[i] + moved) : source, wanted);
        }
#pragma unroll
        for (int i = 0; i < OF_B; ++i) {
            const int row = thread / 4 + i * 64;
            const bool wanted = is_term && first_column + row < columns;
            if (TILE_COLUMNS % 64 == 0 || row < TILE_COLUMNS)
                copy_async16(b + by_row(row, chunk), wanted ? from + weight_at[i] : weight, wanted);
        }
        advance(term, ahead, channels, taps_w, taps_h);
    };

#pragma unroll
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (stage < steps) load(stage);
        copy_commit();
    }
    Sums<true> sums;
    int stage = 0;
    for (int step = 0; step < steps; ++step) {
        copy_wait<STAGES - 2>();
        __syncthreads();  // the stage has come for all, and the one before it is free
        if (step + STAGES - 1 < steps) load(stage == 0 ? STAGES - 1 : stage - 1);
        copy_commit();
        const REAL* a = shared + stage * STAGE;
        sums.add_by_row(a, a + TILE_ROWS * DEPTH);
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }
    __syncthreads();

    constexpr int DOWN = Sums<true>::DOWN, ACROSS = Sums<true>::ACROSS, WIDE = Sums<true>::WIDE;
    const int all_columns = gridDim.z * columns, before = group * columns;
    float* of_warps = (float*)shared;  // sums and sums of squares: [warp_down][2][TILE_COLUMNS]
#pragma unroll
    for (int j = 0; j < ACROSS; ++j) {
        const int column = first_column + sums.column(j);
        float added[WIDE], total[WIDE] = {}, squares[WIDE] = {};
#pragma unroll
        for (int k = 0; k < WIDE; ++k)
            added[k] = flags & 1 && column + k < columns ? to_float(bias[before + column + k]) : 0.f;
#pragma unroll
        for (int i = 0; i < DOWN; ++i) {
            const int place = places[sums.row(i)];
            REAL values[WIDE];
#pragma unroll
            for (int k = 0; k < WIDE; ++k) {
                float value = sums.value(i, j, k) + added[k];
                if (flags & 2) value = value < 0.f ? 0.f : value;  // NaN stays NaN
                values[k] = stored(value, REAL());
                const float kept = place < 0 ? 0.f : to_float(values[k]);
                total[k] += kept;
                squares[k] += kept * kept;
            }
            if (place < 0) continue;
            REAL* to = out + ((i64)place * all_columns + before + column);
            if (WIDE == 2 && column + 1 < columns && (u64)to % (2 * sizeof(REAL)) == 0) {
                struct alignas(2 * sizeof(REAL)) Pair {
                    REAL of[2];
                };
                *(Pair*)to = {{values[0], values[WIDE - 1]}};
            } else {
#pragma unroll
                for (int k = 0; k < WIDE; ++k)
                    if (column + k < columns) to[k] = values[k];
            }
        }
        if (flags & 4) {
#pragma unroll
            for (int k = 0; k < WIDE; ++k) {
#pragma unroll
                for (int bit = 16; bit & Sums<true>::LANES_OF_ROWS; bit /= 2) {
                    total[k] += __shfl_xor_sync(~0u, total[k], bit);
                    squares[k] += __shfl_xor_sync(~0u, squares[k], bit);
                }
                if ((thread & Sums<true>::LANES_OF_ROWS) == 0) {
                    float* of_warp = of_warps + sums.warp_down * 2 * TILE_COLUMNS + sums.column(j) + k;
                    of_warp[0] = total[k];
                    of_warp[TILE_COLUMNS] = squares[k];
                }
            }
        }
    }
    if (flags & 4) {
        __syncthreads();
        const int column = first_column + thread % TILE_COLUMNS, which = thread / TILE_COLUMNS;
        if (which < 2 && column < columns) {
            float sum = 0;
#pragma unroll
            for (int warp = 0; warp < Sums<true>::WARPS_DOWN; ++warp)
                sum += of_warps[(warp * 2 + which) * TILE_COLUMNS + thread % TILE_COLUMNS];
            partial[((i64)(first_row / TILE_ROWS) * 2 + which) * all_columns + before + column] = sum;
        }
    }
}
