"""Normalisations of channels, which are the last axis: over the batch, over each sample, over groups of channels."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff import Buffer, stop_gradient
from ..autodiff.namespace import namespace
from ..autodiff.primitive import primitive
from ..checks import number
from ..errors import ShapeError
from .activation import relu
from .checks import check_dtype, namespace_of
from .norm import affine, narrowed, standardize, widened
from .norm_checks import check_channels_last, check_eps, check_groups, check_several


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Return the input with mean 0 and variance 1 in each channel, times `weight`, plus `bias` [1]_.

    While training the statistics are those of the batch, and the running ones move towards them; otherwise they are
    the running ones. An empty batch moves nothing.

    Parameters
    ----------
    input
        Array of shape (N, ..., channels), of any rank from 2 on.
    running_mean, running_var
        Of shape (channels,). While training None, or buffers (`nnx.Buffer`), whose values become
        ``(1 - momentum) * old + momentum * batch`` with the unbiased variance of the batch; otherwise buffers or
        arrays.
    weight, bias
        Arrays of shape (channels,), or None.
    training
        Whether to normalise by the statistics of the batch.
    momentum
        The share of the batch in the running statistics, from 0 to 1; an array without axes will do.
    eps
        What is added to the variance (the biased one), above 0.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together, or while training if there is one value per channel only.
    TypeError, ValueError
        If the running statistics are missing, or cannot be updated.

    References
    ----------
    .. [1] Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[1.0, 10.0], [3.0, 30.0]])
    >>> nnx.functional.batch_norm(x, None, None, training=True).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    eps, mean, variance = _checked(
        "batch_norm", input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if not training:
        return _by_constants(input, weight, bias, None, mean, variance, eps, False)
    if 0 in input.shape:
        return _empty(input, weight, bias)
    statistics: list[Any] = []
    output = _batch_norm(input, weight, bias, eps, statistics)
    batch_mean, batch_var = statistics[0]
    _update(running_mean, running_var, batch_mean, batch_var, math.prod(input.shape[:-1]), momentum)
    return output


def batch_norm_relu(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
    residual: Any = None,
) -> Any:
    """Return ``relu(batch_norm(input, ...) + residual)``, where a backend has a kernel for it in one pass.

    Parameters
    ----------
    input, running_mean, running_var, weight, bias, training, momentum, eps
        As in `batch_norm`; running statistics move as there.
    residual
        An array of the shape and dtype of the input: what a shortcut adds [1]_; or None.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError, TypeError, ValueError
        As `batch_norm`, and if the residual does not fit the input.

    References
    ----------
    .. [1] He et al., "Deep residual learning for image recognition", arXiv:1512.03385

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[1.0, 10.0], [3.0, 30.0]])
    >>> nnx.functional.batch_norm_relu(x, None, None, training=True).round(3)
    array([[0., 0.],
           [1., 1.]])
    >>> nnx.functional.batch_norm_relu(x, None, None, training=True, residual=x).round(3)
    array([[ 0.,  9.],
           [ 4., 31.]])
    """
    label = "batch_norm_relu"
    eps, mean, variance = _checked(label, input, running_mean, running_var, weight, bias, training, momentum, eps)
    check_residual(label, input, residual)
    if not training:
        return _by_constants(input, weight, bias, residual, mean, variance, eps, True)
    if 0 in input.shape:
        return _rectified(_empty(input, weight, bias), residual)
    statistics: list[Any] = []
    output = _batch_norm_relu(input, weight, bias, residual, eps, statistics)
    batch_mean, batch_var = statistics[0]
    _update(running_mean, running_var, batch_mean, batch_var, math.prod(input.shape[:-1]), momentum)
    return output


def _checked(
    operation: str,
    input: Any,
    mean: Any,
    variance: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: Any,
    eps: Any,
) -> tuple[float, Any, Any]:
    """Return eps and the arrays of the running statistics of a batch normalisation, or raise."""
    eps = check_eps(operation, eps)
    check_momentum(operation, momentum)
    check_running(operation, "training=False", mean, variance, training)
    mean, variance = _value(mean), _value(variance)
    check_batch_norm(operation, input, None, mean, variance, weight, bias, training)
    return eps, mean, variance


@primitive("batch_norm", arrays=3)
def _batch_norm(input: Any, weight: Any, bias: Any, eps: float, statistics: list) -> Any:
    """Normalise by the statistics of the batch, and append the pair of them, raw, to a list."""
    xp = namespace(input, weight, bias)
    output, mean, variance = standardize(input, tuple(range(len(input.shape) - 1)), eps)
    raw = [stop_gradient(mean), stop_gradient(variance)]
    statistics.append([namespace(s).reshape(s, (input.shape[-1],)) for s in raw])
    return narrowed(xp, affine(xp, output, weight, bias), input)


@primitive("batch_norm_relu", arrays=4)
def _batch_norm_relu(input: Any, weight: Any, bias: Any, residual: Any, eps: float, statistics: list) -> Any:
    """Normalise by the statistics of the batch, add a residual, set to 0 what is negative."""
    return _rectified(_batch_norm(input, weight, bias, eps, statistics), residual)


@primitive("batch_norm_inference", arrays=6)
def _by_constants(
    input: Any, weight: Any, bias: Any, residual: Any, mean: Any, variance: Any, eps: float, is_relu: bool
) -> Any:
    """Normalise by given statistics: one difference and one factor per channel."""
    xp, own = namespace(input, weight, bias, mean, variance), namespace(mean, variance)
    factor = 1.0 / own.sqrt(widened(own, variance) + eps)
    if weight is not None:
        factor = xp.multiply(factor, weight)
    output = narrowed(xp, affine(xp, xp.multiply(xp.subtract(input, mean), factor), None, bias), input)
    return _rectified(output, residual) if is_relu else output


def _rectified(x: Any, residual: Any) -> Any:
    return relu(x if residual is None else namespace(x, residual).add(x, residual))


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Return the input with mean 0 and variance 1 in each channel of each sample, times `weight`, plus `bias` [1]_.

    Parameters
    ----------
    input
        Array of shape (N, ..., channels), with at least one axis in between.
    running_mean, running_var
        Of shape (channels,), as in `batch_norm`; the samples' statistics are averaged.
    weight, bias
        Arrays of shape (channels,), or None.
    use_input_stats
        Whether to normalise by the statistics of the input, which the running ones follow; else by the running ones.
    momentum
        The share of the batch in the running statistics, from 0 to 1; an array without axes will do.
    eps
        What is added to the variance (the biased one), above 0.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError
        If the arrays do not fit together, or if there is one value per channel and sample only.
    TypeError, ValueError
        If the running statistics are missing, or cannot be updated.

    References
    ----------
    .. [1] Ulyanov, Vedaldi and Lempitsky, "Instance Normalization", arXiv:1607.08022

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [3.0]], [[10.0], [30.0]]])
    >>> nnx.functional.instance_norm(x).round(3)[:, :, 0]
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    eps = check_eps("instance_norm", eps)
    check_momentum("instance_norm", momentum)
    check_running("instance_norm", "use_input_stats=False", running_mean, running_var, use_input_stats)
    mean, variance = _value(running_mean), _value(running_var)
    xp = check_instance_norm("instance_norm", input, None, mean, variance, weight, bias, use_input_stats)
    if not use_input_stats:
        return _by_constants(input, weight, bias, None, mean, variance, eps, False)
    if 0 in input.shape:
        return _empty(input, weight, bias)
    output, *statistics = standardize(input, tuple(range(1, len(input.shape) - 1)), eps)
    if running_mean is not None:
        raw = namespace(mean)
        axes = tuple(range(len(input.shape) - 1))
        batch_mean, batch_var = [raw.mean(stop_gradient(s), axis=axes) for s in statistics]
        _update(running_mean, running_var, batch_mean, batch_var, math.prod(input.shape[1:-1]), momentum)
    return narrowed(xp, affine(xp, output, weight, bias), input)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Return the input with mean 0 and variance 1 in each group of channels of each sample, scaled and shifted [1]_.

    Parameters
    ----------
    input
        Array of shape (N, ..., channels).
    num_groups
        The number of groups, a divisor of the number of channels; neighbours form a group.
    weight, bias
        Arrays of shape (channels,), or None.
    eps
        What is added to the variance (the biased one), above 0.

    Raises
    ------
    ShapeError, DTypeError, MixedBackendsError, ValueError
        If the arguments do not fit together.

    References
    ----------
    .. [1] Wu and He, "Group Normalization", arXiv:1803.08494

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.group_norm(np.asarray([[1.0, 3.0, 30.0, 10.0]]), 2).round(3)
    array([[-1.,  1.,  1., -1.]])
    """
    eps = check_eps("group_norm", eps)
    xp = check_channels_last("group_norm", input, weight=weight, bias=bias)
    shape = tuple(input.shape)
    groups = check_groups("group_norm", num_groups, shape[-1])
    if 0 in shape:
        return _empty(input, weight, bias)
    own = namespace(input)  # not that of a tracked weight, whose arrays do not mix with a raw input
    grouped = own.reshape(input, (shape[0], math.prod(shape[1:-1]), groups, shape[-1] // groups))
    output, _, _ = standardize(grouped, (1, 3), eps)
    return narrowed(xp, affine(xp, own.reshape(output, shape), weight, bias), input)


# ------------------------------------------------------------------ running statistics


def check_momentum(operation: str, momentum: Any) -> None:
    """Raise unless the share of a batch is a number from 0 to 1, or an array without axes."""
    if not hasattr(momentum, "dtype") or tuple(momentum.shape):
        number(operation, "momentum", momentum, 0.0, 1.0)


def check_running(operation: str, option: str, mean: Any, variance: Any, training: bool) -> None:
    """Raise unless the running statistics are there if needed, and can be updated if they are to be."""
    for name, array in (("running_mean", mean), ("running_var", variance)):
        if array is None and (not training or mean is not variance):
            raise ValueError(
                f"{operation}: expected running_mean and running_var with {option}, or both or none of them, got "
                f"{name}=None."
            )
        if training and array is not None and not isinstance(array, Buffer):
            raise TypeError(
                f"{operation}: expected {name} to be a Buffer or None, since it is updated, got "
                f"{type(array).__name__}; wrap it: nnx.Buffer({name})."
            )


def check_batch_norm(
    operation: str,
    input: Any,
    channels: int | None,
    mean: Any,
    variance: Any,
    weight: Any,
    bias: Any,
    training: bool,
) -> Any:
    """Return the namespace of the arrays of a batch normalisation, or raise."""
    arrays = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
    xp = check_channels_last(operation, input, channels, **arrays)
    if training:
        check_several(operation, input, math.prod(input.shape[:-1]), batch=True)
    return xp


def check_residual(operation: str, input: Any, residual: Any) -> None:
    """Raise unless a residual is None, or can be added to what has the shape and dtype of the input."""
    namespace_of(operation, input=input, residual=residual)
    if residual is None:
        return
    if tuple(residual.shape) != tuple(input.shape):
        raise ShapeError(
            f"{operation}: expected residual of shape {tuple(input.shape)}, that of the input, got "
            f"{tuple(residual.shape)}."
        )
    check_dtype(operation, "residual", residual, input, "input")


def check_instance_norm(
    operation: str,
    input: Any,
    channels: int | None,
    mean: Any,
    variance: Any,
    weight: Any,
    bias: Any,
    use_input_stats: bool,
) -> Any:
    """Return the namespace of the arrays of an instance normalisation, or raise."""
    arrays = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
    xp = check_channels_last(operation, input, channels, "(N, ..., ..., C)", **arrays)
    if use_input_stats:
        check_several(operation, input, math.prod(input.shape[1:-1]), batch=False)
    return xp


def _value(array: Any) -> Any:
    return array.value if isinstance(array, Buffer) else array


def _update(
    running_mean: Buffer | None, running_var: Buffer | None, mean: Any, variance: Any, count: int, momentum: Any
) -> None:
    """Move running statistics towards those of `count` values; arrays are raw."""
    if running_mean is None or running_var is None:
        return
    unbiased = variance * (count / (count - 1))
    for running, batch in ((running_mean, mean), (running_var, unbiased)):
        old = running.value
        running.value = narrowed(namespace(old), old * (1.0 - momentum) + batch * momentum, old)


def _empty(input: Any, weight: Any, bias: Any) -> Any:
    """Return an empty array that depends on all arguments, as a mean of nothing cannot be taken."""
    return affine(namespace(input, weight, bias), input, weight, bias)
