// What the lanes of a warp tell each other: shuffles, votes, atomics, and shared memory between warps.
#include <common.cuh>

// One warp for each row: its softmax, and the sums of the columns.
KERNEL(128) softmax(const float* x, float* y, float* sums, int rows, int columns) {
    const int row = (int)(thread_index() / 32), lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += (i64)row * columns;
    y += (i64)row * columns;
    float largest = -1e30f;
    for (int j = lane; j < columns; j += 32) largest = fmaxf(largest, x[j]);
    for (int offset = 16; offset; offset /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, offset));
    float total = 0.f;
    for (int j = lane; j < columns; j += 32) total += expf(x[j] - largest);
    for (int offset = 16; offset; offset /= 2) total += __shfl_xor_sync(~0u, total, offset);
    for (int j = lane; j < columns; j += 32) {
        y[j] = expf(x[j] - largest) / total;
        atomicAdd(sums + j, y[j]);
    }
}

// One block: the running sum of n <= 256 numbers, by shuffles within the warps and shared memory between them.
KERNEL(256) running_sum(const int* x, int* y, int n) {
    __shared__ int totals[8];
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    int sum = thread < n ? x[thread] : 0;
    for (int offset = 1; offset < 32; offset *= 2) {
        const int before = __shfl_up_sync(~0u, sum, offset);
        if (lane >= offset) sum += before;
    }
    if (lane == 31) totals[warp] = sum;
    __syncthreads();
    for (int other = 0; other < warp; ++other) sum += totals[other];
    if (thread < n) y[thread] = sum;
}

// How many of n <= 256 numbers are positive, three times: by ballots, by a vote of the block, by an atomic sum.
KERNEL(256) count_positive(const int* x, int* counts, int n) {
    DYNAMIC_SHARED(int, shared);
    const int thread = threadIdx.x;
    const bool positive = thread < n && x[thread] > 0;
    const unsigned votes = __ballot_sync(~0u, positive);
    if (thread % 32 == 0) shared[thread / 32] = __popc(votes);
    const int by_vote = __syncthreads_count(positive);
    if (positive) atomicAdd(counts + 2, 1);
    if (thread == 0) {
        int sum = 0;
        for (int warp = 0; warp < 8; ++warp) sum += shared[warp];
        counts[0] = sum;
        counts[1] = by_vote;
    }
}
