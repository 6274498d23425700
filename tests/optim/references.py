"""What optimizers are compared with: PyTorch's, and rules written out where PyTorch has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pytest

Group = tuple[Sequence[np.ndarray], dict[str, Any]]


class Reference(Protocol):
    """An optimizer over groups of (values, options), whose gradients come in the order of all values."""

    def __init__(self, groups: Sequence[Group]) -> None: ...

    values: list[np.ndarray]
    """The parameters now."""
    options: list[dict[str, Any]]
    """Those of each parameter; they may be changed."""
    states: list[dict[str, Any]]
    """What is known of each parameter, by name."""

    def step(self, grads: Sequence[np.ndarray | None], lr: float | None = None) -> None:
        """Make a step, with another learning rate if one is given."""


class TorchReference:
    """PyTorch's optimizer; a test that asks for it is skipped where PyTorch is missing."""

    def __init__(self, name: str, groups: Sequence[Group], **defaults: Any) -> None:
        self._torch = torch = pytest.importorskip("torch")
        own = [{"params": [torch.tensor(v, requires_grad=True) for v in values], **o} for values, o in groups]
        self.optimizer = getattr(torch.optim, name)(own, **{"lr": 1e-3, **defaults})
        self.parameters = [p for group in own for p in group["params"]]

    @property
    def values(self) -> list[np.ndarray]:
        return [p.detach().numpy() for p in self.parameters]

    @property
    def states(self) -> list[dict[str, Any]]:
        return [{k: np.asarray(v) for k, v in self.optimizer.state[p].items()} for p in self.parameters]

    def step(self, grads: Sequence[np.ndarray | None], lr: float | None = None) -> None:
        if lr is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = lr
        for p, g in zip(self.parameters, grads, strict=True):
            p.grad = None if g is None else self._torch.tensor(g)
        self.optimizer.step()


class LionReference:
    """Algorithm 2 of Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.values = [np.array(v) for values, _ in groups for v in values]
        self.options = [dict(options) for values, options in groups for _ in values]
        self.states: list[dict[str, Any]] = [{"exp_avg": np.zeros_like(v)} for v in self.values]

    def step(self, grads: Sequence[np.ndarray | None], lr: float | None = None) -> None:
        for k, (g, options) in enumerate(zip(grads, self.options, strict=True)):
            if g is None:
                continue
            beta1, beta2 = options["betas"]
            rate = options["lr"] if lr is None else lr
            gradient = -g if options["maximize"] else g
            momentum = self.states[k]["exp_avg"]
            update = np.sign(beta1 * momentum + (1 - beta1) * gradient)
            self.values[k] = self.values[k] - rate * (update + options["weight_decay"] * self.values[k])
            self.states[k]["exp_avg"] = beta2 * momentum + (1 - beta2) * gradient
