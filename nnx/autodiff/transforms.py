"""Functions of functions: grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp.

Signatures and meaning are JAX's. Arguments may be nested dicts, lists and tuples of arrays, or a Module, whose gradient
is a dict from parameter name to array. Gradients are raw arrays, unless the function also depends on something tracked
outside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..backend import asarray
from ..dtypes import is_complex
from ..errors import ShapeError
from .array import Array
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


class _Inputs:
    """The differentiated arguments of one call: their variables, and how to call the function with them."""

    def __init__(self, args: tuple, argnums: Sequence[int], operation: str) -> None:
        self.args = list(args)
        self.trees: list[Any] = []
        self.variables: list[Array] = []
        self.parameters: dict[Parameter, Array] = {}
        for n in argnums:
            if not -len(args) <= n < len(args):
                raise TypeError(f"{operation}: argnums={n}, but the function was called with {len(args)} arguments.")
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
        if not self.parameters:
            return function(*self.args, **options)
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


def _finished(tree: Any) -> Any:
    """Return what a function computed: raw where nothing outside is tracked."""
    roots = [v for v in leaves_of(tree) if isinstance(v, Array)]
    return map_tree(lambda v: v._data if isinstance(v, Array) and v._node is None else v, tree) if roots else tree


def _detached_from(tree: Any, variables: Sequence[Array]) -> Any:
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


# ------------------------------------------------------------------ gradients of scalars


def value_and_grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """Return a function that computes ``f`` and its gradient.

    Parameters
    ----------
    f
        A function whose first result is a single real number.
    argnums
        Which positional arguments to differentiate with respect to.
    has_aux
        Whether `f` returns ``(value, aux)``; the new function then returns ``((value, aux), gradient)``.

    Raises
    ------
    ShapeError
        If `f` returns more than one number.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.value_and_grad(lambda x: x ** 2)(np.asarray(3.0))
    (np.float64(9.0), np.float64(6.0))
    """
    single = isinstance(argnums, int)
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(f)
    def value_and_grad_of_f(*args: Any, **options: Any) -> Any:
        inputs = _Inputs(args, numbers, "value_and_grad")
        result = inputs.call(f, options)
        value, aux = result if has_aux else (result, None)
        _require_scalar(value)
        if isinstance(value, Array) and value._node is not None:
            one = value._namespace.raw.ones_like(value._data)
            raw_value = _detached_from(value, inputs.variables)
            raw_aux = _detached_from(aux, inputs.variables)
            grads = pull([value], [one], inputs.variables)
        else:  # the result does not depend on the arguments
            raw_value, raw_aux = _finished(value), _detached_from(aux, inputs.variables)
            grads = pull([], [], inputs.variables)
        gradient = inputs.gradients([_finished(g) for g in grads], single)
        return ((raw_value, raw_aux), gradient) if has_aux else (raw_value, gradient)

    return value_and_grad_of_f


def _require_scalar(value: Any) -> None:
    if not hasattr(value, "shape"):
        if isinstance(value, (int, float)):
            return
        raise TypeError(f"grad: expected the function to return a single number, got {type(value).__name__}.")
    if tuple(value.shape) != ():
        raise ShapeError(
            f"grad: expected the function to return a single number, got shape {tuple(value.shape)}. Reduce it, e.g. "
            "with xp.mean, or use nnx.jacobian or nnx.vjp."
        )
    if is_complex(value.dtype):
        raise TypeError(
            "grad: expected a real number, got a complex one. Take xp.real or xp.abs of it, or use nnx.vjp."
        )


def grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """Return a function that computes the gradient of ``f``. See `value_and_grad` for the arguments.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.grad(nnx.grad(lambda x: x ** 3))(np.asarray(2.0))
    np.float64(12.0)
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def grad_of_f(*args: Any, **options: Any) -> Any:
        value, gradient = both(*args, **options)
        return (gradient, value[1]) if has_aux else gradient

    return grad_of_f


# ------------------------------------------------------------------ products with the Jacobian


def vjp(f: Callable, *primals: Any) -> tuple[Any, Callable]:
    """Return ``f(*primals)`` and the function that multiplies a cotangent with the Jacobian from the left.

    The pullback takes a cotangent of the structure of the output and returns a tuple with one gradient per primal. It
    may be called many times.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> y, pullback = nnx.vjp(np.sin, np.asarray([0.0, 1.0]))
    >>> pullback(np.asarray([1.0, 0.0]))
    (array([1., 0.]),)
    """
    inputs = _Inputs(primals, range(len(primals)), "vjp")
    result = inputs.call(f, {})
    outputs = leaves_of(result)

    def pullback(cotangent: Any) -> tuple:
        given = leaves_of(cotangent)
        _check_match("vjp", "cotangent", "outputs", given, outputs)
        grads = pull(outputs, given, inputs.variables, retain_graph=True)
        return inputs.gradients([_finished(g) for g in grads], single=False)

    return _detached_from(result, inputs.variables), pullback


