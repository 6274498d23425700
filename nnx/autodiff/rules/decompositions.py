"""Cholesky, eigenvalue, singular value and QR decompositions.

Eigenvectors and singular vectors are defined up to a sign or phase. A loss must not depend on it, and
gradients are right for losses that do not. Where eigenvalues (singular values) are equal, single vectors have
no derivative: the terms over their differences are then infinite or NaN, as in PyTorch. But a term whose
numerator is zero is left out, so that losses of the values, and of vectors that belong to distinct values,
keep their first derivatives.

`cholesky`, `eigh` and `eigvalsh` take symmetric (Hermitian) matrices, and their gradients are symmetric too,
although the functions read one triangle only.
"""

from typing import Any

from ...dtypes import is_complex
from ..rule import composite, joint_rule, rule
from .linalg import column, hermitian, identity, row


def _quotient(xp: Any, x: Any, difference: Any) -> Any:
    """x / difference, where 0 / 0 = 0.

    The slope at 0 / 0 is made enormous, so that a higher derivative, or a jvp, that does depend on it cannot pass for
    a sound number.
    """
    difference = xp.broadcast_to(difference, x.shape)
    empty = (x == 0) & (difference == 0)
    small = float(xp.finfo(difference.dtype).smallest_normal) ** 0.5
    return x / xp.where(empty, xp.full_like(difference, small), difference)


def _off_diagonal(xp: Any, x: Any) -> Any:
    return xp.tril(x, k=-1) + xp.triu(x, k=1)


def _diagonal(xp: Any, x: Any) -> Any:
    """The diagonal of square matrices."""
    return xp.sum(x * identity(xp, x.shape[-1], x), axis=-1)


def _diagonal_matrix(xp: Any, values: Any) -> Any:
    return column(values) * identity(xp, values.shape[-1], values)


def _right_divide(xp: Any, x: Any, matrix: Any) -> Any:
    """x times the inverse of the conjugate transpose of a matrix."""
    return hermitian(xp, xp.linalg.solve(matrix, hermitian(xp, x)))


# ------------------------------------------------------------------ Cholesky


def _cholesky(xp: Any, g: Any, out: Any, upper: Any) -> Any:
    """Murray (2016), "Differentiation of the Cholesky decomposition", equation 10, for Hermitian matrices."""
    lower_h = out if upper else hermitian(xp, out)
    inner = xp.tril(xp.matmul(lower_h, hermitian(xp, g) if upper else g))
    inner = inner + hermitian(xp, xp.tril(inner, k=-1))
    result = _right_divide(xp, xp.linalg.solve(lower_h, inner), lower_h)
    return (result + hermitian(xp, result)) / 4


rule("linalg.cholesky(x, /, *, upper=False)", holomorphic=False, x=_cholesky)

# ------------------------------------------------------------------ eigenvalues


def _eigh(xp: Any, g: Any, needs: tuple, eigenvalues: Any, eigenvectors: Any) -> tuple:
    """Giles (2008), "Collected matrix derivative results", section 3.1."""
    g_values, g_vectors = g
    v, vh = eigenvectors, hermitian(xp, eigenvectors)
    result = None if g_values is None else xp.matmul(v * row(g_values), vh)
    if g_vectors is not None:
        turn = _off_diagonal(xp, xp.matmul(vh, g_vectors))
        turn = _quotient(xp, turn, row(eigenvalues) - column(eigenvalues))
        turned = xp.matmul(v, xp.matmul((turn + hermitian(xp, turn)) / 2, vh))
        result = turned if result is None else result + turned
    return (result,)


def _eig(xp: Any, g: Any, needs: tuple, eigenvalues: Any, eigenvectors: Any) -> tuple:
    """As for `eigh`, with eigenvectors that are not orthogonal, and of norm 1."""
    g_values, g_vectors = g
    v, vh = eigenvectors, hermitian(xp, eigenvectors)
    inner = None if g_values is None else _diagonal_matrix(xp, g_values)
    if g_vectors is not None:
        turn = xp.matmul(vh, g_vectors)
        stretch = xp.astype(xp.real(_diagonal(xp, turn)), turn.dtype)
        turn = _off_diagonal(xp, turn - xp.matmul(vh, v * row(stretch)))
        turn = _quotient(xp, turn, xp.conj(row(eigenvalues) - column(eigenvalues)))
        inner = turn if inner is None else inner + turn
    return (xp.linalg.solve(vh, xp.matmul(inner, vh)),)


joint_rule("linalg.eigh(x, /)", _eigh, outputs=("eigenvalues", "eigenvectors"))
joint_rule("linalg.eig(x, /)", _eig, outputs=("eigenvalues", "eigenvectors"))
composite("linalg.eigvalsh(x, /)", lambda xp, x: xp.linalg.eigh(x).eigenvalues)
composite("linalg.eigvals(x, /)", lambda xp, x: xp.linalg.eig(x).eigenvalues)

