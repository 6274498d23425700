"""On a GPU: convolutions of the sizes that networks have, by every algorithm that takes them, in every direction.

Whole references would take minutes of a CPU: some elements of each result are computed in float64. A rehearsal has the
same layers with fewer places and channels.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import to_numpy
from tests.cuda.own_kernels import array, machine
from tests.cuda.test_convolution import ALGORITHMS, NUMBERS, own
from tests.cuda.test_convolution_special import DIRECTIONS, sizes

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]
BATCH, SAMPLES = 4, 200

# Side of the image, channels, outputs, kernel, stride, dilation, groups; every different one of a ResNet-50, ...
RESNET = [(224, 3, 64, 7, 2, 1, 1)]
for _side, _inputs, _width in ((56, 64, 64), (56, 256, 128), (28, 512, 256), (14, 1024, 512)):
    _stride = 1 if _width == 64 else 2
    _out = _side // _stride
    RESNET += [
        (_side, _inputs, _width, 1, 1, 1, 1),
        (_side, _width, _width, 3, _stride, 1, 1),
        (_out, _width, 4 * _width, 1, 1, 1, 1),
        (_out, 4 * _width, _width, 1, 1, 1, 1),
        (_out, _width, _width, 3, 1, 1, 1),
        (_side, _inputs, 4 * _width, 1, _stride, 1, 1),
    ]
# ... depthwise ones of a MobileNet, and some with groups, dilation, large kernels and channels of no vector.
MOBILE = [(112, 32, 1), (112, 96, 2), (56, 144, 1), (28, 192, 2), (14, 384, 1), (7, 960, 1)]
OTHERS = [(56, 128, 128, 3, 1, 1, 32), (28, 256, 256, 3, 1, 2, 1), (31, 100, 36, 5, 2, 1, 1), (64, 1, 32, 5, 1, 1, 1)]
LAYERS = list(dict.fromkeys([*RESNET, *((n, c, c, 3, s, 1, c) for n, c, s in MOBILE), *OTHERS]))
Layer = tuple[int, int, int, int, int, int, int]


def small(layer: Layer) -> Layer:
    """What the simulator does in a second."""
    side, channels, outputs, kernel, stride, dilation, groups = layer
    few = [n if n < 32 or groups > 1 else max(n // 16, 32) for n in (channels, outputs)]
    if groups == channels:
        groups, few = 16, [16, 16]
    elif groups > 1:
        groups, few = 4, [16, 16]
    return max(side // 8, 5), few[0], few[1], kernel, stride, dilation, groups


def geometry_of(layer: Layer, batch: int) -> Any:
    side, channels, outputs, kernel, stride, dilation, groups = layer
    padding = dilation * (kernel // 2)
    return sizes(batch, (side, side), channels, outputs, (kernel, kernel), stride, padding, dilation, groups)


def expected(layer: Layer, number: str, direction: str) -> str:
    """Which algorithm is to be chosen."""
    _, channels, outputs, kernel, stride, _, groups = layer
    if groups == channels > 1:
        return "depthwise"
    if kernel == stride == 1:
        return "pointwise"
    if channels <= 4:
        return "narrow"
    narrowed = groups > 1 or channels % 8 or outputs % 8 or min(channels, outputs) < 32
    sixteen = number in ("bfloat16", "float16") and machine().architecture(array([0.0])) == "90a"
    strided = direction == "input_gradient" and stride > 1
    return "hopper" if sixteen and not narrowed and not strided else "gemm"


@functools.lru_cache(maxsize=1)
def drawn(g: Any) -> tuple[np.ndarray, ...]:
    """The input, the weights and the gradient of the output, in float32 and with three axes."""
    shapes = (
        (g.batch, *g.lengths, g.channels),
        (g.outputs, *g.kernel, g.channels // g.groups),
        (g.batch, *g.out, g.outputs),
    )
    return tuple(np.random.default_rng(i).standard_normal(shape, "f4") for i, shape in enumerate(shapes))


def axis_of(g: Any, axis: int) -> tuple[int, int, int, int, int, int]:
    return g.lengths[axis], g.out[axis], g.kernel[axis], g.stride[axis], g.before[axis], g.dilation[axis]


def element(g: Any, direction: str, x: np.ndarray, w: np.ndarray, grad: np.ndarray, index: tuple[int, ...]) -> float:
    """One element of a result, in float64."""
    first, *places, last = index
    outputs, inputs = g.outputs // g.groups, g.channels // g.groups
    near, taps = [], []  # for each axis: what is met, and by which taps
    for axis, at in enumerate(places):
        length, out, kernel, stride, before, dilation = axis_of(g, axis)
        if direction == "forward":
            met = [(at * stride - before + k * dilation, k) for k in range(kernel)]
            met = [(there, k) for there, k in met if 0 <= there < length]
        elif direction == "input_gradient":
            met = [(at + before - k * dilation, k) for k in range(kernel)]
            met = [(there // stride, k) for there, k in met if there % stride == 0 and 0 <= there < out * stride]
        else:  # `at` is a tap
            met = [(o, o * stride - before + at * dilation) for o in range(out)]
            met = [(o, there) for o, there in met if 0 <= there < length]
        near.append([there for there, _ in met])
        taps.append([k for _, k in met])
    if direction == "forward":
        group = last // outputs
        window = x[first][np.ix_(*near)][..., group * inputs : (group + 1) * inputs]
        factor = w[last][np.ix_(*taps)]
    elif direction == "input_gradient":
        group = slice(last // inputs * outputs, (last // inputs + 1) * outputs)
        window = grad[first][np.ix_(*near)][..., group]
        factor = np.moveaxis(w[group, ..., last % inputs], 0, -1)[np.ix_(*taps)]
    else:
        over = [slice(n[0], n[-1] + 1) if n else slice(0) for n in near]
        under = [slice(t[0], t[-1] + 1, s) if t else slice(0) for t, s in zip(taps, g.stride, strict=True)]
        window = grad[(slice(None), *over, first)]
        factor = x[(slice(None), *under, first // outputs * inputs + last)]
    return float(np.sum(window.astype("f8") * factor.astype("f8")))


def run(module: Any, direction: str, x: Any, weight: Any, grad: Any, g: Any) -> Any:
    if direction == "forward":
        return module.forward(machine(), x, weight, None, g)
    if direction == "input_gradient":
        return module.input_gradient(machine(), grad, weight, g)
    return module.weight_gradient(machine(), x, grad, g)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_layer_of_a_network(layer: Layer, number: str, rehearsing: bool) -> None:
    layer = small(layer) if rehearsing else layer
    g = geometry_of(layer, 2 if rehearsing else BATCH)
    dtype, precision, tolerance = NUMBERS[number]
    rounded = [values.astype(dtype) for values in drawn(g)]
    on_device = [array(values) for values in rounded]
    exact = rounded if dtype == np.float32 else [values.astype("f4") for values in rounded]
    rng = np.random.default_rng(7)
    with nnx.use_float32_precision(precision):
        for direction, like in zip(DIRECTIONS, (2, 0, 1), strict=True):
            name = f"convolution_{expected(layer, number, direction)}"
            assert own.algorithm(machine(), on_device[0], g, direction).__name__.endswith(f".{name}"), direction
            shape = exact[like].shape
            at = [rng.integers(0, n, 20 if rehearsing else SAMPLES) for n in shape]
            wanted = np.asarray([element(g, direction, *exact, index=tuple(i)) for i in zip(*at, strict=True)])
            fitting = [m for m in ALGORITHMS if m.fits(machine(), on_device[0], g, str(on_device[0].dtype), direction)]
            for module in fitting:
                once, again = (run(module, direction, *on_device, g).reshape(-1) for _ in range(2))
                told = f"{direction} by {module.__name__}"
                assert bool((once.view("u1") == again.view("u1")).all()), f"{told}: two runs, two results"
                found = to_numpy(once).reshape(shape)[tuple(at)].astype("f8")
                scale = float(np.abs(wanted).max())
                np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale, err_msg=told)
