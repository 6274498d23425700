"""The kernels in the simulator over the awkward shapes, strides and dtypes that the CPU kernels are tested with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import load_backend
from tests.cuda import own_kernels
from tests.cuda.blaslt_standin import blas_on
from tests.cuda.own_kernels import array, machine, running
from tests.kernels import test_numpy_kernels
from tests.kernels.cases import CASES, REFUSED, Case

SIMT = load_backend("simt")
NAMES = sorted(set(SIMT.kernels) & set(CASES))
GRID = [case for name in NAMES for case in CASES[name]()]
OF_LIBRARY = {"linear"}  # whose products are cuBLASLt's: what it refuses, and what is launched, is in test_linear.py
REFUSALS = [
    (entry[0], entry[1])
    for name in NAMES
    if name not in OF_LIBRARY
    for entry in REFUSED[name]
    if entry[1][0].dtype == np.float64
]


def placed(value: Any) -> Any:
    """The array itself, strides and all, as one of the simulator; on a device a copy that is as little contiguous."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    if own_kernels.place() == "simt":
        return np.asarray(value).view(SIMT.array_types[0])
    if value.flags.c_contiguous:
        return array(value)
    return array(np.repeat(value, 2, -1))[..., ::2]


def outcome(case: Case, place: Callable[[Any], Any]) -> list[np.ndarray]:
    """The output, the gradients, and those of a projection of the gradients."""
    args = [place(arg) for arg in case.args]

    def function(*values: Any) -> Any:
        given = dict(zip(case.differentiable, values, strict=True))
        return case.function(*[given.get(i, arg) for i, arg in enumerate(args)], **case.options)

    def cotangent(like: Any) -> Any:
        drawn = np.random.default_rng(5).uniform(0.5, 1.5, like.shape)
        return place(np.asarray(drawn, like.dtype))

    def gradients(*values: Any) -> list:
        out, pullback = nnx.vjp(function, *values)
        return list(pullback(cotangent(out)))

    variables = [args[i] for i in case.differentiable]
    once, pullback = nnx.vjp(gradients, *variables)
    twice = pullback([cotangent(g) for g in once])
    return [nnx.to_numpy(array) for array in (function(*variables), *once, *twice)]


@pytest.mark.parametrize("case", GRID, ids=str)
def test_outputs_and_gradients(case: Case) -> None:
    contiguous = all(arg.flags.c_contiguous for arg in case.args if isinstance(arg, np.ndarray))
    with running(schedule=3) as launched, blas_on(machine()):
        found = outcome(case, placed)
    if case.kernel not in OF_LIBRARY:
        assert bool(launched) == (contiguous and case.args[0].size > 0)
    with nnx.use_kernels("off"):
        wanted = outcome(case, lambda value: value)
    test_numpy_kernels.close(found, wanted)


@pytest.mark.parametrize(("function", "args"), REFUSALS)
def test_what_a_kernel_does_not_take_goes_to_the_reference(function: Callable, args: tuple) -> None:
    with running() as launched:
        found = function(*[placed(arg) for arg in args])
    assert launched == []
    np.testing.assert_array_equal(nnx.to_numpy(found), np.asarray(function(*args)))
