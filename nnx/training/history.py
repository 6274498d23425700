"""What happened during training, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Best(NamedTuple):
    """The best value of a history, and the epoch (from 1) that reached it first."""

    epoch: int
    value: float


class History(Mapping[str, list[float]]):
    """The losses and metrics of every finished epoch: a mapping from name to list, those of validation with ``val_``.

    Parameters
    ----------
    higher_is_better
        The names, without ``val_``, of which the largest value is the best.

    Attributes
    ----------
    epoch
        The numbers of the finished epochs, from 1.
    seconds
        How long each took, validation included.

    Examples
    --------
    >>> from nnx.training import History
    >>> history = History(higher_is_better={"accuracy"})
    >>> history.append({"loss": 0.7, "val_accuracy": 0.81}, seconds=1.5)
    >>> history.append({"loss": 0.4, "val_accuracy": 0.93}, seconds=1.4)
    >>> history
    epoch    loss  val_accuracy
        1  0.7000        0.8100
        2  0.4000        0.9300
    >>> history["loss"], history.best("val_accuracy")
    ([0.7, 0.4], Best(epoch=2, value=0.93))
    """

    def __init__(self, higher_is_better: set[str] | frozenset[str] = frozenset()) -> None:
        self.epoch: list[int] = []
        self.seconds: list[float] = []
        self._values: dict[str, list[float]] = {}
        self._higher_is_better = frozenset(higher_is_better)

    def append(self, values: Mapping[str, float], seconds: float = 0.0) -> None:
        """Add a finished epoch. Every epoch has the same names."""
        if self.epoch and values.keys() != self._values.keys():
            raise ValueError(f"History: expected the names {', '.join(self._values)}, got {', '.join(values)}.")
        for name, value in values.items():
            self._values.setdefault(name, []).append(float(value))
        self.epoch.append(len(self.epoch) + 1)
        self.seconds.append(seconds)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._values:
            raise KeyError(f"History has no {name!r}; it has {', '.join(map(repr, self._values)) or 'no epochs yet'}.")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        """Number of names; the number of epochs is ``len(history.epoch)``."""
        return len(self._values)

    def best(self, name: str = "val_loss") -> Best:
        """Return the best value of a loss or metric and its epoch; the first of equal ones. NaN never is the best.

        Raises
        ------
        KeyError
            If there is no such name.
        ValueError
            If all its values are NaN.
        """
        values = [(value, epoch) for value, epoch in zip(self[name], self.epoch, strict=True) if not math.isnan(value)]
        if not values:
            raise ValueError(f"History.best: all values of {name!r} are NaN.")
        sign = -1 if name.removeprefix("val_") in self._higher_is_better else 1
        value, epoch = min(values, key=lambda pair: (sign * pair[0], pair[1]))
        return Best(epoch, value)

    def to_dict(self) -> dict[str, list]:
        """Return a copy in plain lists, the epoch numbers under ``"epoch"``: for JSON or ``pandas.DataFrame``."""
        return {"epoch": list(self.epoch), **{name: list(values) for name, values in self._values.items()}}

    def __repr__(self) -> str:
        if not self.epoch:
            return "History(no epochs yet)"
        columns = [["epoch", *map(str, self.epoch)]]
        columns += [[name, *map(format_value, values)] for name, values in self._values.items()]
        widths = [max(map(len, column)) for column in columns]
        rows = zip(*columns, strict=True)
        lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(lines)


def format_value(value: float) -> str:
    """Return a number with four decimals, or in scientific notation where those would not show it."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 or not math.isfinite(value) else f"{value:.3e}"
