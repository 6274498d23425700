"""What all transforms share: variables for the arguments of one call, and the pull of cotangents back to them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from ..backend import asarray
from .array import Array, transforming
from .backward import cotangent_for
from .namespace import differentiable_of, require_differentiable
from .parameter import Parameter, reader
from .tape import Slot, backpropagate, collect, leaf, useful
from .tree import fill_tree, leaves_of, map_tree


def stop_gradient(x: Any) -> Any:
    """Return the raw array of `x`, through which no gradient flows. Nested containers are taken leaf by leaf.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.grad(lambda x: x * nnx.stop_gradient(x))(np.asarray(3.0))
    np.float64(3.0)
    """
    return map_tree(lambda v: v._data if isinstance(v, Array) else v, x)


def check_arguments(operation: str, f: Any, argnums: Any) -> tuple[tuple[int, ...], bool]:
    """Return the numbers of the arguments to differentiate, and whether only one, not a sequence, was asked for."""
    if not callable(f):
        raise TypeError(f"{operation}: expected a function, got {type(f).__name__}.")
    try:
        if hasattr(argnums, "__index__"):
            return (operator.index(argnums),), True
        return tuple(operator.index(n) for n in argnums), False
    except TypeError:
        raise TypeError(
            f"{operation}: expected argnums to be an integer or a sequence of integers, got {argnums!r}."
        ) from None


# ------------------------------------------------------------------ variables


def new_variable(value: Any, operation: str) -> Array:
    """Return a fresh variable with the value of `value`: a leaf, or an alias if that is tracked itself."""
    if isinstance(value, Array):
        if value._node is not None:
            return value._namespace.indexing.alias(value)
        value = value._data
    if isinstance(value, (float, complex)):
        value = asarray(value)
    namespace = differentiable_of(value, operation)
    require_differentiable(operation, value)
    return namespace.wrap(value, leaf(value, Slot()))


class Inputs:
    """The differentiated arguments of one call: their variables, and how to call the function with them.

    `trees` holds one container per argument, of variables or of what they are made from; for a Module it is the dict
    of its trainable parameters by name. `variables` are their leaves, in order.
    """

    def __init__(self, f: Callable, args: tuple, argnums: Sequence[int], operation: str) -> None:
        count = len(args)
        self.args = list(args)
        self.trees: list[Any] = []
        self.variables: list[Array] = []
        self.parameters: dict[Parameter, Array] = {}
        for n in argnums:
            if not -count <= n < count:
                name = getattr(f, "__name__", type(f).__name__)
                raise TypeError(f"{operation}: argnums={n}, but {name} was called with {count} positional arguments.")
        if len(argnums) > 1 and len({n % count for n in argnums}) != len(argnums):
            raise ValueError(f"{operation}: expected argnums to name each argument once, got {tuple(argnums)}.")
        for n in argnums:
            arg = args[n]
            if hasattr(type(arg), "__nnx_parameters__"):
                self.trees.append(self._add_module(arg, operation))
            else:
                variables = [new_variable(v, operation) for v in leaves_of(arg)]
                self.variables += variables
                self.trees.append(arg)
                self.args[n] = fill_tree(arg, variables)

    def _add_module(self, module: Any, operation: str) -> dict:
        outer = reader.get()
        tree = {}
        for name, parameter in module.__nnx_parameters__().items():
            if parameter.trainable:
                value = parameter.value if outer is None else outer(parameter)
                self.parameters[parameter] = found = new_variable(value, operation)
                self.variables.append(found)
                tree[name] = found
        return tree

    def call(self, function: Callable, options: dict) -> Any:
        """Call the function on the variables; meanwhile, tracked arrays do not turn into Python numbers."""
        flag = transforming.set(True)
        try:
            return self._call(function, options) if self.parameters else function(*self.args, **options)
        finally:
            transforming.reset(flag)

    def _call(self, function: Callable, options: dict) -> Any:
        outer = reader.get()
        own = self.parameters

        def read(parameter: Parameter) -> Any:
            found = own.get(parameter)
            return found if found is not None else parameter.value if outer is None else outer(parameter)

        token = reader.set(read)
        try:
            return function(*self.args, **options)
        finally:
            reader.reset(token)

    def gradients(self, grads: list[Any], single: bool) -> Any:
        """Put flat gradients back into the structure of the arguments."""
        remaining = iter(grads)
        trees = [map_tree(lambda _: next(remaining), tree) for tree in self.trees]
        return trees[0] if single else tuple(trees)


def pull(
    outputs: Sequence[Any],
    cotangents: Sequence[Any],
    variables: Sequence[Array],
    *,
    retain_graph: bool = False,
    besides: Sequence[Array] = (),
) -> list[Any]:
    """Return the gradients for `variables`, given the cotangents of `outputs` (None: no cotangent).

    They are raw arrays, or recorded ones if outputs, cotangents or variables depend on anything tracked other than
    `variables` and the leaves `besides`.
    """
    roots = [o._node for o in outputs if isinstance(o, Array) and o._node is not None]
    targets = {v._node: None for v in variables}
    order, others = collect(roots, targets)  # type: ignore[arg-type]
    ignored = {v._node for v in besides}
    nested = (
        any(node not in ignored for node in others)
        or any(v._node.op is not None for v in variables)  # type: ignore[union-attr]
        or any(isinstance(c, Array) and c._node is not None for c in cotangents)
    )
    start: dict[Any, Any] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if cotangent is None or not isinstance(output, Array) or output._node is None:
            continue
        g = cotangent_for(output, cotangent, nested)
        before = start.get(output._node)
        start[output._node] = g if before is None else before + g
    arrived = backpropagate(
        order,
        start,
        create_graph=nested,
        retain_graph=retain_graph,
        targets=targets,  # type: ignore[arg-type]
        within=useful(order, targets) if others or nested else None,  # type: ignore[arg-type]
    )
    grads = []
    for v in variables:
        g = arrived.get(v._node)  # type: ignore[arg-type]
        grads.append(v._namespace.raw.zeros_like(v._data) if g is None else g)
    return grads


def finished(tree: Any) -> Any:
    """Return what a function computed: raw where nothing outside is tracked."""
    roots = [v for v in leaves_of(tree) if isinstance(v, Array)]
    return map_tree(lambda v: v._data if isinstance(v, Array) and v._node is None else v, tree) if roots else tree


def detached_from(tree: Any, variables: Sequence[Array]) -> Any:
    """Return a result of the function without its ties to `variables`: tracked only if something outside is."""
    targets = {v._node for v in variables if v._node.op is None}  # type: ignore[union-attr]

    def strip(value: Any) -> Any:
        if not isinstance(value, Array):
            return value
        if value._node is None:
            return value._data
        _, others = collect([value._node], targets)  # type: ignore[arg-type]
        return value if others else value._data

    return map_tree(strip, tree)
