"""Why did the loss become NaN? Finds the first thing in a batch, or in the network, that is not finite."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..autodiff.tree import leaves_of
from ..dtypes import dtype_name, is_differentiable, is_floating
from ..layers import Module
from .modes import evaluation_mode

_CLEAN = "Remove or replace such samples."
_TAME = "Lower the learning rate, clip the gradients, or check the scale of the inputs."


def find_cause(net: Module, x: Any, y: Any, arrays: tuple[Any, ...] = ()) -> str:
    """Return sentences that name what is not finite, and what to do about it.

    Parameters
    ----------
    net
        The network; it runs once more, in evaluation mode and unrecorded.
    x, y
        The batch whose loss is not finite; on a device, where this is noticed late, the last one of the epoch.
    arrays
        The arrays (x, y) that the batch comes from, if there are any. They tell the position of a bad sample.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow is what this looks for
        return (
            _bad_data("input x", x, arrays[:1])
            or _bad_data("target y", y, arrays[1:2])
            or _bad_parameter(net)
            or _bad_layer(net, x, y)
        )


def _bad_data(label: str, batch: Any, arrays: Iterable[Any]) -> str | None:
    for array in arrays:
        if _kind(array):
            return f"The {label} contains {_kind(array)} at sample {_first_sample(array)}. {_CLEAN}"
    for leaf in leaves_of(batch):
        if _kind(leaf):
            found = f"{_kind(leaf)} in {dtype_name(leaf.dtype)} at sample {_first_sample(leaf)} of the batch"
            return f"The {label} contains {found}. {_CLEAN}"
    return None


def _bad_parameter(net: Module) -> str | None:
    for kind, items in (("parameter", net.named_parameters()), ("buffer", net.named_buffers())):
        for name, item in items:
            if _kind(item.value):
                return f"The {kind} {name!r} contains {_kind(item.value)} already. {_TAME}"
    return None


def _bad_layer(net: Module, x: Any, y: Any) -> str:
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: Module, args: tuple, output: Any) -> None:
            kind = next(filter(None, map(_kind, leaves_of(output))), None)
            if kind is None or found:
                return
            label = f"layer {name!r} ({type(module).__name__})" if name else f"the network ({type(module).__name__})"
            before = next(filter(None, map(_kind, leaves_of(args))), None)
            if before is not None:
                found.append(f"The input of {label} contains {before}: it was computed between two layers.")
            else:
                found.append(f"The first output that is not finite is that of {label}: it contains {kind}.")

        return hook

    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(net))
        for name, module in net.named_modules():
            stack.callback(module.register_forward_hook(watch(name)))
        outputs = stop_gradient(net(x))
    if found:
        return f"{found[0]} {_TAME}"
    return (
        f"In evaluation mode all layers give finite outputs for this batch{_range(outputs)}: look at the loss and at "
        f"the targets{_label_range(y)}. {_left_out(y)}{_TAME}"
    )


def _range(outputs: Any) -> str:
    if not hasattr(outputs, "shape"):
        return ""
    xp = namespace(outputs)
    return f", from {float(xp.min(outputs)):.3g} to {float(xp.max(outputs)):.3g} in shape {tuple(outputs.shape)}"


def _left_out(y: Any) -> str:
    """Name a possibility that only the loss knows of: class indices that are all one class, and that does not count."""
    if not _label_range(y):
        return ""
    xp = namespace(y)
    if int(xp.min(y)) != int(xp.max(y)):
        return ""
    return (
        f"All targets of the batch are {int(xp.min(y))}: if the loss leaves these out (ignore_index, or a weight of "
        "0), its mean is of nothing, which is NaN; drop such samples or enlarge the batches. "
    )


def _label_range(y: Any) -> str:
    if not hasattr(y, "shape") or is_floating(y.dtype) or dtype_name(y.dtype).startswith("bool"):
        return ""
    xp = namespace(y)
    return f", from {int(xp.min(y))} to {int(xp.max(y))}"


def _kind(leaf: Any) -> str | None:
    """Return what an array contains besides finite numbers: "NaN", "infinity", or None."""
    leaf = stop_gradient(leaf)
    if not hasattr(leaf, "dtype") or not is_differentiable(leaf.dtype):
        return None
    xp = namespace(leaf)
    if bool(xp.all(xp.isfinite(leaf))):
        return None
    return "NaN" if bool(xp.any(xp.isnan(leaf))) else "infinity"


def _first_sample(array: Any) -> int:
    xp = namespace(array)
    bad = ~xp.isfinite(array)
    if bad.ndim > 1:
        bad = xp.any(bad, axis=tuple(range(1, bad.ndim)))
    return int(xp.argmax(xp.astype(bad, xp.int32)))
