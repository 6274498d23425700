"""Which calls of batch normalisation kernels take, what they launch, and how blocks share a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from tests.cuda.own_kernels import array, machine, module, place, running

launcher = module("cupy.launchers.norm_batch")


def _zeros(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    return array(np.zeros(shape, dtype))


REFUSED = [
    ((_zeros((2, 3), "int32"), None, None, None), "it takes arrays of float32, float64, float16, bfloat16"),
    ((_zeros((0, 3)), None, None, None), "it takes arrays that are not empty"),
    (
        (_zeros((2, 3)), _zeros((3,), "float64"), None, None),
        "with an input of float32 it takes vectors of float32",
    ),
    (
        (_zeros((2, 3), "float16"), _zeros((3,), "float64"), None, None),
        "with an input of float16 it takes vectors of float16 or float32",
    ),
    ((_zeros((2, 3)), _zeros((1,)), None, None), "it takes vectors of one number for each channel"),
    ((_zeros((2, 3)), None, None, _zeros((1, 3))), "it takes a residual of the shape and dtype of the input"),
]


@pytest.mark.parametrize(("given", "reason"), REFUSED)
def test_what_it_refuses(given: tuple, reason: str) -> None:
    assert launcher.BatchNormReLU(machine()).supports(*given, 1e-5, []) == reason
    if given[3] is None:
        assert launcher.BatchNorm(machine()).supports(*given[:3], 1e-5, []) == reason
    vector = given[0][0, :] if given[0].shape[0] else None
    assert launcher.BatchNormInference(machine()).supports(*given, vector, vector, 1e-5, True) == reason


def test_more_channels_than_an_int_counts() -> None:
    x = _zeros((1,))
    many = np.lib.stride_tricks.as_strided(x, (2, 2**31), (0, 0), subok=True)
    reason = f"{2**31} elements are more than 32-bit indices reach"
    assert launcher.BatchNorm(machine()).supports(many, None, None, 1e-5, []) == reason


def test_an_empty_batch_takes_the_reference() -> None:
    ones = array(np.ones(3, "f4"))
    for training, statistics in ((True, [None, None]), (False, [ones, ones])):
        out = functional.batch_norm_relu(_zeros((0, 3)), *statistics, ones, ones, training)
        assert out.shape == (0, 3)
    assert "reference: it takes arrays that are not empty" in nnx.explain()


@pytest.mark.parametrize("training", [True, False])
def test_what_a_residual_block_launches(training: bool) -> None:
    """Nothing between the convolutions but these: no pass for the shortcut, none for ReLU."""
    with nnx.use_backend(place()), running() as launched:
        block = nnx.models.BasicBlock(8, 8).train(training)
        x = nnx.asarray(np.random.default_rng(0).standard_normal((2, 3, 3, 8)).astype("f4"))
        with nnx.record():
            loss = nnx.namespace(x).sum(block(x))
        ours = [kernel.name for kernel in launched if kernel.file == "norm_batch.cu"]
        statistics = ["column_moments", "finish_moments"] if training else ["coefficients_of"]
        assert ours == [*statistics, "normalise"] * 2
        launched.clear()
        loss.backward()
    ours = [kernel.name for kernel in launched if kernel.file == "norm_batch.cu"]
    assert ours == ["column_sums", "finish_sums", "input_gradient"] * 2


@pytest.mark.parametrize("blocks", [1, 512, 2048])
@pytest.mark.parametrize("channels", [1, 3, 8, 64, 96, 2048, 70001])
@pytest.mark.parametrize("rows", [1, 2, 511, 12544, 802816])
def test_a_layout_covers_everything_once(rows: int, channels: int, blocks: int) -> None:
    width = 4 if channels % 4 == 0 else 1
    plan = launcher.layout(rows, channels, width, blocks)
    assert 256 % plan.lanes == 0
    assert plan.lanes <= 32
    assert (plan.tiles - 1) * plan.lanes * width < channels <= plan.tiles * plan.lanes * width
    assert (plan.slabs - 1) * plan.slab < rows <= plan.slabs * plan.slab
    assert plan.slabs == 1 or plan.slabs * plan.tiles <= blocks
