"""What the kernels of convolution promise beyond their values: rounding, threads, scratch memory, the choice made."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import load_backend
from tests.kernels.cases import laid_out
from tests.kernels.convolution_cases import CASES, GEOMETRIES

KERNELS = load_backend("numpy").kernels
KERNEL = KERNELS["convolution"]
NEEDS = (object(), object(), object())
ALGORITHMS = {"depthwise", "im2col", "pointwise", "winograd"}

# Images, height and width, channels, outputs, kernel, stride, groups; padding keeps the size.
LAYERS = [
    (4, 56, 64, 64, 3, 1, 1),
    (4, 28, 128, 128, 3, 1, 1),
    (4, 14, 256, 256, 3, 1, 1),
    (2, 7, 512, 512, 3, 1, 1),
    (16, 32, 16, 16, 3, 1, 1),
    (16, 28, 1, 32, 3, 1, 1),
    (16, 14, 6, 16, 5, 1, 1),
    (4, 28, 64, 128, 3, 2, 1),
    (2, 96, 3, 32, 7, 2, 1),
    (4, 28, 64, 256, 1, 1, 1),
    (4, 28, 64, 64, 1, 2, 1),
    (4, 28, 96, 96, 3, 1, 96),
    (4, 28, 96, 96, 3, 2, 96),
    (4, 14, 64, 64, 3, 1, 4),
]


def layer(n: int, size: int, channels: int, outputs: int, k: int, stride: int, groups: int, dtype: str) -> tuple:
    """Return the arguments of a layer, and a gradient of its output."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, size, size, channels)).astype("f4").astype(dtype)
    weight = rng.standard_normal((outputs, k, k, channels // groups)).astype("f4").astype(dtype)
    bias = rng.standard_normal(outputs).astype("f4").astype(dtype)
    pad = (k // 2, k // 2)
    args = (x, weight, bias, (stride, stride), (pad, pad), (1, 1), groups)
    length = -(-size // stride)
    return args, rng.standard_normal((n, length, length, outputs)).astype("f4").astype(dtype)


def run(args: tuple, grad: np.ndarray, kernel: Any = KERNEL) -> list[np.ndarray]:
    """Return the output and the gradients."""
    assert kernel.supports(*args) is None
    output, residuals = kernel.forward(*args)
    return [output, *kernel.backward(grad, residuals, NEEDS)]


@pytest.fixture
def threads() -> Iterator[None]:
    before = nnx.get_num_threads()
    yield
    nnx.set_num_threads(before)


@pytest.mark.parametrize("sizes", LAYERS, ids=str)
def test_float32_rounds_little(sizes: tuple) -> None:
    """Relative to the largest element, as sums cancel."""
    exact = run(*layer(*sizes, dtype="f8"))
    for found, wanted in zip(run(*layer(*sizes, dtype="f4")), exact, strict=True):
        assert found.dtype == np.float32
        assert np.max(np.abs(found - wanted)) <= 5e-6 * np.max(np.abs(wanted))


@pytest.mark.parametrize("sizes", LAYERS, ids=str)
@pytest.mark.usefixtures("threads")
def test_the_number_of_threads_changes_no_bit(sizes: tuple) -> None:
    args = layer(*sizes, dtype="f4")
    nnx.set_num_threads(1)
    one = run(*args)
    nnx.set_num_threads(2)
    for found, wanted in zip(run(*args), one, strict=True):
        np.testing.assert_array_equal(found, wanted)


# As above; enough images for a buffer that grows with them to show.
BIG = [
    (300, 28, 32, 32, 3, 1, 1),
    (300, 7, 512, 512, 3, 1, 1),
    (300, 32, 32, 32, 3, 2, 1),
    (16, 224, 3, 16, 7, 2, 1),
    (1, 1024, 16, 16, 3, 1, 1),
    (1, 1024, 16, 16, 3, 2, 1),
    (300, 28, 64, 64, 1, 1, 1),
    (300, 28, 64, 64, 3, 1, 64),
    (300, 28, 64, 64, 3, 2, 64),
]


@pytest.mark.parametrize("layout", ["plain", "negative"])
@pytest.mark.parametrize("sizes", BIG, ids=str)
@pytest.mark.usefixtures("threads")
def test_scratch_memory_is_bounded(sizes: tuple, layout: str) -> None:
    (x, weight, *rest), grad = layer(*sizes, dtype="f4")
    x, grad = laid_out(x, layout), laid_out(grad, layout)
    nnx.set_num_threads(2)
    for wanted in range(4):
        needs = tuple(NEEDS[0] if i == wanted - 1 else None for i in range(3))
        _, residuals = KERNEL.forward(x[:1], weight, *rest)
        residuals = (x, weight, residuals[-1]._replace(batch=len(x)))
        tracemalloc.start()
        try:
            if wanted:
                result = KERNEL.backward(grad, residuals, needs)[wanted - 1]
            else:
                result, _ = KERNEL.forward(x, weight, *rest)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak - result.nbytes <= 64e6


def test_every_algorithm_is_tested_forwards_and_backwards() -> None:
    """In the grid that is compared with the reference, also for transposed convolutions."""
    from nnx.backends.numpy.kernels.convolution import algorithm

    for name in CASES:
        chosen = set()
        for case in CASES[name]():
            geometry = KERNELS[name].forward(*case.args)[1][-1]
            if not geometry.empty:
                chosen.add(algorithm(geometry).__name__.rpartition(".")[-1])
        assert chosen == ALGORITHMS


def test_only_the_wanted_gradients_are_computed() -> None:
    args, grad = layer(*LAYERS[0], dtype="f4")
    _, residuals = KERNEL.forward(*args)
    assert KERNEL.backward(grad, residuals, (None, None, None)) == (None, None, None)


def test_geometries_are_different() -> None:
    assert len({str(entry) for entry in GEOMETRIES}) == len(GEOMETRIES)


@pytest.mark.parametrize("channels", [8, 128])
@pytest.mark.parametrize("number", [np.inf, np.nan])
@pytest.mark.usefixtures("threads")
def test_what_is_not_finite_stays_near_and_warns_of_nothing(channels: int, number: float) -> None:
    """Winograd's algorithm spreads an infinity or NaN over the rows of a tile, no further, and to no other image."""
    (x, *rest), grad = layer(3, 12, channels, channels, 3, 1, 1, dtype="f4")
    x = x.copy()
    x[1, 5, 6, 2] = number
    for n in (1, 2):
        nnx.set_num_threads(n)
        output, gradient, *_ = run((x, *rest), grad)
        touched = ~np.isfinite(output).all(axis=-1)
        assert touched[1, 4:7, 5:8].all()
        assert not touched[[0, 2]].any()
        assert not touched[1, :, [*range(5), *range(8, 12)]].any()
        assert np.isfinite(gradient).all()


def test_inputs_that_no_output_sees_have_gradient_zero() -> None:
    """And not what a buffer held before."""
    x = np.ones((3, 9, 9, 2), "f4")
    weight = np.ones((2, 2, 2, 2), "f4")
    args = (x, weight, None, (4, 4), ((0, 0), (0, 0)), (1, 1), 1)
    output, residuals = KERNEL.forward(*args)
    assert output.shape == (3, 2, 2, 2)
    (gradient, _, _) = KERNEL.backward(np.ones_like(output), residuals, (NEEDS[0], None, None))
    seen = np.zeros((9, 9), bool)
    seen[[0, 1, 4, 5]] = True
    seen &= seen.T
    np.testing.assert_array_equal(gradient[..., 0], np.where(seen, 2.0, 0.0)[None].repeat(3, axis=0))
