"""States of optimizers, averages and schedules in safetensors files: nested dicts of arrays and plain values."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..errors import WeightsError
from .checkpoint import read_safetensors, write_safetensors

_KEY = "nnx_state"


def save_state(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write what a ``state_dict()`` returned, of an optimizer say, or several of them in a dict, to a file.

    The file is of the kind that `save_weights` writes, and as safe to load: the arrays, and in its metadata a JSON text
    with everything else. It appears under its name only when it is complete.

    Parameters
    ----------
    state
        Dicts, nested at will, with strings as keys; in them arrays, numbers, strings, True, False and None.
    path
        The file, by convention ``*.safetensors``. An existing one is replaced.

    Raises
    ------
    TypeError
        If there is anything else in the state.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnx
    >>> net = nnx.Linear(3, 2)
    >>> optimizer = nnx.optim.Adam(net)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "state.safetensors")
    ...     nnx.io.save_state({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, path)
    ...     state = nnx.io.load_state(path)
    >>> net.load_state_dict(state["net"])
    >>> optimizer.load_state_dict(state["optimizer"])
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"save_state: expected a dict, got {type(state).__name__}; pass optimizer.state_dict().")
    arrays: dict[str, np.ndarray] = {}
    tree = _split(state, "", arrays)
    write_safetensors("save_state", arrays, {"format": "nnx", _KEY: json.dumps(tree)}, Path(path))


def load_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state that `save_state` wrote, with NumPy arrays; ``load_state_dict()`` brings them where they belong.

    Raises
    ------
    WeightsError
        If the file is damaged or was not written by `save_state`.
    FileNotFoundError
        If there is no such file.
    """
    file = os.fspath(path)
    arrays, metadata = read_safetensors(file)
    try:
        return _joined(json.loads(metadata[_KEY]), arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{file!r} was not written by nnx.io.save_state; for the weights of a network use nnx.load_weights."
        ) from error


def _split(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return a tree for JSON, with the name of an array, in a list, in its place."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"save_state: expected strings as keys of {path or 'the state'}, got {list(value)!r}.")
        return {key: _split(item, f"{path}.{key}" if path else key, arrays) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if not hasattr(value, "dtype"):
        raise TypeError(f"save_state: expected arrays and plain values, got {type(value).__name__} at {path}.")
    name = path if path not in arrays else f"{path}#{len(arrays)}"  # keys may have dots, too
    arrays[name] = np.asarray(to_numpy(value))
    return [name]


def _joined(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(tree, dict):
        return {key: _joined(item, arrays) for key, item in tree.items()}
    return arrays[tree[0]] if isinstance(tree, list) else tree
