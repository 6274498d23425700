"""class_weights: scikit-learn's numbers, in a loss, and the errors."""

import numpy as np
import pytest

import nnx
from nnx.data import class_weights
from nnx.errors import DTypeError
from tests.tolerances import assert_close

LABELS = np.random.default_rng(0).choice(4, size=200, p=[0.6, 0.25, 0.1, 0.05])


@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_values_equal_scikit_learn(xp_backend, dtype):
    theirs = pytest.importorskip("sklearn.utils.class_weight")
    expected = theirs.compute_class_weight("balanced", classes=np.arange(4), y=LABELS)
    labels = xp_backend.array(LABELS, dtype=dtype)
    found = class_weights(labels, "balanced")
    assert_close(found, expected.astype("float32"))
    assert nnx.backend.device(found) == nnx.backend.device(labels)
    assert_close(class_weights(labels, num_classes=4), expected.astype("float32"))
    assert_close(class_weights(xp_backend.array(LABELS.reshape(20, 10))), expected.astype("float32"))


def test_the_weighted_loss_counts_every_class_alike(xp_backend):
    labels = xp_backend.array(LABELS)
    scores = xp_backend.array(np.random.default_rng(1).normal(size=(200, 4)), "float32")
    weighted = nnx.functional.cross_entropy(scores, labels, weight=class_weights(labels))
    single = nnx.to_numpy(nnx.functional.cross_entropy(scores, labels, reduction="none"))
    expected = np.mean([single[k == LABELS].mean() for k in range(4)])
    np.testing.assert_allclose(float(weighted), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        (
            np.asarray([0, 2, 5]),
            {},
            ValueError,
            "expected samples of all 6 classes, got none of 1, 3, 4. Number the class",
        ),
        (np.asarray([0, 9]), {}, ValueError, "expected samples of all 10 classes, got none of 1, 2, 3, 4, 5, ...."),
        (np.asarray([0, 1]), {"num_classes": 3}, ValueError, "expected samples of all 3 classes, got none of 2"),
        (np.asarray([0, 1]), {"num_classes": 1}, ValueError, "expected labels from 0 to 0, got some from 0 to 1"),
        (
            np.asarray([0, -100]),
            {},
            ValueError,
            r"labels from 0 to 0, got some from -100 to 0. Leave out those to ignore",
        ),
        (np.asarray([-1]), {}, ValueError, "expected labels from 0 to 0, got some from -1 to -1"),
        (np.asarray([0, 1]), {"num_classes": 0}, ValueError, "expected num_classes to be a positive integer, got 0"),
        (np.asarray([], dtype=int), {}, ValueError, "expected at least one label, got none"),
        (np.asarray([0.0, 1.0]), {}, DTypeError, "expected integer class indices, got dtype float64"),
        (np.asarray([True]), {}, DTypeError, "expected integer class indices, got dtype bool"),
        (None, {}, TypeError, "^class_weights: expected labels to be an array, got None; pass one"),
        ([0, 1], {}, TypeError, r"expected labels to be an array, got list; use nnx.asarray\(labels\)"),
        (np.asarray([0, 1]), {"class_weight": "even"}, ValueError, "expected class_weight='balanced', got 'even'"),
    ],
)
def test_bad_arguments(labels, options, error, message):
    with pytest.raises(error, match=message) as caught:
        class_weights(labels, **options)
    assert str(caught.value).startswith("class_weights: ")
