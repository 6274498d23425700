"""Normalisations that keep running statistics of the channels, which are the last axis."""

from __future__ import annotations

import functools
from typing import Any

from .. import init
from ..autodiff import Buffer
from ..autodiff.namespace import namespace
from ..backend import get_backend
from ..checks import boolean, positive_integer
from ..errors import ShapeError
from ..functional.activation import relu
from ..functional.norm_batch import (
    batch_norm,
    batch_norm_relu,
    check_batch_norm,
    check_instance_norm,
    check_momentum,
    instance_norm,
)
from ..functional.norm_checks import check_eps
from .module import Module
from .norm import add_affine


class _RunningNorm(Module):
    """What `BatchNorm` and `InstanceNorm` share: parameters, and running statistics that follow the batches."""

    def _setup(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track: bool, bias: bool, dtype: Any
    ) -> None:
        label = type(self).__name__
        self.num_features = positive_integer(label, "num_features", num_features)
        self.eps = check_eps(label, eps)
        if momentum is not None:
            check_momentum(label, momentum)
        self.momentum = momentum if momentum is None else float(momentum)
        self.affine = boolean(label, "affine", affine)
        self.track_running_stats = boolean(label, "track_running_stats", track)
        add_affine(self, (self.num_features,), affine, affine and bias, dtype)
        if track:
            self.running_mean: Any = Buffer(init.zeros((self.num_features,), dtype))
            self.running_var: Any = Buffer(init.ones((self.num_features,), dtype))
            backend = get_backend()
            self.num_batches_tracked: Any = Buffer(backend.asarray(0, dtype=backend.xp.int64))
        else:
            self.running_mean = self.running_var = self.num_batches_tracked = None

    def _normalize(self, input: Any, function: Any, check: Any) -> Any:
        by_input = self.training or not self.track_running_stats
        weight, bias = self.weight, self.bias
        running = [self._buffers.get("running_mean"), self._buffers.get("running_var")]
        momentum: Any = 0.0 if self.momentum is None else self.momentum
        count: Any = None
        if self.training and self.track_running_stats and 0 not in getattr(input, "shape", ()):
            count = self.num_batches_tracked + 1
            if self.momentum is None:
                xp = namespace(count)
                momentum = 1.0 / xp.astype(xp.asarray(count), self.running_mean.dtype)

        def complain() -> None:
            label = f"{type(self).__name__}({self.num_features})"
            check(label, input, self.num_features, self.running_mean, self.running_var, weight, bias, by_input)

        if weight is None and not self.track_running_stats:
            complain()  # no array tells the function the number of features
        try:
            output = function(input, *running, weight, bias, by_input, momentum, self.eps)
        except (ShapeError, TypeError):
            complain()
            raise
        if count is not None:
            self.num_batches_tracked = count
        return output

    def reset_running_stats(self) -> None:
        """Forget the batches seen so far: mean 0, variance 1."""
        if self.track_running_stats:
            for name, value in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
                old = getattr(self, name)
                setattr(self, name, namespace(old).zeros_like(old) + value)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm(_RunningNorm):
    """Mean 0 and variance 1 in each channel: of the batch while training, of all batches in evaluation.

    One class for every rank, PyTorch's BatchNorm1d, 2d and 3d. See `nnx.functional.batch_norm`.

    Parameters
    ----------
    num_features
        The number of channels, the length of the last axis.
    eps
        What is added to the variance, above 0.
    momentum
        The share of a batch in the running statistics, from 0 to 1; None for the average of all batches.
    affine
        Whether to learn a weight, and a bias unless `bias` is False.
    track_running_stats
        Whether to keep running statistics; without them evaluation uses those of the batch, too.
    bias
        Whether to learn a bias.
    dtype
        The dtype of the parameters and statistics, or its name.

    Attributes
    ----------
    weight, bias
        Of shape (num_features,), initially 1 and 0.
    running_mean, running_var
        Buffers of shape (num_features,), initially 0 and 1.
    num_batches_tracked
        A buffer: how many batches have been seen, empty ones not counted.

    References
    ----------
    .. [1] Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167

    Examples
    --------
    >>> import numpy as np, nnx
    >>> norm = nnx.BatchNorm(2)
    >>> norm(np.asarray([[1.0, 10.0], [3.0, 30.0]], dtype="float32")).round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> norm.running_mean
    array([0.2, 2. ], dtype=float32)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        self._setup(num_features, eps, momentum, affine, track_running_stats, bias, dtype)

    def forward(self, input: Any) -> Any:
        return self._normalize(input, batch_norm, check_batch_norm)


def norm_relu(norm: Module, input: Any, residual: Any = None) -> Any:
    """Return ``relu(norm(input) + residual)``: in one pass if that is what `norm` does and nobody looks in between.

    A forward hook on `norm` gets its output, and a subclass, or whatever has taken the place of a `BatchNorm`, runs as
    it is.
    """
    if type(norm) is BatchNorm and not norm._hooks:
        return norm._normalize(input, functools.partial(batch_norm_relu, residual=residual), check_batch_norm)
    output = norm(input)
    return relu(output if residual is None else output + residual)


class InstanceNorm(_RunningNorm):
    """Mean 0 and variance 1 in each channel of each sample.

    One class for every rank, PyTorch's InstanceNorm1d, 2d and 3d. See `nnx.functional.instance_norm`.

    Parameters
    ----------
    num_features
        The number of channels, the length of the last axis.
    eps
        What is added to the variance, above 0.
    momentum
        The share of a batch in the running statistics, from 0 to 1; None for the average of all batches.
    affine
        Whether to learn a weight, and a bias unless `bias` is False.
    track_running_stats
        Whether to keep running statistics, which evaluation then uses.
    bias
        Whether to learn a bias.
    dtype
        The dtype of the parameters and statistics, or its name.

    Attributes
    ----------
    weight, bias
        Of shape (num_features,), initially 1 and 0; None unless `affine`.
    running_mean, running_var, num_batches_tracked
        Buffers as in `BatchNorm`; None unless `track_running_stats`. (PyTorch's does not count the batches.)

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = np.asarray([[[1.0], [3.0]], [[10.0], [30.0]]], dtype="float32")
    >>> nnx.InstanceNorm(1)(x).round(3)[:, :, 0]
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        self._setup(num_features, eps, momentum, affine, track_running_stats, bias, dtype)

    def forward(self, input: Any) -> Any:
        return self._normalize(input, instance_norm, check_instance_norm)
