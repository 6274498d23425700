"""Loss modules: the functions with remembered arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from nnx.functional import cross_entropy, mse_loss
from tests.tolerances import assert_close

X = np.random.default_rng(0).standard_normal((4, 3))


def test_cross_entropy_loss_passes_everything_on(xp_backend: Any) -> None:
    x, y, w = xp_backend.array(X), xp_backend.array([0, 1, 2, 1]), xp_backend.array([1.0, 2.0, 3.0])
    options = {"ignore_index": 1, "reduction": "none", "label_smoothing": 0.1}
    assert_close(nnx.CrossEntropyLoss(w, **options)(x, y), cross_entropy(x, y, w, **options))
    assert_close(nnx.CrossEntropyLoss()(x, y), cross_entropy(x, y))


def test_the_class_weights_are_a_buffer() -> None:
    loss = nnx.CrossEntropyLoss([1.0, 2.0, 3.0])
    assert loss.weight.dtype == np.float32
    assert list(loss.state_dict()) == ["weight"]
    assert list(nnx.CrossEntropyLoss().state_dict()) == []
    assert not list(loss.parameters())
    y = np.asarray([0, 1, 2, 1])
    loss.to("strict").to("float64")
    value = loss(nnx.asarray(X, backend="strict"), nnx.asarray(y, backend="strict"))
    np.testing.assert_allclose(float(value), cross_entropy(X, y, np.asarray([1.0, 2.0, 3.0])), rtol=1e-12)


def test_mse_loss(xp_backend: Any) -> None:
    x, y = xp_backend.array(X), xp_backend.array(X[::-1])
    for reduction in ("mean", "sum", "none"):
        assert_close(nnx.MSELoss(reduction)(x, y), mse_loss(x, y, reduction))


def test_arguments_are_checked_when_the_loss_is_made() -> None:
    with pytest.raises(ValueError, match="CrossEntropyLoss: expected reduction='none', 'mean' or 'sum', got 'avg'"):
        nnx.CrossEntropyLoss(reduction="avg")
    with pytest.raises(ValueError, match="CrossEntropyLoss: expected label_smoothing to be a number from 0 to 1"):
        nnx.CrossEntropyLoss(label_smoothing=2)
    with pytest.raises(ValueError, match="MSELoss: expected reduction="):
        nnx.MSELoss("")


def test_wrong_kinds_of_arguments(xp_backend: Any) -> None:
    x = xp_backend.array(X, "float32")
    text = r"^cross_entropy: expected target to be an array, got list; use nnx\.asarray\(target\)\.$"
    with pytest.raises(TypeError, match=text):
        nnx.CrossEntropyLoss()(x, [0, 1, 2, 1])
    with pytest.raises(TypeError, match=r"^mse_loss: expected target to be an array, got list; use nnx\.asarray"):
        nnx.MSELoss()(x, [1, 2])
    with pytest.raises(TypeError, match="CrossEntropyLoss: expected label_smoothing to be a number from 0 to 1"):
        nnx.CrossEntropyLoss(label_smoothing="a")
    with pytest.raises(TypeError, match=r"CrossEntropyLoss: expected ignore_index to be an integer, got 0\.5"):
        nnx.CrossEntropyLoss(ignore_index=0.5)


def test_repr() -> None:
    assert repr(nnx.CrossEntropyLoss()) == "CrossEntropyLoss(reduction='mean', label_smoothing=0.0)"
    assert repr(nnx.MSELoss("sum")) == "MSELoss(reduction='sum')"
