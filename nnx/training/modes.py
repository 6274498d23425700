"""Training and evaluation mode for a while, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..layers import Module


@contextmanager
def training_mode(net: Module) -> Iterator[None]:
    """Train within the block. In a network that is in training mode, parts in evaluation mode (a frozen batch
    normalisation) stay in it; one that is in evaluation mode is put into training mode whole."""
    with _restored(net):
        if not net.training:
            net.train()
        yield


@contextmanager
def evaluation_mode(net: Module) -> Iterator[None]:
    """Evaluate within the block."""
    with _restored(net):
        net.eval()
        yield


@contextmanager
def _restored(net: Module) -> Iterator[None]:
    before = [(module, module.training) for module in net.modules()]
    try:
        yield
    finally:
        for module, flag in before:
            module.training = flag
