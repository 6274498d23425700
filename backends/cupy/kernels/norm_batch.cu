// Batch normalisation of matrices of REAL: rows are places, columns are channels. It is bound by memory, so that each
// pass reads every array once, 16 bytes a thread, and sums are taken in two stages: no atomics, the same bits each time.
//
// A block has 256 threads: `lanes` of them lie side by side, each with WIDTH neighbouring columns, and 256 / lanes lines
// of these go down a slab of rows. The launcher has WIDTH such that it divides the number of columns, and arrays that
// are aligned to WIDTH elements. What is computed has the type SUM: float, and double for double.
#include <numbers.cuh>

constexpr int AHEAD = 2;  // rows that a thread loads before it needs the first
// Rows of the coefficients of a channel: y = (x - CENTRE) * FACTOR + SHIFT, with what is lost where the mean becomes a
// SUM (REST) in the shift; INVERSE is that of the standard deviation.
enum { CENTRE, FACTOR, SHIFT, INVERSE, REST };
// Rows of the result of the sums of a gradient; the last two are those of mean and variance if they were given.
enum { OF_WEIGHT, OF_BIAS, SLOPE, OFFSET, OF_MEAN = SLOPE, OF_VARIANCE = OFFSET };
// Where a gradient passes: everywhere, where x has led to more than 0, where y is more than 0 (or NaN).
enum { ALL, BY_INPUT, BY_OUTPUT };

DEVICE float widened(float value) { return value; }
DEVICE double widened(double value) { return value; }
DEVICE float widened(bf16 value) { return to_float(value); }
DEVICE float widened(f16 value) { return to_float(value); }
DEVICE void narrow(SUM value, float& to) { to = value; }
DEVICE void narrow(SUM value, double& to) { to = value; }
DEVICE void narrow(SUM value, bf16& to) { to.bits = (u16)pack_bf16(value, 0); }
DEVICE void narrow(SUM value, f16& to) { to.bits = (u16)pack_f16(value, 0); }
// A contraction that no compiler chooses: the gradient has to find the sign that the output had.
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE double fused(double a, double b, double c) { return fma(a, b, c); }

// ------------------------------------------------------------------ which rows and columns a thread has

template <class T> struct alignas(WIDTH * sizeof(T) < 16 ? WIDTH * sizeof(T) : 16) Several {
    T of[WIDTH];
};
template <class T> DEVICE Several<T> load(const T* from) { return *(const Several<T>*)from; }
template <class T> DEVICE void store(T* to, const Several<T>& values) { *(Several<T>*)to = values; }

struct Tile {
    int lane, line, column;
    i64 row, end, step;  // rows: the first one, behind the last one, from one to the next
};

DEVICE Tile tile_of(i64 rows, int channels, int lanes, i64 slab) {
    const int lane = threadIdx.x % lanes, line = threadIdx.x / lanes;
    const i64 column = ((i64)blockIdx.x * lanes + lane) * WIDTH, first = blockIdx.y * slab;
    const i64 end = column < channels ? min(first + slab, rows) : 0;
    return {lane, line, (int)min(column, (i64)channels), first + line, end, 256 / lanes};
}

// As it was before a residual and ReLU.
DEVICE SUM normalised(REAL x, SUM centre, SUM factor, SUM shift) { return fused(widened(x) - centre, factor, shift); }

// ------------------------------------------------------------------ statistics

// Mean and sum of squared differences to it of each slab. A thread adds up differences to its first row, of which only
// those rows can cancel that are as far from it as from each other; the block puts means and squares of its lines
// together, where nothing cancels [Chan, Golub and LeVeque 1982].
KERNEL(256) column_moments(const REAL* x, double* partials, i64 rows, int channels, int lanes, i64 slab) {
    __shared__ SUM sums[WIDTH][256], squares[WIDTH][256], origins[WIDTH][32];
    __shared__ int counts[256];
    const Tile tile = tile_of(rows, channels, lanes, slab);
    const int t = threadIdx.x;
    Several<SUM> origin = {}, sum = {}, square = {};
    int count = 0;
    for (i64 row = tile.row; row < tile.end; row += AHEAD * tile.step) {
        Several<REAL> values[AHEAD];
#pragma unroll
        for (int j = 0; j < AHEAD; ++j)
            if (row + j * tile.step < tile.end)
                values[j] = load(x + (row + j * tile.step) * channels + tile.column);
        if (row == tile.row) {
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                const SUM first = widened(values[0].of[k]);
                origin.of[k] = first - first == 0 ? first : 0;  // finite, so that a mean may be infinite
            }
        }
#pragma unroll
        for (int j = 0; j < AHEAD; ++j) {
            if (row + j * tile.step >= tile.end) continue;
            ++count;
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                const SUM difference = widened(values[j].of[k]) - origin.of[k];
                sum.of[k] += difference;
                square.of[k] = fused(difference, difference, square.of[k]);
            }
        }
    }
    counts[t] = count;
