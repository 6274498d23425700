"""Linear algebra without factors: products, norms, inverses, determinants, systems of equations.

Most rules are the plain transpose of the derivative, which the engine conjugates for complex matrices; the
rules marked ``holomorphic=False`` are written with Hermitian transposes by hand.
"""

import math
from typing import Any

from ...backend import device
from ...dtypes import is_complex
from ...errors import ShapeError
from ..rule import composite, constant, joint_rule, rule
from ..tape import conj
from .elementwise import zeros_where
from .reductions import axes_of, keep


def hermitian(xp: Any, x: Any) -> Any:
    """The conjugate transpose of a stack of matrices."""
    return conj(xp, xp.matrix_transpose(x))


def identity(xp: Any, n: int, like: Any) -> Any:
    """The identity matrix in the dtype and on the device of an array."""
    return xp.eye(n, dtype=like.dtype, device=device(like))


def column(x: Any) -> Any:
    """Vectors (..., n) as matrices (..., n, 1)."""
    return x[..., None]


def row(x: Any) -> Any:
    """Vectors (..., n) as matrices (..., 1, n)."""
    return x[..., None, :]


# ------------------------------------------------------------------ moving and multiplying elements


def _diagonal(xp: Any, x: Any, *, offset: int = 0) -> Any:
    """A slice with a step: in a flattened matrix the diagonal's elements lie one row and one column apart."""
    rows, columns = x.shape[-2:]
    start = offset if offset >= 0 else -offset * columns
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    keys = slice(start, start + (length - 1) * (columns + 1) + 1, columns + 1) if length else slice(0, 0)
    return xp.reshape(x, (*x.shape[:-2], rows * columns))[..., keys]


def _trace(xp: Any, x: Any, *, offset: int = 0, dtype: Any = None) -> Any:
    return xp.sum(xp.linalg.diagonal(x, offset=offset), axis=-1, dtype=dtype)


def _cross(xp: Any, x1: Any, x2: Any, *, axis: int = -1) -> Any:
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ShapeError(
            f"cross: expected 3 elements along axis {axis}, got shapes {tuple(x1.shape)} and "
            f"{tuple(x2.shape)}; pad vectors in the plane with a zero."
        )
    a, b = xp.moveaxis(x1, axis, -1), xp.moveaxis(x2, axis, -1)
    (a0, a1, a2), (b0, b1, b2) = ([v[..., i] for i in range(3)] for v in (a, b))
    times = xp.multiply  # not an operator, since one may be raw
    parts = [times(a1, b2) - times(a2, b1), times(a2, b0) - times(a0, b2), times(a0, b1) - times(a1, b0)]
    return xp.moveaxis(xp.stack(parts, axis=-1), -1, axis)


def _outer(xp: Any, x1: Any, x2: Any) -> Any:
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(
            f"outer: expected two vectors, got shapes {tuple(x1.shape)} and {tuple(x2.shape)}; "
            "flatten them with xp.reshape(x, (-1,))."
        )
    return xp.multiply(xp.expand_dims(x1, axis=1), xp.expand_dims(x2, axis=0))


composite("linalg.diagonal(x, /, *, offset=0)", _diagonal)
composite("linalg.trace(x, /, *, offset=0, dtype=None)", _trace)
composite("linalg.cross(x1, x2, /, *, axis=-1)", _cross)
composite("linalg.outer(x1, x2, /)", _outer)


def _matrix_power(xp: Any, x: Any, n: int) -> Any:
    """By repeated squaring."""
    if n == 0:  # constant, but a part of the graph like any other power
        return xp.where(xp.ones(x.shape, dtype=xp.bool, device=device(x)), identity(xp, x.shape[-1], x), x)
    base, n = (xp.linalg.inv(x), -n) if n < 0 else (x, n)
    power = None
    while n:
        if n & 1:
            power = base if power is None else xp.matmul(power, base)
        n >>= 1
        if n:
            base = xp.matmul(base, base)
    return power


composite("linalg.matrix_power(x, n, /)", _matrix_power)

# ------------------------------------------------------------------ norms


def _vector_norm(xp: Any, g: Any, x: Any, out: Any, axis: Any, keepdims: Any, ord: Any) -> Any:
    """Zero where the norm has a cusp or is infinitely steep: at the origin, for p-norms at zero elements."""
    if ord == 0:
        return xp.zeros_like(x)
    g, out = keep(xp, g, x.shape, axis, keepdims), keep(xp, out, x.shape, axis, keepdims)
    if ord == 1:
        return g * xp.sign(x)
    if ord == 2:
        zero = out == 0
        return zeros_where(xp, zero, g / xp.where(zero, xp.ones_like(out), out)) * x
    size = xp.abs(x)
    if abs(ord) == math.inf:  # the largest (smallest) elements share the gradient evenly
        hit = xp.astype(size == out, out.dtype)
        return g / xp.sum(hit, axis=axes_of(axis, x.ndim), keepdims=True) * hit * xp.sign(x)
    zero = (size == 0) | (out == 0)
    ratio = xp.where(zero, xp.ones_like(size), size) / xp.where(zero, xp.ones_like(out), out)
    return zeros_where(xp, zero, g * ratio ** (ord - 1)) * xp.sign(x)


rule("linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2)", holomorphic=False, x=_vector_norm)


