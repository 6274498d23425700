"""Whole derivatives, and products with second ones: jacobian, hessian, hvp."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from ..dtypes import is_complex
from .array import Array
from .inputs import Inputs, check_arguments, finished, pull
from .ownership import exclusive
from .transforms import gradient_function
from .tree import leaves_of, map_tree, match_tree


def hvp(f: Callable, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the product of the Hessian of the scalar function ``f`` with `tangents`, one per primal.

    The tangent of a Module is a dict from parameter name to array, like its gradient.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, v = np.asarray([1.0, 2.0]), np.asarray([1.0, 0.0])
    >>> nnx.hvp(lambda x: np.sum(x ** 3), (x,), (v,))
    array([6., 0.])
    """
    numbers, _ = check_arguments("hvp", f, range(len(primals)))
    inputs = Inputs(f, tuple(primals), numbers, "hvp")
    given = match_tree(inputs.trees, tangents, "hvp", "tangents", "the primals")
    gradients = inputs.call(gradient_function(f, numbers, False, "hvp"), {})
    flat = finished(pull(leaves_of(gradients), given, inputs.variables))
    return inputs.gradients(exclusive(flat, [*given, *inputs.variables]), single=len(primals) == 1)


def jacobian(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """Return a function that computes the Jacobian of ``f``: an array of shape output.shape + input.shape.

    For nested containers it has the structure of the output, with that of the input in place of each of its arrays;
    a Module counts as the dict of its trainable parameters by name.

    Parameters
    ----------
    f
        A function that returns an array, or a nested container of arrays.
    argnums
        Which positional arguments to differentiate with respect to. A sequence gives a tuple of Jacobians.

    Raises
    ------
    TypeError
        If `f` does not return arrays, or makes complex numbers from real ones.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.jacobian(lambda x: x * x)(np.asarray([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    numbers, single = check_arguments("jacobian", f, argnums)
    return _jacobian(f, f, numbers, single, "jacobian")


def hessian(f: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """Return a function that computes the Hessian of the scalar function ``f``.

    For a dict ``h["a"]["b"]`` is the derivative by ``a`` and ``b``, of shape a.shape + b.shape; other containers,
    several `argnums` and Modules likewise.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.hessian(lambda x: np.sum(x ** 3))(np.asarray([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    numbers, single = check_arguments("hessian", f, argnums)
    return _jacobian(f, gradient_function(f, argnums, False, "hessian"), numbers, single, "hessian")


def _jacobian(original: Callable, f: Callable, numbers: tuple[int, ...], single: bool, operation: str) -> Callable:
    @functools.wraps(original)
    def jacobian_of_f(*args: Any, **options: Any) -> Any:
        inputs = Inputs(original, args, numbers, operation)
        if not inputs.variables:
            raise TypeError(f"{operation}: expected arrays to differentiate with respect to, got none.")
        result = inputs.call(f, options)
        outputs = leaves_of(result)
        for output in outputs or [result]:
            if not hasattr(output, "dtype"):
                raise TypeError(f"{operation}: expected the function to return arrays, got {type(output).__name__}.")
            if is_complex(output.dtype) and not all(is_complex(v.dtype) for v in inputs.variables):
                raise TypeError(
                    f"{operation}: the function makes complex numbers from real ones, so its Jacobian does not fit "
                    "the dtype of the argument. Take xp.real and xp.imag of the result, or use nnx.vjp."
                )
        return map_tree(lambda output: inputs.gradients(_columns(output, inputs.variables), single), result)

    return jacobian_of_f


def _columns(output: Any, variables: Sequence[Array]) -> list[Any]:
    """The Jacobians of one array by each variable: a row per element of `output`, stacked."""
    ns = variables[0]._namespace
    raw = ns.raw
    data = output._data if isinstance(output, Array) else output
    shape = tuple(data.shape)
    size = math.prod(shape)
    basis = raw.eye(size, dtype=data.dtype, device=ns.wrap(data).device)
    rows = [pull([output], [raw.reshape(basis[i, :], shape)], variables, retain_graph=True) for i in range(size)]
    columns = []
    for k, v in enumerate(variables):
        column = [row[k] for row in rows]
        xp = ns if any(isinstance(g, Array) for g in column) else raw
        stacked = xp.stack(column) if column else raw.zeros((0, *v.shape), dtype=v.dtype, device=v.device)
        columns.append(finished(xp.reshape(stacked, (*shape, *v.shape))))
    return columns
