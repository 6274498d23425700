"""What a case of a rule is, and the cases of the elementwise functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_rng = np.random.default_rng(20)


@dataclass(frozen=True)
class Case:
    """A call of a function of the namespace, at a point.

    Attributes
    ----------
    rule
        The name of the rule that the case is for.
    f
        ``f(xp, *args)``.
    args
        NumPy arrays. Those of real or complex floating point are differentiated with respect to, but for `Fixed` ones.
    smooth
        Whether finite differences make sense at the point.
    torch
        Whether PyTorch has the function and shares the convention.
    raw_left
        Whether a raw array is the left operand of an operator. Those of array_api_strict raise then, where other
        libraries let the right operand answer.
    """

    rule: str
    f: Callable
    args: tuple
    smooth: bool = True
    torch: bool = True
    raw_left: bool = False

    @property
    def differentiated(self) -> list[int]:
        return [i for i, a in enumerate(self.args) if not isinstance(a, Fixed) and a.dtype.kind in "fc"]

    def values(self) -> list[np.ndarray]:
        return [a.value if isinstance(a, Fixed) else a for a in self.args]


@dataclass(frozen=True)
class Fixed:
    """An argument that stays raw."""

    value: np.ndarray


class Table(list):
    """A list of cases that is written by calling it."""

    def __call__(self, rule: str, f: Callable, *args: Any, **options: Any) -> None:
        self.append(Case(rule, f, args, **options))

    def both(self, rule: str, f: Callable, *args: Any, **options: Any) -> None:
        """Add the case, and once more with complex arguments."""
        self(rule, f, *args, **options)
        self(rule, f, *[complexified(a) for a in args], **options)

    def kink(self, rule: str, f: Callable, *args: Any, **options: Any) -> None:
        """Add a case where finite differences make no sense and PyTorch's convention decides."""
        self(rule, f, *args, smooth=False, **options)


def real(*shape: int) -> np.ndarray:
    """Numbers of both signs, away from zero and from each other."""
    return positive(*shape) * _rng.choice([-1.0, 1.0], shape)


def positive(*shape: int) -> np.ndarray:
    n = int(np.prod(shape))
    return _rng.permutation(0.4 + 1.3 * (np.arange(n) + 0.5 * _rng.random(n)) / max(n, 1)).reshape(shape)


def unit(*shape: int) -> np.ndarray:
    """Numbers within (-0.9, 0.9), away from zero."""
    return real(*shape) * 0.5


def cplx(*shape: int) -> np.ndarray:
    return real(*shape) + 1j * real(*shape)


def complexified(x: Any) -> Any:
    if isinstance(x, Fixed) or x.dtype.kind != "f":
        return x
    return x + 1j * real(*x.shape)


def at(*values: Any) -> np.ndarray:
    return np.asarray(values, dtype=complex if any(isinstance(v, complex) for v in values) else float)


CASES = Table()

# ------------------------------------------------------------------ of one argument

_DOMAINS: dict[Callable, str] = {
    unit: "acos asin atanh",
    real: "asinh atan cos cosh exp expm1 negative positive reciprocal sin sinh square tan tanh abs sign conj real imag",
    positive: "log log1p log2 log10 sqrt",
    lambda *shape: positive(*shape) + 1: "acosh",
}


def _unary(name: str) -> Callable:
    return lambda xp, x: getattr(xp, name)(x)


for _domain, _names in _DOMAINS.items():
    for _name in _names.split():
        _f = _unary(_name)
        if _name not in ("conj", "real", "imag"):
            CASES(_name, _f, _domain(3, 4))
            CASES(_name, _f, _domain())
            CASES(_name, _f, _domain(2, 0))
        CASES(_name, _f, cplx(2, 3))
        CASES(_name, _f, cplx())

CASES("negative", lambda xp, x: -x, real(3))
CASES("positive", lambda xp, x: +x, real(3))
CASES("abs", lambda xp, x: abs(x), real(3))
CASES("real", lambda xp, x: xp.real(x) * xp.imag(x), cplx(3))
CASES("imag", lambda xp, x: xp.atan2(xp.imag(x), xp.real(x)), cplx(3))
CASES("conj", lambda xp, x: xp.real(xp.conj(x) * x), cplx(3))
CASES("conj", lambda xp, x: xp.abs(xp.exp(x) * xp.conj(x)) ** 2, cplx(2, 2))
CASES("exp", lambda xp, x: xp.exp(1j * x), real(3))
CASES.kink("abs", _unary("abs"), at(-1.0, 0.0, 2.0))
CASES.kink("abs", _unary("abs"), at(0j, 1 + 1j))
CASES.kink("sign", _unary("sign"), at(-1.0, 0.0, 2.0))
CASES.kink("sqrt", _unary("sqrt"), at(0.0, 4.0))
CASES.kink("log", _unary("log"), at(0.0, 1.0))
CASES.kink("reciprocal", _unary("reciprocal"), at(0.0, 1.0))
CASES.kink("asin", _unary("asin"), at(-1.0, 1.0, 0.5))
CASES.kink("acosh", _unary("acosh"), at(1.0, 2.0))
CASES.kink("tanh", _unary("tanh"), at(-1e3, 0.0, 1e3))
CASES.kink("exp", _unary("exp"), at(-1e3, 0.0))

