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


@pytest.mark.parametrize("sizes", [*LAYERS, (1, 28, 200, 300, 1, 1, 1), (1, 9, 300, 200, 3, 2, 1)], ids=str)
@pytest.mark.usefixtures("threads")
def test_the_number_of_threads_changes_no_bit(sizes: tuple) -> None:
    """Nor does which gradients are asked for."""
    args, grad = layer(*sizes, dtype="f4")
    nnx.set_num_threads(1)
    one = run(args, grad)
    for n in (2, 4):
        nnx.set_num_threads(n)
        output, residuals = KERNEL.forward(*args)
        alone = [
            KERNEL.backward(grad, residuals, tuple(NEEDS[0] if i == k else None for i in range(3)))[k] for k in range(3)
        ]
        for found in (run(args, grad), [output, *alone]):
            for array, wanted in zip(found, one, strict=True):
                np.testing.assert_array_equal(array, wanted)


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
    (64, 56, 64, 128, 1, 2, 1),
    (64, 64, 64, 64, 1, 4, 1),
]


@pytest.mark.parametrize("layout", ["plain", "negative"])
@pytest.mark.parametrize("sizes", BIG, ids=str)
@pytest.mark.usefixtures("threads")
def test_scratch_memory_is_bounded(sizes: tuple, layout: str) -> None:
    (x, weight, *rest), grad = layer(*sizes, dtype="f4")
    x, grad = laid_out(x, layout), laid_out(grad, layout)
    nnx.set_num_threads(2)
    for wanted in range(5):  # the output, each gradient, all of them
        needs = tuple(NEEDS[0] if i == wanted - 1 or wanted == 4 else None for i in range(3))
        _, residuals = KERNEL.forward(x[:1], weight, *rest)
        residuals = (x, weight, residuals[-1]._replace(batch=len(x)))
        tracemalloc.start()
        try:
            if wanted:
                results = [array for array in KERNEL.backward(grad, residuals, needs) if array is not None]
            else:
                results = [KERNEL.forward(x, weight, *rest)[0]]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak - sum(array.nbytes for array in results) <= 64e6


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


# As above, so small that the reference does not take long; with small blocks there are more of them than tasks.
MANY_BLOCKS = [
    (10, 9, 8, 12, 3, 1, 1),
    (21, 7, 16, 16, 3, 1, 1),
    (3, 30, 5, 4, 5, 1, 1),
    (5, 18, 96, 120, 3, 1, 1),
    (10, 11, 3, 5, 3, 1, 1),
    (10, 12, 6, 8, 3, 2, 1),
    (3, 40, 8, 8, 3, 2, 2),
    (21, 8, 12, 10, 1, 1, 1),
    (10, 10, 8, 8, 3, 1, 8),
    (10, 11, 8, 16, 3, 2, 8),
]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from nnx.backends.numpy.kernels import depthwise, im2col, pointwise, scratch, winograd_plan

    for module, name in ((im2col, "BLOCK"), (winograd_plan, "BLOCK"), (pointwise, "_BLOCK"), (depthwise, "_CACHE")):
        monkeypatch.setattr(module, name, 2**12)
    for clear in (winograd_plan.plan_of.cache_clear, scratch._scratches.clear):
        clear()
    yield
    for clear in (winograd_plan.plan_of.cache_clear, scratch._scratches.clear):
        clear()


@pytest.mark.parametrize("sizes", MANY_BLOCKS, ids=str)
@pytest.mark.usefixtures("small_blocks", "threads")
def test_many_blocks_give_the_values_of_the_reference(sizes: tuple) -> None:
    """Also after buffers have held what is not finite."""
    args, grad = layer(*sizes, dtype="f8")
    variables = [nnx.variable(array) for array in args[:3]]
    with nnx.use_kernels("off"):
        stride, padding, dilation, groups = args[3:]
        wanted = nnx.functional.conv2d(*variables, stride, tuple(pair[0] for pair in padding), dilation, groups)
        wanted.backward(grad)
    arrays = [nnx.stop_gradient(wanted), *(variable.grad for variable in variables)]
    for n in (1, 2):
        nnx.set_num_threads(n)
        run((np.full_like(args[0], np.nan), *args[1:]), np.full_like(grad, np.nan))
        for found, array in zip(run(args, grad), arrays, strict=True):
            np.testing.assert_allclose(found, nnx.to_numpy(array), rtol=0, atol=1e-11)


@pytest.mark.usefixtures("threads")
def test_buffers_are_used_again() -> None:
    from nnx.backends.numpy.kernels import scratch

    nnx.set_num_threads(2)
    scratch._scratches.clear()
    for _ in range(3):
        for sizes in LAYERS:
            run(*layer(*sizes, dtype="f4"))
    assert scratch._scratches
    assert all(len(kept._idle) == len(kept._made) <= 2 for kept in scratch._scratches.values())


@pytest.mark.usefixtures("small_blocks")
def test_every_number_of_images_fits_the_buffers() -> None:
    for sizes in ((9, 5, 7, 3, 2, 1), (6, 3, 4, 3, 1, 1), (8, 4, 4, 1, 2, 1), (6, 4, 4, 3, 1, 4)):
        args, grad = layer(40, *sizes, dtype="f8")
        output, gradient, *_ = run(args, grad)
        for n in range(1, 40):
            found = run((args[0][:n], *args[1:]), grad[:n])
            np.testing.assert_allclose(found[0], output[:n], rtol=0, atol=1e-11)
            np.testing.assert_allclose(found[1], gradient[:n], rtol=0, atol=1e-11)


def test_a_block_is_never_larger_than_its_buffer() -> None:
    from nnx.backends.numpy.kernels.geometry import cut, cut_for_threads

    for most in (7, 20, 100):
        for images in range(1, 200):
            largest = max(block.n * block.height for block in cut_for_threads(images, 5, most))
            assert max(block.n * block.height for block in cut(images, 5, most)) <= min(most, largest)
            assert sum(block.n * block.height for block in cut_for_threads(images, 5, most)) == 5 * images
