"""The rules of LAMB and LARS written out, as their papers have them; PyTorch has neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.optim.references import Group


def length(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).sum()))


class _PerTensor:
    """Values and states of tensors, each with a rule of its own options."""

    state_names: tuple[str, ...]

    def __init__(self, groups: Sequence[Group]) -> None:
        self.values = [np.array(v) for values, _ in groups for v in values]
        self.options = [dict(options) for values, options in groups for _ in values]
        self.states: list[dict[str, Any]] = [
            {"step": 0, **{name: np.zeros_like(v) for name in self.state_names}} for v in self.values
        ]

    def step(self, grads: Sequence[np.ndarray | None], lr: float | None = None) -> None:
        for k, (g, options) in enumerate(zip(grads, self.options, strict=True)):
            if g is not None:
                self.states[k]["step"] += 1
                rate = options["lr"] if lr is None else lr
                gradient = -g if options["maximize"] else g
                self.values[k] = self.values[k] - self.change(self.values[k], gradient, self.states[k], rate, options)

    def change(self, w: np.ndarray, g: np.ndarray, state: dict[str, Any], lr: float, o: dict[str, Any]) -> np.ndarray:
        raise NotImplementedError


class LambReference(_PerTensor):
    """Algorithm 2 of You et al., "Large batch optimization for deep learning", arXiv:1904.00962, with the identity for
    phi, and a bound of the trust ratio."""

    state_names = ("exp_avg", "exp_avg_sq")

    def change(self, w: np.ndarray, g: np.ndarray, state: dict[str, Any], lr: float, o: dict[str, Any]) -> np.ndarray:
        beta1, beta2 = o["betas"]
        m = state["exp_avg"] = beta1 * state["exp_avg"] + (1 - beta1) * g
        v = state["exp_avg_sq"] = beta2 * state["exp_avg_sq"] + (1 - beta2) * g**2
        if o["bias_correction"]:
            m, v = m / (1 - beta1 ** state["step"]), v / (1 - beta2 ** state["step"])
        update = m / (v**0.5 + o["eps"]) + o["weight_decay"] * w
        if not o["adapt"]:
            return lr * update
        ratio = length(w) / length(update) if length(w) and length(update) else 1.0
        return lr * min(ratio, o["trust_clip"]) * update


class LarsReference(_PerTensor):
    """Algorithm 1 of You, Gitman and Ginsburg, "Large batch training of convolutional networks", arXiv:1708.03888,
    with eps in the denominator."""

    state_names = ("momentum_buffer",)

    def change(self, w: np.ndarray, g: np.ndarray, state: dict[str, Any], lr: float, o: dict[str, Any]) -> np.ndarray:
        decay, local = o["weight_decay"], 1.0
        if o["adapt"] and length(w) and length(g):
            local = o["trust_coefficient"] * length(w) / (length(g) + decay * length(w) + o["eps"])
        v = state["momentum_buffer"] = o["momentum"] * state["momentum_buffer"] + lr * local * (g + decay * w)
        return v
