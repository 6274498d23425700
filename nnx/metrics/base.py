"""What every metric has in common: it streams over batches and reads the device only when asked for its result."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..backend import device, to_numpy
from ..errors import ShapeError

_BLOCK = 256


class DeviceLog:
    """Small arrays of one shape, one per batch, that stay on their device until they are read together.

    Adding one costs a list append: no kernel, and no wait for the device.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.metrics import DeviceLog
    >>> log = DeviceLog()
    >>> log.add(np.asarray(0.5))
    >>> log.add(np.asarray(0.25))
    >>> log.read()
    [0.5, 0.25]
    """

    def __init__(self) -> None:
        self._recent: list[Any] = []
        self._blocks: list[Any] = []

    def __len__(self) -> int:
        return len(self._recent) + _BLOCK * len(self._blocks)

    def add(self, value: Any) -> None:
        """Append one raw array."""
        recent = self._recent
        recent.append(value)
        if len(recent) == _BLOCK:  # many tiny arrays would take a block of device memory each
            self._blocks.append(namespace(value).stack(recent, axis=0))
            self._recent = []

    def read(self) -> list[Any]:
        """Return the values as Python numbers, or as nested lists of them."""
        blocks = list(self._blocks)
        if self._recent:
            blocks.append(namespace(self._recent[0]).stack(self._recent, axis=0))
        return [row for block in blocks for row in to_numpy(block).tolist()]

    def clear(self) -> None:
        """Forget all values."""
        self._recent = []
        self._blocks = []


class Metric(ABC):
    """A number that tells how good predictions are, gathered over batches.

    Attributes
    ----------
    name
        Its key in histories and in the results of `Model.evaluate`.
    higher_is_better
        Whether the best value is the largest.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.Accuracy()
    >>> metric.update(np.asarray([[0.9, 0.1], [0.2, 0.8]]), np.asarray([0, 0]))
    >>> metric.update(np.asarray([[0.3, 0.7], [0.4, 0.6]]), np.asarray([1, 1]))
    >>> metric.result()
    0.75
    """

    name: str = "metric"
    higher_is_better: bool = True

    @abstractmethod
    def update(self, predictions: Any, targets: Any) -> None:
        """Take in one batch. Nothing waits for the device."""

    @abstractmethod
    def result(self) -> float:
        """Return the value over all batches since `reset`; this waits for the device.

        Raises
        ------
        ValueError
            If there has been no data.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all batches."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class BatchMetric(Metric):
    """A metric made of one small array of statistics per batch. Subclasses write `measure`, and `combine` if the
    statistics are not just sums over the elements counted.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> class Bias(nnx.metrics.BatchMetric):
    ...     name = "bias"
    ...
    ...     def measure(self, xp, predictions, targets):
    ...         return xp.sum(predictions - targets), targets.shape[0]
    >>> metric = Bias()
    >>> metric.update(np.asarray([1.0, 2.0]), np.asarray([0.0, 2.0]))
    >>> metric.result()
    0.5
    """

    def __init__(self) -> None:
        self._log = DeviceLog()
        self._counts: list[int] = []

    @abstractmethod
    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        """Return the statistics of one batch (raw arrays in, a raw array out) and how many elements they count."""

    def combine(self, rows: list[Any], counts: list[int]) -> float:
        """Return the result, given the statistics of all batches as Python numbers, and their counts."""
        return math.fsum(rows) / sum(counts)

    def update(self, predictions: Any, targets: Any) -> None:
        predictions, targets = stop_gradient(predictions), stop_gradient(targets)
        statistics, count = self.measure(namespace(predictions, targets), predictions, targets)
        self._log.add(statistics)
        self._counts.append(count)

    def result(self) -> float:
        if sum(self._counts) == 0:
            raise ValueError(f"{self.name}: there is no data yet; call update(predictions, targets) first.")
        return self.combine(self._log.read(), self._counts)

    def reset(self) -> None:
        self._log.clear()
        self._counts = []


class FunctionMetric(BatchMetric):
    """The mean over the samples of a function ``f(predictions, targets)``, which returns the mean of a batch.

    Parameters
    ----------
    function
        Its result is a single number: a 0-d array or a Python number.
    name
        By default the name of the function.
    higher_is_better
        Whether the best value is the largest.

    Examples
    --------
    >>> import numpy as np
    >>> import nnx
    >>> metric = nnx.metrics.FunctionMetric(lambda p, t: np.mean(p == t), name="agreement")
    >>> metric.update(np.asarray([1, 2, 3, 4]), np.asarray([1, 2, 3, 0]))
    >>> metric.result()
    0.75
    """

    def __init__(self, function: Callable, name: str | None = None, higher_is_better: bool = True) -> None:
        super().__init__()
        self.function = function
        self.name = name if name is not None else getattr(function, "__name__", type(function).__name__)
        self.higher_is_better = higher_is_better

    def measure(self, xp: Any, predictions: Any, targets: Any) -> tuple[Any, int]:
        value = stop_gradient(self.function(predictions, targets))
        if isinstance(value, (bool, int, float)):
            value = xp.asarray(value, device=device(targets))
        if tuple(value.shape) != ():
            raise ShapeError(
                f"{self.name}: expected the function to return a single number, got shape {tuple(value.shape)}. Reduce "
                "it, e.g. with xp.mean."
            )
        return value, targets.shape[0]

    def combine(self, rows: list[Any], counts: list[int]) -> float:
        weighted = [row * count for row, count in zip(rows, counts, strict=True)]
        return math.fsum(weighted) / sum(counts)

    def __repr__(self) -> str:
        return f"FunctionMetric({self.name})"


def evaluate_once(metric: Metric, predictions: Any, targets: Any) -> float:
    """Return the value of a fresh metric for one batch: the functional form."""
    metric.update(predictions, targets)
    return metric.result()
