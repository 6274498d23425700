"""The checker of derivatives: it must reject what is wrong by a thousandth, and tell kinks apart."""

from __future__ import annotations

import numpy as np
import pytest

import nnx
from nnx.autodiff.tape import Operation, record

X = np.asarray([0.5, 1.1, -0.7])
XS = (X, np.asarray([[0.2, 0.4, -1.0], [1.5, -0.1, 0.3]]))


def with_vjp(forward, vjp, holomorphic=False):
    """A function whose derivative is given by hand: ``vjp(xp, g, x)``."""

    def f(x):
        if not isinstance(x, nnx.Array):
            return forward(nnx.namespace(x), x)
        ns = x.__array_namespace__()
        out = forward(ns.raw, x._data)
        op = Operation(
            "by hand", lambda xp, g, saved, needs: (vjp(xp, g, saved[0]),), (0,), ns, holomorphic=holomorphic
        )
        return ns.wrap(out, record(op, (x._node,), (x._data,), out))

    return f


def sin_with_error(error):
    return with_vjp(lambda xp, x: xp.sin(x), lambda xp, g, x: g * xp.cos(x) * (1 + error))


def sin_with_second_order_error(error):
    """Its first derivative is right; the derivative of that is not."""
    cos = with_vjp(lambda xp, x: xp.cos(x), lambda xp, g, x: -g * xp.sin(x) * (1 + error))
    return with_vjp(lambda xp, x: xp.sin(x), lambda xp, g, x: g * cos(x))


def test_right_rules_pass(xp_backend):
    x = xp_backend.array(X)
    nnx.check_grads(sin_with_error(0.0), (x,))
    nnx.check_grads(sin_with_second_order_error(0.0), (x,))
    nnx.check_grads(lambda x: nnx.namespace(x).exp(x) * x, (x,), order=3)


@pytest.mark.parametrize("seed", range(10))
def test_a_rule_wrong_by_a_thousandth_is_rejected(seed):
    with pytest.raises(AssertionError, match="derivative of order 1 is wrong"):
        nnx.check_grads(sin_with_error(1e-3), (X,), seed=seed)


@pytest.mark.parametrize("seed", range(10))
def test_a_second_order_error_of_a_thousandth_is_rejected(seed):
    f = sin_with_second_order_error(1e-3)
    nnx.check_grads(f, (X,), order=1, seed=seed)
    with pytest.raises(AssertionError, match="derivative of order 2 is wrong"):
        nnx.check_grads(f, (X,), order=2, seed=seed)


def test_an_error_in_one_element_of_many_is_rejected():
    def vjp(xp, g, x):
        weights = np.ones(200)
        weights[77] = 1.001
        return g * xp.cos(x) * weights

    with pytest.raises(AssertionError, match="order 1 is wrong"):
        nnx.check_grads(with_vjp(lambda xp, x: xp.sin(x), vjp), (np.linspace(-1.0, 1.0, 200),), order=1)


def test_an_error_in_one_of_two_arguments_is_rejected():
    wrong = sin_with_error(1e-3)
    with pytest.raises(AssertionError, match="order 1 is wrong"):
        nnx.check_grads(lambda x, y: y @ wrong(x), XS)


def test_a_rule_that_forgets_to_conjugate_is_rejected():
    z = X + 1j * np.asarray([0.3, -0.8, 1.2])
    right = with_vjp(lambda xp, x: xp.exp(x), lambda xp, g, x: g * xp.exp(x), holomorphic=True)
    nnx.check_grads(right, (z,))
    wrong = with_vjp(lambda xp, x: xp.exp(x), lambda xp, g, x: g * xp.exp(x))
    with pytest.raises(AssertionError, match="order 1 is wrong"):
        nnx.check_grads(wrong, (z,))


def test_complex_and_real_arguments_together():
    nnx.check_grads(lambda x, z: np.abs(x * z) ** 2 + np.real(z * z * x), (X, X[::-1] + 0.5j))


@pytest.mark.parametrize("f", [abs, lambda x: np.maximum(x, 0.0), lambda x: np.sqrt(np.abs(x))])
def test_a_kink_is_told_from_a_wrong_derivative(f):
    with pytest.raises(AssertionError, match=r"do not settle.*kink"), np.errstate(all="ignore"):
        nnx.check_grads(f, (np.asarray([0.0, 1.0]),), order=1)


def test_a_kink_close_by_does_not_disturb():
    nnx.check_grads(abs, (np.asarray([1e-3, -5e-4]),))


def test_nested_arguments_and_results():
    def f(tree, y):
        return {"a": tree["w"] @ y, "b": [tree["v"][0] * 2.0, (y * y, None)]}

    nnx.check_grads(f, ({"w": XS[1], "v": [X]}, X))


def test_a_function_that_returns_a_constant_passes():
    nnx.check_grads(lambda x: np.zeros(2), (X,), order=2)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int64"])
def test_too_little_precision_is_not_called_a_kink(xp_backend, dtype):
    with pytest.raises(nnx.errors.DTypeError, match=rf"expected arrays of float64 or complex128, got {dtype}.*Cast it"):
        nnx.check_grads(lambda x: x * x, ({"x": xp_backend.array([1.0, 2.0], dtype)},))
