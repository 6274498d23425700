"""What losses make of wrong options, missing arrays and targets of unusual kinds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional as F
from nnx.errors import DTypeError, ShapeError
from tests.losses.test_refusals import RIGHT

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3))
P = RNG.dirichlet(np.ones(3), 4)
INDEX = np.asarray([0, 2, 1, 1])


# ------------------------------------------------------------------ probabilities and one-hot targets


@pytest.mark.parametrize(("target", "got"), [(-P, r"-0\.\d+ to -0\.\d+"), (P * 9, r"\d.* to \d.*")])
def test_probabilities_of_classes_are_probabilities(xp_backend: Any, target: np.ndarray, got: str) -> None:
    x, y = xp_backend.array(X), xp_backend.array(target)
    text = rf"^cross_entropy: expected target with values from 0 to 1, got some from {got}\. For logits, apply softmax"
    for loss in (F.cross_entropy, nnx.CrossEntropyLoss(label_smoothing=0.1), nnx.CrossEntropyLoss(np.ones(3))):
        if xp_backend.label == "strict" and getattr(loss, "weight", None) is not None:
            continue  # its weight lives on NumPy
        with pytest.raises(ValueError, match=text):
            loss(x, y)
    with pytest.raises(ValueError, match=text):
        nnx.grad(lambda a: F.cross_entropy(a, y))(x)


def test_probabilities_need_not_sum_to_one(xp_backend: Any) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.cross_entropy(torch.tensor(X), torch.tensor(P / 2))
    assert float(F.cross_entropy(xp_backend.array(X), xp_backend.array(P / 2))) == pytest.approx(float(expected))


def test_kl_div_takes_probabilities_only(xp_backend: Any) -> None:
    logs = xp_backend.array(np.log(P))
    with pytest.raises(ValueError, match=r"^kl_div: expected target with values from 0 to 1, got .* log_target=True"):
        F.kl_div(logs, xp_backend.array(P * 9))
    assert float(F.kl_div(logs, xp_backend.array(np.log(P)), log_target=True)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_rounding_passes_the_ends(xp_backend: Any, dtype: str) -> None:
    x = xp_backend.array(np.full((1, 2), 0.5), dtype)
    eps = float(np.finfo(dtype).eps)
    for inside in (0.0, 1.0, 1.0 + 4 * eps):
        F.binary_cross_entropy(x, xp_backend.array([[inside, 0.0]], dtype))
    for outside in (1.0 + 8 * eps, 1.0 + 1e-3, -float(np.finfo(dtype).tiny), math.inf):
        y = xp_backend.array([[outside, 0.0]], dtype)
        for loss in (F.binary_cross_entropy, F.cross_entropy, F.kl_div):
            with pytest.raises(ValueError, match="expected target with values from 0 to 1"):
                loss(x, y)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_one_hot_targets(xp_backend: Any, dtype: str) -> None:
    x, index = xp_backend.array(X, "float32"), xp_backend.array(INDEX)
    target = xp_backend.array(np.eye(3)[INDEX], dtype)
    for options in ({}, {"label_smoothing": 0.2}, {"reduction": "none"}):
        for loss in (lambda x, y, o=options: F.cross_entropy(x, y, **o), nnx.CrossEntropyLoss(**options)):
            np.testing.assert_allclose(nnx.to_numpy(loss(x, target)), nnx.to_numpy(loss(x, index)), rtol=1e-6)
    grad = nnx.grad(lambda a: F.cross_entropy(a, target))(x)
    assert grad.dtype == x.dtype
    np.testing.assert_allclose(
        nnx.to_numpy(grad), nnx.to_numpy(nnx.grad(lambda a: F.cross_entropy(a, index))(x)), rtol=1e-5
    )


def test_one_hot_comes_from_one_hot(xp_backend: Any) -> None:
    x, index = xp_backend.array(X), xp_backend.array(INDEX)
    assert float(F.cross_entropy(x, F.one_hot(index, 3))) == pytest.approx(float(F.cross_entropy(x, index)))


def test_a_model_learns_from_one_hot_targets() -> None:
    x, y = RNG.standard_normal((32, 4)).astype("float32"), RNG.integers(0, 3, 32)
    losses = []
    for target in (y, np.eye(3, dtype="int64")[y], np.eye(3, dtype=bool)[y]):
        nnx.seed(0)
        net = nnx.Sequential(nnx.Linear(4, 3))
        model = nnx.Model(net, loss="cross_entropy", optimizer=nnx.optim.SGD(net, lr=0.1))
        losses.append(model.fit(x, target, epochs=2, batch_size=8, verbose=False)["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-5)


def test_integers_that_are_not_one_hot(xp_backend: Any) -> None:
    text = r"^cross_entropy: expected one-hot vectors of 0 and 1 .*, got some from 0 to 2\. For class indices, drop"
    with pytest.raises(ValueError, match=text):
        F.cross_entropy(xp_backend.array(X), xp_backend.array(np.eye(3, dtype="int64")[INDEX] * 2))


def test_class_indices_as_floats(xp_backend: Any) -> None:
    text = (
        r"^cross_entropy: expected class indices of shape \(4,\) to be integers, got dtype float64\. "
        r"Cast them, e\.g\. xp\.astype\(target, xp\.int64\)\.$"
    )
    with pytest.raises(DTypeError, match=text):
        F.cross_entropy(xp_backend.array(X), xp_backend.array(INDEX, "float64"))


# ------------------------------------------------------------------ arrays that are missing


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("wrong", [None, [0, 1]])
def test_every_array_is_asked_for_by_name(name: str, wrong: Any) -> None:
    arrays, function = RIGHT[name], getattr(F, name)
    got = "None; pass one" if wrong is None else "list; use nnx.asarray"
    for position in range(len(arrays)):
        given = (*arrays[:position], wrong, *arrays[position + 1 :])
        with pytest.raises(TypeError) as caught:
            function(*given)
        assert str(caught.value).startswith(f"{name}: expected ")
        if (name, position) != ("cross_entropy", 0):  # a kernel may take it, so that the call looks before the function
            assert re.search(rf"expected \w+ to be an array, got {re.escape(got)}", str(caught.value))


@pytest.mark.parametrize("value", ["x", None, 1.5, True])
def test_ignore_index_is_an_integer(value: Any) -> None:
    text = f"expected ignore_index to be an integer, got {value!r}"
    for name, loss in (("cross_entropy", F.cross_entropy), ("nll_loss", F.nll_loss)):
        with pytest.raises(TypeError, match=re.escape(f"{name}: {text}")):
            loss(X, INDEX, ignore_index=value)
    for made in (nnx.CrossEntropyLoss, nnx.NLLLoss):
        with pytest.raises(TypeError, match=re.escape(f"{made.__name__}: {text}")):
            made(ignore_index=value)
    assert float(F.cross_entropy(X, INDEX, ignore_index=np.int64(0))) == float(F.cross_entropy(X[1:], INDEX[1:]))


# ------------------------------------------------------------------ options

YES_OR_NO: list[tuple[str, str, str, tuple]] = [
    ("KLDivLoss", "kl_div", "log_target", (np.log(P), P)),
    ("GaussianNLLLoss", "gaussian_nll_loss", "full", (X, X, np.ones((4, 3)))),
    ("PoissonNLLLoss", "poisson_nll_loss", "log_input", (P, P)),
    ("PoissonNLLLoss", "poisson_nll_loss", "full", (X, P)),
    ("TripletMarginLoss", "triplet_margin_loss", "swap", (X, X, X)),
    ("TripletMarginWithDistanceLoss", "triplet_margin_with_distance_loss", "swap", (X, X, X)),
]


@pytest.mark.parametrize(("layer", "function", "option", "arrays"), YES_OR_NO)
def test_options_that_are_true_or_false(layer: str, function: str, option: str, arrays: tuple) -> None:
    for label, call in ((layer, getattr(nnx, layer)), (function, lambda **o: getattr(F, function)(*arrays, **o))):
        with pytest.raises(TypeError, match=f"^{label}: expected {option} to be True or False, got 'no'"):
            call(**{option: "no"})
        call(**{option: False})


def test_a_distance_is_a_function_of_arrays() -> None:
    text = "expected distance_function to be a function of two arrays, or None, got 'x'"
    with pytest.raises(TypeError, match=f"^TripletMarginWithDistanceLoss: {text}"):
        nnx.TripletMarginWithDistanceLoss(distance_function="x")
    with pytest.raises(TypeError, match=f"^triplet_margin_with_distance_loss: {text}"):
        F.triplet_margin_with_distance_loss(X, X, X, distance_function="x")
    with pytest.raises(TypeError, match=r"expected distance_function to return an array of distances, got float\."):
        F.triplet_margin_with_distance_loss(X, X, X, distance_function=lambda a, b: float(np.abs(a - b).sum()))


def test_the_largest_difference_is_a_distance(xp_backend: Any) -> None:
    torch = pytest.importorskip("torch")
    arrays = [RNG.standard_normal((4, 3)) for _ in range(3)]
    expected = torch.nn.functional.triplet_margin_loss(*map(torch.tensor, arrays), p=math.inf, margin=2.0)
    given = tuple(map(xp_backend.array, arrays))
    for found in (
        F.triplet_margin_loss(*given, p=math.inf, margin=2.0),
        nnx.TripletMarginLoss(margin=2.0, p=math.inf)(*given),
    ):
        assert float(found) == pytest.approx(float(expected), rel=1e-9)
    nnx.check_grads(lambda a: F.triplet_margin_loss(a, *given[1:], p=math.inf, margin=2.0), given[:1])


WEIGHTED: dict[str, Callable[..., Any]] = {
    "CrossEntropyLoss": F.cross_entropy,
    "NLLLoss": F.nll_loss,
    "MultiMarginLoss": F.multi_margin_loss,
}


@pytest.mark.parametrize("layer", WEIGHTED)
def test_weights_of_classes(layer: str) -> None:
    function = WEIGHTED[layer]
    for wrong in ([1.0, -1.0, 1.0], [1.0, math.nan, 1.0], [1.0, 1.0, math.inf]):
        weight, text = (
            np.asarray(wrong),
            "expected weight of finite numbers of at least 0, one for each class, got some",
        )
        with pytest.raises(ValueError, match=f"^{layer}: {text}"):
            getattr(nnx, layer)(weight=weight)
        with pytest.raises(ValueError, match=f"^{function.__name__}: {text}"):
            function(X, INDEX, weight=weight)
    for scalar in (2.0, np.ones((1, 3))):
        with pytest.raises(
            ShapeError, match=rf"^{layer}: expected weight of shape \(classes,\), one for each class, got"
        ):
            getattr(nnx, layer)(weight=scalar)
    with pytest.raises(ShapeError, match=r"expected weight of shape \(3,\), got \(2,\)"):
        getattr(nnx, layer)(weight=np.ones(2))(X, INDEX)
    with pytest.raises(TypeError, match=rf"^{function.__name__}: expected weight to be an array, got list"):
        function(X, INDEX, weight=[1.0, 1.0, 1.0])
    getattr(nnx, layer)(weight=np.asarray([0.0, 1.0, 2.0]))(X, INDEX)


def test_log_cosh_of_infinite_differences(xp_backend: Any) -> None:
    x, zero = xp_backend.array([-math.inf, math.inf, -1000.0]), xp_backend.array([0.0, 0.0, 0.0])
    found = nnx.to_numpy(F.log_cosh_loss(x, zero, reduction="none"))
    np.testing.assert_array_equal(found, [math.inf, math.inf, 1000.0 - math.log(2.0)])
    grad = nnx.grad(lambda a: F.log_cosh_loss(a, zero, reduction="sum"))(x)
    np.testing.assert_array_equal(nnx.to_numpy(grad), [-1.0, 1.0, -1.0])


def test_log_cosh_is_smooth_where_the_sign_turns(xp_backend: Any) -> None:
    zero = xp_backend.array([0.0])
    first = nnx.grad(lambda a: F.log_cosh_loss(a, zero, reduction="sum"))
    second = nnx.hessian(lambda a: F.log_cosh_loss(a, zero, reduction="sum"))
    assert float(first(zero)[0]) == 0.0
    assert float(second(zero)[0, 0]) == 1.0
