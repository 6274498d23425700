"""Elementwise functions. Kinks and ties are PyTorch's: relu'(0) = abs'(0) = 0, a tie of maximum splits in half."""

import math
from typing import Any

from ...dtypes import is_complex
from ..rule import composite, constant, joint_rule, rule
from ..tape import conj

_LN2, _LN10 = math.log(2), math.log(10)


def zeros_where(xp: Any, condition: Any, g: Any) -> Any:
    """`g`, but 0 where `condition` holds."""
    return xp.where(condition, xp.zeros_like(g), g)


# ------------------------------------------------------------------ of one argument

rule("acos(x, /)", x=lambda xp, g, x: -g / xp.sqrt(1 - x * x))
rule("asin(x, /)", x=lambda xp, g, x: g / xp.sqrt(1 - x * x))
rule("asinh(x, /)", x=lambda xp, g, x: g / xp.sqrt(x * x + 1))
rule("atan(x, /)", x=lambda xp, g, x: g / (1 + x * x))
rule("atanh(x, /)", x=lambda xp, g, x: g / (1 - x * x))
rule("cos(x, /)", x=lambda xp, g, x: -g * xp.sin(x))
rule("cosh(x, /)", x=lambda xp, g, x: g * xp.sinh(x))
rule("exp(x, /)", x=lambda xp, g, out: g * out)
rule("expm1(x, /)", x=lambda xp, g, out: g * (out + 1))
rule("log(x, /)", x=lambda xp, g, x: g / x)
rule("log1p(x, /)", x=lambda xp, g, x: g / (1 + x))
rule("log2(x, /)", x=lambda xp, g, x: g / (x * _LN2))
rule("log10(x, /)", x=lambda xp, g, x: g / (x * _LN10))
rule("negative(x, /)", x=lambda xp, g: -g)
rule("positive(x, /)", x=lambda xp, g: g)
rule("reciprocal(x, /)", x=lambda xp, g, out: -g * out * out)
rule("sin(x, /)", x=lambda xp, g, x: g * xp.cos(x))
rule("sinh(x, /)", x=lambda xp, g, x: g * xp.cosh(x))
rule("sqrt(x, /)", x=lambda xp, g, out: g / (2 * out))
rule("square(x, /)", x=lambda xp, g, x: g * (2 * x))
rule("tan(x, /)", x=lambda xp, g, out: g * (1 + out * out))
rule("tanh(x, /)", x=lambda xp, g, out: g * (1 - out * out))


def _acosh(xp: Any, g: Any, x: Any) -> Any:
    if is_complex(x.dtype):  # the branch of acosh: sqrt(x - 1) sqrt(x + 1), not sqrt(x^2 - 1)
        return g / (xp.sqrt(x - 1) * xp.sqrt(x + 1))
    return g / xp.sqrt(x * x - 1)


rule("acosh(x, /)", x=_acosh)


def _abs(xp: Any, g: Any, x: Any) -> Any:
    return g * xp.sign(x)  # of complex x: x / |x|, and 0 at the origin


rule("abs(x, /)", x=_abs, holomorphic=False)
rule("conj(x, /)", x=lambda xp, g: conj(xp, g), holomorphic=False)
rule("real(x, /)", x=lambda xp, g: g, holomorphic=False)
rule("imag(x, /)", x=lambda xp, g: g * 1j, holomorphic=False)


def _sign(xp: Any, g: Any, x: Any) -> Any:
    """Of real x, zero. Of complex x, x / |x| moves along the circle only."""
    if not is_complex(x.dtype):
        return xp.zeros_like(g)
    r = xp.astype(xp.abs(x), x.dtype)
    unit = xp.sign(x)
    safe = xp.where(r == 0, xp.ones_like(r), r)
    along = xp.astype(xp.real(g * xp.conj(unit)), x.dtype)
    return zeros_where(xp, r == 0, (g - along * unit) / safe)


rule("sign(x, /)", x=_sign, holomorphic=False)

constant("ceil(x, /)", "floor(x, /)", "round(x, /)", "trunc(x, /)")
constant("isfinite(x, /)", "isinf(x, /)", "isnan(x, /)", "signbit(x, /)", "logical_not(x, /)", "bitwise_invert(x, /)")

# ------------------------------------------------------------------ of two arguments

rule("add(x1, x2, /)", x1=lambda xp, g: g, x2=lambda xp, g: g)
rule("subtract(x1, x2, /)", x1=lambda xp, g: g, x2=lambda xp, g: -g)
rule("multiply(x1, x2, /)", x1=lambda xp, g, x2: g * x2, x2=lambda xp, g, x1: g * x1)
rule("divide(x1, x2, /)", x1=lambda xp, g, x2: g / x2, x2=lambda xp, g, x1, x2: -g * ((x1 / x2) / x2))


def _pow_base(xp: Any, g: Any, x1: Any, x2: Any) -> Any:
    if isinstance(x2, (bool, int, float, complex)):
        if x2 == 0:
            return xp.zeros_like(g)
        return g * (x2 * x1) if x2 == 2 else g * (x2 * x1 ** (x2 - 1))
    at_zero = x2 == 0
    exponent = xp.where(at_zero, xp.ones_like(x2), x2)
    return zeros_where(xp, at_zero, g * (exponent * x1 ** (exponent - 1)))