#pragma unroll
    for (int k = 0; k < WIDTH; ++k)
        if (tile.line == 0) origins[k][tile.lane] = origin.of[k];
    __syncthreads();
#pragma unroll
    for (int k = 0; k < WIDTH; ++k) {
        const SUM rest = count ? square.of[k] - sum.of[k] * sum.of[k] / count : SUM(0);
        squares[k][t] = rest < 0 ? 0 : rest;
        sums[k][t] = sum.of[k] + count * (origin.of[k] - origins[k][tile.lane]);
    }
    __syncthreads();
    for (int half = 128; half >= lanes; half /= 2) {
        const int n = counts[t], others = t < half ? counts[t + half] : 0;
        if (others) {
            const SUM share = SUM(1) / n, their_share = SUM(1) / others;
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                const SUM distance = sums[k][t + half] * their_share - sums[k][t] * share;
                squares[k][t] += squares[k][t + half] + distance * distance / (share + their_share);
                sums[k][t] += sums[k][t + half];
            }
            counts[t] = n + others;
        }
        __syncthreads();
    }
    if (t >= lanes || tile.column >= channels) return;
    for (int k = 0; k < WIDTH; ++k) {
        double* to = partials + (i64)blockIdx.y * 2 * channels + tile.column + k;
        to[0] = (double)origins[k][t] + (double)sums[k][t] / counts[t];
        to[channels] = squares[k][t];
    }
}

// The sum over the threads of a block that have one column; eight columns make 32 bytes of float, a sector of memory.
template <int THREADS> DEVICE double added_up(double value, double* shared) {
    const int t = threadIdx.x;
    shared[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half >= 8; half /= 2) {
        if (t < half) shared[t] += shared[t + half];
        __syncthreads();
    }
    const double sum = shared[t % 8];
    __syncthreads();
    return sum;
}

DEVICE void write_coefficients(SUM* to, int channels, double mean, double variance, SUM weight, SUM bias, double eps) {
    const double inverse = 1 / sqrt(variance + eps), factor = inverse * weight, rest = mean - (double)(SUM)mean;
    to[CENTRE * (i64)channels] = (SUM)mean;
    to[FACTOR * (i64)channels] = (SUM)factor;
    to[SHIFT * (i64)channels] = (SUM)(bias - rest * factor);
    to[INVERSE * (i64)channels] = (SUM)inverse;
    to[REST * (i64)channels] = (SUM)rest;
}

// Mean and variance from those of slabs, and the coefficients.
KERNEL(256) finish_moments(const double* partials, const SUM* weight, bool has_weight, const SUM* bias, bool has_bias,
                           double eps, SUM* mean, SUM* variance, SUM* coefficients, i64 rows, int channels, i64 slab,
                           int slabs) {
    __shared__ double shared[256];
    const int column = blockIdx.x * 8 + threadIdx.x % 8, line = threadIdx.x / 8;
    const bool is_there = column < channels;
    double sum = 0, square = 0;
#pragma unroll 8
    for (int i = line; i < slabs && is_there; i += 32)
        sum += (double)min(slab, rows - i * slab) * partials[(i64)i * 2 * channels + column];
    const double centre = added_up<256>(sum, shared) / rows;
#pragma unroll 8
    for (int i = line; i < slabs && is_there; i += 32) {
        const double* of = partials + (i64)i * 2 * channels + column;
        square += of[channels] + (double)min(slab, rows - i * slab) * (of[0] - centre) * (of[0] - centre);
    }
    const double spread = added_up<256>(square, shared) / rows;
    if (line || !is_there) return;
    mean[column] = (SUM)centre;
    variance[column] = (SUM)spread;
    write_coefficients(coefficients + column, channels, centre, spread, has_weight ? weight[column] : 1,
                       has_bias ? bias[column] : 0, eps);
}

// Mean and variance from sums and sums of squares of some rows each, as a convolution leaves them behind.
KERNEL(1024) moments_of_sums(const float* partials, float* mean, float* variance, i64 rows, int channels, int tiles) {
    __shared__ double shared[1024];
    const int column = blockIdx.x * 8 + threadIdx.x % 8, line = threadIdx.x / 8;
    double sum = 0, square = 0;
#pragma unroll 8
    for (int i = line; i < tiles && column < channels; i += 128) {
        sum += partials[(i64)i * 2 * channels + column];
        square += partials[((i64)i * 2 + 1) * channels + column];
    }
    const double centre = added_up<1024>(sum, shared) / rows;
    const double spread = added_up<1024>(square, shared) / rows - centre * centre;
    if (line || column >= channels) return;
    mean[column] = (float)centre;
    variance[column] = (float)(spread < 0 ? 0 : spread);
}

