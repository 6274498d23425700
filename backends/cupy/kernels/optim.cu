// Steps of optimizers over flat vectors of REAL, in place: one pass through memory instead of one for each operation.
#include <vector.cuh>

// Adam, with both kinds of weight decay: the means are kept divided by 1 - beta, as the rule in nnx/optim/adam.py.
KERNEL(256) adam(REAL* p, const REAL* g, REAL* mean, REAL* square, REAL shrink, REAL sign, REAL penalty, REAL beta1,
                 REAL beta2, REAL eps, REAL rate, i64 n) {
    const i64 i = thread_index() * 8;
    if (i >= n) return;
    Eight<REAL> values = load_eight(p, i, n, REAL(0));
    Eight<REAL> means = load_eight(mean, i, n, REAL(0));
    Eight<REAL> squares = load_eight(square, i, n, REAL(0));
    const Eight<REAL> gradients = load_eight(g, i, n, REAL(0));
#pragma unroll
    for (int k = 0; k < 8; ++k) {
        const REAL gradient = sign * gradients.of[k] + penalty * values.of[k];
        means.of[k] = beta1 * means.of[k] + gradient;
        squares.of[k] = beta2 * squares.of[k] + gradient * gradient;
        values.of[k] = shrink * values.of[k] - rate * (means.of[k] / (sqrt(squares.of[k]) + eps));
    }
    store_eight(p, i, n, values);
    store_eight(mean, i, n, means);
    store_eight(square, i, n, squares);
}
