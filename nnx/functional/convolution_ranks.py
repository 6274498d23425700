"""conv1d to conv_transpose3d: convolutions as users call them, with checks and PyTorch's arguments."""

from __future__ import annotations

from typing import Any

from ..checks import non_negative_integer
from .checks import per_axis
from .convolution import convolution, convolution_transpose
from .convolution_checks import (
    check_arrays,
    check_fit,
    check_output_padding,
    check_transposed_fit,
    padding_of,
)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of sequences: `conv2d` with one spatial axis.

    Parameters
    ----------
    input
        Array of shape (N, L, C).
    weight
        Array of shape (O, kernel, C // groups).
    bias, stride, padding, dilation, groups
        See `conv2d`.

    Returns
    -------
    array
        Of shape (N, L_out, O).

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, weight = np.asarray([[[1.0], [2.0], [4.0]]]), np.asarray([[[-1.0], [1.0]]])
    >>> nnx.functional.conv1d(x, weight)[0, :, 0]
    array([1., 2.])
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of images, which is a cross-correlation: the kernel is not turned round [1]_.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C).
    weight
        Array of shape (O, kH, kW, C // groups).
    bias
        Array of shape (O,), or None.
    stride
        The step from one place of the kernel to the next: an integer, or one per spatial axis.
    padding
        How many zeros go before and after each spatial axis: an integer, one per spatial axis, "valid" (none), or
        "same" (such that the output is as large as the input; needs stride 1; where their number is odd, one more
        goes after).
    dilation
        The distance between neighbouring elements of the kernel: an integer, or one per spatial axis.
    groups
        Into how many groups the channels are split that do not see each other. It divides C and O; with groups = C each
        channel has kernels of its own ("depthwise").

    Returns
    -------
    array
        Of shape (N, H_out, W_out, O), H_out = (H + 2 padding - dilation (kH - 1) - 1) // stride + 1.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together, or the kernel does not fit into the padded image.
    ValueError, TypeError
        If another argument is out of range, or no integer.

    Notes
    -----
    Fast algorithms add neighbouring rows before they multiply: an infinite element or a NaN may make NaN of a few more
    elements around than it would by the definition (``nnx.use_kernels("off")``).

    References
    ----------
    .. [1] LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, weight = np.ones((1, 4, 4, 3)), np.ones((2, 3, 3, 3))
    >>> nnx.functional.conv2d(x, weight, padding="same")[0, :, :, 0]
    array([[12., 18., 18., 12.],
           [18., 27., 27., 18.],
           [18., 27., 27., 18.],
           [12., 18., 18., 12.]])
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of volumes: `conv2d` with three spatial axes.

    Parameters
    ----------
    input
        Array of shape (N, D, H, W, C).
    weight
        Array of shape (O, kD, kH, kW, C // groups).
    bias, stride, padding, dilation, groups
        See `conv2d`.

    Returns
    -------
    array
        Of shape (N, D_out, H_out, W_out, O).

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.conv3d(np.ones((1, 4, 5, 6, 2)), np.ones((7, 2, 2, 2, 2)), stride=2).shape
    (1, 2, 2, 3, 7)
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Return the transposed convolution of sequences: `conv_transpose2d` with one spatial axis.

    Parameters
    ----------
    input
        Array of shape (N, L, C).
    weight
        Array of shape (O // groups, kernel, C).
    bias, stride, padding, output_padding, groups, dilation
        See `conv_transpose2d`.

    Returns
    -------
    array
        Of shape (N, L_out, O).

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, weight = np.asarray([[[1.0], [2.0]]]), np.asarray([[[-1.0], [1.0]]])
    >>> nnx.functional.conv_transpose1d(x, weight, stride=2)[0, :, 0]
    array([-1.,  1., -2.,  2.])
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Return the transposed convolution of images: it goes the way of a convolution's gradient [1]_, [2]_.

    With the same stride, padding and dilation it brings the output of `conv2d` back to the shape of its input. It is no
    inverse.

    Parameters
    ----------
    input
        Array of shape (N, H, W, C).
    weight
        Array of shape (O // groups, kH, kW, C).
    bias
        Array of shape (O,), or None.
    stride, padding, dilation
        Those of the convolution: integers, or one per spatial axis. Padding takes away from the output.
    output_padding
        How many more elements the output has at the end of each spatial axis: an integer, or one per spatial axis,
        less than the stride or the dilation.
    groups
        Into how many groups the channels are split that do not see each other. It divides C.

    Returns
    -------
    array
        Of shape (N, H_out, W_out, O), H_out = (H - 1) stride - 2 padding + dilation (kH - 1) + output_padding + 1.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together, or nothing is left of the output.
    ValueError, TypeError
        If another argument is out of range, or no integer.

    References
    ----------
    .. [1] Zeiler et al., "Deconvolutional networks", 2010.
    .. [2] Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x, weight = np.ones((1, 4, 4, 3)), np.ones((2, 3, 3, 3))
    >>> nnx.functional.conv_transpose2d(x, weight, stride=2, padding=1, output_padding=1).shape
    (1, 8, 8, 2)
    """
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Return the transposed convolution of volumes: `conv_transpose2d` with three spatial axes.

    Parameters
    ----------
    input
        Array of shape (N, D, H, W, C).
    weight
        Array of shape (O // groups, kD, kH, kW, C).
    bias, stride, padding, output_padding, groups, dilation
        See `conv_transpose2d`.

    Returns
    -------
    array
        Of shape (N, D_out, H_out, W_out, O).

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.conv_transpose3d(np.ones((1, 2, 2, 3, 7)), np.ones((2, 2, 2, 2, 7)), stride=2).shape
    (1, 4, 4, 6, 2)
    """
    return _conv_transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _conv(
    label: str,
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> Any:
    check_arrays(label, rank, input, weight, bias, groups, transposed=False)
    kernel = tuple(weight.shape[1:-1])
    stride = per_axis(label, "stride", stride, rank)
    dilation = per_axis(label, "dilation", dilation, rank)
    pairs = padding_of(label, padding, kernel, stride, dilation)
    check_fit(label, input.shape, kernel, stride, pairs, dilation)
    return convolution(input, weight, bias, stride, pairs, dilation, groups)


def _conv_transpose(
    label: str,
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> Any:
    check_arrays(label, rank, input, weight, bias, groups, transposed=True)
    kernel = tuple(weight.shape[1:-1])
    stride = per_axis(label, "stride", stride, rank)
    dilation = per_axis(label, "dilation", dilation, rank)
    added = per_axis(label, "output_padding", output_padding, rank, non_negative_integer)
    check_output_padding(label, added, stride, dilation)
    pairs = tuple((n, n) for n in per_axis(label, "padding", padding, rank, non_negative_integer))
    check_transposed_fit(label, input.shape, kernel, stride, pairs, added, dilation)
    return convolution_transpose(input, weight, bias, stride, pairs, added, dilation, groups)
