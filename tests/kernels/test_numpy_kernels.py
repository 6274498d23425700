"""Every CPU kernel against its reference: values, gradients, second derivatives, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import load_backend
from nnx.errors import BackendError
from tests.kernels import cases, convolution_cases, norm_cases, pooling_cases
from tests.kernels.cases import Case
from tests.tolerances import TOLERANCES

KERNELS = load_backend("numpy").kernels
CASES = cases.CASES | convolution_cases.CASES | norm_cases.CASES | pooling_cases.CASES
REFUSED = cases.REFUSED | convolution_cases.REFUSED | norm_cases.REFUSED | pooling_cases.REFUSED
ALL = [case for name in CASES for case in CASES[name]()]
SMOOTH = [case for case in ALL if case.differentiable]
REFUSALS = [(name, *entry) for name, entries in REFUSED.items() for entry in entries]


def test_every_kernel_has_cases() -> None:
    assert set(CASES) == set(KERNELS) == set(REFUSED)
    assert all(any(case.kernel == name for case in ALL) for name in KERNELS)


def close(actual: list, expected: list, scale: float = 1.0) -> None:
    assert len(actual) == len(expected)
    for found, wanted in zip(actual, expected, strict=True):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        rtol, atol = TOLERANCES.get(str(found.dtype), (0.0, 0.0))
        wanted = np.asarray(wanted)
        finite = np.abs(wanted[np.isfinite(wanted)])
        largest = float(finite.max()) if finite.size else 0.0  # sums cancel: relative to the largest element
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=scale * (atol + rtol * largest))


def tracked_args(case: Case) -> tuple[list, list]:
    args = list(case.args)
    variables = []
    for i in case.differentiable:
        args[i] = nnx.variable(args[i])
        variables.append(args[i])
    return args, variables


def cotangent(out: Any) -> np.ndarray:
    return np.asarray(np.random.default_rng(5).uniform(0.5, 1.5, out.shape), out.dtype)


def first(case: Case) -> list:
    args, variables = tracked_args(case)
    out = case.function(*args, **case.options)
    assert out.tracked
    out.backward(cotangent(out))
    return [np.asarray(nnx.stop_gradient(out)), *[v.grad for v in variables]]


def second(case: Case) -> list:
    """The gradient of a projection of the gradient."""
    _, variables = tracked_args(case)

    def gradients(*values: Any) -> list:
        out, pullback = nnx.vjp(lambda *xs: case.function(*_placed(case, xs), **case.options), *values)
        return list(pullback(cotangent(out)))

    outputs, pullback = nnx.vjp(gradients, *[np.asarray(v._data) for v in variables])
    return list(pullback([cotangent(g) for g in outputs]))


def _placed(case: Case, values: tuple) -> list:
    args = list(case.args)
    for i, value in zip(case.differentiable, values, strict=True):
        args[i] = value
    return args


def with_and_without(case: Case, compute: Callable[[Case], list]) -> tuple[list, list]:
    with nnx.use_kernels("require"):
        kernel = compute(case)
    with nnx.use_kernels("off"):
        return kernel, compute(case)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_raw_values(case: Case) -> None:
    before = [np.array(a) for a in case.args if isinstance(a, np.ndarray)]
    kernel, reference = with_and_without(case, lambda c: [c.function(*c.args, **c.options)])
    assert isinstance(kernel[0], (np.ndarray, np.generic))
    close(kernel, reference)
    for array, old in zip([a for a in case.args if isinstance(a, np.ndarray)], before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_gradients(case: Case) -> None:
    close(*with_and_without(case, first))


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_second_derivatives(case: Case) -> None:
    close(*with_and_without(case, second), scale=4.0)


@pytest.mark.parametrize("name", sorted({case.kernel for case in SMOOTH}))
def test_each_gradient_alone(name: str) -> None:
    """A kernel computes what is wanted, and nothing else changes when only one argument is tracked."""
    case = max((c for c in ALL if c.kernel == name), key=lambda c: (len(c.differentiable), str(c)))
    complete = first(case)[1:]
    for k, i in enumerate(case.differentiable):
        args = list(case.args)
        args[i] = nnx.variable(args[i])
        out = case.function(*args, **case.options)
        out.backward(cotangent(out))
        close([args[i].grad], [complete[k]])


@pytest.mark.parametrize("name", sorted({case.kernel for case in SMOOTH}))
def test_a_graph_runs_backwards_twice(name: str) -> None:
    """A backward pass must not destroy what the forward pass saved."""
    case = max((c for c in ALL if c.kernel == name), key=lambda c: (len(c.differentiable), str(c)))
    args, variables = tracked_args(case)
    out = case.function(*args, **case.options)
    out.backward(cotangent(out), retain_graph=True)
    once = [np.array(v.grad) for v in variables]
    out.backward(cotangent(out))
    close([v.grad for v in variables], [2 * g for g in once])


@pytest.mark.parametrize(("name", "function", "args", "options", "reason"), REFUSALS)
def test_require_raises_with_the_reason(name: str, function: Callable, args: tuple, options: dict, reason: str) -> None:
    with nnx.use_kernels("require"), pytest.raises(BackendError) as caught:
        function(*args, **options)
    assert str(caught.value) == f"{name}: no kernel can run: {reason}. Use NNX_KERNELS=auto to allow the reference."


@pytest.mark.parametrize(("name", "function", "args", "options", "reason"), REFUSALS)
def test_auto_does_what_the_reference_does(
    name: str, function: Callable, args: tuple, options: dict, reason: str
) -> None:
    def outcome() -> Any:
        with np.errstate(invalid="ignore"):
            try:
                return np.asarray(function(*args, **options))
            except (ValueError, TypeError, IndexError) as error:
                return type(error), str(error)

    auto = outcome()
    with nnx.use_kernels("off"):
        reference = outcome()
    if isinstance(auto, tuple):
        assert auto == reference
    else:
        np.testing.assert_array_equal(auto, reference)


def test_arrays_that_were_pickled_run_the_kernel() -> None:
    """Their dtype is equal to NumPy's own, but another object."""
    import pickle

    x, weight = pickle.loads(pickle.dumps((np.ones((2, 3), "f4"), np.ones((4, 3), "f4"))))
    with nnx.use_kernels("require"):
        nnx.functional.linear(x, weight, np.zeros(4, "f4"))


def test_a_gradient_written_in_place_lands_in_the_flat_buffer() -> None:
    """`linear` writes the weight's gradient where the optimizer reads it, once; a second use is added."""
    layer = nnx.Linear(3, 3, dtype="float64")
    optimizer = nnx.optim.SGD(layer, lr=0.1)
    optimizer.state_dict()  # lays out
    weight = layer.parameter("weight")
    x = np.random.default_rng(0).standard_normal((5, 3))

    def gradient() -> np.ndarray:
        weight.grad = None
        with nnx.record():
            out = layer(layer(x))
        out.backward(np.ones((5, 3)))
        assert weight.grad is weight._slot.view
        return weight.grad.copy()

    found = gradient()
    with nnx.use_kernels("off"):
        np.testing.assert_allclose(found, gradient(), rtol=1e-12)
    twice = found * 2
    gradient()
    with nnx.record():
        out = layer(layer(x))
    out.backward(np.ones((5, 3)))
    np.testing.assert_allclose(weight.grad, twice, rtol=1e-12)
