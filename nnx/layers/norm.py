"""Normalisations of each sample by itself."""

from __future__ import annotations

from typing import Any

from .. import init
from ..autodiff import Parameter
from ..checks import boolean, positive_integer
from ..errors import ShapeError
from ..functional.norm import layer_norm, rms_norm
from ..functional.norm_batch import group_norm
from ..functional.norm_checks import (
    check_channels_last,
    check_eps,
    check_groups,
    check_normalized_shape,
    check_trailing,
)
from ..functional.norm_vector import check_local_response_norm, local_response_norm
from .module import Module


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes of each sample, scaled and shifted. See `nnx.functional.layer_norm`.

    Parameters
    ----------
    normalized_shape
        The lengths of the axes that are normalised together; an integer for the last axis alone.
    eps
        What is added to the variance, above 0.
    elementwise_affine
        Whether to learn a weight, and a bias unless `bias` is False.
    bias
        Whether to learn a bias.
    dtype
        The dtype of the parameters, or its name.

    Attributes
    ----------
    weight, bias
        Of shape `normalized_shape`, initially 1 and 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LayerNorm(2)(np.asarray([[1.0, 3.0]], dtype="float32")).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = "float32",
    ) -> None:
        self.normalized_shape = check_normalized_shape("LayerNorm", normalized_shape)
        self.eps = check_eps("LayerNorm", eps)
        self.elementwise_affine = boolean("LayerNorm", "elementwise_affine", elementwise_affine)
        add_affine(self, self.normalized_shape, elementwise_affine, elementwise_affine and bias, dtype)

    def forward(self, input: Any) -> Any:
        try:
            return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)
        except (ShapeError, TypeError):
            label = f"LayerNorm({_lengths(self.normalized_shape)})"
            check_trailing(label, input, self.normalized_shape, weight=self.weight, bias=self.bias)
            raise

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{_lengths(self.normalized_shape)}, eps={self.eps}, {affine}"


class RMSNorm(Module):
    """Division by the root mean square over the last axes of each sample. See `nnx.functional.rms_norm`.

    Parameters
    ----------
    normalized_shape
        The lengths of the axes that are normalised together; an integer for the last axis alone.
    eps
        What is added to the mean square, above 0; None for the machine epsilon of the input's dtype.
    elementwise_affine
        Whether to learn a weight.
    dtype
        The dtype of the parameter, or its name.

    Attributes
    ----------
    weight
        Of shape `normalized_shape`, initially 1.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.RMSNorm(2)(np.asarray([[1.0, 7.0]], dtype="float32")).round(3)
    array([[0.2, 1.4]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = "float32",
    ) -> None:
        self.normalized_shape = check_normalized_shape("RMSNorm", normalized_shape)
        self.eps = None if eps is None else check_eps("RMSNorm", eps)
        self.elementwise_affine = boolean("RMSNorm", "elementwise_affine", elementwise_affine)
        dtype = init.floating_dtype("RMSNorm", dtype)
        self.weight: Any = Parameter(init.ones(self.normalized_shape, dtype)) if elementwise_affine else None

    def forward(self, input: Any) -> Any:
        try:
            return rms_norm(input, self.normalized_shape, self.weight, self.eps)
        except (ShapeError, TypeError):
            check_trailing(
                f"RMSNorm({_lengths(self.normalized_shape)})", input, self.normalized_shape, weight=self.weight
            )
            raise

    def extra_repr(self) -> str:
        return f"{_lengths(self.normalized_shape)}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Mean 0 and variance 1 in each group of channels of each sample. See `nnx.functional.group_norm`.

    Parameters
    ----------
    num_groups
        The number of groups, a divisor of the number of channels.
    num_channels
        The length of the last axis.
    eps
        What is added to the variance, above 0.
    affine
        Whether to learn a weight, and a bias unless `bias` is False.
    bias
        Whether to learn a bias.
    dtype
        The dtype of the parameters, or its name.

    Attributes
    ----------
    weight, bias
        Of shape (num_channels,), initially 1 and 0.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.GroupNorm(2, 4)(np.asarray([[1.0, 3.0, 30.0, 10.0]], dtype="float32")).round(3)
    array([[-1.,  1.,  1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        self.num_channels = positive_integer("GroupNorm", "num_channels", num_channels)
        self.num_groups = check_groups("GroupNorm", num_groups, self.num_channels)
        self.eps = check_eps("GroupNorm", eps)
        self.affine = boolean("GroupNorm", "affine", affine)
        add_affine(self, (self.num_channels,), affine, affine and bias, dtype)

    def forward(self, input: Any) -> Any:
        arrays = {"weight": self.weight, "bias": self.bias}
        label = f"GroupNorm({self.num_groups}, {self.num_channels})"
        check_channels_last(label, input, self.num_channels, **arrays)
        return group_norm(input, self.num_groups, eps=self.eps, **arrays)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """Division by a power of the mean square of neighbouring channels. See `nnx.functional.local_response_norm`.

    Parameters
    ----------
    size
        The number of neighbours, the channel itself among them.
    alpha, beta, k
        The factor of the mean square, the exponent and the constant.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.LocalResponseNorm(3, alpha=3.0, beta=0.5, k=0.0)(np.asarray([[3.0, 4.0, 0.0]]))
    array([[0.6, 0.8, 0. ]])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        checked = check_local_response_norm("LocalResponseNorm", size, alpha, beta, k)
        self.size, self.alpha, self.beta, self.k = checked

    def forward(self, input: Any) -> Any:
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def add_affine(layer: Any, shape: tuple[int, ...], weight: bool, bias: Any, dtype: Any) -> None:
    """Give a layer a weight of ones and a bias of zeros, or None."""
    dtype = init.floating_dtype(type(layer).__name__, dtype)
    layer.weight = Parameter(init.ones(shape, dtype)) if weight else None
    layer.bias = Parameter(init.zeros(shape, dtype)) if bias else None


def _lengths(shape: tuple[int, ...]) -> str:
    return str(shape[0]) if len(shape) == 1 else str(shape)
