"""`Model`: a network with its loss, its optimizer and its metrics, and the loops around them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from .. import optim
from ..autodiff import Array, record, stop_gradient
from ..autodiff.namespace import namespace
from ..autodiff.tree import fill_tree, leaves_of
from ..checks import positive_integer
from ..errors import NonFiniteLossError, ShapeError
from ..io import load_weights, save_weights
from ..layers import Module
from ..metrics import DeviceLog, Metric, get_metric
from .diagnosis import find_cause
from .history import History, format_value
from .inputs import (
    Batches,
    Placement,
    check_axes,
    check_outputs,
    like,
    require_targets,
    samples_in,
    split_last,
)
from .modes import evaluation_mode, training_mode
from .names import check_optimizer, get_loss, get_optimizer
from .progress import Progress
from .updates import Updates


class Model:
    """A network that learns: fit, evaluate, predict.

    Data may be arrays of any backend, a `Dataset` or a `DataLoader`. Batches are moved to where the parameters of the
    network live, and floating-point ones are cast to their dtype; integers (class indices, tokens) are kept.

    Parameters
    ----------
    net
        The network.
    loss
        A name (``"cross_entropy"``, ``"mse"``), a loss such as ``nnx.CrossEntropyLoss(label_smoothing=0.1)``, or a
        function of (outputs, targets) that returns the mean over the samples of a batch.
    optimizer
        An optimizer, a name (``"sgd"``, ``"adam"``, ``"adamw"``) for the defaults of its class, or a function that
        makes one for a module. By default Adam, made when training begins.
    metrics
        Names, `nnx.metrics.Metric` objects, or functions of (predictions, targets).

    Attributes
    ----------
    history
        The `History` of the last call of `fit`; also after an interruption.

    Raises
    ------
    ValueError
        If a name is unknown; the text lists those that are known.
    TypeError
        If an argument is none of the above.

    Examples
    --------
    >>> import nnx
    >>> nnx.seed(0)
    >>> x, y = nnx.data.datasets.digits()
    >>> net = nnx.Sequential(nnx.Flatten(), nnx.Linear(64, 32), nnx.ReLU(), nnx.Linear(32, 10))
    >>> model = nnx.Model(net, loss="cross_entropy", optimizer="adam", metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=5, validation_split=0.1, verbose=0)
    >>> history.best("val_accuracy").value > 0.8
    True
    >>> model.predict(x[:3]).shape
    (3, 10)
    """

    def __init__(
        self, net: Module, loss: Any = "cross_entropy", optimizer: Any = None, metrics: Sequence[Any] = ()
    ) -> None:
        if not isinstance(net, Module):
            raise TypeError(f"Model: expected a Module as the network, got {type(net).__name__}.")
        if isinstance(metrics, str) or not isinstance(metrics, Sequence):
            raise TypeError(f"Model: expected metrics as a list, got {metrics!r}; write metrics=[...].")
        self.net = net
        self.loss = get_loss(loss)
        self.optimizer = None if optimizer is None else get_optimizer(optimizer, net)
        self.metrics: list[Metric] = [get_metric(metric) for metric in metrics]
        names = ["loss", *(metric.name for metric in self.metrics)]
        if len(set(names)) < len(names):
            raise ValueError(f"Model: expected metrics of different names, none of them 'loss', got {names[1:]}.")
        self.history = self._new_history()
        self._input_ndim: int | None = None  # of the batches that it was fitted on

    def _new_history(self) -> History:
        return History({metric.name for metric in self.metrics if metric.higher_is_better})

    # ---- training

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        accumulate: int = 1,
        clip_norm: float | None = None,
        averaging: optim.EMA | optim.SWA | None = None,
        verbose: int = 1,
    ) -> History:
        """Train, and return what happened.

        Losses are means over samples, also where the last batch is smaller. Those of training are gathered while the
        network changes, those of validation at the end of each epoch. Nothing waits for a device within an epoch.

        Parameters
        ----------
        x
            Inputs of shape (N, ...), or a `Dataset` or `DataLoader` of (inputs, targets).
        y
            Targets of shape (N, ...), if `x` is an array.
        epochs
            How many times to go through the data.
        batch_size
            Number of samples per step, also in validation. A `DataLoader` has its own.
        validation_split
            The share of the samples, from 0 to less than 1, to keep for validation. It is the last ones, before any
            shuffling: data in order of class must be shuffled beforehand.
        validation_data
            A pair (x, y), a `Dataset` or a `DataLoader`, instead of `validation_split`.
        shuffle
            Whether to draw a new order for every epoch. A `DataLoader` has its own.
        accumulate
            How many batches make a step of the optimizer, which takes the mean of their gradients, batches counted by
            samples. For a loss that is a mean over samples it is the gradient of one large batch, in the memory of a
            small one; not so with class weights or `ignore_index`, where a loss divides by the weight of its batch. The
            last step of an epoch takes the batches that are left.
        clip_norm
            Scale the gradients of a step so that their norm, all taken together, is at most this (see
            `nnx.optim.clip_grad_norm_`); None for no bound.
        averaging
            An `nnx.optim.EMA` or `nnx.optim.SWA` of the network to update after each step of the optimizer. Losses and
            metrics are those of the network itself; evaluate the average in ``with averaging.applied():``.
        verbose
            1 prints a line per epoch, with a progress bar in a terminal or notebook; 0 is silent.

        Raises
        ------
        NonFiniteLossError
            If the loss becomes NaN or infinite; the text names the epoch, the step, the layer and what to try. On the
            host the parameters are still those from before that step; on a device this shows at the end of the epoch.
        ShapeError, TypeError, ValueError
            If an argument does not fit.

        Notes
        -----
        An interruption (Ctrl-C) ends training with KeyboardInterrupt. The network then is whole, in its former mode,
        and `history` holds the epochs that were finished.
        """
        epochs = positive_integer("Model.fit", "epochs", epochs)
        if verbose not in (0, 1):
            raise ValueError(f"Model.fit: expected verbose to be 0 or 1, got {verbose!r}.")
        training, validation = self._data_for_fit(x, y, batch_size, validation_split, validation_data, shuffle)
        if not any(parameter.trainable for parameter in self.net.parameters()):
            raise ValueError("Model.fit: the network has no trainable parameters; call net.unfreeze() if it is frozen.")
        optimizer = self.optimizer = optim.Adam(self.net) if self.optimizer is None else self.optimizer
        check_optimizer("Model.fit", optimizer, self.net)
        updates = Updates(self.net, optimizer, accumulate, clip_norm, averaging)
        self.history = self._new_history()
        progress = Progress(verbose, epochs)
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            values = self._train_epoch(training, updates, epoch, progress)
            if validation is not None:
                values |= {f"val_{name}": value for name, value in self._evaluate(validation).items()}
            seconds = time.perf_counter() - start
            self.history.append(values, seconds)
            progress.end_epoch(epoch, values, seconds)
        return self.history

    def _data_for_fit(
        self, x: Any, y: Any, batch_size: int, validation_split: float, validation_data: Any, shuffle: bool
    ) -> tuple[Batches, Batches | None]:
        where = "Model.fit"
        require_targets(where, x, y)
        if validation_split and validation_data is not None:
            raise ValueError(f"{where}: expected validation_split or validation_data, got both.")
        (x, y), held_out = split_last(where, x, y, validation_split)
        if validation_data is not None:
            pair = isinstance(validation_data, (tuple, list)) and len(validation_data) == 2
            held_out = tuple(validation_data) if pair else (validation_data, None)
        placement = Placement(self.net)
        training = Batches(where, x, y, placement, batch_size, shuffle)
        if held_out is None:
            return training, None
        where = f"{where}, validation data"
        require_targets(where, *held_out)
        return training, Batches(where, *held_out, placement, batch_size)

    def _train_epoch(self, batches: Batches, updates: Updates, epoch: int, progress: Progress) -> dict[str, float]:
        net, loss_of, metrics = self.net, self.loss, self.metrics
        on_host, penalty = batches.placement.on_host, _penalty_of(net)
        log = DeviceLog()
        counts: list[int] = []
        for metric in metrics:
            metric.reset()
        pairs = progress.batches(batches.pairs(), epoch, lambda: f"loss {format_value(float(value))}")
        try:
            with training_mode(net):
                for x, y in pairs:
                    with record():
                        outputs = net(x)
                        loss = loss_of(outputs, y)
                        if penalty is not None:
                            loss = loss + penalty()
                    value = _checked_loss(loss)
                    if on_host and not math.isfinite(value):
                        raise self._non_finite(float(value), epoch, len(counts) + 1, x, y, batches)
                    counts.append(samples_in(x))
                    updates.take(loss, counts[-1])
                    log.add(value)
                    for metric in metrics:
                        metric.update(outputs, y)
                updates.finish()
        except BaseException:
            updates.drop()  # an interrupted step leaves no gradients for the next one
            raise
        if not counts:
            raise ValueError("Model.fit: expected at least one batch, got none.")
        self._input_ndim = getattr(x, "ndim", None)
        losses = log.read()
        for step, loss in enumerate(losses, start=1):
            if not math.isfinite(loss):
                raise self._non_finite(loss, epoch, step, x, y, batches)
        return self._results(losses, counts)

    def _non_finite(self, value: float, epoch: int, step: int, x: Any, y: Any, batches: Batches) -> NonFiniteLossError:
        cause = find_cause(self.net, x, y, batches.arrays)
        return NonFiniteLossError(f"Model.fit: the loss became {value} in epoch {epoch}, step {step}. {cause}")

    # ---- using

    def evaluate(self, x: Any, y: Any = None, *, batch_size: int = 32) -> dict[str, float]:
        """Return the loss and the metrics, as means over all samples, in evaluation mode.

        Parameters
        ----------
        x, y
            As in `fit`.
        batch_size
            Number of samples per step. A `DataLoader` has its own.

        Returns
        -------
        dict
            ``{"loss": ..., "accuracy": ...}``

        Raises
        ------
        ShapeError, TypeError, ValueError
            If an argument does not fit.
        """
        require_targets("Model.evaluate", x, y)
        return self._evaluate(Batches("Model.evaluate", x, y, Placement(self.net), batch_size))

    def _evaluate(self, batches: Batches) -> dict[str, float]:
        log = DeviceLog()
        counts: list[int] = []
        for metric in self.metrics:
            metric.reset()
        with evaluation_mode(self.net):
            for x, y in batches.pairs():
                outputs = stop_gradient(self.net(x))
                log.add(stop_gradient(self.loss(outputs, y)))
                counts.append(samples_in(x))
                for metric in self.metrics:
                    metric.update(outputs, y)
        if not counts:
            raise ValueError(f"{batches.where}: expected at least one batch, got none.")
        results = self._results(log.read(), counts)
        penalty = _penalty_of(self.net)
        if penalty is not None:
            results["loss"] += float(stop_gradient(penalty()))
        return results

    def _results(self, losses: list[float], counts: list[int]) -> dict[str, float]:
        weighted = [loss * count for loss, count in zip(losses, counts, strict=True)]
        total = math.fsum(weighted) if all(map(math.isfinite, weighted)) else sum(weighted)
        return {"loss": total / sum(counts), **{metric.name: metric.result() for metric in self.metrics}}

    def predict(self, x: Any, *, batch_size: int = 32) -> Any:
        """Return the outputs of the network for all samples, in evaluation mode, as the kind of array that `x` is.

        Parameters
        ----------
        x
            Inputs of shape (N, ...), or a `Dataset` or `DataLoader` of inputs or of (inputs, targets).
        batch_size
            Number of samples per step. A `DataLoader` has its own.

        Returns
        -------
        array
            Of shape (N, ...): a NumPy array for a NumPy array, whatever backend the network computes on. If the network
            returns tuples or dicts, one of arrays.

        Raises
        ------
        ShapeError, TypeError, ValueError
            If an argument does not fit.
        """
        placement = Placement(self.net)
        parts: list[Any] = []
        with evaluation_mode(self.net):
            batches = Batches("Model.predict", x, None, placement, batch_size)
            for batch in batches.inputs():
                check_axes("Model.predict", batch, self._input_ndim)
                outputs = stop_gradient(self.net(placement.place(batch)))
                if batches.arrays:  # else only the loader knows what belongs to a sample
                    check_outputs("Model.predict", batch, outputs)
                parts.append(like(_first_array(batch), outputs))
        if not parts:
            raise ValueError("Model.predict: expected at least one batch, got none.")
        return _joined(parts)

    # ---- weights

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the weights of the network to a file. See `nnx.save_weights`."""
        save_weights(self.net, path)

    def load_weights(self, path: str | os.PathLike[str], strict: bool = True) -> None:
        """Read the weights of the network from a file. See `nnx.load_weights`."""
        load_weights(self.net, path, strict=strict)

    def summary(self) -> str:
        """Return a table of the layers of the network with their parameters."""
        return self.net.summary()

    def __repr__(self) -> str:
        loss = self.loss if isinstance(self.loss, Module) else getattr(self.loss, "__name__", type(self.loss).__name__)
        optimizer = "Adam" if self.optimizer is None else type(self.optimizer).__name__
        return f"Model({type(self.net).__name__}, loss={loss}, optimizer={optimizer}, metrics={self.metrics})"


def _checked_loss(loss: Any) -> Any:
    """Return the raw value of a loss that can be differentiated, or raise."""
    if not isinstance(loss, Array) or loss._node is None:
        raise TypeError(
            f"Model.fit: expected a loss that depends on the trainable parameters, got an untracked "
            f"{type(loss).__name__}. Compute it from the outputs with functions of nnx.namespace(outputs)."
        )
    value = stop_gradient(loss)
    if value.shape != ():
        raise ShapeError(
            f"Model.fit: expected the loss to be a single number, got shape {tuple(value.shape)}. Reduce it, e.g. with "
            "reduction='mean'."
        )
    return value


def _penalty_of(net: Module) -> Callable | None:
    """Return the function that computes the penalty of a network's regularisers, or None if it has none."""
    return net.penalty if net.regularized else None


def _first_array(batch: Any) -> Any:
    return next((leaf for leaf in leaves_of(batch) if hasattr(leaf, "shape")), None)


def _joined(parts: list[Any]) -> Any:
    """Return containers of arrays, one per batch, as one container of whole arrays."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*map(leaves_of, parts), strict=True)
    return fill_tree(parts[0], [namespace(column[0]).concat(column, axis=0) for column in columns])
