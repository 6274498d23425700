"""jacobian, hessian and hvp: values, structure and errors."""

from __future__ import annotations

import numpy as np
import pytest

import nnx
from tests.autodiff.test_transforms import A, V, energy, is_raw, total
from tests.tolerances import assert_close


def test_jacobian_shapes(xp_backend):
    x, y = xp_backend.array(V), xp_backend.array(A)
    jx, jy = nnx.jacobian(lambda x, y: y * x, argnums=(0, 1))(x, y)
    assert_close(jx, np.einsum("ij,jk->ijk", A, np.eye(3)))
    assert_close(jy, np.einsum("j,ik,jl->ijkl", V, np.eye(2), np.eye(3)))
    assert_close(nnx.jacobian(total)(x), np.ones(3))
    assert_close(nnx.jacobian(lambda x: x[0:0])(x), np.zeros((0, 3)))
    assert_close(nnx.jacobian(lambda x: y)(x), np.zeros((2, 3, 3)))


def test_hessian_is_symmetric_and_right(xp_backend):
    h = nnx.hessian(energy)(xp_backend.array(V))
    found = nnx.to_numpy(h)
    assert is_raw(h)
    np.testing.assert_allclose(found, found.T, rtol=1e-12)
    step = 1e-5
    numeric = [(nnx.grad(energy)(V + step * e) - nnx.grad(energy)(V - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(found, numeric, rtol=1e-8)


def test_hvp_is_the_hessian_times_the_vector(xp_backend):
    v = np.asarray([1.0, -0.3, 0.2])
    found = nnx.hvp(energy, (xp_backend.array(V),), (xp_backend.array(v),))
    assert is_raw(found)
    assert_close(found, nnx.to_numpy(nnx.hessian(energy)(xp_backend.array(V))) @ v)
    primals, tangents = [(xp_backend.array(u), xp_backend.array(A)) for u in (V, v)]
    a, b = nnx.hvp(lambda x, y: total(y @ x) * total(x), primals, tangents)
    assert_close(b, np.ones((2, 1)) * (v * V.sum() + V * v.sum()))
    assert a.shape == (3,)


def test_hvp_of_a_linear_function_is_zero(xp_backend):
    x = xp_backend.array(V)
    assert_close(nnx.hvp(total, (x,), (x,)), np.zeros(3))
    assert_close(nnx.hessian(total)(x), np.zeros((3, 3)))
    assert_close(nnx.grad(lambda x: total(nnx.grad(total)(x)))(x), np.zeros(3))


def test_hessian_of_a_hessian(xp_backend):
    f = nnx.hessian(lambda x: total(nnx.hessian(lambda y: total(y**4))(x)))
    assert_close(f(xp_backend.array(V)), 24 * np.eye(3))


# ------------------------------------------------------------------ containers and modules


def test_the_hessian_of_a_dict_is_a_dict_of_dicts(xp_backend):
    t = {"a": xp_backend.array(V), "b": xp_backend.array(2.0)}
    h = nnx.hessian(lambda t: total(t["a"] ** 3) * t["b"])(t)
    assert {k: list(v) for k, v in h.items()} == {"a": ["a", "b"], "b": ["a", "b"]}
    assert_close(h["a"]["a"], 12 * np.diag(V))
    assert_close(h["a"]["b"], 3 * V**2)
    assert_close(h["b"]["a"], 3 * V**2)
    assert_close(h["b"]["b"], np.asarray(0.0))


def test_the_hessian_by_several_arguments(xp_backend):
    x, y = xp_backend.array(V), xp_backend.array(A)
    h = nnx.hessian(lambda x, y: total((y @ x) ** 2) / 2.0, argnums=(0, 1))(x, y)
    assert isinstance(h, tuple)
    assert isinstance(h[0], tuple)
    assert_close(h[0][0], A.T @ A)
    assert h[0][1].shape == (3, 2, 3)
    assert_close(h[1][1], np.einsum("ik,j,l->ijkl", np.eye(2), V, V))
    np.testing.assert_allclose(nnx.to_numpy(h[1][0]), np.moveaxis(nnx.to_numpy(h[0][1]), 0, -1), rtol=1e-12)


def test_the_hessian_of_a_module(xp_backend):
    net, x = nnx.Linear(3, 1).to("float64"), xp_backend.array(V)
    h = nnx.hessian(lambda net: total(net(x) ** 2) / 2.0)(net)
    assert_close(h["weight"]["weight"], np.outer(V, V).reshape(1, 3, 1, 3))
    assert_close(h["weight"]["bias"], V.reshape(1, 3, 1))
    assert_close(h["bias"]["weight"], V.reshape(1, 1, 3))
    assert_close(h["bias"]["bias"], np.ones((1, 1)))


def test_the_jacobian_has_the_structure_of_the_output(xp_backend):
    x = xp_backend.array(V)
    j = nnx.jacobian(lambda t: {"y": t["x"] * 2.0, "z": [total(t["x"]), None]})({"x": x})
    assert_close(j["y"]["x"], 2 * np.eye(3))
    assert_close(j["z"][0]["x"], np.ones(3))
    assert j["z"][1] is None


def test_what_jacobian_refuses(xp_backend):
    x = xp_backend.array(V)
    with pytest.raises(TypeError, match=r"jacobian: the function makes complex numbers from real ones.*nnx\.vjp"):
        nnx.jacobian(lambda x: x * 1j)(x)
    with pytest.raises(TypeError, match="jacobian: expected the function to return arrays, got float"):
        nnx.jacobian(lambda x: (x, 2.0))(x)
    with pytest.raises(TypeError, match="jacobian: expected the function to return arrays, got NoneType"):
        nnx.jacobian(lambda x: None)(x)
    with pytest.raises(TypeError, match="jacobian: expected arrays to differentiate with respect to, got none"):
        nnx.jacobian(lambda t: x)({})
    with pytest.raises(ValueError, match=r"hessian: expected the function to return a single number, got shape \(3,\)"):
        nnx.hessian(lambda x: x)(x)
