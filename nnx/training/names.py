"""Losses and optimizers by name, as `Model` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import functional, optim
from ..layers import Module

LOSSES: dict[str, Callable] = {
    "cross_entropy": functional.cross_entropy,
    "mse": functional.mse_loss,
    "nll": functional.nll_loss,
    "binary_cross_entropy": functional.binary_cross_entropy,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
    "focal": functional.focal_loss,
    "l1": functional.l1_loss,
    "smooth_l1": functional.smooth_l1_loss,
    "huber": functional.huber_loss,
    "log_cosh": functional.log_cosh_loss,
    "quantile": functional.quantile_loss,
    "kl_div": functional.kl_div,
    "poisson_nll": functional.poisson_nll_loss,
    "hinge": functional.hinge_loss,
    "squared_hinge": functional.squared_hinge_loss,
    "dice": functional.dice_loss,
    "tversky": functional.tversky_loss,
}
OPTIMIZERS: dict[str, Callable] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "adamax": optim.Adamax,
    "nadam": optim.NAdam,
    "radam": optim.RAdam,
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
    "rmsprop": optim.RMSprop,
    "rprop": optim.Rprop,
    "asgd": optim.ASGD,
    "adafactor": optim.Adafactor,
    "lion": optim.Lion,
    "lamb": optim.LAMB,
    "lars": optim.LARS,
}


def get_loss(loss: Any) -> Callable:
    """Return a loss ``f(outputs, targets)``: the one of a name, a new one of a class, or a callable as it is."""
    if isinstance(loss, str):
        return _lookup(
            "loss", loss, LOSSES, "a loss such as nnx.CrossEntropyLoss(), or a function of (outputs, targets)"
        )
    if isinstance(loss, type) and issubclass(loss, Module):
        return loss()
    if callable(loss):
        return loss
    raise TypeError(f"Model: expected loss as a name or a function of (outputs, targets), got {type(loss).__name__}.")


def get_optimizer(optimizer: Any, net: Module) -> optim.Optimizer:
    """Return an optimizer: a new one for a name or a function of the module, and an optimizer as it is."""
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        make = _lookup("optimizer", optimizer, OPTIMIZERS, "an optimizer such as nnx.optim.SGD(net, lr=0.1)")
    elif callable(optimizer):
        make = optimizer
    else:
        raise TypeError(
            f"Model: expected optimizer as a name, an optimizer, or a function that makes one for a module, got "
            f"{type(optimizer).__name__}."
        )
    made = make(net)
    if not hasattr(made, "step") or not hasattr(made, "zero_grad"):
        raise TypeError(f"Model: expected the function for optimizer to return one, got {type(made).__name__}.")
    return made


def check_optimizer(where: str, optimizer: Any, net: Module) -> None:
    """Raise unless an optimizer has every trainable parameter of a network: the others would silently never learn."""
    if not isinstance(optimizer, optim.Optimizer):
        return  # of someone else's making; what it changes is its own affair
    known = {parameter for group in optimizer.groups for parameter in group.parameters}
    trainable = {name: parameter for name, parameter in net.named_parameters() if parameter.trainable}
    missing = [name for name, parameter in trainable.items() if parameter not in known]
    if not missing:
        return
    anew = f"make the optimizer anew: model.optimizer = nnx.optim.{type(optimizer).__name__}(model.net, ...)"
    if len(missing) == len(trainable):
        raise ValueError(
            f"{where}: the optimizer has none of the trainable parameters of the network, as if it had been made for "
            f"another one. To train this one, {anew}."
        )
    raise ValueError(
        f"{where}: the optimizer lacks {len(missing)} of {len(trainable)} trainable parameters of the network: "
        f"{', '.join(missing)}. If they are new, {anew}. If they shall stay as they are, freeze them, e.g. "
        f"model.net.parameter({missing[0]!r}).trainable = False."
    )


def check_averaging(where: str, averaging: Any, net: Module) -> None:
    """Raise unless an average is one of the network's parameters."""
    if not isinstance(averaging, (optim.EMA, optim.SWA)):
        raise TypeError(
            f"{where}: expected averaging to be an nnx.optim.EMA or nnx.optim.SWA, got {type(averaging).__name__}; "
            "pass such as ema = nnx.optim.EMA(model.net)."
        )
    if not set(averaging.parameters) & set(net.parameters()):
        raise ValueError(
            f"{where}: averaging has no parameter of the network, as if it had been made for another one; make it "
            f"anew: nnx.optim.{type(averaging).__name__}(model.net)."
        )


def _lookup(kind: str, name: str, table: dict[str, Callable], alternative: str) -> Callable:
    if name not in table:
        known = ", ".join(map(repr, table))
        raise ValueError(f"Model: unknown {kind} {name!r}: expected one of {known}, or {alternative}.")
    return table[name]
