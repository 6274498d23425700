"""Muon: momentum, made orthogonal, for the weight matrices of hidden layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..checks import boolean, check_choice, check_range, is_number, non_negative_integer
from .norms import norm
from .optimizer import Optimizer
from .parts import Step
from .rules import check_eps

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Muon [1]_; arguments and defaults are PyTorch's.

    The singular values of every step of a matrix are brought near 1 by a few Newton-Schulz iterations, in the dtype of
    the parameter. It is meant for hidden layers: give biases, gains, embeddings and the last layer to another
    optimizer, such as `AdamW`.

    Parameters
    ----------
    parameters
        A module, parameters, or groups; see `Optimizer`. They must be real and have two axes or more. Weights with
        more, such as those of a convolution, (out, *kernel, in / groups), pass for matrices (out, everything else),
        one column per number that is summed over; a stack of matrices does not become one by that.
    lr
        The learning rate: a number, or a function of the step.
    weight_decay
        How much of the weights to subtract, times `lr`.
    momentum
        The decay rate of the running mean of the gradient, from 0 to below 1.
    nesterov
        Whether to look ahead: mix the gradient once more into the mean that is used.
    ns_coefficients
        a, b, c of the iteration X <- a X + (b A + c A A) X with A = X X^T.
    eps
        The smallest Frobenius norm to divide by.
    ns_steps
        How many iterations; less than 100.
    adjust_lr_fn
        How the rate depends on the shape (rows, columns): None or ``"original"`` for sqrt(max(1, rows / columns)),
        ``"match_rms_adamw"`` for 0.2 sqrt(max(rows, columns)) [2]_, so that rates found for AdamW can be kept.

    References
    ----------
    .. [1] Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
       https://kellerjordan.github.io/posts/muon/
    .. [2] Liu et al., "Muon is scalable for LLM training", arXiv:2502.16982

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Linear(4, 8), nnx.ReLU(), nnx.Linear(8, 2))
    >>> matrices = [p for p in net.parameters() if len(p.shape) >= 2]
    >>> others = [p for p in net.parameters() if len(p.shape) < 2]
    >>> muon, adam = nnx.optim.Muon(matrices, lr=0.02), nnx.optim.AdamW(others)
    >>> with nnx.record():
    ...     loss = nnx.functional.cross_entropy(net(np.ones((1, 4), "float32")), np.asarray([0]))
    >>> loss.backward()
    >>> for optimizer in (muon, adam):
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    """

    elementwise = False
    allows_complex = False
    state_names = ("momentum_buffer",)

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )
        for group in self.groups:
            for name, parameter in zip(group.names, group.parameters, strict=True):
                if len(parameter.shape) < 2:
                    raise ValueError(
                        f"Muon: expected parameters with two axes or more, got {name!r} of shape {parameter.shape}. "
                        "Give those with fewer to another optimizer, e.g. "
                        "nnx.optim.AdamW([p for p in net.parameters() if len(p.shape) < 2])."
                    )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        check_range("Muon", "weight_decay", options["weight_decay"], 0.0)
        check_range("Muon", "momentum", options["momentum"], 0.0, 1.0)
        boolean("Muon", "nesterov", options["nesterov"])
        coefficients = options["ns_coefficients"]
        if (
            not isinstance(coefficients, (tuple, list))
            or len(coefficients) != 3
            or not all(map(is_number, coefficients))
        ):
            raise TypeError(
                f"Muon: expected ns_coefficients to be three numbers, got {coefficients!r}; pass such as (3.4445, "
                "-4.7750, 2.0315)."
            )
        if not all(map(math.isfinite, coefficients)):
            raise ValueError(f"Muon: expected ns_coefficients to be finite, got {coefficients!r}; pass finite numbers.")
        check_eps("Muon", options["eps"])
        if non_negative_integer("Muon", "ns_steps", options["ns_steps"]) >= 100:
            raise ValueError(f"Muon: expected ns_steps to be less than 100, got {options['ns_steps']}; 5 will do.")
        check_choice("Muon", "adjust_lr_fn", options["adjust_lr_fn"], _ADJUSTMENTS)

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        options, lr, _, _ = step
        rows, columns = p.shape[0], math.prod(p.shape[1:])
        if not rows * columns:
            return p, state
        (mean,) = state
        momentum = options["momentum"]
        mean *= momentum
        mean += (1 - momentum) * g
        direction = (1 - momentum) * g + momentum * mean if options["nesterov"] else mean
        change = _orthogonal(xp, xp.reshape(direction, (rows, columns)), options)
        if options["weight_decay"]:
            p *= 1 - lr * options["weight_decay"]
        p -= xp.reshape(change * (lr * _adjustment(options["adjust_lr_fn"], rows, columns)), p.shape)
        return p, [mean]


def _adjustment(name: str | None, rows: int, columns: int) -> float:
    if name == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


def _orthogonal(xp: Any, x: Any, options: Mapping[str, Any]) -> Any:
    """Return the matrix with its singular values brought near 1, by an odd polynomial applied again and again."""
    a, b, c = options["ns_coefficients"]
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = xp.matrix_transpose(x)
    x = x / xp.maximum(norm(xp, x), options["eps"])  # no singular value is above the Frobenius norm
    for _ in range(options["ns_steps"]):
        gram = xp.matmul(x, xp.matrix_transpose(x))
        # A matrix times its own transpose is half the work for BLAS; gram is symmetric, so this is its square.
        polynomial = xp.matmul(gram, xp.matrix_transpose(gram))
        polynomial *= c
        gram *= b
        polynomial += gram
        change = xp.matmul(polynomial, x)
        x *= a
        x += change
    return xp.matrix_transpose(x) if tall else x
