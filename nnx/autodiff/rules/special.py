"""The extension ``special``: names, arguments and values of scipy.special, which finds these functions by name.

Forward functions are in `nnx.autodiff.special`; backends with native ones override them.
"""

import math
from typing import Any

from .. import special
from ..rule import rule
from .elementwise import zeros_where
from .reductions import keep

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)
_ROOT_HALF = math.sqrt(0.5)

# ------------------------------------------------------------------ error functions and the normal distribution

rule("special.erf(x, /)", forward=special.erf, x=lambda xp, g, x: g * (_TWO_OVER_ROOT_PI * xp.exp(-x * x)))
rule("special.erfc(x, /)", forward=special.erfc, x=lambda xp, g, x: -g * (_TWO_OVER_ROOT_PI * xp.exp(-x * x)))
rule("special.erfcx(x, /)", forward=special.erfcx, x=lambda xp, g, x, out: g * (2 * x * out - _TWO_OVER_ROOT_PI))
rule("special.erfinv(x, /)", forward=special.erfinv, x=lambda xp, g, out: g * (xp.exp(out * out) / _TWO_OVER_ROOT_PI))
rule(
    "special.erfcinv(x, /)", forward=special.erfcinv, x=lambda xp, g, out: -g * (xp.exp(out * out) / _TWO_OVER_ROOT_PI)
)
rule("special.ndtr(x, /)", forward=special.ndtr, x=lambda xp, g, x: g * (xp.exp(-0.5 * x * x) / _ROOT_TWO_PI))
rule("special.ndtri(x, /)", forward=special.ndtri, x=lambda xp, g, out: g * (_ROOT_TWO_PI * xp.exp(0.5 * out * out)))


def _log_ndtr(xp: Any, g: Any, x: Any) -> Any:
    """The density over the distribution function; far in the lower tail both vanish, their ratio does not."""
    lower = x < 0
    tail = math.sqrt(2 / math.pi) / xp.special.erfcx(-_ROOT_HALF * xp.where(lower, x, xp.zeros_like(x)))
    safe = xp.where(lower, xp.zeros_like(x), x)
    body = xp.exp(-0.5 * safe * safe) / (_ROOT_TWO_PI * xp.special.ndtr(safe))
    return g * xp.where(lower, tail, body)


rule("special.log_ndtr(x, /)", forward=special.log_ndtr, x=_log_ndtr)

# ------------------------------------------------------------------ the gamma function and its family

rule("special.gamma(x, /)", forward=special.gamma, x=lambda xp, g, x, out: g * out * xp.special.digamma(x))
rule("special.gammaln(x, /)", forward=special.gammaln, x=lambda xp, g, x: g * xp.special.digamma(x))
rule("special.digamma(x, /)", forward=special.digamma, x=lambda xp, g, x: g * xp.special.polygamma(1, x))
rule("special.psi(x, /)", forward=special.digamma, x=lambda xp, g, x: g * xp.special.polygamma(1, x))
rule(
    "special.polygamma(n, x, /)",
    forward=special.polygamma,
    x=lambda xp, g, n, x: g * xp.special.polygamma(n + 1, x),
)
rule(
    "special.betaln(x1, x2, /)",
    forward=special.betaln,
    x1=lambda xp, g, x1, x2: g * (xp.special.digamma(x1) - xp.special.digamma(x1 + x2)),
    x2=lambda xp, g, x1, x2: g * (xp.special.digamma(x2) - xp.special.digamma(x1 + x2)),
)


def _multigammaln(xp: Any, g: Any, x: Any, d: int) -> Any:
    return g * sum((xp.special.digamma(x - 0.5 * j) for j in range(1, d)), xp.special.digamma(x))


rule("special.multigammaln(x, d, /)", forward=special.multigammaln, x=_multigammaln)

# ------------------------------------------------------------------ modified Bessel functions


def _over_x(xp: Any, x: Any, value: Any) -> Any:
    """value / x for a function that is x / 2 near 0."""
    zero = x == 0
    return xp.where(zero, xp.zeros_like(x) + 0.5, value / xp.where(zero, xp.ones_like(x), x))


