"""What fit prints: nothing, lines, or a bar where somebody is watching."""

import io
import re
import sys
from functools import partial

import numpy as np
import pytest

import nnx
from nnx.training import progress


def small_model():
    return nnx.Model(nnx.Linear(3, 2), metrics=["accuracy"])


X, Y = np.ones((70, 3), "float32"), np.zeros(70, "int64")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_silent(capsys):
    small_model().fit(X, Y, epochs=2, verbose=0)
    assert capsys.readouterr() == ("", "")


def test_one_line_per_epoch(capsys):
    history = small_model().fit(X, Y, epochs=2, validation_split=0.5)
    out, err = capsys.readouterr()
    number = r"\d\.\d{4}"
    line = rf"epoch %d/2  loss {number}  accuracy {number}  val_loss {number}  val_accuracy {number}  \d+\.\d s\n"
    assert re.fullmatch(line % 1 + line % 2, out)
    assert err == ""
    assert f"epoch 2/2  loss {history['loss'][1]:.4f}" in out


def test_a_terminal_gets_a_bar_that_leaves_only_the_lines(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("nnx.training.progress._SECONDS_BETWEEN_LOOKS", -1.0)
    # tqdm reads its environment when it is imported, which another test may have done: set the interval itself
    choose = progress._bar_class
    monkeypatch.setattr(progress, "_bar_class", lambda: partial(choose(), mininterval=0))
    history = small_model().fit(X, Y, epochs=2)
    text = terminal.getvalue()
    assert "epoch 1/2:" in text
    assert "3/3" in text  # the bar knows how many batches there are
    assert re.search(r"loss 0\.\d{4}\]", text)
    assert history.epoch == [1, 2]
    lines = [line.rsplit("\r", 1)[-1] for line in text.strip("\n").split("\n")]
    assert [line[:15] for line in lines] == ["epoch 1/2  loss", "epoch 2/2  loss"]


def test_a_closed_stdout_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    small_model().fit(X, Y)


@pytest.mark.parametrize("verbose", [2, -1, "auto"])
def test_verbose_is_0_or_1(verbose):
    with pytest.raises(ValueError, match=r"Model\.fit: expected verbose to be 0 or 1, got"):
        small_model().fit(X, Y, verbose=verbose)
