"""`check_grads`: compare derivatives with finite differences along random directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import device, get_backend, to_numpy
from ..dtypes import dtype_name
from ..errors import DTypeError
from .array import Array
from .inputs import stop_gradient
from .transforms import vjp
from .tree import fill_tree, leaves_of


def check_grads(
    f: Callable,
    args: Sequence[Any],
    order: int = 2,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    step: float = 1e-3,
    directions: int = 2,
    seed: int = 0,
) -> None:
    """Raise unless the derivatives of ``f`` match finite differences, up to `order`.

    Every derivative is compared along random directions, so that the cost does not grow with the number of arguments.
    The step is reduced until two sizes of it agree and both sides of the point have one slope, which tells a kink from
    a wrong derivative.

    Parameters
    ----------
    f
        A function of arrays that returns an array, or a nested container of arrays.
    args
        Its arguments: float64 or complex128 arrays, possibly nested.
    order
        The highest derivative to check.
    rtol, atol
        How far the two may differ, relative to the larger and absolutely.
    step
        The first step of the finite differences (central, fourth order).
    directions
        How many random directions to try.
    seed
        The seed of the directions.

    Raises
    ------
    DTypeError
        If an argument has less precision than float64.
    AssertionError
        If a derivative is wrong, or if `f` has a kink at the point.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.check_grads(np.sin, (np.asarray([0.5, 1.0]),))
    """
    rng = np.random.default_rng(seed)
    args = tuple(args)
    for x in leaves_of(args):
        if not hasattr(x, "dtype") or dtype_name(x.dtype) not in ("float64", "complex128"):
            got = dtype_name(x.dtype) if hasattr(x, "dtype") else type(x).__name__
            raise DTypeError(
                f"check_grads: expected arrays of float64 or complex128, got {got}: finite differences need the "
                "precision. Cast it, e.g. xp.astype(x, xp.float64)."
            )
    for k in range(1, order + 1):
        outputs = leaves_of(stop_gradient(f(*args)))
        for _ in range(directions):
            tangents = [_random_like(x, rng) for x in leaves_of(args)]
            cotangents = [_random_like(y, rng) for y in outputs]
            numeric = _numeric(f, args, tangents, cotangents, step, rtol, atol, k)
            _, pullback = vjp(f, *args)
            grads = leaves_of(pullback(fill_tree(stop_gradient(f(*args)), cotangents)))
            exact = sum(_inner(g, v) for g, v in zip(grads, tangents, strict=True))
            scale = sum(abs(_inner(abs(to_numpy(g)), abs(to_numpy(v)))) for g, v in zip(grads, tangents, strict=True))
            if not abs(exact - numeric) <= atol + rtol * max(abs(numeric), scale):
                raise AssertionError(
                    f"derivative of order {k} is wrong: {exact!r}, finite differences give {numeric!r} "
                    f"(difference {abs(exact - numeric):.3g}, allowed {atol + rtol * max(abs(numeric), scale):.3g})"
                )
        f = _gradient_function(f, cotangents)


def _gradient_function(f: Callable, cotangents: list[Any]) -> Callable:
    """The function whose derivatives are the next order of those of `f`."""

    def gradient(*args: Any) -> Any:
        out, pullback = vjp(f, *args)
        return list(leaves_of(pullback(fill_tree(stop_gradient(out), cotangents))))

    return gradient


def _random_like(x: Any, rng: np.random.Generator) -> Any:
    """A random array of the kind of `x`."""
    x = x._data if isinstance(x, Array) else x
    shape = tuple(x.shape)
    value: Any = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
    if "complex" in str(x.dtype):
        value = value + 1j * rng.uniform(0.5, 1.5, shape)
    return get_backend(x).asarray(np.asarray(value), dtype=x.dtype, device=device(x))


def _inner(a: Any, b: Any) -> float:
    """The real inner product of two arrays."""
    return float(np.sum(np.real(np.conj(to_numpy(a)) * to_numpy(b))))


def _numeric(
    f: Callable, args: tuple, tangents: list, cotangents: list, step: float, rtol: float, atol: float, order: int
) -> float:
    flat = leaves_of(args)

    def along(t: float) -> float:
        moved = [x + t * v for x, v in zip(flat, tangents, strict=True)]
        outputs = leaves_of(stop_gradient(f(*fill_tree(args, moved))))
        return sum(_inner(w, y) for w, y in zip(cotangents, outputs, strict=True))

    def estimate(h: float) -> float:
        return (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)

    def bend(h: float) -> float:
        """How much the slopes on the two sides of the point differ; for a smooth function this shrinks with h."""
        return abs(along(h) - 2 * middle + along(-h)) / h

    middle = along(0.0)
    for h in (step, step / 8, step / 64):
        coarse, fine = estimate(h), estimate(h / 2)
        allowed = atol + rtol * max(abs(coarse), abs(fine))
        if abs(coarse - fine) <= 0.5 * allowed and bend(h / 8) <= max(0.5 * bend(h), allowed):
            return fine
    raise AssertionError(
        f"finite differences of order {order} do not settle ({coarse!r}, {fine!r}): the function has a kink or is not "
        "smooth here; check it at another point"
    )