def _matrix_norm(xp: Any, x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    if ord is None or ord == "fro":
        return xp.linalg.vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord == "nuc":
        values = xp.sum(xp.linalg.svdvals(x), axis=-1)
    elif ord in (2, -2):
        values = (xp.max if ord > 0 else xp.min)(xp.linalg.svdvals(x), axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = xp.sum(xp.abs(x), axis=-2 if abs(ord) == 1 else -1)
        values = (xp.max if ord > 0 else xp.min)(sums, axis=-1)
    else:
        raise ValueError(f"matrix_norm: expected ord 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}.")
    return values[..., None, None] if keepdims else values


composite("linalg.matrix_norm(x, /, *, keepdims=False, ord='fro')", _matrix_norm)
constant("linalg.matrix_rank(x, /, *, rtol=None)")

# ------------------------------------------------------------------ inverses and systems of equations


def _inv(xp: Any, g: Any, out: Any) -> Any:
    transposed = xp.matrix_transpose(out)
    return -xp.matmul(transposed, xp.matmul(g, transposed))


def _pinv(xp: Any, g: Any, x: Any, out: Any) -> Any:
    """Golub and Pereyra (1973), equation 4.12, transposed; right where the rank does not change."""
    p, ph, gh = out, hermitian(xp, out), hermitian(xp, g)
    from_the_left = xp.matmul(gh, xp.matmul(p, ph))  # G^H P P^H, times I - X P
    from_the_right = xp.matmul(xp.matmul(ph, p), gh)  # P^H P G^H, times I - P X
    inside = xp.matmul(ph, xp.matmul(g, ph))
    left = from_the_left - xp.matmul(x, xp.matmul(p, from_the_left))
    right = from_the_right - xp.matmul(xp.matmul(from_the_right, p), x)
    return left + right - inside


def _solve(xp: Any, g: Any, needs: tuple, x1: Any, x2: Any, out: Any) -> tuple:
    """With A y = b: gb = A^-T g and gA = -gb y^T. Only an `x2` with one axis is a vector."""
    if x2.ndim == 1:
        g, out = column(g), column(out)
    gb = xp.linalg.solve(xp.matrix_transpose(x1), g)
    ga = None if needs[0] is None else -xp.matmul(gb, xp.matrix_transpose(out))
    return ga, gb[..., 0] if x2.ndim == 1 else gb


rule("linalg.inv(x, /)", x=_inv)
rule("linalg.pinv(x, /, *, rtol=None)", holomorphic=False, x=_pinv)
joint_rule("linalg.solve(x1, x2, /)", _solve, holomorphic=True)

# ------------------------------------------------------------------ determinants


def _spectrum(xp: Any, x: Any) -> tuple:
    """Singular value decomposition and the sign (phase) of the determinant of its two orthogonal factors."""
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return u, s, vh, xp.linalg.det(u) * xp.linalg.det(vh)


def _products_before(xp: Any, s: Any) -> Any:
    """s[0] ... s[i - 1] for every i."""
    return xp.cumulative_prod(s, axis=-1, include_initial=True)[..., :-1]


def _cofactor(xp: Any, x: Any) -> Any:
    """The cofactors: the derivative of the determinant. Divides by nothing, so that `x` may be singular."""
    u, s, vh, sign = _spectrum(xp, x)
    others = _products_before(xp, s) * xp.flip(_products_before(xp, xp.flip(s, axis=-1)), axis=-1)
    return sign[..., None, None] * xp.matmul(conj(xp, u) * row(others), conj(xp, vh))


def _cofactor_vjp(xp: Any, g: Any, x: Any) -> Any:
    """The second derivative of the determinant, in the frames of the singular vectors. It needs no division.

    For X = diag(s), dX[i, i] dX[j, j] has the product of all s but s[i] and s[j] as its factor, and
    dX[i, j] dX[j, i] has the same with a minus sign.
    """
    u, s, vh, sign = _spectrum(xp, x)
    n = x.shape[-1]
    g = xp.matmul(hermitian(xp, u), xp.matmul(g, hermitian(xp, vh)))
    ones = xp.ones((n, n), dtype=xp.bool, device=device(x))
    after = xp.where(xp.triu(ones, k=1), row(s), xp.ones_like(row(s)))  # row i: s[j] for j > i, else 1
    between = xp.cumulative_prod(after, axis=-1, include_initial=True)[..., :-1]
    behind = xp.flip(_products_before(xp, xp.flip(s, axis=-1)), axis=-1)
    upper = xp.triu(column(_products_before(xp, s)) * between * row(behind), k=1)  # [i, j]: without s[i], s[j]
    pairs = upper + xp.matrix_transpose(upper)
    eye = identity(xp, n, s)
    diagonal = xp.sum(g * eye, axis=-1)
    p = xp.sum(pairs * column(diagonal), axis=-2)[..., None] * eye - pairs * xp.matrix_transpose(g)
    return sign[..., None, None] * xp.matmul(conj(xp, u), xp.matmul(p, conj(xp, vh)))


rule("linalg.cofactor(x, /)", forward=_cofactor, x=_cofactor_vjp)
rule("linalg.det(x, /)", x=lambda xp, g, x: g[..., None, None] * xp.linalg.cofactor(x))


def _slogdet(xp: Any, g: Any, needs: tuple, x: Any, sign: Any) -> tuple:
    """tr(X^-1 dX) moves the logarithm with its real, the phase of a complex sign with its imaginary part."""
    g_sign, g_log = g
    rate = None if g_log is None else xp.astype(g_log, x.dtype)
    if is_complex(x.dtype) and g_sign is not None:
        turn = xp.imag(xp.conj(g_sign) * sign) * -1j
        rate = turn if rate is None else rate + turn
    if rate is None:
        return (xp.zeros_like(x),)  # the sign of a real determinant is constant
    return (rate[..., None, None] * hermitian(xp, xp.linalg.inv(x)),)


joint_rule("linalg.slogdet(x, /)", _slogdet, outputs=("sign", "logabsdet"))
