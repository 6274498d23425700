"""Functions with a backward pass of their own: `checkpoint` computes twice to save memory, `custom_vjp` is yours."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import random
from ..dtypes import is_differentiable
from ..errors import ShapeError
from .array import Array, transforming
from .inputs import new_variable, pull, stop_gradient
from .parameter import Parameter, reader
from .tape import Node, Operation, record, record_outputs
from .tree import fill_tree, leaves_of, match_tree


def _tracked(values: Sequence[Any]) -> list[int]:
    """The positions of the tracked arrays among `values`."""
    return [i for i, v in enumerate(values) if isinstance(v, Array) and v._node is not None]


def _require_untracked(outputs: Sequence[Any], label: str) -> None:
    for output in outputs:
        if not hasattr(output, "dtype"):
            raise TypeError(f"{label}: expected the function to return arrays, got {type(output).__name__}.")
    if _tracked(outputs):
        raise ValueError(
            f"{label}: the function uses a tracked array that is neither an argument nor a parameter, whose gradient "
            "would be lost. Pass it as an argument."
        )


def _record_call(
    label: str, outputs: list[Any], inputs: Sequence[Array], saved: Any, vjp: Callable, replay: Callable
) -> list[Any]:
    """Return the raw outputs of a call as arrays tied to its inputs."""
    namespace = inputs[0]._namespace
    if not any(is_differentiable(out.dtype) for out in outputs):
        return [namespace.wrap(out) for out in outputs]
    op = Operation(label, vjp, (), namespace, outputs=len(outputs), replay=replay)
    parents = tuple(a._node for a in inputs)
    if len(outputs) == 1:
        return [namespace.wrap(outputs[0], record(op, parents, saved, outputs[0]))]
    nodes = record_outputs(op, parents, saved, outputs)
    return [namespace.wrap(out, node) for out, node in zip(outputs, nodes, strict=True)]


def _as_list(g: Any) -> list[Any]:
    return g if type(g) is list else [g]


# ------------------------------------------------------------------ checkpoint


def checkpoint(f: Callable) -> Callable:
    """Return a function that computes ``f`` but keeps nothing for the backward pass except its arguments.

    The backward pass computes `f` again, with the same dropout masks. The arrays that `f` depends on must be its
    arguments, or parameters of modules that it calls.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> f = nnx.checkpoint(lambda x: np.sin(np.sin(x)))
    >>> x = np.asarray(0.5)
    >>> bool(nnx.grad(f)(x) == np.cos(np.sin(x)) * np.cos(x))
    True
    """

    @functools.wraps(f)
    def checkpointed(*args: Any, **options: Any) -> Any:
        outer = reader.get()
        used: dict[Parameter, Array] = {}

        def read(parameter: Parameter) -> Any:
            value = parameter.value if outer is None else outer(parameter)
            if isinstance(value, Array):
                used[parameter] = value
                return value._data
            return value

        stream = copy.copy(random.dropout_stream())
        token = reader.set(read)
        try:
            result = f(*stop_gradient(args), **options)
        finally:
            reader.reset(token)
        outputs = leaves_of(result)
        _require_untracked(outputs, "checkpoint")
        values = leaves_of(args)
        positions = _tracked(values)
        inputs = [values[i] for i in positions] + list(used.values())
        if not inputs:
            return result
        call = _Call(f, args, options, positions, list(used), stream)
        raw = leaves_of(stop_gradient(result))
        return fill_tree(result, _record_call("checkpoint", raw, inputs, call, _recompute, _recompute_recorded))

    return checkpointed


class _Call:
    """What a checkpointed call needs to be computed again."""

    def __init__(
        self,
        f: Callable,
        args: tuple,
        options: dict,
        positions: list[int],
        used: list[Parameter],
        stream: random.Stream,
    ) -> None:
        self.f = f
        self.args = stop_gradient(args)
        self.options = options
        self.positions = positions
        self.used = used
        self.values = [p.value for p in used]
        self.stream = stream

    def inputs(self) -> list[Any]:
        """The raw values of the tracked inputs, in the order of the node's parents."""
        leaves = leaves_of(self.args)
        return [leaves[i] for i in self.positions] + self.values

    def gradients(self, inputs: list[Any], g: Any) -> list[Any]:
        """Compute the call again from `inputs` and pull `g` back to those of them that are wanted (not raw)."""
        variables = [new_variable(v, "checkpoint") for v in inputs]
        leaves = leaves_of(self.args)
        for i, variable in zip(self.positions, variables, strict=False):
            leaves[i] = variable
        own = dict(zip(self.used, variables[len(self.positions) :], strict=True))
        token, flag = reader.set(lambda parameter: own.get(parameter, parameter.value)), transforming.set(True)
        try:
            with random.use_dropout_stream(copy.copy(self.stream)):
                result = self.f(*fill_tree(self.args, leaves), **self.options)
        finally:
            transforming.reset(flag)
            reader.reset(token)
        return pull(leaves_of(result), _as_list(g), variables)