// The coefficients for given statistics.
KERNEL(256) coefficients_of(const SUM* mean, const SUM* variance, const SUM* weight, bool has_weight, const SUM* bias,
                            bool has_bias, double eps, SUM* coefficients, int channels) {
    const i64 i = thread_index();
    if (i >= channels) return;
    write_coefficients(coefficients + i, channels, mean[i], variance[i], has_weight ? weight[i] : 1,
                       has_bias ? bias[i] : 0, eps);
}

// ------------------------------------------------------------------ the output

// Three blocks on a multiprocessor have 48 kB under way with a residual. More would cost spills with 16 bits.
KERNEL(256, 3) normalise(const REAL* x, const SUM* coefficients, const REAL* residual, bool has_residual, bool is_relu,
                      REAL* y, i64 rows, int channels, int lanes, i64 slab) {
    const Tile tile = tile_of(rows, channels, lanes, slab);
    if (tile.row >= tile.end) return;
    const Several<SUM> centre = load(coefficients + CENTRE * (i64)channels + tile.column);
    const Several<SUM> factor = load(coefficients + FACTOR * (i64)channels + tile.column);
    const Several<SUM> shift = load(coefficients + SHIFT * (i64)channels + tile.column);
    for (i64 row = tile.row; row < tile.end; row += AHEAD * tile.step) {
        Several<REAL> values[AHEAD], added[AHEAD];
#pragma unroll
        for (int j = 0; j < AHEAD; ++j) {
            const i64 start = (row + j * tile.step) * channels + tile.column;
            if (row + j * tile.step >= tile.end) continue;
            values[j] = load(x + start);
            if (has_residual) added[j] = load(residual + start);
        }
#pragma unroll
        for (int j = 0; j < AHEAD; ++j) {
            if (row + j * tile.step >= tile.end) continue;
            Several<REAL> out;
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                SUM value = normalised(values[j].of[k], centre.of[k], factor.of[k], shift.of[k]);
                if (has_residual) value += widened(added[j].of[k]);
                narrow(is_relu && value <= 0 ? 0 : value, out.of[k]);  // NaN stays NaN
            }
            store(y + (row + j * tile.step) * channels + tile.column, out);
        }
    }
}

// ------------------------------------------------------------------ the gradient

// For each slab the sums of the gradient g, where it passes, and of its product with x - CENTRE. With BY_OUTPUT what
// has passed is stored: it is the residual's gradient, and the next pass need not read y again.
KERNEL(256) column_sums(const REAL* g, const REAL* x, const REAL* y, const SUM* coefficients, int passing, REAL* passed,
                        double* partials, i64 rows, int channels, int lanes, i64 slab) {
    __shared__ SUM sums[2][WIDTH][256];
    const Tile tile = tile_of(rows, channels, lanes, slab);
    const int t = threadIdx.x;
    Several<SUM> centre = {}, factor = {}, shift = {}, sum = {}, along = {};
    if (tile.row < tile.end) {
        centre = load(coefficients + CENTRE * (i64)channels + tile.column);
        factor = load(coefficients + FACTOR * (i64)channels + tile.column);
        shift = load(coefficients + SHIFT * (i64)channels + tile.column);
    }
    for (i64 row = tile.row; row < tile.end; row += AHEAD * tile.step) {
        Several<REAL> grads[AHEAD], values[AHEAD], outputs[AHEAD];
#pragma unroll
        for (int j = 0; j < AHEAD; ++j) {
            const i64 start = (row + j * tile.step) * channels + tile.column;
            if (row + j * tile.step >= tile.end) continue;
            grads[j] = load(g + start);
            values[j] = load(x + start);
            if (passing == BY_OUTPUT) outputs[j] = load(y + start);
        }
#pragma unroll
        for (int j = 0; j < AHEAD; ++j) {
            if (row + j * tile.step >= tile.end) continue;
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                REAL output = outputs[j].of[k];
                if (passing == BY_INPUT)
                    narrow(normalised(values[j].of[k], centre.of[k], factor.of[k], shift.of[k]), output);
                if (passing != ALL && widened(output) <= 0) narrow(0, grads[j].of[k]);
                const SUM grad = widened(grads[j].of[k]);
                sum.of[k] += grad;
                along.of[k] = fused(grad, widened(values[j].of[k]) - centre.of[k], along.of[k]);
            }
            if (passing == BY_OUTPUT)
                store(passed + (row + j * tile.step) * channels + tile.column, grads[j]);
        }
    }
