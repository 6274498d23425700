"""The fully connected layer as a function."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.primitive import primitive
from ..errors import ShapeError
from .checks import check_dtype, namespace_of


@primitive("linear", arrays=3)
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``input @ weight.T + bias``.

    Parameters
    ----------
    input
        Array of shape (..., in_features).
    weight
        Array of shape (out_features, in_features).
    bias
        Array of shape (out_features,), or None.

    Returns
    -------
    array
        Of shape (..., out_features).

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.linear(np.ones((1, 2)), np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([0.0, 1.0]))
    array([[3., 8.]])
    """
    xp = check_linear("linear", input, weight, bias)
    output = xp.matmul(input, xp.matrix_transpose(weight))
    return output if bias is None else output + bias


def check_linear(label: str, input: Any, weight: Any, bias: Any) -> Any:
    """Return the namespace of the arrays of a fully connected layer if they fit together; `label` names the layer."""
    xp = namespace_of(label, weight=weight, input=input, bias=bias)
    shape = tuple(input.shape)
    if len(weight.shape) != 2:
        raise ShapeError(f"{label}: expected weight of shape (out_features, in_features), got {tuple(weight.shape)}.")
    features = weight.shape[1]
    if not shape or shape[-1] != features:
        hint = ""
        if len(shape) > 2 and shape[1] == features:
            axes = (0, *range(2, len(shape)), 1)
            hint = f" This looks like features in the second axis; use xp.permute_dims(x, {axes})."
        elif len(shape) > 2 and math.prod(shape[1:]) == features:
            hint = " Flatten it first, e.g. with nnx.Flatten()."
        elif len(shape) == 1 and features == 1:
            hint = " Add an axis, e.g. xp.expand_dims(x, axis=-1)."
        raise ShapeError(f"{label}: expected (..., {features}), got {shape}.{hint}")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(f"{label}: expected bias of shape ({weight.shape[0]},), got {tuple(bias.shape)}.")
    for name, array in (("input", input), ("bias", bias)):
        if array is not None:
            check_dtype(label, name, array, weight, "weight")
    return xp