def _recompute(xp: Any, g: Any, saved: _Call, needs: tuple) -> list[Any]:
    return saved.gradients(saved.inputs(), g)


def _recompute_recorded(g: Any, node: Node, needs: tuple) -> list[Any]:
    wrap = node.op.namespace.wrap  # type: ignore[union-attr]
    inputs = [wrap(v, parent) for v, parent in zip(node.saved.inputs(), node.parents, strict=True)]
    return node.saved.gradients(inputs, g)


# ------------------------------------------------------------------ custom_vjp


class custom_vjp:
    """A function with a derivative of your own.

    Give it with `defvjp`: ``forward(*args) -> (output, residuals)`` and ``backward(residuals, g) -> tuple`` with one
    gradient (or None) per argument. Both are written in functions that nnx can differentiate if second derivatives are
    wanted.

    Parameters
    ----------
    f
        The function.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> @nnx.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    >>> float(nnx.grad(lambda x: 5.0 * clip_gradient(x))(np.asarray(2.0)))
    1.0
    """

    def __init__(self, f: Callable) -> None:
        functools.update_wrapper(self, f)
        self.f = f
        self.forward: Callable | None = None
        self.backward: Callable | None = None

    def defvjp(self, forward: Callable, backward: Callable) -> None:
        """Set the forward and the backward function."""
        self.forward, self.backward = forward, backward

    def __call__(self, *args: Any) -> Any:
        values = leaves_of(args)
        positions = _tracked(values)
        if not positions:
            return self.f(*args)
        if self.forward is None:
            raise RuntimeError(
                f"custom_vjp: call {self.f.__name__}.defvjp(forward, backward) before differentiating it."
            )
        raw_args = stop_gradient(args)
        result, residuals = self.forward(*raw_args)
        _require_untracked(leaves_of(result), "custom_vjp")
        saved = (raw_args, positions, residuals)
        inputs = [values[i] for i in positions]
        raw = leaves_of(stop_gradient(result))
        return fill_tree(result, _record_call("custom_vjp", raw, inputs, saved, self._vjp, self._replay))

    def _pulled(self, residuals: Any, g: Any, args: tuple, positions: list[int]) -> list[Any]:
        grads = self.backward(residuals, g)  # type: ignore[misc]
        if not isinstance(grads, tuple) or len(grads) != len(args):
            raise TypeError(
                f"custom_vjp: expected the backward function to return a tuple of {len(args)} gradients, one per "
                f"argument, got {type(grads).__name__}."
            )
        flat: list[Any] = []
        for i, (arg, grad) in enumerate(zip(args, grads, strict=True)):
            if grad is None:
                flat += [None] * len(leaves_of(arg))
            else:
                flat += match_tree(arg, grad, "custom_vjp", f"gradient {i}", "the argument", shapes=False)
        for i in positions:
            shape = tuple(leaves_of(args)[i].shape)
            if flat[i] is not None and tuple(getattr(flat[i], "shape", ())) != shape:
                raise ShapeError(
                    f"custom_vjp: expected a gradient of shape {shape}, that of the argument, got "
                    f"{tuple(getattr(flat[i], 'shape', ()))}."
                )
        return [flat[i] for i in positions]

    def _vjp(self, xp: Any, g: Any, saved: tuple, needs: tuple) -> list[Any]:
        args, positions, residuals = saved
        return [stop_gradient(grad) for grad in self._pulled(residuals, g, args, positions)]

    def _replay(self, g: Any, node: Node, needs: tuple) -> list[Any]:
        args, positions, _ = node.saved
        leaves = leaves_of(args)
        for i, parent in zip(positions, node.parents, strict=True):
            leaves[i] = node.op.namespace.wrap(leaves[i], parent)  # type: ignore[union-attr]
        _, residuals = self.forward(*fill_tree(args, leaves))  # type: ignore[misc]
        return self._pulled(residuals, g, args, positions)