#pragma unroll
    for (int k = 0; k < WIDTH; ++k) {
        sums[0][k][t] = sum.of[k];
        sums[1][k][t] = along.of[k];
    }
    __syncthreads();
    for (int half = 128; half >= lanes; half /= 2) {
        if (t < half) {
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                sums[0][k][t] += sums[0][k][t + half];
                sums[1][k][t] += sums[1][k][t + half];
            }
        }
        __syncthreads();
    }
    if (t >= lanes || tile.column >= channels) return;
    for (int k = 0; k < WIDTH; ++k) {
        double* to = partials + (i64)blockIdx.y * 2 * channels + tile.column + k;
        to[0] = sums[0][k][t];
        to[channels] = sums[1][k][t];
    }
}

// The gradients of channels, and what `input_gradient` needs where the statistics are those of the input.
KERNEL(256) finish_sums(const double* partials, const SUM* coefficients, bool by_input, SUM* results, i64 rows,
                        int channels, int slabs) {
    __shared__ double shared[256];
    const int column = blockIdx.x * 8 + threadIdx.x % 8, line = threadIdx.x / 8;
    double sum = 0, product = 0;
#pragma unroll 8
    for (int i = line; i < slabs && column < channels; i += 32) {
        sum += partials[(i64)i * 2 * channels + column];
        product += partials[((i64)i * 2 + 1) * channels + column];
    }
    const double total = added_up<256>(sum, shared), unshifted = added_up<256>(product, shared);
    if (line || column >= channels) return;
    const SUM* of = coefficients + column;
    const double factor = of[FACTOR * (i64)channels], inverse = of[INVERSE * (i64)channels];
    const double rest = of[REST * (i64)channels], along = unshifted - rest * total;
    const double slope = factor * inverse * inverse * along;
    SUM* to = results + column;
    to[OF_WEIGHT * (i64)channels] = (SUM)(along * inverse);
    to[OF_BIAS * (i64)channels] = (SUM)total;
    if (by_input) {
        to[SLOPE * (i64)channels] = (SUM)(slope / rows);
        to[OFFSET * (i64)channels] = (SUM)((slope * rest - factor * total) / rows);
    } else {
        to[OF_MEAN * (i64)channels] = (SUM)(-factor * total);
        to[OF_VARIANCE * (i64)channels] = (SUM)(-0.5 * slope);
    }
}

// From a gradient that has passed already, or that passes where x has led to more than 0. Given statistics leave out
// what comes through them, and then x is read for the sign only: what it holds may be infinite.
KERNEL(256) input_gradient(const REAL* g, const REAL* x, const SUM* coefficients, const SUM* results, int passing,
                           bool by_input, REAL* out, i64 rows, int channels, int lanes, i64 slab) {
    const Tile tile = tile_of(rows, channels, lanes, slab);
    if (tile.row >= tile.end) return;
    const Several<SUM> centre = load(coefficients + CENTRE * (i64)channels + tile.column);
    const Several<SUM> factor = load(coefficients + FACTOR * (i64)channels + tile.column);
    const Several<SUM> shift = load(coefficients + SHIFT * (i64)channels + tile.column);
    Several<SUM> slope = {}, offset = {};
    if (by_input) {
        slope = load(results + SLOPE * (i64)channels + tile.column);
        offset = load(results + OFFSET * (i64)channels + tile.column);
    }
    for (i64 row = tile.row; row < tile.end; row += AHEAD * tile.step) {
        Several<REAL> grads[AHEAD], values[AHEAD];
#pragma unroll
        for (int j = 0; j < AHEAD; ++j) {
            const i64 start = (row + j * tile.step) * channels + tile.column;
            if (row + j * tile.step >= tile.end) continue;
            grads[j] = load(g + start);
            if (by_input || passing == BY_INPUT) values[j] = load(x + start);
        }
#pragma unroll
        for (int j = 0; j < AHEAD; ++j) {
            if (row + j * tile.step >= tile.end) continue;
            Several<REAL> result;
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) {
                SUM grad = widened(grads[j].of[k]);
                if (passing == BY_INPUT) {
                    REAL output;
                    narrow(normalised(values[j].of[k], centre.of[k], factor.of[k], shift.of[k]), output);
                    grad = widened(output) <= 0 ? 0 : grad;
                }
                SUM value = factor.of[k] * grad;
                if (by_input) value += fused(centre.of[k] - widened(values[j].of[k]), slope.of[k], offset.of[k]);
                narrow(value, result.of[k]);
            }
            store(out + (row + j * tile.step) * channels + tile.column, result);
        }
    }
}
