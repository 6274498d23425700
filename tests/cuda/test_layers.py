"""Whole networks on the simulator's arrays: the path that a GPU would take, with the results of NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import load_backend
from tests.cuda.own_kernels import place, running
from tests.tolerances import TOLERANCES

SimtArray = type(load_backend("simt").asarray([0.0]))


def step(backend: str, build: Callable[[], Any], shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
    """One training step: the loss, every gradient and every parameter after it."""
    nnx.seed(3)
    rng = np.random.default_rng(0)
    with nnx.use_backend(backend):
        net = build()
        x = nnx.asarray(rng.standard_normal(shape).astype("f4"))
        y = nnx.asarray(rng.integers(0, classes, shape[0]))
        # Adam's first step is that of the gradient's sign, which rounding decides where a gradient is almost 0.
        optimizer = (nnx.optim.AdamW if build is with_dropout else nnx.optim.SGD)(net, lr=1e-2)
        with nnx.record():
            loss = nnx.functional.cross_entropy(net(x), y)
        loss.backward()
        found = {"loss": nnx.to_numpy(nnx.stop_gradient(loss))}
        for name, parameter in net.named_parameters():
            assert type(parameter.value) is type(parameter.grad) is type(x)
            found[f"gradient of {name}"] = nnx.to_numpy(parameter.grad)
        optimizer.step()
    return found | {name: nnx.to_numpy(parameter.value) for name, parameter in net.named_parameters()}


def with_dropout() -> Any:
    return nnx.Sequential(nnx.Linear(6, 16), nnx.LayerNorm(16), nnx.GELU(), nnx.Dropout(0.3), nnx.Linear(16, 3))


def noted(monkeypatch: pytest.MonkeyPatch, primitive: str) -> list[str | None]:
    """A list that gets, at each call of a primitive, why its kernel does not run: None if it does."""
    kernel = load_backend(place()).kernels[primitive]
    told, supports = [], kernel.supports

    def supports_and_tells(*args: Any) -> str | None:
        told.append(supports(*args))
        return told[-1]

    monkeypatch.setattr(kernel, "supports", supports_and_tells)
    return told


@pytest.mark.parametrize(
    ("build", "shape", "classes"),
    [
        (with_dropout, (9, 6), 3),
        (nnx.models.LeNet5, (2, 28, 28, 1), 10),
        (nnx.models.resnet20, (2, 12, 12, 3), 10),
    ],
    ids=["MLP with dropout", "LeNet", "ResNet-20"],
)
def test_a_training_step_is_that_of_numpy(
    build: Callable, shape: tuple[int, ...], classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = step("numpy", build, shape, classes)
    reasons = {name: noted(monkeypatch, name) for name in ("convolution", "masked_scale")}
    with running() as launched:
        found = step(place(), build, shape, classes)
    # Every call of these primitives went to a kernel.
    is_mlp = build is with_dropout
    assert [name for name, told in reasons.items() if told] == ["masked_scale" if is_mlp else "convolution"]
    assert {reason for told in reasons.values() for reason in told} == {None}
    of_dropout = [kernel.name for kernel in launched if kernel.file in ("random.cu", "dropout.cu", "optim.cu")]
    assert of_dropout == (["draw_mask", "masked_scale", "masked_scale", "adam"] if is_mlp else [])
    rtol, atol = TOLERANCES["float32"]
    for name, values in wanted.items():
        scale = float(np.abs(values).max())
        np.testing.assert_allclose(found[name], values, rtol=10 * rtol, atol=atol + 10 * rtol * scale, err_msg=name)


def test_its_arrays_stay_its_own() -> None:
    x = load_backend("simt").asarray(np.arange(6.0).reshape(2, 3))
    xp = nnx.namespace(x)
    for y in (x + 1, 1 - x, x[0], x[0, 0], xp.sum(x), xp.max(x, axis=0), xp.take(x, x[0, :2].astype(int), axis=1)):
        assert type(y) is SimtArray
    assert all(type(y) is SimtArray for y in xp.unstack(x))
    assert type(xp.linalg.qr(x).Q) is SimtArray
    assert type(nnx.to_numpy(x)) is np.ndarray
    assert nnx.get_backend(x).name == "simt"
    assert nnx.get_backend(np.asarray(x)).name == "numpy"
    assert "simt" not in nnx.available_backends()
    with pytest.raises(nnx.errors.MixedBackendsError, match=r"got simt \(.*\) and numpy"):
        nnx.variable(x) + np.ones((2, 3))


def test_the_same_mistake_says_the_same() -> None:
    with nnx.use_backend(place()):
        layer, x = nnx.Linear(3, 2), nnx.asarray(np.ones((2, 4), "f4"))
    with pytest.raises(nnx.errors.ShapeError, match=r"Linear\(3, 2\)"):
        layer(x)
