"""Weight and spectral normalisation: PyTorch's state and results, what training changes, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, ShapeError

WEIGHT = "parametrizations.weight."

# Ours, PyTorch's, the shape of the input, our axis, PyTorch's dim
LAYERS: dict[str, tuple[Callable, Callable, tuple[int, ...], int, int]] = {
    "Linear": (lambda: nnx.Linear(4, 3, dtype="float64"), lambda t: t.nn.Linear(4, 3), (5, 4), 0, 0),
    "Linear, inputs": (lambda: nnx.Linear(4, 3, dtype="float64"), lambda t: t.nn.Linear(4, 3), (5, 4), -1, 1),
    "Conv2d": (
        lambda: nnx.Conv2d(4, 6, (3, 2), groups=2, dtype="float64"),
        lambda t: t.nn.Conv2d(4, 6, (3, 2), groups=2),
        (2, 5, 4, 4),
        0,
        0,
    ),
    "ConvTranspose2d": (
        lambda: nnx.ConvTranspose2d(4, 3, 3, stride=2, dtype="float64"),
        lambda t: t.nn.ConvTranspose2d(4, 3, 3, stride=2),
        (2, 4, 3, 4),
        0,
        1,
    ),
}


def turned(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """One of PyTorch's arrays with features last; `shape` is that of PyTorch's whole weight."""
    if name.endswith("_v") and len(shape) > 2:  # a weight without the axis of its outputs, flattened
        rest = (shape[0] if array.size == shape[0] * shape[2] * shape[3] else shape[1], *shape[2:])
        return np.moveaxis(array.reshape(rest), 0, -1).reshape(-1)
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def pair(kind: str, wrap: str) -> tuple[nnx.Module, Any, Callable, Callable]:
    """A layer and PyTorch's with the same weights, and how images and weights go from PyTorch's order to ours."""
    torch = pytest.importorskip("torch")
    make, make_theirs, _, axis, dim = LAYERS[kind]
    torch.manual_seed(0)
    theirs = getattr(torch.nn.utils.parametrizations, wrap)(make_theirs(torch).double(), dim=dim)
    ours = getattr(nnx, wrap)(make(), axis=axis)
    shape = tuple(theirs.weight.shape)
    transposed = kind.startswith("ConvTranspose")

    def weights(name: str, array: np.ndarray) -> np.ndarray:
        if transposed and array.ndim > 2:
            array = np.moveaxis(array, 0, 1)
        return turned(name, array, shape)

    state = {name: weights(name, value.numpy()) for name, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    return ours, theirs, weights, lambda x: np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def agree(found: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(nnx.to_numpy(found), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("wrap", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("kind", LAYERS)
def test_state_outputs_and_gradients_are_those_of_torch(xp_backend: Any, kind: str, wrap: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs, weights, images = pair(kind, wrap)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(0)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        values = rng.standard_normal(LAYERS[kind][2])
        x = nnx.variable(xp_backend.array(values))
        their_x = torch.tensor(np.moveaxis(values, -1, 1).copy() if values.ndim > 2 else values, requires_grad=True)
        expected = theirs(their_x)
        cotangent = rng.standard_normal(tuple(expected.shape))
        theirs.zero_grad()
        expected.backward(torch.tensor(cotangent))
        for parameter in ours.parameters():
            parameter.grad = None
        with nnx.record():
            out = ours(x)
        agree(nnx.stop_gradient(out), images(expected.detach().numpy()))
        out.backward(xp_backend.array(images(cotangent)))
        agree(x.grad, images(their_x.grad.numpy()))
        for (name, parameter), (key, their) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert name == key
            agree(parameter.grad, weights(key, their.grad.numpy()))
        for name, value in theirs.state_dict().items():
            agree(ours.state_dict()[name], weights(name, value.numpy()))


@pytest.mark.parametrize("shape", [(3,), (4, 3)])
def test_one_length_for_all_and_vectors(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).standard_normal(shape)
    for wrap, options, theirs in (
        ("weight_norm", {"axis": None}, {"dim": None}),
        ("weight_norm", {}, {}),
        ("spectral_norm", {}, {}),
    ):
        layer, other = nnx.Module(), torch.nn.Module()
        layer.w, other.w = nnx.Parameter(values), torch.nn.Parameter(torch.tensor(values))
        getattr(nnx, wrap)(layer, "w", **options)
        getattr(torch.nn.utils.parametrizations, wrap)(other, "w", **theirs)
        assert list(layer.state_dict()) == list(other.state_dict())
        shapes = {name: tuple(value.shape) for name, value in other.state_dict().items()}
        assert {name: value.shape for name, value in layer.state_dict().items()} == shapes
        if len(shape) == 1 or wrap == "weight_norm":  # else the vectors of the iteration begin differently
            agree(layer.w, other.w.detach().numpy())


@pytest.mark.parametrize("wrap", [nnx.weight_norm, nnx.spectral_norm])
def test_derivatives_to_second_order(xp_backend: Any, wrap: Callable) -> None:
    layer = wrap(nnx.Linear(3, 2, dtype="float64")).eval()
    x = xp_backend.array(np.random.default_rng(0).standard_normal((4, 3)))
    raw = nnx.namespace(x)
    names = [name for name, _ in layer.named_parameters() if name != "bias"]

    def loss(*weights: Any) -> Any:
        rule = copy.copy(layer.parametrizations["weight"])
        rule.__dict__["_parameters"] = {}
        for name, value in zip(names, weights, strict=True):
            rule.__dict__[name.rpartition(".")[2]] = value
        weight = rule.forward()
        xp = nnx.namespace(weight)
        return xp.sum(xp.tanh(nnx.functional.linear(x, weight)))

    nnx.check_grads(loss, tuple(raw.asarray(layer.parameter(name).value, copy=True) for name in names), order=2)


def test_weight_norm_keeps_the_weight_until_it_is_trained(xp_backend: Any) -> None:
    layer = nnx.Linear(3, 2)
    before = np.array(nnx.to_numpy(layer.weight))
    assert nnx.weight_norm(layer) is layer
    np.testing.assert_allclose(nnx.to_numpy(layer.weight), before, rtol=1e-6)
    layer.weight = xp_backend.array(np.ones((2, 3), dtype="float32"))
    np.testing.assert_allclose(nnx.to_numpy(layer.weight), np.ones((2, 3)), rtol=1e-6)
    lengths = layer.parametrizations["weight"].original0
    np.testing.assert_allclose(nnx.to_numpy(lengths), np.full((2, 1), np.sqrt(3)), rtol=1e-6)
    optimizer = nnx.optim.SGD(layer, lr=0.1)
    x = xp_backend.array(np.ones((4, 3), dtype="float32"))
    losses = []
    for _ in range(20):
        with nnx.record():
            loss = nnx.functional.mse_loss(layer(x), nnx.namespace(x).zeros_like(x[:, :2]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(nnx.to_numpy(nnx.stop_gradient(loss))))
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("frozen", ["original0", "original1"])
def test_a_part_may_be_frozen(xp_backend: Any, frozen: str) -> None:
    layer = nnx.weight_norm(nnx.Linear(3, 2))
    layer.parameter(WEIGHT + frozen).trainable = False
    with nnx.record():
        loss = nnx.namespace(layer.weight).sum(layer.weight)
    loss.backward()
    grads = {name: parameter.grad is not None for name, parameter in layer.named_parameters()}
    assert grads == {"bias": False, WEIGHT + "original0": frozen[-1] == "1", WEIGHT + "original1": frozen[-1] == "0"}


def test_the_largest_singular_value_becomes_one_and_training_alone_moves_the_vectors(xp_backend: Any) -> None:
    nnx.seed(0)
    layer = nnx.Conv2d(3, 8, 3, dtype="float64")
    layer.weight = xp_backend.array(np.random.default_rng(0).standard_normal(layer.weight.shape))
    nnx.spectral_norm(layer)
    vectors = WEIGHT + "0._u", WEIGHT + "0._v"
    x = xp_backend.array(np.ones((1, 4, 4, 3)))
    first = {name: np.array(nnx.to_numpy(layer.state_dict()[name])) for name in vectors}
    layer.eval()(x)
    for name in vectors:
        np.testing.assert_array_equal(nnx.to_numpy(layer.state_dict()[name]), first[name])
    layer.train()
    for _ in range(300):
        layer(x)
    for name in vectors:
        assert not np.array_equal(nnx.to_numpy(layer.state_dict()[name]), first[name])
    matrix = nnx.to_numpy(layer.eval().weight).reshape(8, -1)
    np.testing.assert_allclose(np.linalg.norm(matrix, 2), 1.0, rtol=1e-9)


def test_the_estimate_is_good_from_the_start_and_an_evaluated_layer_stays_so() -> None:
    nnx.seed(0)
    layer = nnx.Linear(3, 3, dtype="float64").eval()
    layer.weight = np.diag([1.0, -8.0, 2.0])
    nnx.spectral_norm(layer)
    assert not any(module.training for module in layer.modules())
    np.testing.assert_allclose(layer.weight, np.diag([0.125, -1.0, 0.25]), rtol=1e-9, atol=1e-12)


def test_backward_after_two_forward_passes() -> None:
    # of a critic: the second pass moves the vectors of the iteration, the first graph keeps those that it used
    layer = nnx.spectral_norm(nnx.Linear(3, 1, dtype="float64"))
    real, fake = np.ones((2, 3)), np.zeros((2, 3))
    with nnx.record():
        loss = nnx.namespace(layer(real)).mean(layer(real)) - nnx.namespace(layer(fake)).mean(layer(fake))
    loss.backward()
    assert np.isfinite(layer.parameter(WEIGHT + "original").grad).all()


@pytest.mark.parametrize("wrap", [nnx.weight_norm, nnx.spectral_norm])
def test_copies_pickles_dtypes_and_names(wrap: Callable) -> None:
    layer = wrap(nnx.Linear(3, 2)).eval()
    x = np.ones((4, 3), dtype="float32")
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(twin(x), layer(x))
        twin.parametrizations["weight"].forward()
        for parameter in twin.parameters():
            parameter.value = parameter.value + 1
        assert not np.array_equal(twin(x), layer(x))
    assert layer.to("float64")(x.astype("float64")).dtype == np.float64
    assert "parametrizations" in repr(layer)
    assert not hasattr(layer, "other")


def test_removal_leaves_the_present_weight() -> None:
    for wrap in (nnx.weight_norm, nnx.spectral_norm):
        layer = wrap(nnx.Linear(3, 2)).eval()
        before = np.array(layer.weight)
        assert nnx.remove_parametrizations(layer.train()) is layer
        np.testing.assert_array_equal(layer.weight, before)
        assert sorted(layer.state_dict()) == ["bias", "weight"]
        assert "parametrizations" not in layer._modules
    frozen = nnx.weight_norm(nnx.Linear(3, 2).freeze())
    assert not any(parameter.trainable for parameter in frozen.parameters())
    assert not nnx.remove_parametrizations(frozen).parameter("weight").trainable
    both = nnx.weight_norm(nnx.weight_norm(nnx.Linear(3, 2)), "bias")
    assert list(nnx.remove_parametrizations(both, "bias").parametrizations) == ["weight"]


def test_a_spectral_norm_keeps_ties() -> None:
    one, two = nnx.Linear(3, 3), nnx.Linear(3, 3)
    two.weight = one.parameter("weight")
    nnx.spectral_norm(one)
    assert one.parameter(WEIGHT + "original") is two.parameter("weight")


def test_errors() -> None:
    net = nnx.Sequential(nnx.Linear(3, 2))
    with pytest.raises(TypeError, match=r"weight_norm: expected a Module, got type; write weight_norm\(nnx.Linear"):
        nnx.weight_norm(nnx.Linear)
    with pytest.raises(
        ValueError, match="Sequential has no parameter 'weight' of its own; it has none; choose a layer"
    ):
        nnx.spectral_norm(net)
    with pytest.raises(ValueError, match="Linear has no parameter 'kernel' of its own; it has weight, bias"):
        nnx.weight_norm(net[0], "kernel")
    with pytest.raises(ShapeError, match=r"weight_norm: expected an axis from -2 to 1, got axis=2"):
        nnx.weight_norm(net[0], axis=2)
    with pytest.raises(ValueError, match="spectral_norm: expected n_power_iterations to be a positive integer, got 0"):
        nnx.spectral_norm(net[0], n_power_iterations=0)
    with pytest.raises(ValueError, match="spectral_norm: expected eps to be a number above 0, got 0"):
        nnx.spectral_norm(net[0], eps=0.0)
    with pytest.raises(ValueError, match="Linear does not compute 'weight'; what it computes: none"):
        nnx.remove_parametrizations(net[0])
    assert list(net.state_dict()) == ["0.weight", "0.bias"]  # nothing of this has changed it
    layer = nnx.weight_norm(net[0])
    with pytest.raises(ValueError, match=r"Linear computes 'weight' already; call nnx.remove_parametrizations\(module"):
        nnx.spectral_norm(layer)
    with pytest.raises(TypeError, match="expected an array for a weight that is computed, got a Parameter; call"):
        layer.weight = nnx.Parameter(np.ones((2, 3), dtype="float32"))
    with pytest.raises(ShapeError, match=r"WeightNorm, weight: expected shape \(2, 3\), got \(3, 2\)"):
        layer.weight = np.ones((3, 2), dtype="float32")
    with pytest.raises(DTypeError, match="WeightNorm, weight: expected dtype float32, got float64"):
        layer.weight = np.ones((2, 3))
