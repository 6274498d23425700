"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..dtypes import dtype_name, is_complex
from ..errors import DTypeError
from .arguments import axis_of, floating_namespace


@primitive("relu", arrays=1)
def relu(input: Any) -> Any:
    """Return max(input, 0), elementwise; its derivative at 0 is 0. Integers are welcome, complex numbers are not.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.relu(np.asarray([-1.0, 2.0]))
    array([0., 2.])
    """
    xp = namespace(input)
    if is_complex(input.dtype):
        raise DTypeError(f"relu: expected a real array, got dtype {dtype_name(input.dtype)}; pass xp.real(x), say.")
    return xp.where(input <= 0, xp.zeros_like(input), input)  # written so that NaN stays NaN


@primitive("gelu", arrays=1)
def gelu(input: Any, approximate: str = "none") -> Any:
    """Return the Gaussian error linear unit: input times the normal distribution function of input [1]_.

    Parameters
    ----------
    input
        Array of any shape.
    approximate
        ``"none"``, or ``"tanh"`` for the approximation that GPT-2 was trained with.

    References
    ----------
    .. [1] Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.gelu(np.asarray([0.0, 1.0])).round(4)
    array([0.    , 0.8413])
    """
    xp = floating_namespace("gelu", input)
    if approximate == "none":
        return 0.5 * input * (1 + xp.special.erf(input * math.sqrt(0.5)))
    if approximate == "tanh":
        return 0.5 * input * (1 + xp.tanh(math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)))
    raise ValueError(f"gelu: expected approximate='none' or 'tanh', got {approximate!r}.")


def softmax(input: Any, axis: int = -1) -> Any:
    """Return exp(input) divided by its sum along an axis.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.softmax(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    xp = floating_namespace("softmax", input)
    return xp.special.softmax(input, axis=axis_of("softmax", axis, input))


def log_softmax(input: Any, axis: int = -1) -> Any:
    """Return the logarithm of the softmax along an axis, without overflow.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> np.exp(nnx.functional.log_softmax(np.asarray([0.0, 1000.0])))
    array([0., 1.])
    """
    xp = floating_namespace("log_softmax", input)
    return xp.special.log_softmax(input, axis=axis_of("log_softmax", axis, input))
