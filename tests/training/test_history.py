"""The record of a run."""

import json
import math

import pytest

from nnx.training import History


@pytest.fixture
def history():
    history = History(higher_is_better={"accuracy"})
    history.append({"loss": 0.75, "val_loss": 1.5, "val_accuracy": 0.5}, seconds=1.0)
    history.append({"loss": 0.5, "val_loss": math.nan, "val_accuracy": 0.875}, seconds=2.0)
    history.append({"loss": 1e-5, "val_loss": 1.25, "val_accuracy": 0.875}, seconds=3.0)
    return history


def test_it_is_a_mapping_of_lists(history):
    assert list(history) == ["loss", "val_loss", "val_accuracy"]
    assert history["loss"] == [0.75, 0.5, 1e-5]
    assert history.epoch == [1, 2, 3]
    assert history.seconds == [1.0, 2.0, 3.0]
    assert "accuracy" not in history
    with pytest.raises(KeyError, match="History has no 'acc'; it has 'loss', 'val_loss', 'val_accuracy'"):
        history["acc"]


def test_best_knows_which_way_is_up(history):
    assert history.best("loss") == (3, 1e-5)
    assert history.best() == history.best("val_loss") == (3, 1.25)
    assert history.best("val_accuracy") == (2, 0.875)  # the first of equal ones
    assert history.best("val_accuracy").epoch == 2


def test_best_of_nothing():
    history = History()
    with pytest.raises(KeyError, match="it has no epochs yet"):
        history.best()
    history.append({"loss": math.nan})
    with pytest.raises(ValueError, match="all values of 'loss' are NaN"):
        history.best("loss")


def test_it_prints_as_a_table(history):
    assert repr(history).splitlines() == [
        "epoch       loss  val_loss  val_accuracy",
        "    1     0.7500    1.5000        0.5000",
        "    2     0.5000       nan        0.8750",
        "    3  1.000e-05    1.2500        0.8750",
    ]
    assert repr(History()) == "History(no epochs yet)"


def test_to_dict_is_a_plain_copy(history):
    copy = history.to_dict()
    assert json.loads(json.dumps(copy["loss"])) == history["loss"]
    assert list(copy) == ["epoch", "loss", "val_loss", "val_accuracy"]
    copy["loss"].append(0.0)
    assert len(history["loss"]) == 3


def test_every_epoch_has_the_same_names(history):
    with pytest.raises(ValueError, match="expected the names loss, val_loss, val_accuracy, got loss"):
        history.append({"loss": 1.0})
    assert history.epoch == [1, 2, 3]
