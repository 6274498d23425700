"""Convolutions, one class per number of spatial axes."""

from __future__ import annotations

import math
from typing import Any

from .. import init
from ..autodiff import Parameter
from ..checks import boolean, positive_integer
from ..functional.checks import namespace_of, per_axis
from ..functional.convolution import convolution
from ..functional.convolution_checks import check_arrays, check_fit, check_groups, padding_of
from ..functional.padding import check_mode, checked_pad
from .module import Module

_PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class ConvolutionBase(Module):
    """What convolutions and transposed ones share: their arguments and how the parameters start."""

    rank: int
    owner: str | None = None  # the layer that this one is a part of, and that its errors shall name

    def _set_up(
        self, in_channels: Any, out_channels: Any, kernel_size: Any, stride: Any, dilation: Any, groups: Any
    ) -> str:
        label = type(self).__name__
        self.in_channels = positive_integer(label, "in_channels", in_channels)
        self.out_channels = positive_integer(label, "out_channels", out_channels)
        self.kernel_size = per_axis(label, "kernel_size", kernel_size, self.rank)
        self.stride = per_axis(label, "stride", stride, self.rank)
        self.dilation = per_axis(label, "dilation", dilation, self.rank)
        self.groups = check_groups(label, groups, in_channels=self.in_channels, out_channels=self.out_channels)
        return label

    def _draw(self, label: str, shape: tuple[int, ...], fan_in: int, bias: Any, dtype: Any) -> None:
        dtype = init.floating_dtype(label, dtype)
        bound = 1 / math.sqrt(fan_in)
        self.weight = Parameter(init.uniform(shape, -bound, bound, dtype))
        learned = boolean(label, "bias", bias)
        self.bias: Any = Parameter(init.uniform((self.out_channels,), -bound, bound, dtype)) if learned else None

    @property
    def label(self) -> str:
        """How errors call this layer."""
        return self.owner or f"{type(self).__name__}({self.in_channels}, {self.out_channels})"

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        usual = {"padding": zeros, "output_padding": zeros, "dilation": ones, "groups": 1, "padding_mode": "zeros"}
        for name, value in usual.items():
            if getattr(self, name, value) != value:
                parts.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(parts if self.bias is not None else [*parts, "bias=False"])


