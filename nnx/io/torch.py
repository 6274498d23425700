"""Weights of PyTorch: the same names, other axes. PyTorch keeps channels first, nnx features last."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..errors import WeightsError
from ..layers import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Flatten,
    Linear,
    Module,
    Unflatten,
)
from .checkpoint import check_module, read_safetensors, write_safetensors

_Turn = Callable[[np.ndarray], np.ndarray]

_NORM = "parametrizations.weight."  # of weight_norm and spectral_norm
_LIKE_THE_WEIGHT = ("weight", f"{_NORM}original", f"{_NORM}original0", f"{_NORM}original1")


def load_torch_weights(
    module: Module, weights: Mapping[str, Any] | str | os.PathLike[str], *, example: Any = None, strict: bool = True
) -> None:
    """Read the parameters and buffers of a module from a PyTorch model with the same names.

    Convolution weights are turned from channels first to features last, and so are those of a `Linear` that follows a
    `Flatten`, whose inputs PyTorch counts channel by channel.

    Parameters
    ----------
    module
        Where to load. Its arrays keep their backend, their device and their place in memory.
    weights
        A safetensors file that PyTorch wrote (``safetensors.torch.save_file(net.state_dict(), path)``), or what
        ``net.state_dict()`` returned: tensors or arrays by name. Files of ``torch.save`` are pickles, which can run any
        code: load them in PyTorch.
    example
        An input batch of the usual image size (N, H, W, C), which is sent through the module once to see what its
        `Flatten` layers flatten. Not needed by a module without them. What a ``forward`` flattens by hand, with
        ``reshape``, is not seen, and would load in the wrong order: give the module a `Flatten`.
    strict
        Whether names that are missing in the weights, or that only they have, are errors. Shapes and dtypes always are.

    Raises
    ------
    WeightsError
        If the file is damaged or the weights do not fit: then all problems are listed at once, and the module has not
        changed. Also if the module has a `Flatten` before a `Linear` and no `example` is given.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> conv = nnx.Conv2d(3, 8, 5)
    >>> nnx.io.load_torch_weights(conv, {"weight": np.ones((8, 3, 5, 5), "float32"), "bias": np.ones(8, "float32")})
    >>> conv.weight.shape
    (8, 5, 5, 3)
    """
    check_module("load_torch_weights", module)
    if isinstance(weights, Mapping):
        source, state = "the weights", {name: _to_numpy(name, w) for name, w in weights.items()}
    else:
        source = repr(os.fspath(weights))
        state, metadata = read_safetensors(os.fspath(weights))
        if "layout" in metadata:
            raise WeightsError(f"{source} was written by nnx, not by PyTorch; use nnx.load_weights(module, path).")
    turns = _turns("load_torch_weights", module, example, from_torch=True)
    try:
        module.load_state_dict({name: turns.get(name, _same)(array) for name, array in state.items()}, strict=strict)
    except WeightsError as error:
        raise WeightsError(f"{source}, turned to features last: {error}") from None


def save_torch_weights(module: Module, path: str | os.PathLike[str], *, example: Any = None) -> None:
    """Write the parameters and buffers of a module to a safetensors file for a PyTorch model with the same names.

    In PyTorch: ``net.load_state_dict(safetensors.torch.load_file(path))``.

    Parameters
    ----------
    module
        What to save.
    path
        The file. An existing one is replaced, when the new one is complete.
    example
        As for `load_torch_weights`.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Conv2d(1, 4, 3), nnx.Flatten(), nnx.Linear(4 * 6 * 6, 2))
    >>> image = np.zeros((1, 8, 8, 1), "float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "for_torch.safetensors")
    ...     nnx.io.save_torch_weights(net, path, example=image)
    ...     nnx.io.load_torch_weights(net, path, example=image)
    """
    check_module("save_torch_weights", module)
    turns = _turns("save_torch_weights", module, example, from_torch=False)
    arrays = {name: turns.get(name, _same)(np.asarray(to_numpy(raw))) for name, raw in module.state_dict().items()}
    write_safetensors("save_torch_weights", arrays, {"format": "pt"}, Path(path))


# ------------------------------------------------------------------ which axes go where


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _conv_from(w: np.ndarray) -> np.ndarray:
    """(out, in, *kernel) -> (out, *kernel, in)."""
    return np.moveaxis(w, 1, -1) if w.ndim > 2 else w


def _conv_to(w: np.ndarray) -> np.ndarray:
    return np.moveaxis(w, -1, 1)


def _transposed_from(w: np.ndarray) -> np.ndarray:
    """(in, out, *kernel) -> (out, *kernel, in)."""
    return np.moveaxis(w, 0, -1) if w.ndim > 2 else w


def _transposed_to(w: np.ndarray) -> np.ndarray:
    return np.moveaxis(w, -1, 0)


def _flattened(shape: tuple[int, ...], from_torch: bool) -> _Turn:
    """Turn a weight (out, in) whose inputs are a flattened array (*spatial, channels)."""
    *spatial, channels = shape

    def turn(w: np.ndarray) -> np.ndarray:
        if w.ndim != 2 or w.shape[1] != math.prod(shape):
            return w  # loading tells what does not fit
        if from_torch:
            return np.moveaxis(w.reshape(-1, channels, *spatial), 1, -1).reshape(w.shape)
        return np.moveaxis(w.reshape(-1, *shape), -1, 1).reshape(w.shape)

    return turn


def _turns(function: str, module: Module, example: Any, from_torch: bool) -> dict[str, _Turn]:
    """Return what to do with the arrays whose axes differ, by name."""
    turns: dict[str, _Turn] = {}
    flat = _linear_after_flatten(function, module, example)
    turn: _Turn
    for name, each in _every_name(module):
        prefix = f"{name}." if name else ""
        if isinstance(each, (Conv1d, Conv2d, Conv3d)):
            turn = _conv_from if from_torch else _conv_to
        elif isinstance(each, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)):
            turn = _transposed_from if from_torch else _transposed_to
        elif each in flat:
            turn = _flattened(flat[each], from_torch)
        else:
            continue
        for key in _LIKE_THE_WEIGHT:
            turns[prefix + key] = turn
        turns[f"{prefix}{_NORM}0._v"] = _row(_flattened(flat.get(each) or _inputs(each), from_torch))
    return turns


def _inputs(conv: Any) -> tuple[int, ...]:
    """Return the shape of what one output of a convolution is computed from: (*kernel, channels)."""
    transposed = isinstance(conv, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d))
    return (*conv.kernel_size, conv.in_channels if transposed else conv.in_channels // conv.groups)


def _row(turn: _Turn) -> _Turn:
    """Turn a vector as if it were a matrix of one row."""
    return lambda v: turn(v[None])[0] if v.ndim == 1 else v


def _every_name(module: Module, prefix: str = "") -> list[tuple[str, Module]]:
    """Return the modules under every name that leads to them, as a state dict has them."""
    found = [(prefix, module)]
    for name, child in module._modules.items():
        found += _every_name(child, f"{prefix}.{name}" if prefix else name)
    return found


def _linear_after_flatten(function: str, module: Module, example: Any) -> dict[Module, tuple[int, ...]]:
    """Return what the inputs of linear layers were before they were flattened, by watching one forward pass."""
    modules = list(module.modules())
    if not any(isinstance(each, (Flatten, Unflatten)) for each in modules):
        return {}
    if example is None:
        raise WeightsError(
            f"{function}: {type(module).__name__} flattens images, whose values PyTorch counts in another order. Pass "
            "example=, a batch of the usual image size (N, H, W, C)."
        )
    flat: list[tuple[Any, tuple[int, ...]]] = []  # arrays that hold flattened values, with the shape before
    found: dict[Module, tuple[int, ...]] = {}
    unclear: list[str] = []
    names = {each: name for name, each in module.named_modules()}

    def watch(each: Module, args: tuple[Any, ...], output: Any) -> None:
        known = next((shape for array, shape in flat if args and array is args[0]), None)
        if isinstance(each, Flatten):
            shape = tuple(args[0].shape[1:])
            if len(shape) > 1 and each.start_dim == 1 and math.prod(shape[:-1]) > 1:  # one place has one order
                flat.append((output, shape))
        elif isinstance(each, Unflatten) and len(each.unflattened_size) > 1:
            unclear.append(f"{names[each]} ({type(each).__name__})")
        elif known is not None and isinstance(each, Linear):
            found[each] = known
        elif known is not None and each._parameters:
            unclear.append(f"{names[each]} ({type(each).__name__})")
        elif known is not None and not each._modules and output.shape == args[0].shape:
            flat.append((output, known))  # such as dropout or an activation in between

    training = {each: each.training for each in modules}
    removers = [each.register_forward_hook(watch) for each in modules]
    try:
        module.eval()(example)
    finally:
        for remove in removers:
            remove()
        for each, flag in training.items():
            each.__dict__["training"] = flag
    if flat and not found and not unclear and any(isinstance(each, Linear) for each in modules):
        unclear.append("what follows a Flatten")
    if unclear:
        raise WeightsError(
            f"{function}: cannot tell the order of the features at {', '.join(unclear)}: PyTorch counts those of "
            "flattened images channel by channel. Put the Flatten right before a Linear, or turn these weights by hand."
        )
    return found


def _to_numpy(name: str, weight: Any) -> np.ndarray:
    """Return a tensor or an array on the host; bfloat16, which NumPy lacks, as float32."""
    if hasattr(weight, "detach"):  # a tensor of PyTorch, which is not imported here
        weight = weight.detach().cpu()
        weight = (weight.float() if str(weight.dtype) == "torch.bfloat16" else weight).numpy()
    if not hasattr(weight, "dtype"):
        raise TypeError(
            f"load_torch_weights: expected {name!r} to be a tensor or an array, got {type(weight).__name__}."
        )
    return np.asarray(to_numpy(weight))
