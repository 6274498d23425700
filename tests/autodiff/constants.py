"""A call of every function whose derivative is zero: ``call(xp, x)`` with x of shape (2, 3)."""

from __future__ import annotations

from collections.abc import Callable


def _of_integers(name: str) -> Callable:
    def call(xp, x):
        a = xp.astype(xp.abs(x), xp.int64)
        return getattr(xp, name)(a, a)

    return call


def _of_booleans(name: str) -> Callable:
    return lambda xp, x: getattr(xp, name)(x > 0, x < 1)


def _unary(name: str) -> Callable:
    return lambda xp, x: getattr(xp, name)(x)


def _binary(name: str) -> Callable:
    return lambda xp, x: getattr(xp, name)(x, x * 2.0)


CONSTANTS: dict[str, Callable] = {
    **{
        n: _unary(n)
        for n in [
            "ceil",
            "floor",
            "round",
            "trunc",
            "isfinite",
            "isinf",
            "isnan",
            "signbit",
            "all",
            "any",
            "argmax",
            "argmin",
        ]
    },
    **{n: _unary(n) for n in ["count_nonzero", "argsort", "nonzero", "empty_like", "ones_like", "zeros_like"]},
    **{n: _binary(n) for n in ["floor_divide", "equal", "greater", "greater_equal", "less", "less_equal", "not_equal"]},
    **{f"logical_{n}": _of_booleans(f"logical_{n}") for n in ("and", "or", "xor")},
    **{f"bitwise_{n}": _of_integers(f"bitwise_{n}") for n in ("and", "or", "xor", "left_shift", "right_shift")},
    "logical_not": lambda xp, x: xp.logical_not(x > 0),
    "bitwise_invert": lambda xp, x: xp.bitwise_invert(x > 0),
    "isin": lambda xp, x: xp.isin(xp.astype(x, xp.int64), xp.astype(x[0, :], xp.int64)),
    "searchsorted": lambda xp, x: xp.searchsorted(xp.sort(x[0, :]), x[1, :], side="right"),
    "arange": lambda xp, x: xp.arange(3, dtype=xp.float64, device=x.device),
    "empty": lambda xp, x: xp.empty((2, 3), device=x.device),
    "eye": lambda xp, x: xp.eye(3, k=1, dtype=x.dtype, device=x.device),
    "full": lambda xp, x: xp.full((2,), 1.5, device=x.device),
    "full_like": lambda xp, x: xp.full_like(x, 2.0),
    "linspace": lambda xp, x: xp.linspace(0.0, 1.0, 5, device=x.device),
    "ones": lambda xp, x: xp.ones((2, 3), dtype=x.dtype, device=x.device),
    "zeros": lambda xp, x: xp.zeros(4, device=x.device),
}
