"""Transposed convolutions, one class per number of spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..checks import non_negative_integer, positive_integer
from ..errors import ShapeError
from ..functional.checks import per_axis
from ..functional.convolution import convolution_transpose, transposed_length
from ..functional.convolution_checks import check_arrays, check_output_padding, check_transposed_fit
from .convolution import ConvolutionBase


class ConvolutionTranspose(ConvolutionBase):
    """A transposed convolution of any rank; `ConvTranspose1d`, `ConvTranspose2d` and `ConvTranspose3d` choose it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        *,
        dtype: Any = "float32",
    ) -> None:
        label = self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = per_axis(label, "padding", padding, self.rank, non_negative_integer)
        self.output_padding = per_axis(label, "output_padding", output_padding, self.rank, non_negative_integer)
        check_output_padding(label, self.output_padding, self.stride, self.dilation)
        if padding_mode != "zeros":
            raise ValueError(f"{label}: expected padding_mode 'zeros', the only one it has, got {padding_mode!r}.")
        self.padding_mode = padding_mode
        outputs = self.out_channels // self.groups
        shape = (outputs, *self.kernel_size, self.in_channels)
        self._draw(label, shape, outputs * math.prod(self.kernel_size), bias, dtype)

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        """Return the output.

        Parameters
        ----------
        input
            Array of shape (N, *spatial, in_channels).
        output_size
            The spatial shape that the output shall have, or its whole shape, instead of `output_padding`: for instance
            the ``shape`` of the array that a convolution of this stride made smaller.
        """
        label, weight, bias = self.label, self.weight, self.bias
        check_arrays(label, self.rank, input, weight, bias, self.groups, transposed=True)
        pairs = tuple((n, n) for n in self.padding)
        added = self.output_padding if output_size is None else self._added(label, input.shape, output_size)
        check_transposed_fit(label, input.shape, self.kernel_size, self.stride, pairs, added, self.dilation)
        return convolution_transpose(input, weight, bias, self.stride, pairs, added, self.dilation, self.groups)

    def _added(self, label: str, shape: tuple[int, ...], output_size: Any) -> tuple[int, ...]:
        """The output_padding that leads to an output of this size."""
        if not isinstance(output_size, (tuple, list)) or len(output_size) not in (self.rank, self.rank + 2):
            raise ValueError(
                f"{label}: expected output_size to have {self.rank} lengths, one per spatial axis, or to be the whole "
                f"shape, got {output_size!r}."
            )
        lengths = output_size[1:-1] if len(output_size) > self.rank else output_size
        wanted = tuple(positive_integer(label, f"output_size[{i}]", n) for i, n in enumerate(lengths))
        least = tuple(
            transposed_length(n, k, s, (p, p), 0, d)
            for n, k, s, p, d in zip(
                shape[1:-1], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
        )
        added = tuple(n - low for n, low in zip(wanted, least, strict=True))
        if any(not 0 <= more < s for more, s in zip(added, self.stride, strict=True)):
            most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
            raise ShapeError(
                f"{label}: expected output_size from {least} to {most} for an input of shape {tuple(shape)}, got "
                f"{wanted}."
            )
        return added


class ConvTranspose1d(ConvolutionTranspose):
    """A transposed convolution of sequences (N, L, C); see `ConvTranspose2d` for the arguments.

    Attributes
    ----------
    weight
        Of shape (out_channels // groups, kernel, in_channels).
    bias
        Of shape (out_channels,), or None.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ConvTranspose1d(8, 3, kernel_size=2, stride=2)(np.ones((2, 10, 8), dtype="float32")).shape
    (2, 20, 3)
    """

    rank = 1


class ConvTranspose2d(ConvolutionTranspose):
    """A transposed convolution of images (N, H, W, C): it makes them larger, with learned kernels [1]_.

    Parameters
    ----------
    in_channels, out_channels
        The lengths of the last axis before and after.
    kernel_size, stride, padding, dilation
        Those of the convolution that goes the other way: integers, or one per spatial axis. The output is `stride`
        times as large as the input, and padding takes away from it.
    output_padding
        How many more elements the output has at the end of each spatial axis: an integer, or one per spatial axis, less
        than the stride or the dilation.
    groups
        Into how many groups the channels are split that do not see each other; it divides both numbers of channels.
    bias
        Whether to add a learned bias.
    padding_mode
        "zeros"; there is no other one.
    dtype
        The dtype of the parameters, or its name.

    Attributes
    ----------
    weight
        Of shape (out_channels // groups, *kernel_size, in_channels), initially uniform in ±1/sqrt(fan_in), fan_in =
        out_channels // groups times the elements of the kernel; the bounds are PyTorch's.
    bias
        Of shape (out_channels,), initially the same; or None.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, or no integer.
    ShapeError
        If groups does not divide the channels; when called, if the input is no batch with so many channels, or
        `output_size` cannot be had.

    References
    ----------
    .. [1] Zeiler et al., "Deconvolutional networks", 2010.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> up = nnx.ConvTranspose2d(16, 3, kernel_size=3, stride=2, padding=1)
    >>> x = np.ones((8, 5, 5, 16), dtype="float32")
    >>> up(x).shape, up(x, output_size=(10, 10)).shape
    ((8, 9, 9, 3), (8, 10, 10, 3))
    """

    rank = 2


class ConvTranspose3d(ConvolutionTranspose):
    """A transposed convolution of volumes (N, D, H, W, C); see `ConvTranspose2d` for the arguments.

    Attributes
    ----------
    weight
        Of shape (out_channels // groups, *kernel_size, in_channels).
    bias
        Of shape (out_channels,), or None.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.ConvTranspose3d(4, 1, kernel_size=2, stride=2)(np.ones((2, 3, 3, 3, 4), dtype="float32")).shape
    (2, 6, 6, 6, 1)
    """

    rank = 3
