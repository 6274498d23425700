"""Special functions in plain Array API code: the reference behind `xp.special`, for any array library.

Every function takes the namespace first, ``f(xp, x, ...)``, then the arguments of its `scipy.special`
namesake. The dtype of the result is that of the input, float64 to a few units in the last place and float32
computed in float32. Out of the domain the result is nan, as in SciPy, but without a warning. Nothing depends
on the values of an array: no Python branch, no boolean index, no in-place write, so that the functions can be
traced, compiled and differentiated.

Where a docstring speaks of a minimax fit, the coefficients were computed for nnx: weighted linear least
squares on Chebyshev nodes in 100-digit arithmetic, reweighted (Lawson) until the relative error is level. The
function, the interval and the error reached stand beside each table, so that anyone can repeat the fit.
Nearly all have positive coefficients only, which is what makes them safe to evaluate in working precision.
"""

from nnx.autodiff.special.bessel import i0, i0e, i1, i1e
from nnx.autodiff.special.error_functions import erf, erfc, erfcinv, erfcx, erfinv, log_ndtr, ndtr, ndtri
from nnx.autodiff.special.gamma import betaln, gamma, gammaln, multigammaln
from nnx.autodiff.special.logistic import (
    entr,
    expit,
    kl_div,
    log_expit,
    log_softmax,
    logit,
    logsumexp,
    rel_entr,
    sinc,
    softmax,
    xlog1py,
    xlogy,
)
from nnx.autodiff.special.polygamma import digamma, polygamma, psi, zeta

__all__ = [
    "erf", "erfc", "erfcx", "erfinv", "erfcinv", "ndtr", "log_ndtr", "ndtri",
    "gamma", "gammaln", "betaln", "multigammaln", "digamma", "psi", "polygamma", "zeta",
    "i0", "i0e", "i1", "i1e",
    "expit", "logit", "log_expit", "logsumexp", "softmax", "log_softmax",
    "xlogy", "xlog1py", "entr", "rel_entr", "kl_div", "sinc",
]  # fmt: skip
