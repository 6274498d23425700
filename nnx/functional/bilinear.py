"""The bilinear layer as a function."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from .checks import check_dtype, namespace_of


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``x1 @ weight[o] @ x2 + bias[o]`` for every output o and every pair of vectors x1, x2.

    Parameters
    ----------
    input1, input2
        Arrays of shape (..., in1_features) and (..., in2_features), alike up to the last axis.
    weight
        Array of shape (out_features, in1_features, in2_features).
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
    >>> x1, x2 = np.asarray([[1.0, 2.0]]), np.asarray([[3.0, 4.0]])
    >>> nnx.functional.bilinear(x1, x2, np.asarray([[[1.0, 0.0], [0.0, 1.0]]]))
    array([[11.]])
    """
    xp = check_bilinear("bilinear", input1, input2, weight, bias)
    out_features, in1_features, in2_features = weight.shape
    columns = xp.reshape(xp.permute_dims(weight, (1, 0, 2)), (in1_features, out_features * in2_features))
    rows = xp.reshape(xp.matmul(input1, columns), (*input1.shape[:-1], out_features, in2_features))
    output = xp.matmul(rows, xp.expand_dims(input2, axis=-1))[..., 0]
    return output if bias is None else xp.add(output, bias)


def check_bilinear(label: str, input1: Any, input2: Any, weight: Any, bias: Any) -> Any:
    """Return the namespace of the arrays of a bilinear layer if they fit together; `label` names the layer."""
    xp = namespace_of(label, weight=weight, input1=input1, input2=input2, bias=bias)
    if len(weight.shape) != 3:
        raise ShapeError(
            f"{label}: expected weight of shape (out_features, in1_features, in2_features), got {tuple(weight.shape)}."
        )
    for i, (name, array) in enumerate((("input1", input1), ("input2", input2)), start=1):
        shape = tuple(array.shape)
        if not shape or shape[-1] != weight.shape[i]:
            raise ShapeError(f"{label}: expected {name} of shape (..., {weight.shape[i]}), got {shape}.")
    if tuple(input1.shape[:-1]) != tuple(input2.shape[:-1]):
        raise ShapeError(
            f"{label}: expected two inputs that are alike up to the last axis, got {tuple(input1.shape)} and "
            f"{tuple(input2.shape)}; use xp.broadcast_to on the smaller one."
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(f"{label}: expected bias of shape ({weight.shape[0]},), got {tuple(bias.shape)}.")
    for name, array in (("input1", input1), ("input2", input2), ("bias", bias)):
        if array is not None:
            check_dtype(label, name, array, weight, "weight")
    return xp