def _pow_exponent(xp: Any, g: Any, x1: Any, x2: Any, out: Any) -> Any:
    if isinstance(x1, (bool, int, float, complex)):
        x1 = xp.full_like(out, x1)
    real = not is_complex(x2.dtype)
    flat = (x1 == 0) & (x2 >= 0) if real else x1 == 0
    flat = xp.broadcast_to(flat, g.shape)
    base = xp.where(flat, xp.ones_like(out), x1)
    return zeros_where(xp, flat, g * (out * xp.log(base)))


rule("pow(x1, x2, /)", x1=_pow_base, x2=_pow_exponent)


def _atan2(xp: Any, g: Any, x: Any, x1: Any, x2: Any) -> Any:
    """g x / (x1^2 + x2^2), and 0 at the origin, where the angle is anything."""
    square = x1 * x1 + x2 * x2
    zero = square == 0
    return zeros_where(xp, zero, g * (x / xp.where(zero, xp.ones_like(square), square)))


rule(
    "atan2(x1, x2, /)",
    x1=lambda xp, g, x1, x2: _atan2(xp, g, x2, x1, x2),
    x2=lambda xp, g, x1, x2: _atan2(xp, -g, x1, x1, x2),
    lift=True,
)


def _ratio(xp: Any, x: Any, out: Any) -> Any:
    """x / out, and 0 at the origin, where every direction is a subgradient."""
    zero = out == 0
    return zeros_where(xp, zero, x / xp.where(zero, xp.ones_like(out), out))


rule(
    "hypot(x1, x2, /)",
    x1=lambda xp, g, x1, out: g * _ratio(xp, x1, out),
    x2=lambda xp, g, x2, out: g * _ratio(xp, x2, out),
    lift=True,
)


def _weight(xp: Any, x: Any, out: Any) -> Any:
    """exp(x - out): the softmax weight of one of two arguments; 0 where that argument is -inf, even if both are."""
    same = x == out  # equal infinities have no difference
    zero = xp.zeros_like(out)
    return zeros_where(xp, x == -xp.inf, xp.exp(xp.where(same, zero, x) - xp.where(same, zero, out)))


rule(
    "logaddexp(x1, x2, /)",
    x1=lambda xp, g, x1, out: g * _weight(xp, x1, out),
    x2=lambda xp, g, x2, out: g * _weight(xp, x2, out),
    lift=True,
)


def _won(xp: Any, g: Any, mine: Any, other: Any) -> Any:
    """`g` where mine > other, half of it at a tie."""
    half = g / 2
    return xp.where(mine > other, g, xp.where(mine == other, half, xp.zeros_like(g)))


rule(
    "maximum(x1, x2, /)",
    x1=lambda xp, g, x1, x2: _won(xp, g, x1, x2),
    x2=lambda xp, g, x1, x2: _won(xp, g, x2, x1),
    lift=True,
)
rule(
    "minimum(x1, x2, /)",
    x1=lambda xp, g, x1, x2: _won(xp, g, x2, x1),
    x2=lambda xp, g, x1, x2: _won(xp, g, x1, x2),
    lift=True,
)
rule("remainder(x1, x2, /)", x1=lambda xp, g: g, x2=lambda xp, g, x1, x2: -g * xp.floor(x1 / x2), lift=True)


def _copysign(xp: Any, g: Any, x1: Any, out: Any) -> Any:
    return zeros_where(xp, x1 == 0, xp.where(x1 == out, g, -g))


rule("copysign(x1, x2, /)", x1=_copysign, lift=True)
rule("nextafter(x1, x2, /)", x1=lambda xp, g: g)
constant("floor_divide(x1, x2, /)")
constant(*(f"bitwise_{n}(x1, x2, /)" for n in ("and", "left_shift", "or", "right_shift", "xor")))
constant(*(f"{n}(x1, x2, /)" for n in ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")))
constant(*(f"logical_{n}(x1, x2, /)" for n in ("and", "or", "xor")))

# ------------------------------------------------------------------ of three

rule(
    "where(condition, x1, x2, /)",
    x1=lambda xp, g, condition: xp.where(condition, g, xp.zeros_like(g)),
    x2=lambda xp, g, condition: xp.where(condition, xp.zeros_like(g), g),
)


def _inside(xp: Any, x: Any, lower: Any, upper: Any) -> Any:
    """Where x lies within its bounds, these included."""
    inside = None if lower is None else x >= lower
    below = None if upper is None else x <= upper
    if inside is None or below is None:
        return below if inside is None else inside
    return inside & below


def _clip(xp: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    """The tracked form of clip: the gradient goes to x within the bounds, else to the bound that holds."""
    if min is None and max is None:
        return xp.positive(x)
    if not any(hasattr(type(b), "__nnx_tracked__") and b._node is not None for b in (min, max)):
        return xp.indexing.clip_to_constants(x, xp.untracked(min, "clip"), xp.untracked(max, "clip"))
    lower = x if min is None else xp.where(xp.less(x, min), min, x)
    return lower if max is None else xp.where(xp.greater(lower, max), max, lower)


def _clip_vjp(xp: Any, g: Any, needs: tuple, x: Any, lower: Any, upper: Any) -> tuple:
    inside = _inside(xp, x, lower, upper)
    return (g if inside is None else xp.where(inside, g, xp.zeros_like(g)),)


composite("clip(x, /, min=None, max=None)", _clip)
joint_rule(
    "indexing.clip_to_constants(x, lower, upper, /)",
    _clip_vjp,
    forward=lambda xp, x, lower, upper: xp.clip(x, lower, upper),
)