# ------------------------------------------------------------------ of two arguments


def _binary(name: str) -> Callable:
    return lambda xp, x, y: getattr(xp, name)(x, y)


_SHAPES = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 3), ()), ((), ()), ((0, 3), (1, 3))]

for _name in [
    "add",
    "subtract",
    "multiply",
    "divide",
    "atan2",
    "hypot",
    "logaddexp",
    "maximum",
    "minimum",
    "remainder",
    "copysign",
]:
    for _left, _right in _SHAPES:
        CASES(_name, _binary(_name), real(*_left), real(*_right), torch=_name != "copysign" or _left == _right)
    CASES(_name, lambda xp, x, y, name=_name: getattr(xp, name)(x, y), real(3, 2), Fixed(real(2)))
    CASES(_name, lambda xp, x, y, name=_name: getattr(xp, name)(y, x), real(3, 2), Fixed(real(3, 2)))
    CASES(_name, lambda xp, x, name=_name: getattr(xp, name)(x, 0.7), real(3))
    CASES(_name, lambda xp, x, name=_name: getattr(xp, name)(0.7, x), real(3), torch=_name != "remainder")
    CASES(_name, lambda xp, x, name=_name: getattr(xp, name)(x, 2), real(3))
    if _name in ("add", "subtract", "multiply", "divide"):
        CASES(_name, _binary(_name), cplx(2, 3), cplx(3))
        CASES(_name, _binary(_name), real(2, 3), cplx(3))
        CASES(_name, _binary(_name), cplx(2, 1), real(3))
        CASES(_name, lambda xp, x, name=_name: getattr(xp, name)(x, 0.5 - 2j), cplx(3))
        CASES(_name, lambda xp, x, name=_name: getattr(xp, name)(0.5 - 2j, x), real(3))

CASES("add", lambda xp, x, y: x + y + 1 + 2.5 + (3 + x), real(3), real(2, 1))
CASES("subtract", lambda xp, x, y: x - y - 1 - (2.5 - x), real(3), real(2, 1))
CASES("multiply", lambda xp, x, y: x * y * 2 * (0.5 * x), real(3), real(2, 1))
CASES("divide", lambda xp, x, y: x / y / 2 + 0.5 / x, real(3), real(2, 1))
CASES("remainder", lambda xp, x: x % 0.3 + 5.0 % x, real(4), torch=False)
CASES("multiply", lambda xp, x: x * x * x, real(4))
for _name, _f in (("add", lambda xp, x, y: y + x), ("subtract", lambda xp, x, y: y - x)):
    CASES(_name, _f, real(2, 3), Fixed(real(3)), raw_left=True)
for _name, _f in (("multiply", lambda xp, x, y: y * x), ("divide", lambda xp, x, y: y / x)):
    CASES(_name, _f, real(2, 3), Fixed(real(3)), raw_left=True)
CASES("pow", lambda xp, x, y: y**x, real(2, 3), Fixed(positive(3)), raw_left=True)
CASES("remainder", lambda xp, x, y: y % x, real(2, 3), Fixed(real(3)), raw_left=True)
CASES("nextafter", _binary("nextafter"), real(3), real(3), smooth=False, torch=False)
CASES.kink("atan2", _binary("atan2"), at(0.0, 0.0, 0.0, 1.0), at(0.0, 1.0, -1.0, 0.0))
CASES.kink("maximum", _binary("maximum"), at(0.0, 1.0, 2.0), at(0.0, 2.0, 1.0))
CASES.kink("minimum", _binary("minimum"), at(0.0, 1.0, 2.0), at(0.0, 2.0, 1.0))
CASES.kink("maximum", lambda xp, x: xp.maximum(x, 0.0), at(-1.0, 0.0, 1.0))
CASES.kink("minimum", lambda xp, x: xp.minimum(0, x), at(-1.0, 0.0, 1.0))
CASES.kink(
    "logaddexp", _binary("logaddexp"), at(-np.inf, -np.inf, 0.0, 1e3), at(0.0, -np.inf, -np.inf, -1e3), torch=False
)
CASES.kink("copysign", _binary("copysign"), at(0.0, 1.0, -1.0), at(1.0, -1.0, -2.0))
CASES.kink("divide", _binary("divide"), at(1.0, 0.0), at(0.0, 2.0))

# ------------------------------------------------------------------ powers

for _left, _right in _SHAPES:
    CASES("pow", _binary("pow"), positive(*_left), real(*_right))
