"""Averages of weights over the steps of training: exponential (EMA) and equal (SWA)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..autodiff import Buffer, Parameter
from ..backend import get_backend
from ..checks import boolean, check_range, non_negative_integer
from ..dtypes import is_floating
from .arguments import grouped
from .copies import at_home, copied
from .state import checked_state


class _Average:
    """Averages of the values of parameters, and what belongs to them of buffers."""

    def __init__(self, parameters: Any, use_buffers: bool) -> None:
        label = type(self).__name__
        listed = [parameters] if isinstance(parameters, Parameter) else parameters
        self._items: dict[str, Parameter | Buffer] = {}
        for named, _ in grouped(listed, label):
            self._items |= named
        if not self._items:
            raise ValueError(f"{label}: got no parameters. Pass a module that has some, or module.parameters().")
        # optimizers know a module by what it has; parameters alone come without buffers
        self._buffers: dict[str, Buffer] = {}
        if hasattr(type(parameters), "__nnx_parameters__") and hasattr(parameters, "named_buffers"):
            self._buffers = dict(parameters.named_buffers())
            self._items |= self._buffers
        self.use_buffers = boolean(label, "use_buffers", use_buffers)
        self.updates = 0
        self.n_averaged = 0
        self._values: dict[str, Any] = {}
        self._applied = False

    def _share(self) -> float:
        """The weight of the present values in the new average, where that is not the first."""
        raise NotImplementedError

    def _begins(self) -> bool:
        """Whether the average has begun."""
        return True

    @property
    def parameters(self) -> list[Parameter]:
        """Those that it averages."""
        return [item for name, item in self._items.items() if name not in self._buffers]  # type: ignore[misc]

    def update(self) -> None:
        """Take the present values into the average. Call it after a step of the optimizer.

        Raises
        ------
        RuntimeError
            Within a block of `applied`, where the present values are the average.
        """
        if self._applied:
            raise RuntimeError(
                f"{type(self).__name__}.update: the parameters are the averages within applied(); update after the "
                "block."
            )
        if self._begins():
            share = self._share() if self.n_averaged else 1.0
            for name, item in self._items.items():
                new, old = item.value, self._values.get(name)
                mixes = is_floating(new.dtype) and (self.use_buffers or name not in self._buffers)
                if old is None or share == 1.0 or not mixes:
                    self._values[name] = copied(new)
                else:
                    old = at_home(old, new)
                    change = new - old
                    change *= share
                    if get_backend(old).writable:
                        old += change
                    else:  # the parameters of such a library take an array over as it is, so it must not change
                        change += old
                        old = change
                    self._values[name] = old
            self.n_averaged += 1
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the parameters and buffers be the averages within a ``with`` block; afterwards they are as before.

        Buffers that change within the block, as they do under `update_bn`, belong to the average from then on.

        Raises
        ------
        RuntimeError
            If there is no average yet, or the block is inside another.
        """
        label = type(self).__name__
        if not self.n_averaged:
            raise RuntimeError(f"{label}.applied: nothing has been averaged yet; call update() after a step first.")
        if self._applied:
            raise RuntimeError(f"{label}.applied: the averages are in place already; leave the other block first.")
        own = {name: copied(item.value) for name, item in self._items.items()}
        self._applied = True
        try:
            self._write(self._values)
            yield
        finally:
            for name, buffer in self._buffers.items():
                self._values[name] = copied(buffer.value)
            self._write(own)
            self._applied = False

    def _write(self, values: Mapping[str, Any]) -> None:
        for name, item in self._items.items():
            item.value = at_home(values[name], item.value)

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Return the state by name: ``{"steps": int, "parameters": {name: {"step": int, "average": array}}}``, buffers
        among them; ``"steps"`` counts updates, ``"step"`` those that were averaged."""
        entries = {}
        for name, item in self._items.items():
            average = self._values.get(name, item.value)
            entries[name] = {"step": self.n_averaged, "average": copied(average)}
        return {"steps": self.updates, "parameters": entries}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `state_dict` returned. A failed load changes nothing.

        Raises
        ------
        WeightsError
            Listing every missing, unexpected or misshapen entry, and every other problem.
        """
        own = {name: [item.value] for name, item in self._items.items()}
        steps, entries = checked_state(type(self).__name__, own, ("average",), (), state)
        self.updates = steps
        self.n_averaged = next(iter(entries.values()))[0]
        self._values = {name: copied(arrays[0]) for name, (_, _, arrays) in entries.items()} if self.n_averaged else {}


