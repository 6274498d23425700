"""On a GPU: whole steps of training, with the losses, gradients and parameters of NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from tests.cuda.own_kernels import place, running
from tests.cuda.test_layers import with_dropout
from tests.tolerances import TOLERANCES

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]


def mobile() -> Any:
    blocks = [nnx.models.InvertedResidual(8, 8, 1, 4), nnx.models.InvertedResidual(8, 16, 2, 4)]
    return nnx.Sequential(nnx.Conv2d(3, 8, 3, padding=1), *blocks, nnx.GlobalAvgPool(), nnx.Linear(16, 5))


def unet() -> Any:
    return nnx.models.UNet(1, 2, width=8, depth=2)


# How it is made, the optimizer, the shape of the input, that in a rehearsal, and classes.
NETS: dict[str, tuple[Callable[[], Any], Any, tuple[int, ...], tuple[int, ...], int]] = {
    "MLP with dropout": (with_dropout, nnx.optim.AdamW, (256, 6), (9, 6), 3),
    "LeNet": (nnx.models.LeNet5, nnx.optim.SGD, (16, 28, 28, 1), (2, 28, 28, 1), 10),
    "ResNet-20": (nnx.models.resnet20, nnx.optim.SGD, (16, 32, 32, 3), (2, 8, 8, 3), 10),
    "U-Net": (unet, nnx.optim.SGD, (4, 48, 32, 1), (2, 8, 8, 1), 2),
    "MobileNetV2's blocks": (mobile, nnx.optim.SGD, (8, 28, 28, 3), (2, 7, 7, 3), 5),
}


def train(backend: str, name: str, shape: tuple[int, ...], steps: int) -> tuple[list[float], dict[str, np.ndarray]]:
    """The losses of some steps; the gradients of the first one, and the parameters after it."""
    build, make, _, _, classes = NETS[name]
    rng = np.random.default_rng(0)
    losses, found = [], {}
    with nnx.use_backend(backend):
        nnx.seed(3)
        net = build()
        optimizer = make(net, lr=1e-2)
        x = nnx.asarray(rng.standard_normal(shape).astype("f4"))
        labels = nnx.asarray(rng.integers(0, classes, shape[:-1] if name == "U-Net" else shape[0]))
        for step in range(steps):
            with nnx.record():
                loss = nnx.functional.cross_entropy(net(x), labels)
            loss.backward()
            losses.append(float(nnx.to_numpy(nnx.stop_gradient(loss))))
            if step == 0:
                found = {f"gradient of {n}": nnx.to_numpy(p.grad) for n, p in net.named_parameters()}
            optimizer.step()
            if step == 0:
                found |= {n: nnx.to_numpy(p.value) for n, p in net.named_parameters()}
            optimizer.zero_grad()
    return losses, found


def shape_of(name: str, rehearsing: bool) -> tuple[int, ...]:
    return NETS[name][3 if rehearsing else 2]


@pytest.mark.parametrize("name", NETS)
def test_steps_are_those_of_numpy(name: str, rehearsing: bool) -> None:
    shape, steps = shape_of(name, rehearsing), 2 if rehearsing else 5
    wanted, wanted_arrays = train("numpy", name, shape, steps)
    with running() as launched:
        losses, arrays = train(place(), name, shape, steps)
    assert launched
    rtol, atol = TOLERANCES["float32"]
    for what, values in wanted_arrays.items():
        scale = float(np.abs(values).max())
        np.testing.assert_allclose(arrays[what], values, rtol=10 * rtol, atol=atol + 10 * rtol * scale, err_msg=what)
    assert losses[0] == pytest.approx(wanted[0], rel=rtol)
    assert losses == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("name", ["LeNet", "U-Net"])
def test_with_products_of_rounded_numbers(name: str, rehearsing: bool) -> None:
    """The kernels of tensor cores, for float32."""
    shape = shape_of(name, rehearsing)
    wanted, _ = train("numpy", name, shape, 2)
    with nnx.use_float32_precision("high"):
        losses, _ = train(place(), name, shape, 2)
    assert losses == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize("name", NETS)
def test_two_trainings_give_the_same_bits(name: str, rehearsing: bool) -> None:
    shape = shape_of(name, rehearsing)
    (losses, arrays), (again, others) = (train(place(), name, shape, 1 if rehearsing else 3) for _ in range(2))
    assert losses == again
    for what, values in arrays.items():
        np.testing.assert_array_equal(values, others[what], err_msg=what)