# ------------------------------------------------------------------ singular values


def _svd(xp: Any, g: Any, needs: tuple, x: Any, U: Any, S: Any, Vh: Any, full_matrices: Any) -> tuple:
    """Townsend (2016), "Differentiating the singular value decomposition", with phases of complex vectors."""
    g_u, g_s, g_vh = g
    k = S.shape[-1]
    if full_matrices and max(U.shape[-1], Vh.shape[-1]) > k:
        if (g_u is not None and U.shape[-1] > k) or (g_vh is not None and Vh.shape[-1] > k):
            raise NotImplementedError(
                f"svd: the singular vectors beyond the first {k} are any basis of a null space and have no "
                "derivative. Use xp.linalg.svd(x, full_matrices=False)."
            )
        if g_u is None and g_vh is None:  # anew, since derivatives of a part of the larger factors would raise
            U, S, Vh = xp.linalg.svd(x, full_matrices=False)
        U, Vh = U[..., :k], Vh[..., :k, :]
    difference = (row(S) - column(S)) * (row(S) + column(S))
    inner = None if g_s is None else _diagonal_matrix(xp, xp.astype(g_s, U.dtype))
    outside = None
    if g_u is not None:
        turn = xp.matmul(hermitian(xp, U), g_u)
        off = _quotient(xp, _off_diagonal(xp, turn), difference)
        part = (off + hermitian(xp, off)) * row(S)
        if is_complex(U.dtype):
            part = part + _diagonal_matrix(xp, _quotient(xp, xp.imag(_diagonal(xp, turn)) * 1j, S))
        inner = part if inner is None else inner + part
        if U.shape[-2] > k:
            outside = xp.matmul(_quotient(xp, g_u - xp.matmul(U, turn), row(S)), Vh)
    if g_vh is not None:
        turn = xp.matmul(Vh, hermitian(xp, g_vh))
        off = _quotient(xp, _off_diagonal(xp, turn), difference)
        part = column(S) * (off + hermitian(xp, off))
        inner = part if inner is None else inner + part
        if Vh.shape[-1] > k:
            beyond = xp.matmul(U, _quotient(xp, g_vh - xp.matmul(hermitian(xp, turn), Vh), column(S)))
            outside = beyond if outside is None else outside + beyond
    inside = xp.matmul(xp.matmul(U, inner), Vh)
    return (inside if outside is None else inside + outside,)


joint_rule("linalg.svd(x, /, *, full_matrices=True)", _svd, outputs=("U", "S", "Vh"))
composite("linalg.svdvals(x, /)", lambda xp, x: xp.linalg.svd(x, full_matrices=False).S)

# ------------------------------------------------------------------ QR


def _qr(xp: Any, g: Any, needs: tuple, x: Any, Q: Any, R: Any) -> tuple:
    """Walter and Lehmann (2018), "Algorithmic differentiation of linear algebra functions", section 3.2.

    A wide matrix is taken as [Y Z] = Q [R1 R2], with Y = Q R1 square and R2 = Q^H Z.
    """
    g_q, g_r = g
    k = min(Q.shape[-2], R.shape[-1])
    if Q.shape[-1] > k:
        if g_q is not None:
            raise NotImplementedError(
                f"qr: with mode='complete' the columns of Q beyond the first {k} have no derivative. "
                "Use xp.linalg.qr(x, mode='reduced')."
            )
        Q, R = xp.linalg.qr(x, mode="reduced")
        g_r = g_r[..., :k, :]
    wide = None
    if R.shape[-1] > k:
        if g_r is None:
            wide = xp.zeros_like(R[..., k:])
        else:
            wide = xp.matmul(Q, g_r[..., k:])
            through_q = xp.matmul(xp.matmul(Q, R[..., k:]), hermitian(xp, g_r[..., k:]))
            g_q = through_q if g_q is None else g_q + through_q
            g_r = g_r[..., :k]
        R = R[..., :k]
    inner: Any = None if g_r is None else xp.matmul(g_r, hermitian(xp, R))
    if g_q is not None:
        turn = xp.matmul(hermitian(xp, Q), g_q)
        inner = -turn if inner is None else inner - turn
    strict = xp.triu(inner, k=1)
    diagonal = xp.real(_diagonal(xp, inner)) if is_complex(inner.dtype) else _diagonal(xp, inner)
    inner = strict + hermitian(xp, strict) + _diagonal_matrix(xp, diagonal)
    result = xp.matmul(Q, inner)
    result = _right_divide(xp, result if g_q is None else g_q + result, R)
    return (result if wide is None else xp.concat([result, wide], axis=-1),)


joint_rule("linalg.qr(x, /, *, mode='reduced')", _qr, outputs=("Q", "R"))
