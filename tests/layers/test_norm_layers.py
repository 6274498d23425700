"""Normalisations as layers: PyTorch's state and results over several batches, and running statistics."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import nnx

# Ours, its arguments, PyTorch's class, shapes of inputs (channels last) that it takes
LAYERS: list[tuple[str, tuple, dict, str, tuple]] = []
for _options in (
    {},
    {"eps": 0.1},
    {"momentum": 0.3},
    {"momentum": None},
    {"momentum": 0.0},
    {"affine": False},
    {"track_running_stats": False},
    {"bias": False},
    {"affine": False, "track_running_stats": False},
):
    LAYERS += [
        ("BatchNorm", (4,), _options, "BatchNorm1d", (6, 4)),
        ("BatchNorm", (4,), _options, "BatchNorm1d", (3, 5, 4)),
        ("BatchNorm", (4,), _options, "BatchNorm2d", (3, 2, 3, 4)),
        ("BatchNorm", (4,), _options, "BatchNorm3d", (2, 2, 3, 2, 4)),
    ]
for _options in (
    {},
    {"eps": 0.1},
    {"affine": True},
    {"track_running_stats": True},
    {"affine": True, "track_running_stats": True, "momentum": 0.3},
    {"affine": True, "bias": False},
):
    LAYERS += [
        ("InstanceNorm", (4,), _options, "InstanceNorm1d", (3, 5, 4)),
        ("InstanceNorm", (4,), _options, "InstanceNorm2d", (3, 2, 3, 4)),
        ("InstanceNorm", (4,), _options, "InstanceNorm3d", (2, 2, 3, 2, 4)),
    ]
for _options in ({}, {"eps": 0.1}, {"affine": False}, {"bias": False}):
    LAYERS += [
        ("GroupNorm", (2, 4), _options, "GroupNorm", (3, 4)),
        ("GroupNorm", (1, 4), _options, "GroupNorm", (3, 2, 3, 4)),
        ("GroupNorm", (4, 4), _options, "GroupNorm", (3, 5, 4)),
    ]
for _options in ({}, {"eps": 0.1}, {"elementwise_affine": False}, {"bias": False}):
    LAYERS += [
        ("LayerNorm", (4,), _options, "LayerNorm", (3, 4)),
        ("LayerNorm", ((3, 4),), _options, "LayerNorm", (2, 5, 3, 4)),
    ]
for _options in ({}, {"eps": 0.1}, {"elementwise_affine": False}):
    LAYERS += [
        ("RMSNorm", (4,), _options, "RMSNorm", (3, 4)),
        ("RMSNorm", ([3, 4],), _options, "RMSNorm", (2, 5, 3, 4)),
    ]
LAYERS.append(("LocalResponseNorm", (3,), {"alpha": 0.1, "beta": 0.5, "k": 2.0}, "LocalResponseNorm", (2, 3, 2, 4)))
IDS = [f"{theirs}{args}{options}" for _, args, options, theirs, _ in LAYERS]
LEARNED = [pytest.param(*row, id=name) for row, name in zip(LAYERS, IDS, strict=True) if row[0] != "LocalResponseNorm"]


def ours(name: str, args: tuple, options: dict, dtype: str) -> nnx.Module:
    return getattr(nnx, name)(*args, **options, dtype=dtype)


def first(name: str, array: np.ndarray) -> np.ndarray:
    """An array as PyTorch has it: channels second, unless the last axes are normalised."""
    return array if name in ("LayerNorm", "RMSNorm") else np.ascontiguousarray(np.moveaxis(array, -1, 1))


def last(name: str, array: np.ndarray) -> np.ndarray:
    return array if name in ("LayerNorm", "RMSNorm") else np.moveaxis(array, 1, -1)


def agree(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(nnx.to_numpy(found), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "args", "options", "theirs", "shape"), LEARNED)
def test_training_and_evaluation_are_those_of_torch(
    xp_backend: Any, name: str, args: tuple, options: dict, theirs: str, shape: tuple
) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    layer, other = ours(name, args, options, "float64"), getattr(torch.nn, theirs)(*args, **options).double()
    assert list(layer.state_dict()) == list(other.state_dict())
    for key, value in other.state_dict().items():
        agree(layer.state_dict()[key], value.numpy())
        assert str(layer.state_dict()[key].dtype).rpartition(".")[2] == str(value.dtype).rpartition(".")[2]
    for parameter, (key, their) in zip(layer.parameters(), other.named_parameters(), strict=True):
        values = rng.standard_normal(tuple(their.shape))
        parameter.value = xp_backend.array(values)
        assert parameter is layer.parameter(key)
        their.data[:] = torch.tensor(values)
    for step, batch in enumerate((shape, (shape[0] + 1, *shape[1:]), shape, shape)):
        if step == 3:
            layer.eval()
            other.eval()
        values = rng.standard_normal(batch) * 3 + 1
        cotangent = rng.standard_normal(batch)
        x = nnx.variable(xp_backend.array(values))
        for parameter in layer.parameters():
            parameter.grad = None
        other.zero_grad()
        with nnx.record():
            out = layer(x)
        out.backward(xp_backend.array(cotangent))
        their_x = torch.tensor(first(name, values), requires_grad=True)
        expected = other(their_x)
        expected.backward(torch.tensor(first(name, cotangent)))
        agree(nnx.stop_gradient(out), last(name, expected.detach().numpy()))
        agree(x.grad, last(name, their_x.grad.numpy()))
        for parameter, their in zip(layer.parameters(), other.parameters(), strict=True):
            agree(parameter.grad, their.grad.numpy())
        for key, value in other.state_dict().items():
            if name == "BatchNorm" or key != "num_batches_tracked":  # PyTorch's InstanceNorm does not count
                agree(layer.state_dict()[key], value.numpy())


def test_local_response_norm_is_that_of_torch(xp_backend: Any) -> None:
    torch = pytest.importorskip("torch")
    name, args, options, theirs, shape = LAYERS[-1]
    x = np.random.default_rng(0).standard_normal(shape)
    layer, other = getattr(nnx, name)(*args, **options), getattr(torch.nn, theirs)(*args, **options)
    agree(layer(xp_backend.array(x)), last(name, other(torch.tensor(first(name, x))).numpy()))


def batches(xp_backend: Any, dtype: str = "float32") -> list:
    rng = np.random.default_rng(1)
    return [xp_backend.array(rng.standard_normal((6, 5, 3)) * 2 + 1, dtype) for _ in range(3)]


@pytest.mark.parametrize("name", ["BatchNorm", "InstanceNorm"])
@pytest.mark.parametrize("way", ["raw", "record", "value_and_grad"])
def test_statistics_move_however_it_is_trained(xp_backend: Any, name: str, way: str) -> None:
    layer = getattr(nnx, name)(3, affine=True, track_running_stats=True)
    plain = copy.deepcopy(layer)

    def loss(net: Any, x: Any) -> Any:
        out = net(x)
        return nnx.namespace(out).sum(out * out)

    for x in batches(xp_backend):
        plain(x)
        if way == "raw":
            layer(x)
        elif way == "record":
            with nnx.record():
                loss(layer, x).backward()
        else:
            nnx.value_and_grad(loss)(layer, x)
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        array = getattr(layer, key)
        assert not isinstance(array, nnx.Array), "a buffer holds raw arrays"
        np.testing.assert_allclose(nnx.to_numpy(array), nnx.to_numpy(getattr(plain, key)), rtol=1e-6)
    assert int(layer.num_batches_tracked) == 3
    assert np.abs(nnx.to_numpy(layer.running_mean) - 0.271).max() < 0.15  # 1 - 0.9³ of the way from 0 to 1


@pytest.mark.parametrize("name", ["BatchNorm", "InstanceNorm"])
def test_evaluation_moves_nothing_and_does_not_look_at_the_batch(xp_backend: Any, name: str) -> None:
    layer = getattr(nnx, name)(3, track_running_stats=True)
    x, y, _ = batches(xp_backend)
    layer(x)
    before = {key: nnx.to_numpy(value).copy() for key, value in layer.state_dict().items()}
    layer.eval()
    alone = layer(y[:1, ...])
    np.testing.assert_allclose(nnx.to_numpy(layer(y)[:1, ...]), nnx.to_numpy(alone), rtol=1e-6, atol=1e-6)
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(nnx.to_numpy(value), before[key])


def test_a_cumulative_average_is_the_mean_of_the_batches(xp_backend: Any) -> None:
    for name in ("BatchNorm", "InstanceNorm"):
        layer = getattr(nnx, name)(3, momentum=None, track_running_stats=True, dtype="float64")
        data = batches(xp_backend, "float64")
        for x in data:
            layer(x)
        agree(layer.running_mean, np.mean([nnx.to_numpy(x).mean(axis=(0, 1)) for x in data], axis=0))


def test_an_empty_batch_changes_nothing(xp_backend: Any) -> None:
    for momentum in (0.1, None):
        layer = nnx.BatchNorm(3, momentum=momentum)
        layer(batches(xp_backend)[0])
        before = {key: nnx.to_numpy(value).copy() for key, value in layer.state_dict().items()}
        with nnx.record():
            out = layer(xp_backend.array(np.zeros((0, 5, 3)), "float32"))
        out.backward(nnx.stop_gradient(out))
        assert out.shape == (0, 5, 3)
        assert not nnx.to_numpy(layer.parameter("weight").grad).any()
        for key, value in layer.state_dict().items():
            np.testing.assert_array_equal(nnx.to_numpy(value), before[key])


@pytest.mark.parametrize("name", ["BatchNorm", "InstanceNorm"])
def test_differentiating_twice_moves_the_statistics_once(xp_backend: Any, name: str) -> None:
    layer, once = (getattr(nnx, name)(3, affine=True, track_running_stats=True) for _ in range(2))
    x = batches(xp_backend)[0]
    once(x)
    with nnx.record():
        out = layer(x)
        loss = nnx.namespace(out).sum(out**3)
        loss.backward(create_graph=True)
        grad = layer.parameter("weight").grad
        penalty = nnx.namespace(grad).sum(grad * grad)
    penalty.backward()
    for key, value in once.state_dict().items():
        if key.startswith(("running", "num")):
            np.testing.assert_allclose(nnx.to_numpy(layer.state_dict()[key]), nnx.to_numpy(value), rtol=1e-6)


def test_a_failed_call_counts_no_batch(xp_backend: Any) -> None:
    layer = nnx.BatchNorm(3)
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer(xp_backend.array(np.zeros((1, 3)), "float32"))
    assert int(layer.num_batches_tracked) == 0


def test_statistics_can_be_reset(xp_backend: Any) -> None:
    layer, fresh = nnx.BatchNorm(3), nnx.BatchNorm(3)
    layer(batches(xp_backend)[0])
    layer.reset_running_stats()
    for key, value in fresh.state_dict().items():
        np.testing.assert_array_equal(nnx.to_numpy(layer.state_dict()[key]), nnx.to_numpy(value))
    nnx.BatchNorm(3, track_running_stats=False).reset_running_stats()


def test_statistics_are_saved_loaded_copied_and_cast(xp_backend: Any) -> None:
    layer = nnx.BatchNorm(3)
    layer(batches(xp_backend)[0])
    other = nnx.BatchNorm(3)
    other.load_state_dict(layer.state_dict())
    twin = copy.deepcopy(layer)
    layer(batches(xp_backend)[1])
    assert int(twin.num_batches_tracked) == int(other.num_batches_tracked) == 1
    np.testing.assert_array_equal(nnx.to_numpy(twin.running_var), nnx.to_numpy(other.running_var))
    twin.to("float64")
    assert str(twin.num_batches_tracked.dtype) == str(layer.num_batches_tracked.dtype)
    assert twin(batches(xp_backend, "float64")[2]).dtype == twin.running_mean.dtype == xp_backend.xp.float64


def test_a_network_with_batch_norm_learns(xp_backend: Any) -> None:
    nnx.seed(0)
    net = nnx.Sequential(nnx.Linear(2, 8), nnx.BatchNorm(8), nnx.ReLU(), nnx.Linear(8, 1))
    optimizer = nnx.optim.SGD(net, lr=0.1)
    values = np.random.default_rng(0).standard_normal((64, 2))
    x = xp_backend.array(values, "float32")
    y = xp_backend.array(values[:, :1] * values[:, 1:], "float32")
    losses = []
    for _ in range(60):
        with nnx.record():
            loss = nnx.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(nnx.stop_gradient(loss)))
    assert losses[-1] < 0.3 * losses[0]
    evaluated = nnx.functional.mse_loss(net.eval()(x), y)
    assert abs(float(evaluated) - losses[-1]) < 0.5 * losses[0]


def test_layers_show_their_arguments() -> None:
    found = [
        repr(layer)
        for layer in (
            nnx.BatchNorm(3),
            nnx.InstanceNorm(3, momentum=None),
            nnx.LayerNorm(3, bias=False),
            nnx.LayerNorm((3, 4)),
            nnx.RMSNorm(3),
            nnx.GroupNorm(2, 4),
            nnx.LocalResponseNorm(5),
        )
    ]
    assert found == [
        "BatchNorm(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
        "InstanceNorm(3, eps=1e-05, momentum=None, affine=False, track_running_stats=False)",
        "LayerNorm(3, eps=1e-05, elementwise_affine=True, bias=False)",
        "LayerNorm((3, 4), eps=1e-05, elementwise_affine=True, bias=True)",
        "RMSNorm(3, eps=None, elementwise_affine=True)",
        "GroupNorm(2, 4, eps=1e-05, affine=True)",
        "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=1.0)",
    ]