def jvp(f: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return ``f(*primals)`` and the product of its Jacobian with `tangents`, one per primal.

    Computed by differentiating the pullback, which is linear in its cotangent.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, v = np.asarray([1.0, 2.0]), np.asarray([1.0, 0.0])
    >>> nnx.jvp(lambda x: x * x, (x,), (v,))
    (array([1., 4.]), array([2., 0.]))
    """
    _check_match("jvp", "tangent", "primals", leaves_of(tuple(tangents)), leaves_of(tuple(primals)))
    inputs = _Inputs(tuple(primals), range(len(primals)), "jvp")
    result = inputs.call(f, {})
    outputs = leaves_of(result)
    moving = [isinstance(o, Array) and o._node is not None for o in outputs]
    zeros = [_zeros_like(o) for o in outputs]
    cotangents = [new_variable(z, "jvp") if m else None for z, m in zip(zeros, moving, strict=True)]
    grads = pull(outputs, cotangents, inputs.variables, retain_graph=True)
    variables = [c for c in cotangents if c is not None]
    pulled = iter(pull(grads, leaves_of(tuple(tangents)), variables, besides=inputs.variables))
    pushed = [_finished(next(pulled)) if m else z for z, m in zip(zeros, moving, strict=True)]
    return _detached_from(result, inputs.variables), fill_tree(result, pushed)


def _zeros_like(x: Any) -> Any:
    data = x._data if isinstance(x, Array) else x
    return differentiable_of(data, "jvp").raw.zeros_like(data) if hasattr(data, "dtype") else 0 * data


def _check_match(operation: str, what: str, others: str, given: list, wanted: list) -> None:
    if len(given) != len(wanted):
        raise ShapeError(f"{operation}: expected {len(wanted)} {what}s, as many as {others}, got {len(given)}.")
    for v, x in zip(given, wanted, strict=True):
        shape, expected = tuple(getattr(v, "shape", ())), tuple(getattr(x, "shape", ()))
        if shape != expected:
            raise ShapeError(f"{operation}: expected a {what} of shape {expected}, got {shape}.")


def hvp(f: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the product of the Hessian of the scalar function ``f`` with `tangents`, one per primal.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, v = np.asarray([1.0, 2.0]), np.asarray([1.0, 0.0])
    >>> nnx.hvp(lambda x: np.sum(x ** 3), (x,), (v,))
    array([6., 0.])
    """
    _check_match("hvp", "tangent", "primals", leaves_of(tuple(tangents)), leaves_of(tuple(primals)))
    inputs = _Inputs(tuple(primals), range(len(primals)), "hvp")
    gradients = inputs.call(grad(f, tuple(range(len(primals)))), {})
    flat = pull(leaves_of(gradients), leaves_of(tuple(tangents)), inputs.variables)
    return inputs.gradients([_finished(g) for g in flat], single=len(primals) == 1)


# ------------------------------------------------------------------ whole Jacobians


def jacobian(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """Return a function that computes the Jacobian of ``f``: an array of shape output.shape + input.shape.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.jacobian(lambda x: x * x)(np.asarray([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    single = isinstance(argnums, int)
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(f)
    def jacobian_of_f(*args: Any, **options: Any) -> Any:
        inputs = _Inputs(args, numbers, "jacobian")
        output = inputs.call(f, options)
        if isinstance(output, (dict, list, tuple)) or not hasattr(output, "shape"):
            raise TypeError(f"jacobian: expected the function to return an array, got {type(output).__name__}.")
        shape = tuple(output.shape)
        ns = inputs.variables[0]._namespace
        raw = ns.raw
        data = output._data if isinstance(output, Array) else output
        size = 1
        for n in shape:
            size *= n
        basis = raw.eye(size, dtype=data.dtype, device=ns.wrap(data).device)
        rows = [
            pull([output], [raw.reshape(basis[i, :], shape)], inputs.variables, retain_graph=True) for i in range(size)
        ]
        grads = []
        for k, v in enumerate(inputs.variables):
            column = [row[k] for row in rows]
            xp = ns if any(isinstance(g, Array) for g in column) else raw
            stacked = xp.stack(column) if column else raw.zeros((0, *v.shape), dtype=v.dtype, device=v.device)
            grads.append(_finished(xp.reshape(stacked, (*shape, *v.shape))))
        return inputs.gradients(grads, single)

    return jacobian_of_f


def hessian(f: Callable, argnums: int = 0) -> Callable:
    """Return a function that computes the Hessian of the scalar function ``f``.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.hessian(lambda x: np.sum(x ** 3))(np.asarray([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums)
