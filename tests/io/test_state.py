"""save_state and load_state: a run that goes on from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import WeightsError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 3)), RNG.standard_normal((40, 1))


def parts() -> dict[str, Any]:
    nnx.seed(0)
    net = nnx.Sequential(nnx.Linear(3, 4, dtype="float64"), nnx.BatchNorm(4, dtype="float64"), nnx.Linear(4, 1))
    net.to("float64")
    plateau = nnx.optim.schedules.ReduceLROnPlateau(0.1, patience=0)
    optimizer = nnx.optim.Lookahead(nnx.optim.NAdam(net, lr=plateau), k=2)
    return {"net": net, "plateau": plateau, "optimizer": optimizer, "ema": nnx.optim.EMA(net, 0.9)}


def train(parts: dict[str, Any], epochs: int) -> None:
    model = nnx.Model(parts["net"], "mse", parts["optimizer"])
    for _ in range(epochs):
        history = model.fit(X, Y, batch_size=10, shuffle=False, averaging=parts["ema"], verbose=0)
        parts["plateau"].step(history["loss"][-1])


def test_a_run_goes_on_from_a_file(tmp_path: Path) -> None:
    whole, first, second = parts(), parts(), parts()
    train(whole, 5)
    train(first, 2)
    path = tmp_path / "state.safetensors"
    nnx.io.save_state({name: part.state_dict() for name, part in first.items()}, path)
    for name, state in nnx.io.load_state(path).items():
        second[name].load_state_dict(state)
    train(second, 3)
    assert second["plateau"].state_dict() == whole["plateau"].state_dict()
    for average in (False, True):
        found = []
        for run in (second, whole):
            if average:
                with run["ema"].applied():
                    found.append({n: v.copy() for n, v in run["net"].state_dict().items()})
            else:
                found.append({n: v.copy() for n, v in run["net"].state_dict().items()})
        for name, wanted in found[1].items():
            np.testing.assert_array_equal(found[0][name], wanted)


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    state = {
        "a": {"b.c": np.ones((2, 3)), "n": 3, "inf": float("inf"), "none": None, "flag": True, "text": "x"},
        "a.b": {"c": nnx.asarray(np.zeros(1, "float32"), backend="strict")},
        "empty": {},
    }
    nnx.io.save_state(state, path)
    found = nnx.io.load_state(path)
    assert list(found) == list(state)
    np.testing.assert_array_equal(found["a"].pop("b.c"), np.ones((2, 3)))
    assert found["a"] == {"n": 3, "inf": float("inf"), "none": None, "flag": True, "text": "x"}
    assert found["a.b"]["c"].tolist() == [0.0]
    assert found["a.b"]["c"].dtype == np.float32


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    with pytest.raises(TypeError, match=r"save_state: expected a dict, got Adam; pass optimizer\.state_dict\(\)\."):
        nnx.io.save_state(nnx.optim.Adam(nnx.Linear(2, 1)), path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"save_state: expected arrays and plain values, got list at a\.b\."):
        nnx.io.save_state({"a": {"b": [1]}}, path)
    with pytest.raises(TypeError, match=r"save_state: expected strings as keys of a, got \[1\]\."):
        nnx.io.save_state({"a": {1: 2}}, path)
    assert not path.exists()
    nnx.save_weights(nnx.Linear(2, 1), path)
    with pytest.raises(WeightsError, match=r"was not written by nnx\.io\.save_state; for the weights of a network use"):
        nnx.io.load_state(path)
    with pytest.raises(FileNotFoundError):
        nnx.io.load_state(tmp_path / "none")