class EMA(_Average):
    """An exponential moving average of parameters; PyTorch's ``AveragedModel`` with ``get_ema_multi_avg_fn``.

    The first update copies; every other makes ``decay * average + (1 - decay) * value``. ``Model.fit`` updates it after
    each step if it is passed as `averaging`.

    Parameters
    ----------
    parameters
        A module, whose buffers come along, or parameters.
    decay
        From 0 to below 1.
    warmup
        Whether to forget faster at first: after n updates ``min(decay, (1 + n) / (10 + n))``, as in TensorFlow.
    use_buffers
        Whether floating-point buffers, such as running means, are averaged, too; else those of the last update count.

    Attributes
    ----------
    n_averaged : int
        How many values the average is of.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Linear(2, 1)
    >>> ema = nnx.optim.EMA(net, decay=0.75)
    >>> for value in (1.0, 2.0):
    ...     net.bias = np.asarray([value], "float32")  # stands for a step of an optimizer
    ...     ema.update()
    >>> with ema.applied():
    ...     net.bias.copy()
    array([1.25], dtype=float32)
    >>> net.bias
    array([2.], dtype=float32)
    """

    def __init__(self, parameters: Any, decay: float = 0.999, warmup: bool = False, use_buffers: bool = False) -> None:
        check_range("EMA", "decay", decay, 0.0, 1.0)
        self.decay = float(decay)
        self.warmup = boolean("EMA", "warmup", warmup)
        super().__init__(parameters, use_buffers)

    def _share(self) -> float:
        n = self.n_averaged
        return 1 - (min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay)

    def __repr__(self) -> str:
        return f"EMA({len(self._items)} arrays, decay={self.decay}, n_averaged={self.n_averaged})"


class SWA(_Average):
    """Stochastic weight averaging [1]_: the equal average of parameters; PyTorch's ``AveragedModel``.

    Batch normalisation has to see the data again with the averaged weights: see `update_bn`.

    Parameters
    ----------
    parameters
        A module, whose buffers come along, or parameters.
    start
        How many updates pass before the first that is averaged.
    use_buffers
        Whether floating-point buffers, such as running means, are averaged, too; else those of the last update count.

    Attributes
    ----------
    n_averaged : int
        How many values the average is of.

    References
    ----------
    .. [1] Izmailov et al., "Averaging weights leads to wider optima and better generalization", arXiv:1803.05407

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Linear(2, 1)
    >>> swa = nnx.optim.SWA(net, start=1)
    >>> for value in (9.0, 1.0, 2.0):
    ...     net.bias = np.asarray([value], "float32")  # stands for an epoch of training
    ...     swa.update()
    >>> with swa.applied():
    ...     net.bias.copy()
    array([1.5], dtype=float32)
    """

    def __init__(self, parameters: Any, start: int = 0, use_buffers: bool = False) -> None:
        self.start = non_negative_integer("SWA", "start", start)
        super().__init__(parameters, use_buffers)

    def _begins(self) -> bool:
        return self.updates >= self.start

    def _share(self) -> float:
        return 1 / (self.n_averaged + 1)

    def __repr__(self) -> str:
        return f"SWA({len(self._items)} arrays, start={self.start}, n_averaged={self.n_averaged})"


def update_bn(loader: Iterable[Any], net: Any) -> None:
    """Estimate the statistics of batch normalisation anew, as means over the batches of a loader, as PyTorch does.

    Every layer with ``reset_running_stats()`` is reset, has its `momentum` set to None for one pass in training mode,
    which makes its running statistics equal averages, and gets it back.

    Parameters
    ----------
    loader
        An iterable of inputs, or of tuples with the inputs first, on the backend of the network.
    net
        The network.

    Raises
    ------
    ValueError
        If there is no batch. After this or any other error all buffers of the network are as before.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Linear(2, 1)
    >>> swa = nnx.optim.SWA(net)
    >>> swa.update()
    >>> loader = nnx.data.DataLoader(nnx.data.ArrayDataset(np.ones((4, 2), "float32")), batch_size=2)
    >>> with swa.applied():
    ...     nnx.optim.update_bn(loader, net)
    """
    if not hasattr(net, "modules"):
        swapped = " The loader comes first: update_bn(loader, net)." if hasattr(loader, "modules") else ""
        raise TypeError(f"update_bn: expected net to be a network, got {type(net).__name__}; pass a Module.{swapped}")
    if isinstance(loader, (str, bytes)) or not (hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")):
        raise TypeError(
            f"update_bn: expected loader to be an iterable of batches, got {type(loader).__name__}; pass such as "
            "nnx.data.DataLoader(dataset, batch_size=64)."
        )
    layers = {layer: layer.momentum for layer in net.modules() if hasattr(layer, "reset_running_stats")}
    if not layers:
        return
    modes = {module: module.training for module in net.modules()}
    before = [(buffer, copied(buffer.value)) for _, buffer in net.named_buffers()]
    batches = 0
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        net.train()
        for batch in loader:
            net(batch[0] if isinstance(batch, (tuple, list)) else batch)
            batches += 1
        if not batches:
            raise ValueError("update_bn: expected at least one batch, got none; pass a loader of the training data.")
    except BaseException:
        for buffer, value in before:
            buffer.value = value
        raise
    finally:
        for layer, momentum in layers.items():
            layer.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
