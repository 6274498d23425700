"""How far predicted numbers are from the right ones."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from .base import BatchMetric, evaluate_once


def _difference(name: str, xp: Any, predictions: Any, targets: Any) -> Any:
    # Broadcasting (N, 1) against (N,) would give a plausible number that means nothing.
    if tuple(predictions.shape) != tuple(targets.shape):
        raise ShapeError(
            f"{name}: expected predictions and targets of one shape, got {tuple(predictions.shape)} and "
            f"{tuple(targets.shape)}; add or remove an axis of length 1."
        )
    if not is_floating(predictions.dtype):
        raise DTypeError(
            f"{name}: expected floating-point predictions, got dtype {dtype_name(predictions.dtype)}. Cast them, e.g. "
            "xp.astype(predictions, xp.float32)."
        )
    return predictions - xp.astype(targets, predictions.dtype, copy=False)


class MSE(BatchMetric):
    """The mean squared error, over all elements.

    Raises
    ------
    ShapeError
        On `update`, if predictions and targets differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.MSE()
    >>> metric.update(np.asarray([1.0, 2.0]), np.asarray([1.0, 4.0]))
    >>> metric.result()
    2.0
    """

    name = "mse"
    higher_is_better = False

    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        error = _difference(self.name, xp, predictions, targets)
        return xp.sum(error * error), math.prod(error.shape)


class RMSE(MSE):
    """The root of the mean squared error, over all elements and all batches.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.RMSE()
    >>> metric.update(np.asarray([1.0, 2.0]), np.asarray([1.0, 2.0]))
    >>> metric.update(np.asarray([1.0, 2.0]), np.asarray([1.0, 6.0]))
    >>> metric.result()
    2.0
    """

    name = "rmse"

    def combine(self, rows: list[Any], counts: list[int]) -> float:
        return math.sqrt(super().combine(rows, counts))


class MAE(BatchMetric):
    """The mean absolute error, over all elements.

    Raises
    ------
    ShapeError
        On `update`, if predictions and targets differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.MAE()
    >>> metric.update(np.asarray([1.0, 2.0]), np.asarray([1.0, 4.0]))
    >>> metric.result()
    1.0
    """

    name = "mae"
    higher_is_better = False

    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        error = _difference(self.name, xp, predictions, targets)
        return xp.sum(xp.abs(error)), math.prod(error.shape)


class R2(BatchMetric):
    """The coefficient of determination: 1 for perfect predictions, 0 for always predicting the mean of the targets.

    For several outputs (N, ...) it is the mean of theirs. Targets that do not vary give 1 if they are met exactly, else
    0; a single sample gives NaN. These are scikit-learn's conventions.

    Raises
    ------
    ShapeError
        On `update`, if predictions and targets differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.R2()
    >>> metric.update(np.asarray([1.0, 2.0, 3.0, 4.0]), np.asarray([1.0, 2.0, 3.0, 6.0]))
    >>> round(metric.result(), 4)
    0.7143
    """

    name = "r2"

    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        error = _difference(self.name, xp, predictions, targets)
        samples = error.shape[0]
        error = xp.reshape(error, (samples, math.prod(error.shape[1:])))
        targets = xp.reshape(xp.astype(targets, error.dtype, copy=False), error.shape)
        mean = xp.sum(targets, axis=0) / max(samples, 1)
        deviation = targets - mean
        rows = [mean, xp.sum(deviation * deviation, axis=0), xp.sum(error * error, axis=0)]
        return xp.stack(rows, axis=0), samples

    def combine(self, rows: list[Any], counts: list[int]) -> float:
        if sum(counts) < 2:
            return math.nan
        outputs = len(rows[0][0])
        return math.fsum(_r2_of_output(rows, counts, i) for i in range(outputs)) / outputs


def _r2_of_output(rows: list[Any], counts: list[int], i: int) -> float:
    """Merge the means and spreads of the batches: a plain sum of squares would cancel for targets far from zero.

    Source: T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", COMPSTAT 1982.
    """
    total, mean, spread = 0, 0.0, 0.0
    for (means, spreads, _), count in zip(rows, counts, strict=True):
        if count:
            step = means[i] - mean
            spread += spreads[i] + step * step * total * count / (total + count)
            total += count
            mean += step * count / total
    residual = math.fsum(row[2][i] for row in rows)
    if spread == 0:
        return 1.0 if residual == 0 else 0.0
    return 1.0 - residual / spread


def mse(predictions: Any, targets: Any) -> float:
    """Return the mean squared error. See `MSE`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> nnx.metrics.mse(np.asarray([1.0, 2.0]), np.asarray([1.0, 4.0]))
    2.0
    """
    return evaluate_once(MSE(), predictions, targets)


def mae(predictions: Any, targets: Any) -> float:
    """Return the mean absolute error. See `MAE`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> nnx.metrics.mae(np.asarray([1.0, 2.0]), np.asarray([1.0, 4.0]))
    1.0
    """
    return evaluate_once(MAE(), predictions, targets)


def rmse(predictions: Any, targets: Any) -> float:
    """Return the root of the mean squared error. See `RMSE`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> nnx.metrics.rmse(np.asarray([1.0, 2.0]), np.asarray([4.0, 6.0])) ** 2
    12.5...
    """
    return evaluate_once(RMSE(), predictions, targets)


def r2(predictions: Any, targets: Any) -> float:
    """Return the coefficient of determination. See `R2`.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> nnx.metrics.r2(np.asarray([1.0, 2.0, 3.0]), np.asarray([1.0, 2.0, 3.0]))
    1.0
    """
    return evaluate_once(R2(), predictions, targets)
