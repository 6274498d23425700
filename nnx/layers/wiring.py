"""Layers that compute nothing themselves: they pass on, call a function, or go round another layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autodiff.namespace import namespace
from ..errors import ShapeError
from .container import Sequential, checked_module
from .module import Module


class Identity(Module):
    """What goes in comes out. Takes any arguments, so that it can stand for any layer.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Identity()(np.ones(2))
    array([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        return input


class Lambda(Module):
    """A function as a layer. Parameters that it uses are not found: write a `Module` for these.

    Parameters
    ----------
    function
        A function of the input.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Linear(3, 4), nnx.Lambda(lambda x: x * x))
    >>> net(np.ones((2, 3), dtype="float32")).shape
    (2, 4)
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if isinstance(function, Module):
            raise TypeError(
                f"Lambda: expected a function, got the module {type(function).__name__}; it is a layer already."
            )
        if not callable(function):
            raise TypeError(
                f"Lambda: expected a function, got {type(function).__name__}; pass such as lambda x: x * x."
            )
        self.function = function

    def forward(self, input: Any) -> Any:
        return self.function(input)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


class Residual(Module):
    """The input plus what layers make of it, ``x + body(x)`` [1]_; or ``shortcut(x) + body(x)``.

    Parameters
    ----------
    *body
        The layers, called one after another.
    shortcut
        A layer for the way around them, where they change the shape: a projection.

    Raises
    ------
    TypeError
        If something else than layers is passed; when called, if a side is no array, such as a tuple.
    ShapeError
        When called, if the two sides have different shapes.

    References
    ----------
    .. [1] He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.ones((2, 3), dtype="float32")
    >>> nnx.Residual(nnx.Linear(3, 8), nnx.ReLU(), nnx.Linear(8, 3))(x).shape
    (2, 3)
    >>> nnx.Residual(nnx.Linear(3, 4), shortcut=nnx.Linear(3, 4, bias=False))(x).shape
    (2, 4)
    """

    def __init__(self, *body: Module, shortcut: Module | None = None) -> None:
        if not body:
            raise TypeError("Residual: expected at least one layer, got none; pass those to go around.")
        if not isinstance(shortcut, Module) and shortcut is not None:
            raise TypeError(f"Residual: expected shortcut to be a Module or None, got {type(shortcut).__name__}.")
        for position, layer in enumerate(body):
            checked_module(layer, f"Residual, argument {position}")
        self.body = body[0] if len(body) == 1 else Sequential(*body)
        self.shortcut: Any = shortcut

    def forward(self, input: Any) -> Any:
        output = self.body(input)
        around = input if self.shortcut is None else self.shortcut(input)
        for where, side in (("the layers", output), ("the shortcut", around)):
            if not hasattr(side, "dtype"):
                raise TypeError(
                    f"Residual: expected an array from {where}, got {type(side).__name__}; wrap them in a module that "
                    "returns the one to add."
                )
        if tuple(around.shape) != tuple(output.shape):
            fix = "give it a shortcut, a layer that" if self.shortcut is None else "let the shortcut be a layer that"
            raise ShapeError(
                f"Residual: expected two sides of one shape, got {tuple(output.shape)} from the layers and "
                f"{tuple(around.shape)} around them; {fix} maps {tuple(input.shape)} to the former."
            )
        return namespace(around, output).add(around, output)