CASES("pow", _binary("pow"), cplx(3), cplx(3))
CASES("pow", _binary("pow"), positive(3), cplx(3))
CASES("pow", _binary("pow"), cplx(3), real(3))
CASES("pow", lambda xp, x: x ** (0.5 + 1j), cplx(3))
CASES("pow", lambda xp, x: 2.0**x + 3**x, real(3))
CASES("pow", lambda xp, x: 2.0**x, cplx(3))
CASES("pow", lambda xp, x: (1 + 2j) ** x, real(3), torch=False)
for _exponent in (0, 1, 2, 3, -1, -2, 2.0, 0.0, 1.0):
    CASES("pow", lambda xp, x, n=_exponent: x**n, at(-1.5, -0.3, 0.7))
    CASES("pow", lambda xp, x, n=_exponent: x**n, cplx(3))
CASES("pow", lambda xp, x: x**0.5 + x**-1.5, positive(3))
for _exponent in (0, 1, 2, 3, 2.0):
    CASES("pow", lambda xp, x, n=_exponent: x**n, at(-1.0, 0.0, 2.0))
CASES("pow", lambda xp, x, n: xp.pow(x, n), at(-1.5, 0.0, 0.0, 0.7), Fixed(at(3.0, 2.0, 0.0, -1.0)), torch=True)
CASES.kink("pow", _binary("pow"), at(0.0, 0.0, 0.0, 2.0), at(0.0, 2.0, 1.0, 0.0))
CASES.kink("pow", _binary("pow"), at(0.0, 1.0), at(-1.0, 1.0))
CASES.kink("pow", _binary("pow"), at(-2.0, -2.0, -2.0), at(2.0, 3.0, 0.0))
CASES.kink("pow", lambda xp, x: x**0.5, at(0.0, 1.0))
CASES.kink("pow", lambda xp, x: x**-1, at(0.0, 1.0))
CASES.kink("pow", lambda xp, x: 0.0**x, at(-1.0, 0.0, 1.0))
CASES.kink("pow", _binary("pow"), at(0j, 1j), at(2 + 0j, 1j))

# ------------------------------------------------------------------ choices

_mask = np.asarray([True, False, True])
CASES.both("where", lambda xp, x, y, m: xp.where(m, x, y), real(2, 3), real(3), _mask)
CASES("where", lambda xp, x, m: xp.where(m, x, 0.0), real(2, 3), _mask)
CASES("where", lambda xp, x, m: xp.where(m, 1, x), real(3), _mask)
CASES("where", lambda xp, x, y, m: xp.where(m, x, y), real(3), cplx(2, 3), _mask, torch=False)
CASES("where", lambda xp, x, y, m: xp.where(m, x, y), real(), real(2, 3), _mask)
CASES("where", lambda xp, x: xp.where(x > 0, xp.log(xp.where(x > 0, x, 1.0)), x), real(5))
CASES("where", lambda xp, x, y, m: xp.where(m, x, y), real(3), Fixed(real(2, 3)), _mask)
CASES("clip", lambda xp, x: xp.clip(x, -0.7, 0.9), real(3, 4))
CASES("clip", lambda xp, x: xp.clip(x, max=1), real(3, 4))
CASES("clip", lambda xp, x: xp.clip(x, min=0), real(3, 4))
CASES("clip", lambda xp, x: xp.clip(x), real(3))
CASES("clip", lambda xp, x, a, b: xp.clip(x, a, b), real(3, 4) * 2, -positive(4), positive())
CASES("clip", lambda xp, x, a, b: xp.clip(x, a, b), real(3, 4) * 2, Fixed(-positive(4)), Fixed(positive(4)))
CASES("clip", lambda xp, x, a: xp.clip(x, min=a), real(4), real(4))
CASES("clip", lambda xp, a, x: xp.clip(x, a, 2.0), real(4), Fixed(real(4)))
CASES.kink("clip", lambda xp, x: xp.clip(x, -1.0, 1.0), at(-2.0, -1.0, 0.0, 1.0, 2.0))
CASES.kink("clip", lambda xp, x, a, b: xp.clip(x, a, b), at(-1.0, 0.0, 1.0), at(-1.0, -1.0, -1.0), at(1.0, 1.0, 1.0))
CASES("indexing.clip_to_constants", lambda xp, x: xp.indexing.clip_to_constants(x, -0.5, 0.9), real(5), torch=False)

# ------------------------------------------------------------------ points where nnx has its own convention

ZERO_AT_THE_ORIGIN = [
    Case("hypot", _binary("hypot"), (at(0.0), at(0.0)), smooth=False, torch=False),
    Case("hypot", lambda xp, x: xp.hypot(x, 0.0), (at(0.0, -0.0),), smooth=False, torch=False),
    Case("sign", _unary("sign"), (at(0j),), smooth=False, torch=False),
]
