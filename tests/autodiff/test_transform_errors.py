"""What the transforms refuse, and how they say it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nnx
from nnx import namespace
from nnx.errors import DTypeError, ShapeError
from tests.autodiff.test_transforms import A, V, total


def test_what_grad_refuses(xp_backend):
    x = xp_backend.array(V)
    with pytest.raises(ShapeError, match=r"expected the function to return a single number, got shape \(3,\).*nnx.vjp"):
        nnx.grad(lambda x: x * x)(x)
    with pytest.raises(TypeError, match=r"expected a real number, got a complex one.*xp.real"):
        nnx.grad(lambda x: total(x) * 1j)(x)
    with pytest.raises(TypeError, match="expected the function to return a single number, got NoneType"):
        nnx.grad(lambda x: None)(x)
    with pytest.raises(DTypeError, match=r"expected floating-point numbers, got dtype int64. Cast it"):
        nnx.grad(total)(xp_backend.array([1, 2]))
    with pytest.raises(TypeError, match=r"^grad: argnums=2, but total was called with 1 positional arg"):
        nnx.grad(total, argnums=2)(x)
    with pytest.raises(TypeError, match=r"argnums=-2, but total was called with 1 positional argument"):
        nnx.grad(total, argnums=-2)(x)
    with pytest.raises(TypeError, match=r"^grad: expected an array, got builtins\.str; use nnx\.asarray"):
        nnx.grad(total)("text")
    with pytest.raises(TypeError, match=r"^value_and_grad: argnums=0, but total was called with 0 positional arg"):
        nnx.value_and_grad(total)()


def test_what_grad_refuses_before_it_calls_the_function(xp_backend):
    x = xp_backend.array(V)
    with pytest.raises(TypeError, match=r"^grad: expected a function, got int\.$"):
        nnx.grad(3)
    with pytest.raises(TypeError, match=r"^hessian: expected a function, got ndarray\.$"):
        nnx.hessian(V)
    for transform, name in ((nnx.grad, "grad"), (nnx.value_and_grad, "value_and_grad"), (nnx.jacobian, "jacobian")):
        with pytest.raises(TypeError, match=rf"^{name}: expected argnums to be an integer or a sequence .*, got 'x'"):
            transform(total, argnums="x")
    with pytest.raises(TypeError, match=r"expected argnums to be an integer or a sequence of integers, got 0\.5"):
        nnx.grad(total, argnums=0.5)
    for argnums in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match=r"^grad: expected argnums to name each argument once"):
            nnx.grad(lambda x, y: total(x * y), argnums=argnums)(x, x)


def test_what_grad_refuses_of_the_result(xp_backend):
    x = xp_backend.array(V)
    with pytest.raises(
        TypeError, match=r"^grad: has_aux=True expects the function to return \(value, aux\), got \w+\.$"
    ):
        nnx.grad(total, has_aux=True)(x)
    with pytest.raises(TypeError, match=r"^value_and_grad: has_aux=True expects .*, got 3 results"):
        nnx.value_and_grad(lambda x: (total(x), 1, 2), has_aux=True)(x)
    with pytest.raises(
        DTypeError, match=r"^grad: expected the function to return a floating-point number, got dtype int"
    ):
        nnx.grad(lambda x: namespace(x).argmax(x))(x)
    with pytest.raises(TypeError, match=r"^grad: expected the function to return a single number, got int"):
        nnx.grad(lambda x: 3)(x)


CONVERSIONS = {"float": float, "int": int, "complex": complex, "item": lambda t: t.item(), "math": math.sin}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_a_tracked_array_does_not_become_a_python_number_in_a_transform(xp_backend, convert):
    x = xp_backend.array(V)

    def f(x):
        return total(x) * convert(x[0])

    for run in (nnx.grad(f), lambda x: nnx.vjp(f, x), lambda x: nnx.jvp(f, (x,), (x,)), nnx.jacobian(f)):
        with pytest.raises(TypeError, match=r"would lose the gradient of this tracked array.*nnx\.stop_gradient"):
            run(x)

    def stopped(x):
        assert bool(x[0] > 0)
        assert f"{x[0]:.1f}" == "0.4"  # for messages
        return total(x) * float(nnx.stop_gradient(x[0]))

    nnx.grad(stopped)(x)
    with nnx.record():  # the tape style may look at its loss
        convert(nnx.variable(x)[0])


def test_numbers_do_not_leak_into_raw_arrays_in_silence():
    def f(x):
        o = np.zeros(2)
        o[0] = x[0] ** 2
        return o.sum()

    with pytest.raises((TypeError, ValueError)) as caught:
        nnx.grad(f)(np.ones(2))
    assert "nnx.stop_gradient" in f"{caught.value} {caught.value.__cause__}"


def test_what_vjp_and_jvp_refuse(xp_backend):
    x, y = xp_backend.array(V), xp_backend.array(A)
    _, pullback = nnx.vjp(lambda x: (x, x), x)
    with pytest.raises(ShapeError, match=r"vjp: expected cotangent to hold 2 entries, like the output, got \w+"):
        pullback(x)
    with pytest.raises(ShapeError, match=r"expected cotangent\[1\] to have shape \(3,\), got \(2, 3\)"):
        pullback((x, y))
    with pytest.raises(ShapeError, match="jvp: expected tangents to hold 1 entries, like the primals, got 2"):
        nnx.jvp(total, (x,), (x, x))
    with pytest.raises(ShapeError, match=r"hvp: expected tangents\[0\] to have shape \(3,\), got \(2, 3\)"):
        nnx.hvp(total, (x,), (y,))
