"""Derivatives of the linear algebra extension: two orders against finite differences, the first against PyTorch.

Eigenvectors, singular vectors and the factors of QR enter only in ways that do not depend on their signs or phases.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest

import nnx
from tests.tolerances import assert_close

KINDS = pytest.mark.parametrize("kind", ["real", "complex"])
SQUARE, STACK = (3, 3), (2, 3, 3)


def draw(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if kind == "complex" else x


def is_complex(xp: Any, x: Any) -> bool:
    return xp.isdtype(x.dtype, "complex floating")


def hermitian(xp: Any, x: Any) -> Any:
    x = xp.matrix_transpose(x)
    return xp.conj(x) if is_complex(xp, x) else x


def squares(xp: Any, x: Any) -> Any:
    """|x|^2, which forgets signs and phases."""
    return xp.real(x * xp.conj(x)) if is_complex(xp, x) else x * x


def positive(xp: Any, x: Any) -> Any:
    """A positive definite matrix."""
    x = xp.concat([x, x * x], axis=-1)
    return xp.matmul(x, hermitian(xp, x))


def scaled_columns(xp: Any, x: Any) -> Any:
    """x with its columns multiplied by 1, 1/2, 1/3, ...: a sum over them then tells them apart."""
    weights = 1 / xp.arange(1, x.shape[-1] + 1, dtype=xp.float64, device=nnx.backend.device(x))
    return x * weights


def svd_parts(xp: Any, x: Any) -> Any:
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return squares(xp, u), s, squares(xp, vh), xp.matmul(scaled_columns(xp, u), vh)


# The derivative of det is cofactor, so that the second derivative of the one is the first of the other.
_NAMES = """cholesky cofactor cross det diagonal eig eigh eigvals eigvalsh inv matrix_norm matrix_power matrix_rank
outer pinv qr slogdet solve svd svdvals trace vector_norm"""
COVERED = {f"linalg.{name}" for name in _NAMES.split()}
ONE_MATRIX = {
    "det": lambda xp, x: xp.linalg.det(x),
    "inv": lambda xp, x: xp.linalg.inv(x),
    "slogdet": lambda xp, x: tuple(xp.linalg.slogdet(x)),
    "cholesky": lambda xp, x: xp.linalg.cholesky(positive(xp, x)),
    "cholesky_upper": lambda xp, x: xp.linalg.cholesky(positive(xp, x), upper=True),
    "eigvalsh": lambda xp, x: xp.linalg.eigvalsh(x + hermitian(xp, x)),
    "eigh_values": lambda xp, x: xp.linalg.eigh(x + hermitian(xp, x)).eigenvalues,
    "eigh_vectors": lambda xp, x: squares(xp, xp.linalg.eigh(x + hermitian(xp, x)).eigenvectors),
    "eigvals": lambda xp, x: xp.sort(xp.real(xp.linalg.eigvals(x) ** 2), axis=-1),
    "eig_vectors": lambda xp, x: xp.sort(squares(xp, xp.linalg.eig(x)[1]), axis=-1),
    **{f"power{n}": lambda xp, x, n=n: xp.linalg.matrix_power(x, n) for n in (-3, -1, 0, 1, 2, 5)},
}
ANY_MATRIX = {
    "pinv": lambda xp, x: xp.linalg.pinv(x),
    "svdvals": lambda xp, x: xp.linalg.svdvals(x),
    "svd": svd_parts,
    "svd_u": lambda xp, x: squares(xp, xp.linalg.svd(x, full_matrices=False).U),
    "svd_vh": lambda xp, x: squares(xp, xp.linalg.svd(x, full_matrices=False).Vh),
    "svd_full_values": lambda xp, x: xp.linalg.svd(x).S,
    "qr": lambda xp, x: tuple(xp.linalg.qr(x)),
    "qr_q": lambda xp, x: xp.linalg.qr(x).Q,
    "qr_r": lambda xp, x: xp.linalg.qr(x).R,
    "qr_complete_r": lambda xp, x: xp.linalg.qr(x, mode="complete").R,
    **{f"diagonal{k}": lambda xp, x, k=k: xp.linalg.diagonal(x, offset=k) for k in (-2, 0, 1, 9)},
    "trace": lambda xp, x: xp.linalg.trace(x, offset=-1),
    **{
        f"norm_{order}": lambda xp, x, order=order: xp.linalg.matrix_norm(x, ord=order)
        for order in ("fro", "nuc", 1, -1, 2, -2, inf, -inf)
    },
    "norm_keepdims": lambda xp, x: xp.linalg.matrix_norm(x, ord="nuc", keepdims=True),
}
TWO = {
    "solve": (lambda xp, a, b: xp.linalg.solve(a, b), SQUARE, (3, 2)),
    "solve_vector": (lambda xp, a, b: xp.linalg.solve(a, b), STACK, (3,)),
    "solve_broadcast": (lambda xp, a, b: xp.linalg.solve(a, b), (2, 1, 3, 3), (4, 3, 2)),
    "cross": (lambda xp, a, b: xp.linalg.cross(a, b), (2, 3), (3,)),
    "cross_axis": (lambda xp, a, b: xp.linalg.cross(a, b, axis=-2), (2, 3, 2), (3, 1)),
    "outer": (lambda xp, a, b: xp.linalg.outer(a, b), (2,), (4,)),
}


def check(f: Any, xp_backend: Any, *arrays: np.ndarray, order: int = 2) -> None:
    nnx.check_grads(
        lambda *args: f(nnx.namespace(*args), *args), [xp_backend.array(a) for a in arrays], order=order, atol=1e-7
    )


# ------------------------------------------------------------------ finite differences


@KINDS
@pytest.mark.parametrize("name", ONE_MATRIX)
@pytest.mark.parametrize("shape", [SQUARE, STACK, (1, 1), (0, 2, 2)], ids=str)
def test_square_matrices(xp_backend, name, shape, kind):
    check(ONE_MATRIX[name], xp_backend, draw(shape, kind))


@KINDS
@pytest.mark.parametrize("name", ANY_MATRIX)
@pytest.mark.parametrize("shape", [SQUARE, (2, 3, 4), (4, 2)], ids=str)
def test_matrices_of_any_shape(xp_backend, name, shape, kind):
    check(ANY_MATRIX[name], xp_backend, draw(shape, kind))


@KINDS
@pytest.mark.parametrize("name", TWO)
def test_two_arguments(xp_backend, name, kind):
    f, *shapes = TWO[name]
    check(f, xp_backend, *[draw(shape, kind, seed) for seed, shape in enumerate(shapes)])


@KINDS
@pytest.mark.parametrize("order", [0, 1, 2, 3, 1.5, 0.5, -1, inf, -inf])
@pytest.mark.parametrize("axis", [None, 1, (0, -1)], ids=str)
def test_vector_norm(xp_backend, order, axis, kind):
    check(lambda xp, x: xp.linalg.vector_norm(x, axis=axis, ord=order), xp_backend, draw((2, 3, 2), kind))
    check(
        lambda xp, x: xp.linalg.vector_norm(x, axis=axis, ord=order, keepdims=True),
        xp_backend,
        draw((2, 3, 2), kind),
        order=1,
    )


# ------------------------------------------------------------------ PyTorch


def torch_gradients(torch: Any, f: Any, arrays: list[np.ndarray]) -> tuple[list, list, list]:
    """The outputs of a PyTorch function, cotangents for them, and the gradients."""
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    outputs = f(*leaves)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    cotangents = [draw(tuple(y.shape), "complex" if y.is_complex() else "real", seed=9) for y in outputs]
    grads = torch.autograd.grad(outputs, leaves, [torch.tensor(c) for c in cotangents])
    return [y.detach().numpy() for y in outputs], cotangents, [g.resolve_conj().numpy() for g in grads]


def compare_with_torch(f: Any, g: Any, *arrays: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    expected, cotangents, expected_grads = torch_gradients(torch, g, list(arrays))
    found, pullback = nnx.vjp(lambda *args: f(nnx.namespace(*args), *args), *arrays)
    for y, wanted in zip(found if isinstance(found, tuple) else [found], expected, strict=True):
        assert_close(y, wanted)
    grads = pullback(tuple(cotangents) if isinstance(found, tuple) else cotangents[0])
    for x, wanted in zip(grads, expected_grads, strict=True):
        assert_close(x, wanted)


def torch_cases(torch: Any) -> dict[str, tuple[Any, Any]]:
    la = torch.linalg
    cases = {
        name: (lambda xp, x, name=name: getattr(xp.linalg, name)(x), getattr(la, name))
        for name in ("det", "inv", "pinv", "svdvals", "eigvals")
    }
    for name in ("slogdet", "qr"):
        cases[name] = (
            lambda xp, x, name=name: tuple(getattr(xp.linalg, name)(x)),
            lambda x, name=name: tuple(getattr(la, name)(x)),
        )
    for n in (-2, 0, 3):
        cases[f"power{n}"] = (
            lambda xp, x, n=n: xp.linalg.matrix_power(x, n),
            lambda x, n=n: la.matrix_power(x, n),
        )
    for order in ("fro", "nuc", 1, -1, 2, -2, inf, -inf):
        cases[f"norm_{order}"] = (
            lambda xp, x, order=order: xp.linalg.matrix_norm(x, ord=order),
            lambda x, order=order: la.matrix_norm(x, ord=order),
        )
    cases["eigh"] = (
        lambda xp, x: squares(xp, xp.linalg.eigh(x + hermitian(xp, x))[1]),
        lambda x: la.eigh(x + x.mH)[1].abs() ** 2,
    )
    cases["cholesky"] = (
        lambda xp, x: xp.linalg.cholesky(positive(xp, x)),
        lambda x: la.cholesky(torch.cat([x, x * x], -1) @ torch.cat([x, x * x], -1).mH),
    )
    return cases


@KINDS
def test_torch_agrees(kind):
    for f, g in torch_cases(pytest.importorskip("torch")).values():
        compare_with_torch(f, g, draw(STACK, kind))


@KINDS
def test_gradients_of_hermitian_functions_are_hermitian(kind):
    """No symmetrization inside these functions: the gradient itself is compared."""
    torch = pytest.importorskip("torch")
    x = draw(STACK, kind)
    x = x + x.conj().swapaxes(-1, -2)
    compare_with_torch(lambda xp, x: xp.linalg.eigvalsh(x), torch.linalg.eigvalsh, x)
    compare_with_torch(
        lambda xp, x: squares(xp, xp.linalg.eigh(x).eigenvectors), lambda x: torch.linalg.eigh(x)[1].abs() ** 2, x
    )
    x = x @ x + np.eye(3)
    _, pullback = nnx.vjp(lambda x: nnx.namespace(x).linalg.cholesky(x), x)
    (grad,) = pullback(draw(STACK, kind, seed=9))
    assert_close(grad, grad.conj().swapaxes(-1, -2))


@KINDS
def test_torch_agrees_on_systems_of_equations(kind):
    torch = pytest.importorskip("torch")
    a, b = draw((2, 1, 3, 3), kind), draw((4, 3, 2), kind)
    compare_with_torch(lambda xp, a, b: xp.linalg.solve(a, b), torch.linalg.solve, a, b)


@KINDS
@pytest.mark.parametrize("order", [1, 2, 3, 1.5, 0.5, inf, -inf])
def test_torch_agrees_on_norms_of_vectors_with_zeros(order, kind):
    torch = pytest.importorskip("torch")
    x = draw((3, 4, 2), kind)
    x[0, 0, 0] = 0  # a single zero, a row of zeros, and ties
    x[:, 1, 1] = 0
    x[:, 2, 0] = x[0, 2, 0]
    for axis in (None, 0, (0, 2)):
        compare_with_torch(
            lambda xp, x, axis=axis: xp.linalg.vector_norm(x, axis=axis, ord=order),
            lambda x, axis=axis: torch.linalg.vector_norm(x, ord=order, dim=axis),
            x,
        )


# ------------------------------------------------------------------ singular and degenerate matrices

SINGULAR = [np.diag([2.0, 1.0, 0.0]), np.ones((3, 3)), np.zeros((3, 3)), np.eye(3), np.zeros((1, 1))]


@pytest.mark.parametrize("x", SINGULAR, ids=["rank2", "rank1", "zero", "identity", "1x1"])
def test_determinant_at_any_rank(xp_backend, x):
    check(lambda xp, x: xp.linalg.det(x), xp_backend, x)
    check(lambda xp, x: xp.linalg.det(x), xp_backend, x * (1 + 0.5j))


def test_determinant_third_order():
    nnx.check_grads(lambda x: nnx.namespace(x).linalg.det(x), (draw((4, 4), "real"),), order=3)


@pytest.mark.parametrize("x", SINGULAR, ids=["rank2", "rank1", "zero", "identity", "1x1"])
def test_values_of_a_degenerate_spectrum(xp_backend, x):
    check(lambda xp, x: xp.sum(xp.linalg.svdvals(x) ** 2), xp_backend, x, order=1)
    check(lambda xp, x: xp.sum(xp.linalg.eigvalsh((x + xp.matrix_transpose(x)) / 2) ** 2), xp_backend, x, order=1)


def test_vector_of_a_distinct_eigenvalue_beside_equal_ones(xp_backend):
    def rayleigh(xp, x):
        v = xp.linalg.eigh((x + xp.matrix_transpose(x)) / 2).eigenvectors[:, -1:]
        return xp.linalg.vector_norm(xp.matmul(x * x, v * v))

    check(rayleigh, xp_backend, np.diag([1.0, 1.0, 1.0, 3.0]) + 0, order=1)


def square_root(x: Any) -> Any:
    xp = nnx.namespace(x)
    values, vectors = xp.linalg.eigh(x)
    return xp.matmul(vectors * xp.sqrt(values), xp.matrix_transpose(vectors))


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_what_equal_eigenvalues_make_undefined_is_no_plausible_number():
    """The root of a matrix is smooth at the identity, but eigenvectors cannot tell."""
    x, direction = np.eye(2), np.asarray([[0.0, 1.0], [1.0, 0.0]])
    grad = nnx.vjp(square_root, x)[1](direction)[0]
    assert not np.all(np.abs(grad) < 1e6)
    assert not np.all(np.abs(nnx.jvp(square_root, (x,), (direction,))[1]) < 1e6)
    x[0, 0] = 4.0
    assert_close(nnx.jvp(square_root, (x,), (direction,))[1], direction / 3)


def test_norms_at_the_origin():
    for order in (0, 1, 2, 3, 1.5, 0.5, inf, -inf):
        gradient = nnx.grad(lambda x, order=order: nnx.namespace(x).linalg.vector_norm(x, ord=order))
        twice = nnx.grad(lambda x, gradient=gradient: nnx.namespace(x).sum(gradient(x)))
        for zero in (np.zeros(3), np.zeros(3) + 0j):
            assert_close(gradient(zero), zero)
        assert_close(twice(np.zeros(3)), np.zeros(3))
    assert_close(nnx.grad(lambda x: nnx.namespace(x).linalg.matrix_norm(x))(np.zeros((2, 2))), np.zeros((2, 2)))


def test_norm_of_extreme_vectors_does_not_overflow():
    gradient = nnx.grad(lambda x: nnx.namespace(x).linalg.vector_norm(x, ord=3))
    assert_close(gradient(np.asarray([2e100, 0.0])), np.asarray([1.0, 0.0]))


# ------------------------------------------------------------------ what raises, dtypes, constants


@pytest.mark.parametrize(("shape", "part"), [((4, 3), "U"), ((3, 4), "Vh")])
def test_svd_without_derivative(shape, part):
    x = nnx.variable(draw(shape, "real"))
    xp = nnx.namespace(x)
    loss = xp.sum(getattr(xp.linalg.svd(x), part) ** 2)
    with pytest.raises(NotImplementedError, match=r"beyond the first 3.*Use xp\.linalg\.svd\(x, full_matrices=False\)"):
        loss.backward()


def test_qr_without_derivative():
    x = nnx.variable(draw((4, 3), "real"))
    xp = nnx.namespace(x)
    loss = xp.sum(xp.linalg.qr(x, mode="complete").Q ** 2)
    with pytest.raises(NotImplementedError, match=r"beyond the first 3.*Use xp\.linalg\.qr\(x, mode='reduced'\)"):
        loss.backward()


def test_bad_arguments_when_tracked():
    x = nnx.variable(np.ones((2, 2)))
    linalg = nnx.namespace(x).linalg
    with pytest.raises(ValueError, match="cross: expected 3 elements along axis -1"):
        linalg.cross(x, x)
    with pytest.raises(ValueError, match="outer: expected two vectors"):
        linalg.outer(x, x)
    with pytest.raises(ValueError, match=r"matrix_norm: expected ord 'fro'.* got 3"):
        linalg.matrix_norm(x, ord=3)


def test_results_keep_their_types_when_tracked(xp_backend):
    raw, ns = xp_backend.xp.linalg, xp_backend.ns.linalg
    matrix = draw(STACK, "real") + 4 * np.eye(3)
    for name in ("eigh", "qr", "slogdet", "svd", "eig"):
        x = xp_backend.array(matrix, "float32")
        plain, tracked = getattr(raw, name)(x), getattr(ns, name)(nnx.variable(x))
        assert type(tracked) is type(plain)
        assert [(t.shape, t.dtype) for t in tracked] == [(p.shape, p.dtype) for p in plain]
    x = nnx.variable(xp_backend.array(matrix, "float32"))
    assert not ns.matrix_rank(x).tracked
    for name in ("eigvalsh", "svdvals", "det", "inv", "pinv", "trace", "matrix_norm", "vector_norm", "cholesky"):
        out = getattr(ns, name)(x)
        xp_backend.ns.sum(out).backward(retain_graph=True)
        assert out.dtype == x.dtype == x.grad.dtype


def test_matrix_rank_and_pinv_take_an_array_of_tolerances(xp_backend):
    ns = xp_backend.ns
    x = nnx.variable(xp_backend.array(np.stack([np.diag([1.0, 1e-3]), np.diag([2.0, 1.0])])))
    rtol = ns.asarray(xp_backend.array([1e-2, 1e-6]))
    assert nnx.to_numpy(ns.linalg.matrix_rank(x, rtol=rtol)).tolist() == [1, 2]
    ns.sum(ns.linalg.pinv(x, rtol=rtol)).backward()
    assert nnx.to_numpy(x.grad)[0, 0, 0] == pytest.approx(-1.0)
    assert nnx.to_numpy(x.grad)[1, 0, 0] == pytest.approx(-0.25)
