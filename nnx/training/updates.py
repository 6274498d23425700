"""From the losses of batches to steps of the optimizer: accumulation, clipping, constraints, averaging."""

from __future__ import annotations

from typing import Any

from ..checks import check_range, positive_integer
from ..layers import Module
from ..optim import EMA, SWA
from ..optim.clipping import clip_gradients, scale_gradients
from .names import check_averaging


class Updates:
    """Makes a step of the optimizer for every `accumulate` batches, and one for those that an epoch ends with.

    Batches count by their samples, so that a step is the one of a single batch with all of them.

    Parameters
    ----------
    net
        The network.
    optimizer
        What changes its parameters.
    accumulate
        How many batches make a step.
    clip_norm
        The largest norm of the gradients of a step, or None.
    averaging
        What takes the parameters after each step into an average, or None.
    """

    def __init__(
        self,
        net: Module,
        optimizer: Any,
        accumulate: int = 1,
        clip_norm: float | None = None,
        averaging: EMA | SWA | None = None,
    ) -> None:
        self.accumulate = positive_integer("Model.fit", "accumulate", accumulate)
        if clip_norm is not None:
            check_range("Model.fit", "clip_norm", clip_norm, 0.0, above=True, fix="pass None for no bound")
        if averaging is not None:
            check_averaging("Model.fit", averaging, net)
        self._averaging = averaging
        self._clip_norm = clip_norm
        self._net = net
        self._optimizer = optimizer
        self._parameters = list(net.parameters())
        self._constrained = net.constrained
        self._batches = self._samples = self._first = 0
        optimizer.zero_grad()  # gradients of an earlier backward() are not for the first step

    def take(self, loss: Any, samples: int) -> None:
        """Differentiate the loss of a batch, and make a step if it is time."""
        if self._batches == 0:
            self._first = max(samples, 1)
        weight = samples / self._first  # 1 for batches of one size, so that nothing is multiplied
        (loss if weight == 1 else loss * weight).backward()
        self._batches += 1
        self._samples += samples
        if self._batches == self.accumulate:
            self.finish()

    def finish(self) -> None:
        """Make a step with the batches since the last one, if there are any."""
        if self._batches == 0:
            return
        if self._samples != self._first:
            scale_gradients(self._parameters, self._first / self._samples)
        if self._clip_norm is not None:
            clip_gradients(self._parameters, self._clip_norm)
        self._optimizer.step()
        if self._constrained:
            self._net.apply_constraints()
        if self._averaging is not None:
            self._averaging.update()
        self.drop()

    def drop(self) -> None:
        """Forget the batches since the last step, and their gradients."""
        self._optimizer.zero_grad()
        self._batches = self._samples = self._first = 0
