"""How a function of the namespace is declared: its signature in the standard, and what its derivative is.

A rule names what it needs by the names of its parameters. In ::

    rule("multiply(x1, x2, /)", x1=lambda xp, g, x2: g * x2, x2=lambda xp, g, x1: g * x1)

the derivative for `x1` gets the namespace `xp` to compute in, the cotangent `g` of the output, and the saved `x2`. The
names that may be asked for are the function's own arguments, ``out`` (its result), and ``<argument>_shape``.

Rules do not care about broadcasting and dtypes: the engine sums a gradient to the shape of its argument and casts it.
Nor do they conjugate: unless a rule says ``holomorphic=False``, the engine runs it as ``conj(vjp(conj(g)))`` on complex
arrays, which is PyTorch's convention (the gradient is the direction of steepest ascent).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_ARRAYS = frozenset({"x", "x1", "x2", "condition", "indices", "key", "value", "arrays", "repeats", "sorter"})
_ARRAYS |= {"prepend", "append", "min", "max", "fill_value", "start", "stop", "step", "rtol"}


@dataclass(frozen=True)
class Rule:
    """A declared function. `kind` is one of "op", "composite", "constant", "undifferentiable"."""

    name: str
    signature: inspect.Signature
    kind: str
    forward: Callable | None = None  # forward(xp, *args): for functions the standard lacks
    vjps: dict[str, Callable] = field(default_factory=dict)  # per argument
    joint: Callable | None = None  # or all at once
    outputs: tuple[str, ...] = ()  # names of several outputs
    body: Callable | None = None  # composite: body(xp, *args)
    holomorphic: bool = True
    lift: bool = False  # whether the derivatives need Python scalars as arrays

    @property
    def function_name(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def array_parameters(self) -> list[str]:
        return [p for p in self.signature.parameters if p in _ARRAYS]


RULES: dict[str, Rule] = {}


def _declare(spec: str, kind: str, **fields: Any) -> None:
    name, _, parameters = spec.partition("(")
    function = eval(f"lambda {parameters[:-1]}: None", {"inf": float("inf")})  # noqa: S307 - a literal of this package
    if name in RULES:
        raise ValueError(f"{name} is declared twice")
    RULES[name] = Rule(name=name, signature=inspect.signature(function), kind=kind, **fields)


def rule(
    spec: str,
    *,
    forward: Callable | None = None,
    holomorphic: bool = True,
    lift: bool = False,
    **vjps: Callable,
) -> None:
    """Declare a function by one VJP per differentiable argument: ``vjp(xp, g, <saved names>)``."""
    _declare(spec, "op", forward=forward, vjps=vjps, holomorphic=holomorphic, lift=lift)


def joint_rule(
    spec: str,
    vjp: Callable,
    *,
    outputs: tuple[str, ...] = (),
    forward: Callable | None = None,
    holomorphic: bool = False,
) -> None:
    """Declare a function by one VJP for all arguments: ``vjp(xp, g, needs, <saved names>) -> tuple``.

    `needs` holds one entry per array argument, None where no gradient is wanted. With several `outputs`, `g` is a tuple
    with None where an output was not used, and the outputs can be asked for by their names.
    """
    _declare(spec, "op", forward=forward, joint=vjp, outputs=outputs, holomorphic=holomorphic)


def composite(spec: str, body: Callable, *, forward: Callable | None = None) -> None:
    """Declare a function whose tracked form is ``body(xp, *args)`` in other functions of the namespace."""
    _declare(spec, "composite", body=body, forward=forward)


def constant(*specs: str) -> None:
    """Declare functions whose derivative is zero wherever it exists: their results are not tracked."""
    for spec in specs:
        _declare(spec, "constant")


def undifferentiable(*specs: str) -> None:
    """Declare functions that raise on tracked arrays, since mathematics gives them no useful derivative."""
    for spec in specs:
        _declare(spec, "undifferentiable")
