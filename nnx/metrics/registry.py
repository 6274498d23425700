"""Metrics by name, as `Model` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import FunctionMetric, Metric
from .classification import Accuracy, TopKAccuracy
from .regression import MAE, MSE, R2, RMSE

_BY_NAME: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "top_5_accuracy": TopKAccuracy,
    "mse": MSE,
    "mae": MAE,
    "rmse": RMSE,
    "r2": R2,
}


def get_metric(metric: Any) -> Metric:
    """Return a metric: a new one for a name or a class, the mean of a function, and a metric as it is.

    Raises
    ------
    ValueError
        If the name is unknown; the text lists those that are known.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> import nnx
    >>> nnx.metrics.get_metric("accuracy")
    Accuracy()
    """
    if isinstance(metric, str):
        if metric not in _BY_NAME:
            known = ", ".join(map(repr, _BY_NAME))
            raise ValueError(f"unknown metric {metric!r}: expected one of {known}, or an nnx.metrics.Metric.")
        return _BY_NAME[metric]()
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if callable(metric) and not isinstance(metric, type):
        return FunctionMetric(metric)
    raise TypeError(
        f"expected a metric as a name, an nnx.metrics.Metric or a function of (predictions, targets), got "
        f"{type(metric).__name__}."
    )
