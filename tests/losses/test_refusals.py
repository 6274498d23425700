"""What the losses refuse, and what they say about it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, MixedBackendsError, ShapeError
from nnx.training.names import LOSSES, get_loss

A, B, HALF = np.zeros((4, 3)), np.zeros((4, 2)), np.full((4, 3), 0.5)
SIGNS, INDEX = np.ones((4, 3)), np.zeros(4, dtype="int64")
MASK = np.full((2, 3, 3, 1), 0.5)

# A call of each loss that is right; the tests below spoil one argument at a time.
RIGHT: dict[str, tuple] = {
    "binary_cross_entropy": (HALF, HALF),
    "binary_cross_entropy_with_logits": (A, HALF),
    "cosine_embedding_loss": (A, A, np.ones(4)),
    "cross_entropy": (A, INDEX),
    "dice_loss": (MASK, MASK),
    "focal_loss": (A, HALF),
    "gaussian_nll_loss": (A, A, SIGNS),
    "hinge_embedding_loss": (A, SIGNS),
    "hinge_loss": (A, SIGNS),
    "huber_loss": (A, A),
    "kl_div": (A, HALF),
    "l1_loss": (A, A),
    "log_cosh_loss": (A, A),
    "margin_ranking_loss": (A, A, SIGNS),
    "mse_loss": (A, A),
    "multi_margin_loss": (A, INDEX),
    "multilabel_margin_loss": (A, np.zeros((4, 3), dtype="int64")),
    "multilabel_soft_margin_loss": (A, HALF),
    "nll_loss": (A, INDEX),
    "poisson_nll_loss": (A, A),
    "quantile_loss": (A, A),
    "smooth_l1_loss": (A, A),
    "soft_margin_loss": (A, SIGNS),
    "squared_hinge_loss": (A, SIGNS),
    "triplet_margin_loss": (A, A, A),
    "triplet_margin_with_distance_loss": (A, A, A),
    "tversky_loss": (MASK, MASK),
}
INTEGERS_WELCOME = {"cosine_embedding_loss", "hinge_embedding_loss", "hinge_loss", "margin_ranking_loss"} | {
    "multi_margin_loss", "multilabel_margin_loss", "nll_loss", "cross_entropy", "soft_margin_loss",
    "squared_hinge_loss",
}  # fmt: skip


def call(xp_backend: Any, name: str, arrays: tuple, **options: Any) -> Any:
    options = {k: xp_backend.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    arrays = tuple(xp_backend.array(a) if isinstance(a, np.ndarray) else a for a in arrays)
    return getattr(nnx.functional, name)(*arrays, **options)


def test_the_table_holds_every_loss() -> None:
    names = {name for name in vars(nnx.functional) if name.endswith("_loss")}
    names |= {"binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "kl_div"}
    assert names == RIGHT.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_shapes_dtypes_and_reductions(xp_backend: Any, name: str) -> None:
    arrays = RIGHT[name]
    call(xp_backend, name, arrays)
    with pytest.raises(ValueError, match=rf"^{name}: expected reduction=.*'mean' or 'sum', got 'avg'\.$"):
        call(xp_backend, name, arrays, reduction="avg")
    for i in range(1, len(arrays)):
        spoilt = (*arrays[:i], np.ones((7, 5), arrays[i].dtype), *arrays[i + 1 :])
        with pytest.raises(ShapeError, match=rf"^{name}: .*expected .*shape\b.*got .*\(7, 5\)"):
            call(xp_backend, name, spoilt)
        if name in INTEGERS_WELCOME and i == len(arrays) - 1:
            continue
        for dtype in ("int64", "float32"):
            with pytest.raises(DTypeError, match=rf"^{name}: expected \w+ of dtype float64, .* got {dtype}\. Cast it"):
                call(xp_backend, name, (*arrays[:i], arrays[i].astype(dtype), *arrays[i + 1 :]))
    integers = tuple(np.ones(a.shape, dtype="int64") for a in arrays)
    with pytest.raises(DTypeError, match=rf"^{name}: expected .*floating-point"):
        call(xp_backend, name, integers)


NUMBERS = [
    ("smooth_l1_loss", {"beta": -0.1}, r"beta to be a number of at least 0, got -0\.1"),
    ("huber_loss", {"delta": 0.0}, r"delta to be a number above 0, got 0\.0"),
    ("huber_loss", {"delta": -1.0}, r"delta to be a number above 0, got -1\.0"),
    ("quantile_loss", {"quantile": 1.0}, r"quantile to be a number above 0 and below 1, got 1\.0"),
    ("quantile_loss", {"quantile": 0.0}, r"quantile to be a number above 0 and below 1, got 0\.0"),
    ("focal_loss", {"alpha": 1.5}, r"alpha to be a number from 0 to 1, got 1\.5"),
    ("focal_loss", {"gamma": -2.0}, r"gamma to be a number of at least 0, got -2\.0"),
    ("hinge_loss", {"margin": -1.0}, r"margin to be a number of at least 0, got -1\.0"),
    ("squared_hinge_loss", {"margin": -1.0}, r"margin to be a number of at least 0, got -1\.0"),
    ("hinge_embedding_loss", {"margin": -1.0}, r"margin to be a number of at least 0, got -1\.0"),
    ("margin_ranking_loss", {"margin": -1.0}, r"margin to be a number of at least 0, got -1\.0"),
    ("multi_margin_loss", {"margin": -1.0}, r"margin to be a number of at least 0, got -1\.0"),
    ("multi_margin_loss", {"p": 3}, r"p=1 or p=2, got 3"),
    ("cosine_embedding_loss", {"margin": 1.5}, r"margin to be a number from -1 to 1, got 1\.5"),
    ("triplet_margin_loss", {"margin": 0.0}, r"margin to be a number above 0, got 0\.0"),
    ("triplet_margin_loss", {"p": 0.0}, r"p to be a number above 0, got 0\.0"),
    ("triplet_margin_loss", {"eps": -1e-6}, r"eps to be a number of at least 0, got -1e-06"),
    ("poisson_nll_loss", {"eps": -1e-6}, r"eps to be a number of at least 0, got -1e-06"),
    ("gaussian_nll_loss", {"eps": 0.0}, r"eps to be a number above 0, got 0\.0"),
    ("dice_loss", {"smooth": 0.0}, r"smooth to be a number above 0, got 0\.0"),
    ("tversky_loss", {"alpha": -0.1}, r"alpha to be a number of at least 0, got -0\.1"),
    ("tversky_loss", {"beta": -0.1}, r"beta to be a number of at least 0, got -0\.1"),
]
CLASS_OF = {
    "gaussian_nll_loss": "GaussianNLLLoss", "poisson_nll_loss": "PoissonNLLLoss", "smooth_l1_loss": "SmoothL1Loss",
}  # fmt: skip


@pytest.mark.parametrize(("name", "options", "text"), NUMBERS)
def test_numbers_out_of_range(xp_backend: Any, name: str, options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: expected {text}(; pass one in that range)?\.$"):
        call(xp_backend, name, RIGHT[name], **options)
    made = CLASS_OF.get(name, "".join(part.capitalize() for part in name.split("_")))
    with pytest.raises(ValueError, match=rf"^{made}: expected {text}(; pass one in that range)?\.$"):
        getattr(nnx, made)(**options)


def test_numbers_that_are_none() -> None:
    with pytest.raises(TypeError, match=r"HuberLoss: expected delta to be a number above 0, got 'a'"):
        nnx.HuberLoss(delta="a")
    with pytest.raises(ValueError, match=r"HingeLoss: expected margin to be a number of at least 0, got nan"):
        nnx.HingeLoss(margin=float("nan"))


VALUES = [
    ("binary_cross_entropy", (A + 1.5, HALF), r"input with values from 0 to 1, got some from 1\.5 to 1\.5\. For "
     "logits, take binary_cross_entropy_with_logits"),
    ("binary_cross_entropy", (HALF, SIGNS - 2), r"target with values from 0 to 1, got some from -1 to -1\. For labels"),
    ("binary_cross_entropy_with_logits", (A, SIGNS * 2), "target with values from 0 to 1, got some from 2 to 2"),
    ("multilabel_soft_margin_loss", (A, -SIGNS), "target with values from 0 to 1, got some from -1 to -1"),
    ("focal_loss", (A, -SIGNS), "target with values from 0 to 1, got some from -1 to -1"),
    ("dice_loss", (MASK + 1, MASK), r"input with values from 0 to 1, .* Apply softmax or sigmoid first"),
    ("tversky_loss", (MASK, MASK + 254), r"target with values from 0 to 1, got some from 254\.5 to 254\.5"),
    ("kl_div", (A, -HALF), r"target with values from 0 to 1, .* Pass log_target=True"),
    ("poisson_nll_loss", (A, -HALF), r"target with values of at least 0, .* Counts are not negative"),
    ("gaussian_nll_loss", (A, A, -HALF), r"var with values of at least 0, .* Make it positive, e\.g\. by exp"),
    ("hinge_loss", (A, A), r"target of 1 and -1, got some from 0 to 0\. For labels 0 and 1, pass 2 \* target - 1"),
    ("squared_hinge_loss", (A, A), "target of 1 and -1, got some from 0 to 0"),
    ("soft_margin_loss", (A, A), "target of 1 and -1, got some from 0 to 0"),
    ("hinge_embedding_loss", (A, A.astype(int)), "target of 1 and -1, got some from 0 to 0"),
    ("cosine_embedding_loss", (A, A, np.zeros(4)), "target of 1 and -1, got some from 0 to 0"),
    ("margin_ranking_loss", (A, A, A), "target of 1 and -1, got some from 0 to 0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arrays", "text"), VALUES)
def test_values_out_of_range(xp_backend: Any, name: str, arrays: tuple, text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: expected {text}"):
        call(xp_backend, name, arrays)
    with pytest.raises(ValueError, match=rf"^{name}: expected {text}"):
        nnx.grad(lambda x: call(xp_backend, name, (x, *arrays[1:])))(xp_backend.array(arrays[0]))


def test_negative_rates(xp_backend: Any) -> None:
    with pytest.raises(ValueError, match=r"input with values of at least 0, .* Pass log_input=True"):
        call(xp_backend, "poisson_nll_loss", (-HALF, HALF), log_input=False)
    with pytest.raises(ValueError, match=r"gaussian_nll_loss: expected var to be a number of at least 0, got -1\.0"):
        call(xp_backend, "gaussian_nll_loss", (A, A, -1.0))


def test_values_that_rounding_made(xp_backend: Any) -> None:
    above = np.nextafter(np.ones((4, 3), "float32"), np.float32(2.0))
    assert float(call(xp_backend, "binary_cross_entropy", (above, above))) == pytest.approx(0.0, abs=1e-4)


def test_nan_shows_in_the_loss(xp_backend: Any) -> None:
    for name in ("binary_cross_entropy", "hinge_loss", "margin_ranking_loss"):
        assert np.isnan(float(call(xp_backend, name, (A * np.nan, *RIGHT[name][1:]))))


@pytest.mark.parametrize("name", ["nll_loss", "multi_margin_loss"])
def test_class_indices_out_of_range(xp_backend: Any, name: str) -> None:
    with pytest.raises(
        IndexError, match=rf"^{name}: expected class indices from 0 to 2 for 3 classes, got some from 0 t"
    ):
        call(xp_backend, name, (A, np.asarray([0, 1, 2, 3])))
    with pytest.raises(ShapeError, match=rf"^{name}: expected weight of shape \(3,\), got \(2,\)"):
        call(xp_backend, name, (A, INDEX), weight=np.ones(2))
    with pytest.raises(DTypeError, match=rf"^{name}: expected weight of dtype float64, .* got float32"):
        call(xp_backend, name, (A, INDEX), weight=np.ones(3, "float32"))
    with pytest.raises(DTypeError, match=rf"^{name}: expected integer class indices as target, got .*float"):
        call(xp_backend, name, (A, HALF))
    with pytest.raises(DTypeError, match=rf"^{name}: expected integer class indices, got dtype bool"):
        call(xp_backend, name, (A, INDEX > 0))


def test_lists_of_classes(xp_backend: Any) -> None:
    for wrong in (-2, 3):
        with pytest.raises(
            IndexError, match=r"^multilabel_margin_loss: expected class indices from 0 to 2, and -1 after"
        ):
            call(xp_backend, "multilabel_margin_loss", (A, np.full((4, 3), wrong)))
    with pytest.raises(DTypeError, match=r"For labels 0 and 1, take multilabel_soft_margin_loss"):
        call(xp_backend, "multilabel_margin_loss", (A, HALF))
    with pytest.raises(ShapeError, match=r"Fill the list of indices up with -1"):
        call(xp_backend, "multilabel_margin_loss", (A, INDEX))
    with pytest.raises(ShapeError, match=r"expected input of shape \(\.\.\., classes\), got \(\)\. Add an axis"):
        call(xp_backend, "multilabel_margin_loss", (A[0, 0], INDEX[0]))


@pytest.mark.parametrize(
    ("name", "weight"),
    [("binary_cross_entropy", "weight"), ("multilabel_soft_margin_loss", "weight"),
     ("binary_cross_entropy_with_logits", "weight"), ("binary_cross_entropy_with_logits", "pos_weight")],
)  # fmt: skip
def test_weights_that_do_not_broadcast(xp_backend: Any, name: str, weight: str) -> None:
    for shape in ((4,), (2, 4, 3), (3, 3)):
        with pytest.raises(ShapeError, match=rf"^{name}: expected {weight} of a shape that broadcasts to \(4, 3\)"):
            call(xp_backend, name, RIGHT[name], **{weight: np.ones(shape)})
    with pytest.raises(DTypeError, match=rf"^{name}: expected {weight} of dtype float64, .* got float32"):
        call(xp_backend, name, RIGHT[name], **{weight: np.ones(3, "float32")})


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_elements(xp_backend: Any, name: str) -> None:
    with pytest.raises(ShapeError, match=rf"^{name}: expected input and weight of one shape, got \(4, 3\) and \(3,\)"):
        call(xp_backend, name, (A, A), weight=np.ones(3))


def test_shapes_of_masks_and_variances_and_labels(xp_backend: Any) -> None:
    for name in ("dice_loss", "tversky_loss"):
        with pytest.raises(
            ShapeError, match=r"\(N, \.\.\., classes\) with an axis of positions, got \(4, 3\)\. For masks"
        ):
            call(xp_backend, name, (HALF, HALF))
    with pytest.raises(
        ShapeError, match=r"expected var of shape \(4, 3\), that of the input, or \(4,\), or \(4, 1\), got"
    ):
        call(xp_backend, "gaussian_nll_loss", (A, A, np.ones(3)))
    with pytest.raises(ShapeError, match=r"got \(4, 3\) and \(3,\)\. Give one label for each pair"):
        call(xp_backend, "cosine_embedding_loss", (A, A, np.ones(3)))
    with pytest.raises(DTypeError, match=r"got dtype bool\. Pass xp\.where\(target, 1, -1\)"):
        call(xp_backend, "hinge_loss", (A, A > 1))
    with pytest.raises(ShapeError, match=r"expected vectors of shape \(\.\.\., features\), got \(\)"):
        call(xp_backend, "triplet_margin_loss", (A[0, 0], A[0, 0], A[0, 0]))


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_signs_and_indices_may_be_integers(xp_backend: Any, dtype: str) -> None:
    target = np.ones((4, 3), dtype)
    for name in ("hinge_loss", "soft_margin_loss", "hinge_embedding_loss"):
        x = xp_backend.array(A + 0.25)
        given, expected = (getattr(nnx.functional, name)(x, xp_backend.array(y)) for y in (target, SIGNS))
        assert given.dtype == expected.dtype
        assert float(given) == float(expected)
    for name in ("nll_loss", "multi_margin_loss"):
        assert float(call(xp_backend, name, (A, INDEX.astype(dtype)))) == float(call(xp_backend, name, (A, INDEX)))


@pytest.mark.parametrize("name", RIGHT)
def test_backends_do_not_mix(name: str) -> None:
    first, *others = RIGHT[name]
    with nnx.use_backend("strict") as backend, pytest.raises(MixedBackendsError):
        getattr(nnx.functional, name)(backend.asarray(first), *others)


def test_the_distance_is_yours(xp_backend: Any) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (xp_backend.array(rng.standard_normal((4, 3))) for _ in range(3))

    def squared(x: Any, y: Any) -> Any:
        return nnx.namespace(x, y).sum((x - y) ** 2, axis=-1)

    f = nnx.functional.triplet_margin_with_distance_loss
    loss = nnx.TripletMarginWithDistanceLoss(distance_function=squared, margin=0.3, swap=True, reduction="none")
    near, far, other = (nnx.to_numpy(squared(x, y)) for x, y in ((a, b), (a, c), (b, c)))
    np.testing.assert_allclose(
        nnx.to_numpy(loss(a, b, c)), np.maximum(0.3 + near - np.minimum(far, other), 0), rtol=1e-12
    )
    nnx.check_grads(lambda *x: f(*x, distance_function=squared), (a, b, c))


def test_losses_by_name(xp_backend: Any) -> None:
    for name, function in LOSSES.items():
        assert get_loss(name) is function
        assert function is getattr(nnx.functional, function.__name__)
        assert function.__name__.removesuffix("_loss") == name
        call(xp_backend, function.__name__, RIGHT[function.__name__])  # all take (outputs, targets)


def test_weights_are_buffers() -> None:
    loss = nnx.BCEWithLogitsLoss([1.0, 2.0], pos_weight=[3.0, 4.0])
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert loss.pos_weight.dtype == np.float32
    assert repr(loss) == "BCEWithLogitsLoss(reduction='mean')"
