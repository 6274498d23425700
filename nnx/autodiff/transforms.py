"""Functions of functions: grad, value_and_grad, vjp, jvp.

Signatures and meaning are JAX's. Arguments may be nested dicts, lists and tuples of arrays, or a Module, whose gradient
is a dict from parameter name to array. Gradients are raw arrays, unless the function also depends on something tracked
outside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..dtypes import dtype_name, is_complex, is_floating
from ..errors import DTypeError, ShapeError
from .array import Array
from .inputs import Inputs, check_arguments, detached_from, finished, new_variable, pull
from .namespace import differentiable_of
from .ownership import exclusive
from .tree import fill_tree, leaves_of, match_tree

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
    return _value_and_grad(f, argnums, has_aux, "value_and_grad")


def _value_and_grad(f: Callable, argnums: int | Sequence[int], has_aux: bool, operation: str) -> Callable:
    numbers, single = check_arguments(operation, f, argnums)

    @functools.wraps(f)
    def value_and_grad_of_f(*args: Any, **options: Any) -> Any:
        inputs = Inputs(f, args, numbers, operation)
        result = inputs.call(f, options)
        value, aux = _split(result, operation) if has_aux else (result, None)
        _require_scalar(value, operation)
        if isinstance(value, Array) and value._node is not None:
            one = value._namespace.raw.ones_like(value._data)
            raw_value = detached_from(value, inputs.variables)
            raw_aux = detached_from(aux, inputs.variables)
            grads = pull([value], [one], inputs.variables)
        else:  # the result does not depend on the arguments
            raw_value, raw_aux = finished(value), detached_from(aux, inputs.variables)
            grads = pull([], [], inputs.variables)
        gradient = inputs.gradients(exclusive(finished(grads), inputs.variables), single)
        return ((raw_value, raw_aux), gradient) if has_aux else (raw_value, gradient)

    return value_and_grad_of_f


def _split(result: Any, operation: str) -> tuple[Any, Any]:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        got = type(result).__name__ if not isinstance(result, (tuple, list)) else f"{len(result)} results"
        raise TypeError(f"{operation}: has_aux=True expects the function to return (value, aux), got {got}.")
    return result[0], result[1]


def _require_scalar(value: Any, operation: str) -> None:
    if not hasattr(value, "shape"):
        if isinstance(value, float):
            return
        raise TypeError(f"{operation}: expected the function to return a single number, got {type(value).__name__}.")
    if tuple(value.shape) != ():
        raise ShapeError(
            f"{operation}: expected the function to return a single number, got shape {tuple(value.shape)}. Reduce it, "
            "e.g. with xp.mean, or use nnx.jacobian or nnx.vjp."
        )
    if is_complex(value.dtype):
        raise TypeError(
            f"{operation}: expected a real number, got a complex one. Take xp.real or xp.abs of it, or use nnx.vjp."
        )
    if not is_floating(value.dtype):
        raise DTypeError(
            f"{operation}: expected the function to return a floating-point number, got dtype "
            f"{dtype_name(value.dtype)}, which has no gradient."
        )


def grad(f: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable:
    """Return a function that computes the gradient of ``f``. See `value_and_grad` for the arguments.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.grad(nnx.grad(lambda x: x ** 3))(np.asarray(2.0))
    np.float64(12.0)
    """
    return gradient_function(f, argnums, has_aux, "grad")


def gradient_function(f: Callable, argnums: int | Sequence[int], has_aux: bool, operation: str) -> Callable:
    """Return `grad` of `f`, whose errors speak of `operation`."""
    both = _value_and_grad(f, argnums, has_aux, operation)

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
    numbers, _ = check_arguments("vjp", f, range(len(primals)))
    inputs = Inputs(f, primals, numbers, "vjp")
    result = inputs.call(f, {})
    outputs = leaves_of(result)

    def pullback(cotangent: Any) -> tuple:
        given = match_tree(result, cotangent, "vjp", "cotangent", "the output")
        grads = finished(pull(outputs, given, inputs.variables, retain_graph=True))
        return inputs.gradients(exclusive(grads, [*given, *inputs.variables]), single=False)

    return detached_from(result, inputs.variables), pullback


def jvp(f: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return ``f(*primals)`` and the product of its Jacobian with `tangents`, one per primal.

    The tangent of a Module is a dict from parameter name to array, like its gradient. Computed by differentiating the
    pullback, which is linear in its cotangent.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, v = np.asarray([1.0, 2.0]), np.asarray([1.0, 0.0])
    >>> nnx.jvp(lambda x: x * x, (x,), (v,))
    (array([1., 4.]), array([2., 0.]))
    """
    numbers, _ = check_arguments("jvp", f, range(len(primals)))
    inputs = Inputs(f, tuple(primals), numbers, "jvp")
    given = match_tree(inputs.trees, tangents, "jvp", "tangents", "the primals")
    result = inputs.call(f, {})
    outputs = leaves_of(result)
    moving = [isinstance(o, Array) and o._node is not None for o in outputs]
    zeros = [_zeros_like(o) for o in outputs]
    cotangents = [new_variable(z, "jvp") if m else None for z, m in zip(zeros, moving, strict=True)]
    grads = pull(outputs, cotangents, inputs.variables, retain_graph=True)
    variables = [c for c in cotangents if c is not None]
    pushed = finished(pull(grads, given, variables, besides=inputs.variables))
    pulled = iter(exclusive(pushed, [*given, *inputs.variables]))
    tangents_out = [next(pulled) if m else z for z, m in zip(zeros, moving, strict=True)]
    return detached_from(result, inputs.variables), fill_tree(result, tangents_out)


def _zeros_like(x: Any) -> Any:
    data = x._data if isinstance(x, Array) else x
    return differentiable_of(data, "jvp").raw.zeros_like(data) if hasattr(data, "dtype") else 0 * data
