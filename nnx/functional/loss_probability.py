"""Losses between distributions, and likelihoods of distributions."""

from __future__ import annotations

import math
from typing import Any

from ..autodiff import stop_gradient
from ..autodiff.namespace import namespace
from ..checks import boolean, is_number, number
from ..errors import ShapeError
from .checks import check_array, namespace_of
from .loss_checks import check_alike, check_dtype, check_probabilities, check_reduction, check_values, reduce


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return the Kullback-Leibler divergence of the distribution `input` from the distribution `target` [1]_.

    Parameters
    ----------
    input
        Logarithms of probabilities, as `log_softmax` gives them.
    target
        Probabilities, or their logarithms; of the shape and dtype of the input. PyTorch takes any numbers; nnx refuses
        those that are no probabilities. That they sum to 1 is not checked.
    reduction
        ``"batchmean"``: the sum over the length of the first axis, which is the divergence of the definition;
        ``"mean"`` over all elements, ``"sum"``, or ``"none"``.
    log_target
        Whether the target holds logarithms.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; probabilities outside [0, 1] are found where arrays live on the host.

    References
    ----------
    .. [1] Kullback and Leibler, "On Information and Sufficiency", Annals of Mathematical Statistics 22, 1951

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p, q = np.asarray([[1.0, 0.0]]), np.asarray([[0.5, 0.5]])
    >>> round(float(nnx.functional.kl_div(np.log(q), p, reduction="batchmean")), 4)
    0.6931
    """
    check_reduction("kl_div", reduction, "batchmean")
    boolean("kl_div", "log_target", log_target)
    check_alike("kl_div", input=input, target=target)
    xp = namespace(input, target)
    input, target = xp.asarray(input), xp.asarray(target)
    if log_target:
        losses = xp.exp(target) * (target - input)
    else:
        hint = "Pass log_target=True if the target holds logarithms."
        check_probabilities("kl_div", "target", target, hint)
        losses = xp.special.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return xp.sum(losses) / (input.shape[0] if input.shape else 1)
    return reduce(xp, losses, reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Return the negative logarithm of the probability of counts under Poisson distributions.

    Parameters
    ----------
    input
        The rates, or their logarithms.
    target
        The counts, in the shape and dtype of the input.
    log_input
        Whether the input holds logarithms. If not, the loss is ``input - target * log(input + eps)``.
    full
        Whether to add Stirling's approximation of ``log(target!)``, for counts above 1.
    eps
        What keeps the logarithm of a rate of 0 finite.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; negative counts and rates are found where arrays live on the host.

    References
    ----------
    .. [1] McCullagh and Nelder, "Generalized Linear Models", 1989, chapter 6

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.poisson_nll_loss(np.asarray([0.0]), np.asarray([3.0]))
    np.float64(1.0)
    """
    eps = number("poisson_nll_loss", "eps", eps, 0.0)
    boolean("poisson_nll_loss", "log_input", log_input)
    boolean("poisson_nll_loss", "full", full)
    check_reduction("poisson_nll_loss", reduction)
    check_alike("poisson_nll_loss", input=input, target=target)
    check_values("poisson_nll_loss", "target", target, 0.0, math.inf, "Counts are not negative; check the labels.")
    xp = namespace(input, target)
    input, target = xp.asarray(input), xp.asarray(target)
    if log_input:
        losses = xp.exp(input) - target * input
    else:
        hint = "Pass log_input=True if the input holds the logarithms of the rates."
        check_values("poisson_nll_loss", "input", input, 0.0, math.inf, hint)
        losses = input - target * xp.log(input + eps)
    if full:
        large = target > 1
        count = xp.where(large, target, xp.ones_like(target))
        stirling = count * xp.log(count) - count + 0.5 * xp.log(2.0 * math.pi * count)
        losses = losses + xp.where(large, stirling, xp.zeros_like(stirling))
    return reduce(xp, losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Return the negative logarithm of the density of `target` under normal distributions [1]_.

    Parameters
    ----------
    input, target
        The means and the values, of one shape and dtype.
    var
        The variances: a number, or an array of the shape of the input, of that shape with axes of length 1, or of that
        shape without its last axis.
    full
        Whether to add the constant ``log(2 pi) / 2``.
    eps
        The lowest variance, above 0. Lower ones count as this one, but keep their gradient.
    reduction
        ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If an argument does not fit; negative variances are found where arrays live on the host.

    References
    ----------
    .. [1] Nix and Weigend, "Estimating the Mean and Variance of the Target Probability Distribution", ICNN 1994

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.functional.gaussian_nll_loss(np.asarray([1.0, 3.0]), np.zeros(2), np.ones(2))
    np.float64(2.5)
    """
    operation = "gaussian_nll_loss"
    eps = number(operation, "eps", eps, 0.0, above=True)
    boolean(operation, "full", full)
    check_reduction(operation, reduction)
    check_alike(operation, input=input, target=target)
    if is_number(var):
        var = number(operation, "var", var, 0.0)
        xp = namespace(input, target)
        var = xp.full_like(input, var)
    else:
        check_array(operation, "var", var)
        xp = namespace_of(operation, input=input, target=target, var=var)
        check_dtype(operation, "var", var, input)
        check_values(operation, "var", var, 0.0, math.inf, "Make it positive, e.g. by exp or softplus.")
        var = _fitting(xp, var, input)
    held = stop_gradient(var)  # lower values are replaced, but what comes back from above goes on to them
    own = namespace(held)
    lift = own.where(held < eps, eps - held, own.zeros_like(held))
    var = var + lift
    difference = xp.subtract(input, target)
    losses = 0.5 * (xp.log(var) + difference * difference / var)
    if full:
        losses = losses + 0.5 * math.log(2.0 * math.pi)
    return reduce(xp, losses, reduction)


def _fitting(xp: Any, var: Any, input: Any) -> Any:
    shape, own = tuple(input.shape), tuple(var.shape)
    if own == shape:
        return var
    if own == shape[:-1]:
        return xp.expand_dims(var, axis=-1)
    if len(own) == len(shape) and all(n in (1, m) for n, m in zip(own, shape, strict=True)):
        return var
    raise ShapeError(
        f"gaussian_nll_loss: expected var of shape {shape}, that of the input, or {shape[:-1]}, or {(*shape[:-1], 1)}, "
        f"got {own}. Reshape it, e.g. xp.reshape(var, input.shape)."
    )
