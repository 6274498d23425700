"""Optimizers by kernels: the trajectories of NumPy, in whatever options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from tests.cuda.own_kernels import place, running
from tests.tolerances import TOLERANCES

OPTIONS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "maximize": True},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    {"betas": (0.5, 0.9), "eps": 1e-3, "lr": 0.3},
]
SHAPES = [(3, 5), (), (0,), (2001,), (8,)]


def trajectory(backend: str, dtype: str, options: dict[str, Any]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    with nnx.use_backend(backend):
        parameters = [nnx.Parameter(nnx.asarray(rng.standard_normal(shape).astype(dtype))) for shape in SHAPES]
        optimizer = nnx.optim.Adam(parameters, **{"lr": 0.05, **options})
        for step in range(4):
            for i, parameter in enumerate(parameters):
                missing = step == 2 and i == 1  # a parameter without a gradient stays as it is
                grad = nnx.asarray(rng.standard_normal(SHAPES[i]).astype(dtype))
                parameter.grad = None if missing else grad
            optimizer.step()
        return [nnx.to_numpy(parameter.value) for parameter in parameters]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_is_that_of_numpy(options: dict[str, Any], dtype: str) -> None:
    wanted = trajectory("numpy", dtype, options)
    with running(schedule=5) as launched, nnx.use_kernels("require"):
        found = trajectory(place(), dtype, options)
    assert [kernel.name for kernel in launched] == ["adam"] * 7  # one for neighbours that have made as many steps
    rtol, atol = TOLERANCES[dtype]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)


def test_amsgrad_takes_the_rule() -> None:
    with running() as launched:
        found = trajectory(place(), "float32", {"amsgrad": True})
    assert launched == []
    for mine, theirs in zip(found, trajectory("numpy", "float32", {"amsgrad": True}), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_half_precision_goes_through_the_kernel_in_single() -> None:
    with nnx.use_backend(place()), nnx.use_kernels("require"):
        parameter = nnx.Parameter(nnx.asarray(np.ones(3, "f2")))
        nnx.optim.Adam([parameter], lr=0.125).step([nnx.asarray(np.ones(3, "f2"))])
    np.testing.assert_array_equal(nnx.to_numpy(parameter.value), np.full(3, 0.875, "f2"))