rule("special.i0(x, /)", forward=special.i0, x=lambda xp, g, x: g * xp.special.i1(x))
rule(
    "special.i1(x, /)",
    forward=special.i1,
    x=lambda xp, g, x, out: g * (xp.special.i0(x) - _over_x(xp, x, out)),
)
rule(
    "special.i0e(x, /)",
    forward=special.i0e,
    x=lambda xp, g, x, out: g * (xp.special.i1e(x) - xp.sign(x) * out),
)
rule(
    "special.i1e(x, /)",
    forward=special.i1e,
    x=lambda xp, g, x, out: g * (xp.special.i0e(x) - xp.sign(x) * out - _over_x(xp, x, out)),
)

# ------------------------------------------------------------------ the logistic function, softmax, entropies

rule("special.expit(x, /)", forward=special.expit, x=lambda xp, g, x, out: g * (out * xp.special.expit(-x)))
rule("special.logit(x, /)", forward=special.logit, x=lambda xp, g, x: g / (x * (1 - x)))
rule("special.log_expit(x, /)", forward=special.log_expit, x=lambda xp, g, x: g * xp.special.expit(-x))


def _logsumexp(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
    out = keep(xp, out, x.shape, axis, keepdims)
    empty = out == -xp.inf  # nothing but -inf: no element has a share
    share = zeros_where(xp, xp.broadcast_to(empty, x.shape), xp.exp(x - xp.where(empty, xp.zeros_like(out), out)))
    return keep(xp, g, x.shape, axis, keepdims) * share


def _log_softmax(xp: Any, g: Any, out: Any, axis: Any) -> Any:
    return g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True)


def _softmax(xp: Any, g: Any, out: Any, axis: Any) -> Any:
    return out * (g - xp.sum(g * out, axis=axis, keepdims=True))


rule("special.logsumexp(x, /, *, axis=None, keepdims=False)", forward=special.logsumexp, x=_logsumexp)
rule("special.softmax(x, /, *, axis=None)", forward=special.softmax, x=_softmax)
rule("special.log_softmax(x, /, *, axis=None)", forward=special.log_softmax, x=_log_softmax)

rule("special.entr(x, /)", forward=special.entr, x=lambda xp, g, x: -g * (xp.log(x) + 1))


def _xlogy_first(xp: Any, g: Any, x1: Any, x2: Any) -> Any:
    nothing = xp.broadcast_to((x1 == 0) & (x2 <= 0), g.shape)
    return zeros_where(xp, nothing, g * xp.log(xp.where(nothing, xp.ones_like(g), x2)))


def _xlog1py_first(xp: Any, g: Any, x1: Any, x2: Any) -> Any:
    nothing = xp.broadcast_to((x1 == 0) & (x2 <= -1), g.shape)
    return zeros_where(xp, nothing, g * xp.log1p(xp.where(nothing, xp.zeros_like(g), x2)))


rule(
    "special.xlogy(x1, x2, /)",
    forward=special.xlogy,
    x1=_xlogy_first,
    x2=lambda xp, g, x1, x2: g * (x1 / x2),
    lift=True,
)
rule(
    "special.xlog1py(x1, x2, /)",
    forward=special.xlog1py,
    x1=_xlog1py_first,
    x2=lambda xp, g, x1, x2: g * (x1 / (1 + x2)),
    lift=True,
)
rule(
    "special.rel_entr(x1, x2, /)",
    forward=special.rel_entr,
    x1=lambda xp, g, x1, x2: g * (xp.log(x1 / x2) + 1),
    x2=lambda xp, g, x1, x2: -g * (x1 / x2),
    lift=True,
)
rule(
    "special.kl_div(x1, x2, /)",
    forward=special.kl_div,
    x1=lambda xp, g, x1, x2: g * xp.log(x1 / x2),
    x2=lambda xp, g, x1, x2: g * (1 - x1 / x2),
    lift=True,
)


def _sinc(xp: Any, g: Any, x: Any, out: Any) -> Any:
    """(cos(pi x) - sinc x) / x; near 0, where that cancels, its series."""
    small = xp.abs(x) < 0.01
    safe = xp.where(small, xp.ones_like(x), x)
    square = (math.pi * x) * (math.pi * x)
    series = math.pi * math.pi * x * (-1 / 3 + square * (1 / 30 + square * (-1 / 840 + square / 45360)))
    closed = (xp.cos(math.pi * safe) - xp.where(small, xp.zeros_like(out), out)) / safe
    return g * xp.where(small, series, closed)


rule("special.sinc(x, /)", forward=special.sinc, x=_sinc)
