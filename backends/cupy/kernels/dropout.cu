// Dropout of arrays of REAL, once the mask is drawn.
#include <vector.cuh>

// A product with 0 and not 0 itself where the mask does not hold, so that NaN stays NaN.
KERNEL(256) masked_scale(const REAL* input, const bool* mask, REAL scale, REAL* out, i64 n) {
    const i64 i = thread_index() * 8;
    if (i >= n) return;
    const Eight<REAL> values = load_eight(input, i, n, REAL(0));
    const Eight<bool> kept = load_eight(mask, i, n, false);
    Eight<REAL> scaled;
#pragma unroll
    for (int k = 0; k < 8; ++k) scaled.of[k] = values.of[k] * (kept.of[k] ? scale : REAL(0));
    store_eight(out, i, n, scaled);
}
