"""grad, value_and_grad, vjp and jvp: values, structure, nesting and memory."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import nnx
from nnx import namespace
from nnx.errors import DTypeError, ShapeError
from tests.tolerances import assert_close

Pair = namedtuple("Pair", "left right")
A = np.asarray([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])
V = np.asarray([0.4, -1.2, 0.9])


def total(x):
    return namespace(x).sum(x)


def energy(x):
    """A smooth function of a vector whose Hessian is full."""
    xp = namespace(x)
    return xp.sum(xp.sin(x)) * xp.sum(x * x) + xp.prod(x)


def is_raw(x):
    return not isinstance(x, nnx.Array)


# ------------------------------------------------------------------ grad and value_and_grad


def test_grad_and_value(xp_backend):
    x = xp_backend.array(V)
    value, g = nnx.value_and_grad(lambda x: total(x**3))(x)
    assert_close(value, np.asarray(np.sum(V**3)))
    assert_close(g, 3 * V**2)
    assert is_raw(value)
    assert is_raw(g)
    assert_close(nnx.grad(lambda x: total(x**3))(x), 3 * V**2)


def test_argnums(xp_backend):
    x, y = xp_backend.array(V), xp_backend.array(A)

    def f(x, y, power, *, scale=1.0):
        return total(namespace(x, y).matmul(y, x) ** power) * scale

    dx = nnx.grad(f)(x, y, 2)
    dy = nnx.grad(f, argnums=1)(x, y, 2)
    both = nnx.grad(f, argnums=(1, 0))(x, y, 2, scale=2.0)
    assert_close(dx, 2 * A.T @ (A @ V))
    assert_close(dy, 2 * np.outer(A @ V, V))
    assert isinstance(both, tuple)
    assert_close(both[0], 4 * np.outer(A @ V, V))
    assert_close(both[1], 4 * A.T @ (A @ V))
    assert_close(nnx.grad(f, argnums=-2)(x, y, 2), 2 * np.outer(A @ V, V))
    assert isinstance(nnx.grad(f, argnums=(0,))(x, y, 2), tuple)


def test_has_aux(xp_backend):
    x = xp_backend.array(V)

    def f(x):
        y = x * x
        return total(y), {"y": y, "n": 3, "none": None, "pair": Pair(y, "text")}

    (value, aux), g = nnx.value_and_grad(f, has_aux=True)(x)
    assert_close(value, np.asarray(np.sum(V * V)))
    assert_close(aux["y"], V * V)
    assert is_raw(aux["y"])
    assert is_raw(aux["pair"].left)
    assert (aux["n"], aux["none"], aux["pair"].right) == (3, None, "text")
    g2, aux2 = nnx.grad(f, has_aux=True)(x)
    assert_close(g, 2 * V)
    assert_close(g2, 2 * V)
    assert_close(aux2["y"], V * V)


def test_containers(xp_backend):
    x, y = xp_backend.array(V), xp_backend.array(A)

    def f(tree):
        xp = namespace(tree["x"])
        first, (second, _) = tree["rest"]
        return xp.sum(first @ tree["x"]) + xp.sum(second.left * second.right)

    tree = {"x": x, "rest": [y, (Pair(x, x), None)]}
    g = nnx.grad(f)(tree)
    assert list(g) == ["x", "rest"]
    assert isinstance(g["rest"], list)
    assert isinstance(g["rest"][1], tuple)
    assert isinstance(g["rest"][1][0], Pair)
    assert g["rest"][1][1] is None
    assert_close(g["x"], A.sum(axis=0))
    assert_close(g["rest"][0], np.broadcast_to(V, A.shape))
    assert_close(g["rest"][1][0].left, V)


def test_unused_arguments_get_zeros(xp_backend):
    x, y = xp_backend.array(V), xp_backend.array(A, "float32")
    gx, gy = nnx.grad(lambda x, y: total(x), argnums=(0, 1))(x, y)
    assert_close(gx, np.ones(3))
    assert_close(gy, np.zeros((2, 3), "float32"))
    value, g = nnx.value_and_grad(lambda x: 3.0)(x)
    assert value == 3.0
    assert_close(g, np.zeros(3))
    assert_close(nnx.grad(lambda x: nnx.stop_gradient(total(x)))(x), np.zeros(3))


def test_python_numbers_become_default_floats():
    g = nnx.grad(lambda x: x**3)(2.0)
    assert_close(g, np.asarray(12.0, "float32"))


def test_the_function_may_return_its_argument(xp_backend):
    x = xp_backend.array(3.0)
    value, g = nnx.value_and_grad(lambda x: x)(x)
    assert_close(value, np.asarray(3.0))
    assert_close(g, np.asarray(1.0))


# ------------------------------------------------------------------ nesting


def test_third_order(xp_backend):
    f = nnx.grad(nnx.grad(nnx.grad(lambda x: x**5 + namespace(x).sin(x))))
    x = 0.7
    result = f(xp_backend.array(x))
    assert is_raw(result)
    assert_close(result, np.asarray(60 * x**2 - np.cos(x)))


def test_perturbations_are_not_confused(xp_backend):
    x = xp_backend.array(1.0)
    assert_close(nnx.grad(lambda x: x * nnx.grad(lambda y: x + y)(xp_backend.array(1.0)))(x), np.asarray(1.0))
    assert_close(nnx.grad(lambda x: nnx.grad(lambda y: x * y * y)(x))(x), np.asarray(4.0))

    def inner(x):
        return nnx.jvp(lambda y: x * y, (x,), (xp_backend.array(1.0),))[1]

    assert_close(nnx.grad(lambda x: x * inner(x))(x), np.asarray(2.0))


def test_closures_over_tracked_values(xp_backend):
    outer = nnx.variable(xp_backend.array(V))
    inner = nnx.grad(lambda x: total(x * x * outer))(xp_backend.array(V))
    assert isinstance(inner, nnx.Array)
    assert inner.tracked
    total(inner).backward()
    assert_close(outer.grad, 2 * V)


def test_a_closure_that_does_not_matter_leaves_the_gradient_raw(xp_backend):
    g = nnx.grad(lambda x: total(x * x))(xp_backend.array(V))
    assert is_raw(g)


def test_the_value_stays_tied_to_what_is_tracked_outside(xp_backend):
    w = nnx.variable(xp_backend.array(2.0))
    (value, aux), g = nnx.value_and_grad(lambda x: (w * total(x), w * 3.0), has_aux=True)(xp_backend.array(V))
    assert value.tracked
    assert aux.tracked
    (value + aux + total(g)).backward()
    assert_close(w.grad, np.asarray(V.sum() + 3.0 + 3.0))


def test_gradient_penalty_on_parameters(xp_backend):
    """Train on the norm of the gradient with respect to the input: second order through `record`."""
    w = xp_backend.parameter(A)
    x = xp_backend.array(V)

    def penalty(weight, x):
        def critic(x):
            xp = namespace(x, weight)
            return xp.sum(xp.tanh(weight @ x) ** 2)

        g = nnx.grad(critic)(x)
        xp = namespace(g)
        return (xp.sqrt(xp.sum(g * g)) - 1.0) ** 2

    with nnx.record():
        loss = penalty(w.read(), x)
    loss.backward()
    numeric = np.empty_like(A)
    for i in np.ndindex(A.shape):
        step = np.zeros_like(A)
        step[i] = 1e-5
        numeric[i] = (penalty(A + step, V) - penalty(A - step, V)) / 2e-5
    np.testing.assert_allclose(nnx.to_numpy(w.grad), numeric, rtol=1e-7, atol=1e-9)


def test_grad_inside_record_leaves_parameters_alone(xp_backend):
    w = xp_backend.parameter(V)
    with nnx.record():
        g = nnx.grad(lambda x: total(x * w.read()))(xp_backend.array(V))
    assert w.grad is None
    assert g.tracked
    total(g * g).backward()
    assert_close(w.grad, 2 * V)


# ------------------------------------------------------------------ vjp and jvp


def test_a_pullback_runs_many_times(xp_backend):
    x, y = xp_backend.array(V), xp_backend.array(A)
    out, pullback = nnx.vjp(lambda x, y: y @ x, x, y)
    assert is_raw(out)
    assert_close(out, A @ V)
    for c in ([1.0, 0.0], [0.0, 2.0], [1.0, 0.0]):
        dx, dy = pullback(xp_backend.array(c))
        assert_close(dx, np.asarray(c) @ A)
        assert_close(dy, np.outer(c, V))
        assert is_raw(dx)


def test_vjp_of_containers(xp_backend):
    x = xp_backend.array(V)
    out, pullback = nnx.vjp(lambda t: {"a": t["x"] * 2.0, "b": (t["x"] ** 2, None)}, {"x": x})
    assert_close(out["b"][0], V**2)
    (g,) = pullback({"a": x, "b": (x, None)})
    assert_close(g["x"], 2 * V + 2 * V * V)


def test_cotangents_are_cast_to_the_dtype_of_the_output(xp_backend):
    x = xp_backend.array(V, "float32")
    _, pullback = nnx.vjp(lambda x: total(x * x), x)
    for c in (2.0, 2, xp_backend.array(2.0), xp_backend.array(2.0, "float32")):
        assert_close(pullback(c)[0], np.asarray(4 * V, "float32"))
    with pytest.raises(DTypeError, match=r"vjp: expected a real cotangent .* float32, got complex128. Take xp.real"):
        pullback(xp_backend.array(2.0j))
    t = nnx.variable(x)
    (t * t).backward(xp_backend.array(np.ones(3)))
    assert_close(t.grad, np.asarray(2 * V, "float32"))
    with pytest.raises(DTypeError, match=r"backward: expected a real cotangent"):
        (t * t).backward(xp_backend.array(V * 1j))
    _, tangent = nnx.jvp(lambda x: x**2, (3.0,), (2.0,))
    assert_close(tangent, 12.0, "float32")
    _, tangent = nnx.jvp(lambda x: x * x, (x,), (xp_backend.array(V, "float64"),))
    assert_close(tangent, np.asarray(2 * np.float32(V) * V, "float32"))


def test_one_output_twice(xp_backend):
    x = xp_backend.array(V)

    def f(x):
        y = x * x
        return y, y

    _, pullback = nnx.vjp(f, x)
    ones = xp_backend.array(np.ones(3))
    assert_close(pullback((ones, ones))[0], 4 * V)


def test_jvp_against_finite_differences_and_the_jacobian(xp_backend):
    x, v = xp_backend.array(V), xp_backend.array([0.3, 0.1, -2.0])

    def f(x):
        xp = namespace(x)
        return xp.stack([energy(x), x[0] * x[1], xp.exp(x[2])])

    out, tangent = nnx.jvp(f, (x,), (v,))
    assert is_raw(out)
    assert is_raw(tangent)
    j = nnx.jacobian(f)(x)
    assert_close(tangent, nnx.to_numpy(j) @ nnx.to_numpy(v))
    h, d = 1e-6, nnx.to_numpy(v)
    np.testing.assert_allclose(nnx.to_numpy(tangent), (f(V + h * d) - f(V - h * d)) / (2 * h), rtol=1e-7)


def test_jvp_of_containers_and_constants(xp_backend):
    x = xp_backend.array(V)

    def f(t):
        return {"y": t["x"] ** 2, "c": x, "place": namespace(t["x"]).argmax(t["x"]), "n": 3.0}

    out, tangent = nnx.jvp(f, ({"x": x},), ({"x": x},))
    assert (out["n"], tangent["n"]) == (3.0, 0.0)
    assert_close(out["place"], 2, "int64")
    assert_close(tangent["place"], 0, "int64")
    assert_close(tangent["y"], 2 * V * V)
    assert_close(tangent["c"], np.zeros(3))
    assert_close(out["c"], V)


def test_jvp_is_linear_where_vjp_is(xp_backend):
    z = np.asarray([1.0 + 2.0j, -0.5j])
    v = np.asarray([0.3 - 1.0j, 2.0 + 0.1j])
    _, tangent = nnx.jvp(lambda z: z * z, (xp_backend.array(z),), (xp_backend.array(v),))
    assert_close(tangent, 2 * z * v)


# ------------------------------------------------------------------ trees


def test_trees_are_matched_by_key(xp_backend):
    x, zero = xp_backend.array(V), xp_backend.array(np.zeros(3))

    def f(t):
        return {"a": t["u"] * t["u"], "b": 2.0 * t["v"]}

    _, pullback = nnx.vjp(f, {"u": x, "v": x})
    (g,) = pullback({"b": zero, "a": x})
    assert_close(g["u"], 2 * V * V)
    assert_close(g["v"], np.zeros(3))
    _, tangent = nnx.jvp(f, ({"u": x, "v": x},), ({"v": zero, "u": x},))
    assert_close(tangent["a"], 2 * V * V)
    assert_close(tangent["b"], np.zeros(3))
    h = nnx.hvp(lambda t: total(t["u"] ** 2 * 3.0 + t["v"]), ({"u": x, "v": x},), ({"v": zero, "u": x},))
    assert_close(h["u"], 6 * V)
    for wrong, message in (
        ({"b": zero, "c": x}, r"missing cotangent\['a'\]; unexpected cotangent\['c'\]"),
        ({"b": zero}, r"missing cotangent\['a'\]\."),
        ([zero, x], "expected cotangent to be a dict, like the output, got list"),
        ({"b": zero, "a": [x]}, r"expected cotangent\['a'\] to be an array of shape \(3,\), got list"),
        ({"b": zero, "a": None}, r"expected cotangent\['a'\] to be an array of shape \(3,\), got NoneType"),
    ):
        with pytest.raises(ShapeError, match=message):
            pullback(wrong)
    _, pullback = nnx.vjp(lambda x: (x, None), x)
    with pytest.raises(ShapeError, match=r"expected cotangent\[1\] to be None"):
        pullback((x, x))


def test_modules_have_tangents_by_name(xp_backend):
    weight, x = np.asarray(A, "float64"), xp_backend.array(V)
    net = nnx.Linear(3, 2)
    net.to("float64")
    net.parameter("weight").value = xp_backend.array(weight)
    tangent = {"bias": xp_backend.array([0.0, 1.0]), "weight": xp_backend.array(2 * weight)}
    _, moved = nnx.jvp(lambda net: net(x), (net,), (tangent,))
    assert_close(moved, 2 * weight @ V + np.asarray([0.0, 1.0]))
    with pytest.raises(ShapeError, match=r"missing tangents\[0\]\['bias'\]"):
        nnx.jvp(lambda net: net(x), (net,), ({"weight": tangent["weight"]},))
    h = nnx.hvp(lambda net: total(net(x) ** 2) / 2.0, (net,), (tangent,))
    assert_close(h["bias"], 2 * weight @ V + np.asarray([0.0, 1.0]))
    assert_close(h["weight"], np.outer(2 * weight @ V + np.asarray([0.0, 1.0]), V))
