"""A learning rate that falls when a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

from ...checks import check_choice, check_range, is_number
from ...errors import WeightsError
from ..arguments import describe
from ..state import is_count
from .schedule import check_count, check_number

_STATE = ("value", "best", "bad_epochs", "cooldown_left")


class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` when a metric has stopped improving (torch's ``ReduceLROnPlateau``).

    An optimizer takes it as its ``lr``, like every schedule; but it is not a function of the step: its value stays
    until `step` is told a metric, say once an epoch. Its state goes to files with `state_dict`, beside the optimizer's.
    With `nnx.Model`, fit an epoch at a time, as in the second example.

    Parameters
    ----------
    lr
        The learning rate at the beginning.
    mode
        "min" if the metric, such as a loss, is to fall; "max" if it is to rise.
    factor
        What to multiply with, from 0 to below 1.
    patience
        The number of metrics without improvement that are still accepted.
    threshold, threshold_mode
        An improvement is one by more than the part `threshold` of the best metric ("rel"), or by more than `threshold`
        ("abs").
    cooldown
        The number of metrics after a reduction that do not count as bad ones.
    min_lr
        The learning rate never falls below it.
    eps
        A change of at most so much is left out.

    Examples
    --------
    >>> from nnx.optim import schedules
    >>> plateau = schedules.ReduceLROnPlateau(0.5, factor=0.5, patience=1)
    >>> for loss in (1.0, 0.8, 0.8, 0.9):
    ...     plateau.step(loss)
    >>> plateau(step=400)
    0.25

    >>> import numpy as np, nnx
    >>> x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    >>> plateau = schedules.ReduceLROnPlateau(0.1, patience=0, threshold=0.9)
    >>> model = nnx.Model(net := nnx.Linear(2, 1), "mse", nnx.optim.SGD(net, lr=plateau))
    >>> for epoch in range(3):  # the optimizer's state goes on from call to call
    ...     history = model.fit(x, y, verbose=0)
    ...     plateau.step(history["loss"][-1])
    >>> model.optimizer.steps
    3
    """

    def __init__(
        self,
        lr: float,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        label = type(self).__name__
        check_number(label, "lr", lr)
        check_choice(label, "mode", mode, ("min", "max"))
        check_range(label, "factor", factor, 0.0, 1.0, fix="it is to reduce the rate: pass such as factor=0.1")
        check_count(label, "patience", patience, low=0, meaning="it counts calls of step()")
        check_number(label, "threshold", threshold)
        check_choice(label, "threshold_mode", threshold_mode, ("rel", "abs"))
        check_count(label, "cooldown", cooldown, low=0, meaning="it counts calls of step()")
        check_number(label, "min_lr", min_lr)
        check_number(label, "eps", eps)
        self.lr = lr
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self.value: float = lr
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = 0
        self.cooldown_left = 0

    def __call__(self, step: int = 0) -> float:
        """Return the learning rate that holds now, whatever the step."""
        return self.value

    def step(self, metrics: SupportsFloat) -> None:
        """Take a metric into account: a number, or an array of one element, which is read from the device."""
        try:
            current = float(metrics)
        except (TypeError, ValueError):
            raise TypeError(
                f"{type(self).__name__}.step: expected metrics to be a number, got {describe(metrics)}; pass such as "
                'history["val_loss"][-1].'
            ) from None
        if self._is_better(current):
            self.best, self.bad_epochs = current, 0
        else:
            self.bad_epochs += 1
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            reduced = max(self.value * self.factor, self.min_lr)
            if self.value - reduced > self.eps:
                self.value = reduced
            self.cooldown_left, self.bad_epochs = self.cooldown, 0

    def _is_better(self, metric: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return metric > bound if self.mode == "max" else metric < bound

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rate, the best metric and the counts, in plain numbers."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. A failed load changes nothing.

        Raises
        ------
        WeightsError
            If an entry is missing, unknown or impossible.
        """
        if not isinstance(state, Mapping) or set(state) != set(_STATE):
            got = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            wanted = f"{type(self).__name__}: expected the entries {', '.join(_STATE)}"
            raise WeightsError(f"{wanted}, got {got or 'none'}; pass what state_dict() returned.")
        value, best = state["value"], state["best"]
        checks = {
            "value": ("a finite number of at least 0", is_number(value) and 0 <= value < math.inf),
            "best": ("a number", is_number(best) and not math.isnan(best)),
            **{name: ("a non-negative integer", is_count(state[name])) for name in _STATE[2:]},
        }
        for name, (kind, fits) in checks.items():
            if not fits:
                wanted = f"{type(self).__name__}: expected {name} to be {kind}"
                raise WeightsError(f"{wanted}, got {state[name]!r}; pass what state_dict() returned.")
        for name in _STATE:
            setattr(self, name, state[name])

    def __repr__(self) -> str:
        options = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps")
        return f"{type(self).__name__}(lr={self.lr!r}, {', '.join(f'{k}={getattr(self, k)!r}' for k in options)})"
