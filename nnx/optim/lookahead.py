"""Lookahead: slow weights that follow those of another optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..checks import check_range, positive_integer
from .copies import at_home, copied
from .optimizer import Optimizer
from .state import checked_state


class Lookahead(Optimizer):
    """Lookahead [1]_ around another optimizer: k steps forward, one step back.

    Every `k` steps of the inner optimizer, slow weights, which begin where the parameters are at the first step, go the
    share `alpha` of the way to the parameters, and the parameters return to them. The state of the inner optimizer
    stays as it is.

    Parameters
    ----------
    optimizer
        The inner optimizer. Groups and learning rate are its own.
    k
        How many of its steps make one of the slow weights.
    alpha
        How far the slow weights follow, above 0 and at most 1.

    References
    ----------
    .. [1] Zhang et al., "Lookahead optimizer: k steps forward, 1 step back", arXiv:1907.08610

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([0.0]))
    >>> optimizer = nnx.optim.Lookahead(nnx.optim.SGD([p], lr=1.0), k=2, alpha=0.5)
    >>> for _ in range(2):
    ...     optimizer.step([np.asarray([-1.0])])
    >>> p.value
    array([1.])
    """

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"Lookahead: expected an optimizer, such as nnx.optim.SGD(net, lr=0.1), got {type(optimizer).__name__}."
            )
        check_range("Lookahead", "alpha", alpha, 0.0, above=True, high=1.0)
        self.optimizer = optimizer
        self.k = positive_integer("Lookahead", "k", k)
        self.alpha = float(alpha)
        self.groups = optimizer.groups
        self.defaults = optimizer.defaults
        self.steps = 0
        self._slow: dict[str, Any] = {}

    @property
    def lr(self) -> float:
        """The learning rate of the inner optimizer's next step. Assign a number or a schedule to set it."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, lr: float | Callable[[int], float]) -> None:
        self.optimizer.lr = lr

    def step(self, grads: Any = None) -> Any:
        """Let the inner optimizer make a step, which gets the argument, and every k-th time step back."""
        named = self._named()
        if not self._slow:
            self._slow = {name: copied(parameter.value) for name, parameter in named.items()}
        result = self.optimizer.step(grads)
        self.steps += 1
        if self.steps % self.k == 0:
            for name, parameter in named.items():
                value = parameter.value
                slow = at_home(self._slow[name], value)
                self._slow[name] = parameter.value = slow + self.alpha * (value - slow)
        return result

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.optimizer.zero_grad()

    def _named(self) -> dict[str, Any]:
        return {n: p for group in self.groups for n, p in zip(group.names, group.parameters, strict=True)}

    def __getstate__(self) -> dict:
        return dict(self.__dict__)

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"steps": int, "optimizer": <that of the inner one>, "parameters": {name: {"step": int, "slow":
        array}}}``."""
        entries = {}
        for name, parameter in self._named().items():
            entries[name] = {"step": self.steps, "slow": copied(self._slow.get(name, parameter.value))}
        return {"steps": self.steps, "optimizer": self.optimizer.state_dict(), "parameters": entries}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `state_dict` returned. A failed load changes nothing.

        Raises
        ------
        WeightsError
            Listing every missing, unexpected or misshapen entry, and every other problem.
        """
        own = {name: [parameter.value] for name, parameter in self._named().items()}
        steps, entries = checked_state("Lookahead", own, ("slow",), (), state)
        self.optimizer.load_state_dict(state.get("optimizer", {}))
        self.steps = steps
        self._slow = {name: copied(arrays[0]) for name, (_, _, arrays) in entries.items()} if steps else {}

    def __repr__(self) -> str:
        return f"Lookahead({self.optimizer!r}, k={self.k}, alpha={self.alpha})"