class Convolution(ConvolutionBase):
    """A convolution of any rank; `Conv1d`, `Conv2d` and `Conv3d` choose it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = "float32",
    ) -> None:
        label = self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups)
        pairs = padding_of(label, padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else tuple(before for before, _ in pairs)
        check_mode(label, "padding_mode", padding_mode, tuple(_PADDING_MODES))
        self.padding_mode = padding_mode
        channels = self.in_channels // self.groups
        shape = (self.out_channels, *self.kernel_size, channels)
        self._draw(label, shape, channels * math.prod(self.kernel_size), bias, dtype)

    def forward(self, input: Any) -> Any:
        label, weight, bias = self.label, self.weight, self.bias
        check_arrays(label, self.rank, input, weight, bias, self.groups, transposed=False)
        pairs = padding_of(label, self.padding, self.kernel_size, self.stride, self.dilation)
        if self.padding_mode != "zeros" and any(n for pair in pairs for n in pair):
            xp, mode = namespace_of(label, input=input), _PADDING_MODES[self.padding_mode]
            input = checked_pad(xp, label, input, pairs, mode)
            pairs = ((0, 0),) * self.rank
        check_fit(label, input.shape, self.kernel_size, self.stride, pairs, self.dilation)
        return convolution(input, weight, bias, self.stride, pairs, self.dilation, self.groups)


class Conv1d(Convolution):
    """A convolution of sequences (N, L, C); see `Conv2d` for the arguments.

    Attributes
    ----------
    weight
        Of shape (out_channels, kernel, in_channels // groups).
    bias
        Of shape (out_channels,), or None.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Conv1d(3, 8, kernel_size=5, padding="same")(np.ones((2, 20, 3), dtype="float32")).shape
    (2, 20, 8)
    """

    rank = 1


class Conv2d(Convolution):
    """A convolution of images (N, H, W, C) with learned kernels [1]_.

    Parameters
    ----------
    in_channels, out_channels
        The lengths of the last axis before and after.
    kernel_size
        An integer, or one per spatial axis (height, width).
    stride
        The step from one place of the kernel to the next: an integer, or one per spatial axis.
    padding
        How many elements go before and after each spatial axis: an integer, one per spatial axis, "valid" (none) or
        "same" (the output is as large as the input; needs stride 1; where their number is odd, one more goes after).
    dilation
        The distance between neighbouring elements of the kernel: an integer, or one per spatial axis.
    groups
        Into how many groups the channels are split that do not see each other; it divides both numbers of channels.
        With groups = in_channels each channel has kernels of its own ("depthwise").
    bias
        Whether to add a learned bias.
    padding_mode
        What to pad with: "zeros", "reflect", "replicate" or "circular", see `nnx.functional.pad`.
    dtype
        The dtype of the parameters, or its name.

    Attributes
    ----------
    weight
        Of shape (out_channels, *kernel_size, in_channels // groups), initially uniform in ±1/sqrt(fan_in), fan_in =
        in_channels // groups times the elements of the kernel; the bounds are PyTorch's.
    bias
        Of shape (out_channels,), initially the same; or None.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, or no integer.
    ShapeError
        If groups does not divide the channels; when called, if the input is no batch with so many channels, or smaller
        than the kernel.

    References
    ----------
    .. [1] LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> images = np.ones((8, 32, 32, 3), dtype="float32")
    >>> nnx.Conv2d(3, 16, kernel_size=3, stride=2, padding=1)(images).shape
    (8, 16, 16, 16)
    """

    rank = 2


class Conv3d(Convolution):
    """A convolution of volumes (N, D, H, W, C); see `Conv2d` for the arguments.

    Attributes
    ----------
    weight
        Of shape (out_channels, *kernel_size, in_channels // groups).
    bias
        Of shape (out_channels,), or None.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Conv3d(1, 4, kernel_size=3)(np.ones((2, 5, 6, 7, 1), dtype="float32")).shape
    (2, 3, 4, 5, 4)
    """

    rank = 3


class SeparableConvolution(Module):
    """A separable convolution of any rank; `SeparableConv1d` and `SeparableConv2d` choose it."""

    rank: int
    _each: type[Convolution]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        depth_multiplier: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = "float32",
    ) -> None:
        label = type(self).__name__
        self.in_channels = positive_integer(label, "in_channels", in_channels)
        self.out_channels = positive_integer(label, "out_channels", out_channels)
        self.depth_multiplier = positive_integer(label, "depth_multiplier", depth_multiplier)
        kernel, steps, apart = (
            per_axis(label, name, value, self.rank)
            for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
        )
        padding_of(label, padding, kernel, steps, apart)
        check_mode(label, "padding_mode", padding_mode, tuple(_PADDING_MODES))
        middle = self.in_channels * self.depth_multiplier
        self.depthwise = self._each(
            in_channels,
            middle,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=in_channels,
            bias=False,
            padding_mode=padding_mode,
            dtype=dtype,
        )
        self.pointwise = self._each(middle, out_channels, 1, bias=boolean(label, "bias", bias), dtype=dtype)
        self.depthwise.owner = f"{label}({self.in_channels}, {self.out_channels})"

    def forward(self, input: Any) -> Any:
        return self.pointwise(self.depthwise(input))


class SeparableConv1d(SeparableConvolution):
    """A depthwise convolution of sequences (N, L, C), then one with a kernel of 1; see `SeparableConv2d`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.SeparableConv1d(3, 8, kernel_size=5)(np.ones((2, 20, 3), dtype="float32")).shape
    (2, 16, 8)
    """

    rank = 1
    _each = Conv1d


class SeparableConv2d(SeparableConvolution):
    """A depthwise convolution of images (N, H, W, C), which looks at space, then one with a 1×1 kernel, which mixes the
    channels [1]_.

    It needs about ``1 / out_channels + 1 / kernel elements`` times the products of a whole convolution.

    Parameters
    ----------
    in_channels, out_channels
        The lengths of the last axis before and after.
    kernel_size, stride, padding, dilation, padding_mode
        Those of the depthwise convolution, see `Conv2d`.
    depth_multiplier
        How many kernels the depthwise convolution has for each channel.
    bias
        Whether the second convolution adds a learned bias; the first has none.
    dtype
        The dtype of the parameters, or its name.

    Attributes
    ----------
    depthwise, pointwise
        The two convolutions.

    References
    ----------
    .. [1] Chollet, "Xception: Deep learning with depthwise separable convolutions", 2017, arXiv:1610.02357.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.SeparableConv2d(3, 16, kernel_size=3, padding="same")(np.ones((8, 32, 32, 3), dtype="float32")).shape
    (8, 32, 32, 16)
    """

    rank = 2
    _each = Conv2d
