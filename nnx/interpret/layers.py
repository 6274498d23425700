"""What the layers of a network give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..autodiff import stop_gradient
from ..layers import Module
from ..training.modes import evaluation_mode


def activations(net: Module, x: Any, names: str | Sequence[str]) -> dict[str, Any]:
    """Return the outputs of layers inside a network, in evaluation mode.

    Parameters
    ----------
    net
        The network.
    x
        A batch of inputs (N, ...), on the backend of the network.
    names
        The dotted name of a layer, or several, as in `Module.named_modules`.

    Returns
    -------
    dict
        The outputs by name: raw arrays, or what else the layer returns.

    Raises
    ------
    TypeError
        If `net` is no Module.
    ValueError
        If there is no layer of a name (the text lists those that there are), or the network does not call it exactly
        once.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Conv2d(3, 8, 3), nnx.ReLU(), nnx.Flatten(), nnx.Linear(128, 2))
    >>> found = nnx.interpret.activations(net, np.ones((5, 6, 6, 3), dtype="float32"), ["0", "3"])
    >>> found["0"].shape, found["3"].shape
    ((5, 4, 4, 8), (5, 2))
    """
    listed = [names] if isinstance(names, str) else list(names)
    return run("activations", net, x, listed)


def run(label: str, net: Module, x: Any, names: Sequence[str]) -> dict[str, Any]:
    """Call a network once in evaluation mode; return the raw outputs of layers by name."""
    found: dict[str, list[Any]] = {name: [] for name in names}

    def keeper(name: str) -> Callable:
        return lambda module, args, output: found[name].append(stop_gradient(output))

    with hooked(label, net, {name: keeper(name) for name in found}), evaluation_mode(net):
        net(stop_gradient(x))
    for name, outputs in found.items():
        if len(outputs) != 1:
            times = "did not call it" if not outputs else f"called it {len(outputs)} times"
            raise ValueError(
                f"{label}: expected a layer that the network calls once, but for {name!r} it {times}. Name another "
                "layer, e.g. the one before or after."
            )
    return {name: outputs[0] for name, outputs in found.items()}


@contextmanager
def hooked(label: str, net: Module, hooks: dict[str, Callable]) -> Iterator[None]:
    """Have hooks on layers within the block; they are gone after it, whatever happens."""
    layers = [(layer_of(label, net, name), hook) for name, hook in hooks.items()]
    removers = [layer.register_forward_hook(hook) for layer, hook in layers]
    try:
        yield
    finally:
        for remove in removers:
            remove()


def layer_of(label: str, net: Module, name: str) -> Module:
    """Return the layer of a dotted name, or raise an error that lists the names."""
    require_module(label, net)
    try:
        return net.module(name)
    except (AttributeError, TypeError):
        known = ", ".join(each for each, _ in net.named_modules() if each) or "none"
        raise ValueError(f"{label}: {type(net).__name__} has no layer {name!r}; its layers are {known}.") from None


def require_module(label: str, net: Any) -> None:
    """Raise unless `net` is a network."""
    if not isinstance(net, Module):
        fix = "; pass model.net" if isinstance(getattr(net, "net", None), Module) else ""
        raise TypeError(f"{label}: expected a Module as the network, got {type(net).__name__}{fix}.")
