"""cross_entropy and mse_loss: against PyTorch over every argument, and what they refuse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, MixedBackendsError, ShapeError
from nnx.functional import cross_entropy, mse_loss
from tests.tolerances import assert_close

SHAPES = [(4,), (6, 4), (3, 5, 4), (2, 3, 2, 4), (5, 1)]
RNG = np.random.default_rng(0)


def with_gradient(f: Any, x: Any, cotangent: Any) -> tuple[Any, Any]:
    out, pullback = nnx.vjp(f, x)
    return out, pullback(cotangent)[0]


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(nnx.to_numpy(actual), expected, rtol=1e-9, atol=1e-12)


def against_torch(xp_backend: Any, logits: np.ndarray, target: np.ndarray, weight: np.ndarray | None, options: dict):
    torch = pytest.importorskip("torch")
    axes = (0, logits.ndim - 1, *range(1, logits.ndim - 1)) if logits.ndim > 1 else (0,)
    x = torch.tensor(logits, requires_grad=True)
    theirs = torch.tensor(target)
    theirs = theirs.permute(axes) if theirs.is_floating_point() else theirs
    expected = torch.nn.functional.cross_entropy(
        x.permute(axes), theirs, None if weight is None else torch.tensor(weight), **options
    )
    cotangent = np.random.default_rng(1).uniform(0.5, 1.5, tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    y, w = xp_backend.array(target), None if weight is None else xp_backend.array(weight)
    out, grad = with_gradient(
        lambda a: cross_entropy(a, y, w, **options), xp_backend.array(logits), xp_backend.array(cotangent)
    )
    close(out, expected.detach().numpy())
    close(grad, x.grad.numpy())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["indices", "ignored", "probabilities"])
def test_cross_entropy_agrees_with_torch(xp_backend: Any, shape: tuple, kind: str) -> None:
    logits = RNG.standard_normal(shape) * 3
    classes = shape[-1]
    if kind == "probabilities":
        target = RNG.dirichlet(np.ones(classes), shape[:-1])
    else:
        target = np.asarray(RNG.integers(0, classes, shape[:-1]))
    choices = itertools.product(("mean", "sum", "none"), (0.0, 0.2, 1.0), (False, True))
    for reduction, smoothing, weighted in choices:
        options = {"reduction": reduction, "label_smoothing": smoothing}
        y = target
        if kind == "ignored":
            options["ignore_index"] = classes - 1 if classes > 1 else -100
            if classes > 1:
                y = np.where(np.arange(y.size).reshape(y.shape) == 0, 0, y)  # one at least counts
        weight = RNG.uniform(0.5, 2.0, classes) if weighted else None
        against_torch(xp_backend, logits, y, weight, options)


def test_ignored_samples_do_not_count(xp_backend: Any) -> None:
    logits, target = RNG.standard_normal((6, 4)), np.asarray([0, -100, 2, -100, 3, 1])
    against_torch(xp_backend, logits, target, None, {})
    against_torch(xp_backend, logits, target, np.asarray([1.0, 2.0, 0.5, 3.0]), {"label_smoothing": 0.3})
    kept = target != -100
    loss = cross_entropy(xp_backend.array(logits), xp_backend.array(target))
    assert_close(loss, cross_entropy(xp_backend.array(logits[kept]), xp_backend.array(target[kept])))


@pytest.mark.parametrize("ignored", [0, 2])
def test_a_class_can_be_ignored(xp_backend: Any, ignored: int) -> None:
    """An index inside the range, such as that of the padding token."""
    logits, target = RNG.standard_normal((6, 4)), np.asarray([0, 1, 2, 2, 0, 3])
    for reduction in ("mean", "sum", "none"):
        against_torch(xp_backend, logits, target, None, {"ignore_index": ignored, "reduction": reduction})


def test_all_ignored_is_nan_as_in_torch(xp_backend: Any) -> None:
    x, y = xp_backend.array(RNG.standard_normal((3, 4))), xp_backend.array([-100] * 3)
    with np.errstate(invalid="ignore"):
        assert np.isnan(float(cross_entropy(x, y)))
    assert float(cross_entropy(x, y, reduction="sum")) == 0.0
    assert nnx.to_numpy(cross_entropy(x, y, reduction="none")).tolist() == [0.0] * 3
    grad = nnx.grad(lambda a: cross_entropy(a, y, reduction="sum"))(x)
    assert not nnx.to_numpy(grad).any()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16"])
def test_class_indices_of_any_integer_dtype(xp_backend: Any, dtype: str) -> None:
    logits, target = RNG.standard_normal((5, 300)), np.asarray([0, 1, 100, 5, 127])
    expected = cross_entropy(xp_backend.array(logits), xp_backend.array(target))
    assert_close(cross_entropy(xp_backend.array(logits), xp_backend.array(target, dtype)), expected)


@pytest.mark.parametrize("kind", ["indices", "weighted", "smoothed", "probabilities"])
def test_second_derivatives(xp_backend: Any, kind: str) -> None:
    x = xp_backend.array(RNG.standard_normal((4, 3)))
    y = xp_backend.array(RNG.dirichlet(np.ones(3), 4) if kind == "probabilities" else [0, 2, 1, 1])
    w = xp_backend.array([0.5, 1.0, 2.0]) if kind == "weighted" else None
    smoothing = 0.1 if kind == "smoothed" else 0.0
    nnx.check_grads(lambda a: cross_entropy(a, y, w, label_smoothing=smoothing), (x,))
    nnx.check_grads(lambda a: cross_entropy(a, y, w, reduction="none", label_smoothing=smoothing), (x,))


def test_derivatives_with_respect_to_probabilities_and_weights(xp_backend: Any) -> None:
    probabilities = 0.1 + 0.7 * RNG.dirichlet(np.ones(3), 4)  # away from 0, below which finite differences would step
    x, y = xp_backend.array(RNG.standard_normal((4, 3))), xp_backend.array(probabilities)
    w = xp_backend.array([0.5, 1.0, 2.0])
    nnx.check_grads(lambda a, b, c: cross_entropy(a, b, c, label_smoothing=0.1), (x, y, w))
    nnx.check_grads(lambda b: cross_entropy(x, b, w), (y,))
    nnx.check_grads(lambda c: cross_entropy(x, y, c), (w,))
    nnx.check_grads(lambda c: cross_entropy(x, xp_backend.array([0, 1, 2, 2]), c), (w,))


@pytest.mark.parametrize("probabilities", [False, True])
def test_float32_stays_float32(xp_backend: Any, probabilities: bool) -> None:
    x = xp_backend.array(RNG.standard_normal((4, 3)), "float32")
    y = xp_backend.array(np.full((4, 3), 1 / 3), "float32") if probabilities else xp_backend.array([0, 1, 2, 0])
    w = xp_backend.array([1.0, 2.0, 3.0], "float32")
    for weight, smoothing in itertools.product((None, w), (0.0, 0.1)):
        out, grad = nnx.value_and_grad(lambda a, v=weight, s=smoothing: cross_entropy(a, y, v, label_smoothing=s))(x)
        assert out.dtype == x.dtype
        assert grad.dtype == x.dtype


def test_extreme_logits(xp_backend: Any) -> None:
    x = xp_backend.array([[1000.0, 0.0], [-np.inf, 0.0]])
    loss, grad = nnx.value_and_grad(lambda a: cross_entropy(a, xp_backend.array([0, 1])))(x)
    assert float(loss) == 0.0
    assert not nnx.to_numpy(grad).any()


LABELS = [
    (
        [0, 3, 1],
        "from 0 to 2 for 3 classes, got some from 0 to 3. Check the labels, or give the last layer more outputs.",
    ),
    ([0, -1, 1], "from 0 to 2 for 3 classes, got some from -1 to 1. Check the labels"),
    ([-100, 7, 1], "from 0 to 2 for 3 classes, got some from 1 to 7. Check the labels"),
]


@pytest.mark.parametrize(("labels", "text"), LABELS)
def test_labels_out_of_range(xp_backend: Any, labels: list, text: str) -> None:
    x, y = xp_backend.array(np.zeros((3, 3))), xp_backend.array(labels)
    for f in (lambda: cross_entropy(x, y), lambda: nnx.grad(lambda a: cross_entropy(a, y))(x)):
        with pytest.raises(IndexError) as caught:
            f()
        assert str(caught.value).startswith(f"cross_entropy: expected class indices {text}")


def test_uint64_labels_that_no_class_has(xp_backend: Any) -> None:
    with pytest.raises(IndexError, match="expected class indices from 0 to 1"):
        cross_entropy(xp_backend.array(np.zeros((1, 2))), xp_backend.array([2**64 - 1], "uint64"))


REFUSED = [
    (
        ((6, 4), "f8"),
        ((6, 1), "i8"),
        {},
        ShapeError,
        r"class indices of shape \(6,\), got \(6, 1\)\. Drop the last axis",
    ),
    (((2, 5, 3), "f8"), ((2, 3), "i8"), {}, ShapeError, r"classes in the second axis; use xp\.moveaxis"),
    (((6, 4), "f8"), ((6, 5), "f8"), {}, ShapeError, r"expected probabilities of shape \(6, 4\), got \(6, 5\)"),
    (((), "f8"), ((), "i8"), {}, ShapeError, r"expected logits of shape \(\.\.\., classes\), got \(\)"),
    (((2, 0), "f8"), ((2,), "i8"), {}, ShapeError, r"expected logits of shape \(\.\.\., classes\), got \(2, 0\)"),
    (((2, 3), "i8"), ((2,), "i8"), {}, DTypeError, "expected floating-point logits, got dtype int64"),
    (((2, 3), "f8"), ((2,), "?"), {}, DTypeError, "expected integer class indices, got dtype bool"),
    (
        ((2, 3), "f4"),
        ((2, 3), "f8"),
        {},
        DTypeError,
        "expected target of dtype float32, .* got float64. Cast it, e.g. xp",
    ),
    (((2, 3), "f8"), ((2,), "i8"), {"reduction": "avg"}, ValueError, "'none', 'mean' or 'sum', got 'avg'"),
    (
        ((2, 3), "f8"),
        ((2,), "i8"),
        {"label_smoothing": 1.5},
        ValueError,
        "label_smoothing to be a number from 0 to 1, got 1.5",
    ),
]


@pytest.mark.parametrize(("logits", "target", "options", "error", "text"), REFUSED)
def test_what_cross_entropy_refuses(xp_backend: Any, logits: Any, target: Any, options: Any, error: Any, text: str):
    x, y = (xp_backend.array(np.zeros(*spec)) for spec in (logits, target))
    with pytest.raises(error, match=text):
        cross_entropy(x, y, **options)


def test_the_weight_fits_the_classes(xp_backend: Any) -> None:
    x, y = xp_backend.array(np.zeros((2, 3)), "float32"), xp_backend.array([0, 1])
    with pytest.raises(ShapeError, match=r"expected weight of shape \(3,\), got \(2,\)"):
        cross_entropy(x, y, xp_backend.array([1.0, 2.0], "float32"))
    with pytest.raises(DTypeError, match="expected weight of dtype float32, that of the input, got float64"):
        cross_entropy(x, y, xp_backend.array([1.0, 2.0, 3.0]))


# ------------------------------------------------------------------ mse_loss


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 1, 3)], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss_agrees_with_torch(xp_backend: Any, shape: tuple, reduction: str) -> None:
    torch = pytest.importorskip("torch")
    a, b = (np.asarray(RNG.standard_normal(shape)) for _ in range(2))
    x, y = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    expected = torch.nn.functional.mse_loss(x, y, reduction=reduction)
    cotangent = np.asarray(RNG.uniform(0.5, 1.5, tuple(expected.shape)))
    expected.backward(torch.tensor(cotangent))
    out, pullback = nnx.vjp(lambda i, t: mse_loss(i, t, reduction), xp_backend.array(a), xp_backend.array(b))
    grads = pullback(xp_backend.array(cotangent))
    close(out, expected.detach().numpy())
    close(grads[0], x.grad.numpy())
    close(grads[1], y.grad.numpy())


def test_mse_loss_second_derivatives_and_dtype(xp_backend: Any) -> None:
    x, y = xp_backend.array(RNG.standard_normal((2, 3))), xp_backend.array(RNG.standard_normal((2, 3)))
    nnx.check_grads(mse_loss, (x, y))
    nnx.check_grads(lambda t: mse_loss(x, t), (y,))
    x = xp_backend.array([1.0, 2.0], "float32")
    out, grad = nnx.value_and_grad(lambda a: mse_loss(a, x))(x)
    assert out.dtype == grad.dtype == x.dtype


def test_what_mse_loss_refuses(xp_backend: Any) -> None:
    x = xp_backend.array(np.zeros((3, 1)), "float32")
    with pytest.raises(
        ShapeError, match=r"one shape, got \(3, 1\) and \(3,\)\. Reshape one of them, e\.g\. xp\.reshape"
    ):
        mse_loss(x, xp_backend.array(np.zeros(3), "float32"))
    with pytest.raises(DTypeError, match="mse_loss: expected target of dtype float32, that of the input, got int64"):
        mse_loss(x, xp_backend.array(np.zeros((3, 1)), "int64"))
    with pytest.raises(ValueError, match="mse_loss: expected reduction="):
        mse_loss(x, x, "average")
    if xp_backend.label == "strict":
        with pytest.raises(
            MixedBackendsError, match=r"^mse_loss: expected arrays of one backend, got strict .* and numpy"
        ):
            mse_loss(x, np.zeros((3, 1), "f4"))


def test_cross_entropy_names_itself_when_two_backends_meet() -> None:
    x, y = np.zeros((2, 3)), np.zeros(2, "int64")
    with pytest.raises(MixedBackendsError, match=r"^cross_entropy: expected arrays of one backend, got"):
        cross_entropy(nnx.asarray(x, backend="strict"), y)
    with pytest.raises(MixedBackendsError, match=r"^cross_entropy: expected arrays of one backend, got"):
        cross_entropy(x, nnx.asarray(y, backend="strict"))


def test_losses_name_the_byte_order() -> None:
    x, foreign = np.zeros((2, 3)), np.zeros((2, 3), np.dtype("f8").newbyteorder())
    for loss, wrong, args in ((mse_loss, "target", (x, foreign)), (cross_entropy, "input", (foreign, x))):
        text = rf"foreign byte order.* Convert the {wrong}: x\.astype\(x\.dtype\.newbyteorder\(\"=\"\)\)\.$"
        with pytest.raises(DTypeError, match=text):
            loss(*args)
