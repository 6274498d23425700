"""`Optimizer`: groups of parameters, their state, and how one rule runs over all of them.

A subclass gives its defaults, the names of its state arrays, and one elementwise rule in Array API code. Where a
library's views write through (NumPy, CuPy), the rule runs over flat vectors, a cache-sized block at a time; elsewhere,
per tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..autodiff import Array, Parameter
from ..backend import get_backend
from ..dtypes import dtype_name
from .arguments import check_group_options, check_lr, gradients_by_name, grouped, plain_options
from .flat import Alone, FlatStorage, storages
from .state import checked_state, like

_FLUSH_EVERY = 50  # steps
_FLUSH = {"float32": 2.0**-66, "float64": 2.0**-930}  # adding and subtracting it drops what is 1e-7 (1e-16) of it


class Group:
    """Parameters that share their options."""

    def __init__(self, named: dict[str, Parameter], options: dict[str, Any]) -> None:
        self.names = list(named)
        self.parameters = list(named.values())
        self.options = options
        self.scales: tuple[float, ...] | None = None
        self.seen: dict[str, Any] = {}  # the options that the scales were computed from


class _Flat:
    """The parameters of a group that share a flat storage, with their states in the same layout."""

    def __init__(self, group: Group, names: list[str], storage: FlatStorage, state: list[Any]) -> None:
        self.group = group
        self.names = names
        self.storage = storage
        self.state = state
        self.everything = storage.pieces([True] * len(names), state)
        # which parameters have a gradient is asked at every step: through properties it would take several times longer
        self.slots = [p._slot for p in storage.parameters]

    def named_state(self) -> dict[str, list[Any]]:
        view, layout = self.storage.view, zip(self.names, self.storage.parameters, self.storage.offsets, strict=True)
        return {name: [view(a, parameter, offset) for a in self.state] for name, parameter, offset in layout}


class Optimizer:
    """The base class of optimizers.

    Parameters
    ----------
    parameters
        A module; an iterable of parameters, or of pairs (name, parameter); or an iterable of dicts, one per group, with
        the key ``"params"`` and options that differ from the defaults.
    **options
        The defaults of the options, by the subclass.

    Notes
    -----
    Subclasses set `state_names` and define ``update(xp, p, g, state, options, lr, t) -> (p, state)``, where `t` counts
    a parameter's steps from 1. The rule may use augmented assignment (``p -= ...``), which changes flat arrays in
    place. A rule that is faster on a multiple of a state, such as a sum instead of a mean, keeps it divided by its
    `state_scales`.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, parameters: Any, **options: Any) -> None:
        options = plain_options(options)
        self.defaults = options
        found = grouped(parameters, type(self).__name__)
        check_group_options(type(self).__name__, found, options)
        self.groups = [Group(named, plain_options({**options, **own})) for named, own in found]
        names = [name for group in self.groups for name in group.names]
        for group in self.groups:
            self.check_options(group.options)
        self.steps = 0
        self._steps_of: dict[str, int] = dict.fromkeys(names, 0)
        self._state: dict[str, list[Any]] = {}
        self._flat: list[_Flat] = []
        self._alone: Alone | None = None

    # ---- for subclasses

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option has an impossible value."""
        check_lr(type(self).__name__, options["lr"])

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        """What the states that `update` sees have to be multiplied with."""
        return (1.0,) * len(self.state_names)

    def update(
        self, xp: Any, p: Any, g: Any, state: list[Any], options: Mapping[str, Any], lr: float, t: int
    ) -> tuple[Any, list[Any]]:
        """Return the new values of a piece of the parameters and of their state."""
        raise NotImplementedError(
            f"{type(self).__name__} does not define update(self, xp, p, g, state, options, lr, t)."
        )

    # ---- use

    @property
    def lr(self) -> float:
        """The learning rate of the next step (of the first group). Assign a number or a schedule to set it for all."""
        return self._lr(self.groups[0])

    @lr.setter
    def lr(self, lr: float | Callable[[int], float]) -> None:
        check_lr(type(self).__name__, lr)
        new = plain_options({"lr": lr})
        for options in (self.defaults, *[group.options for group in self.groups]):
            options.update(new)

    def step(self, grads: Any = None) -> Any:
        """Change the parameters by one step.

        Parameters
        ----------
        grads
            None to use the gradients that ``backward()`` left in the parameters; or gradients by name, as
            `nnx.value_and_grad` returns them; or a closure that recomputes the loss and calls ``backward()``.

        Returns
        -------
        The result of the closure, if one was given.
        """
        result = None
        if callable(grads):
            result = grads()
        elif grads is not None:
            self._take(grads)
        self._ensure_state()
        for flat in self._flat:
            self._step_flat(flat)
        if self._state:
            for group in self.groups:
                for name, parameter in zip(group.names, group.parameters, strict=True):
                    if parameter.grad is not None and name in self._state:
                        self._step_alone(name, parameter, group)
        self.steps += 1
        if self.steps % _FLUSH_EVERY == 0:
            self._flush_subnormals()
        if grads is not None and not callable(grads):
            self.zero_grad()
        return result

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None

    def _lr(self, group: Group) -> float:
        lr = group.options["lr"]
        return float(lr(self.steps)) if callable(lr) else lr

    def _take(self, grads: Any) -> None:
        named = {n: p for group in self.groups for n, p in zip(group.names, group.parameters, strict=True)}
        label = f"{type(self).__name__}.step"
        found = gradients_by_name(label, list(named), grads)
        raw = {name: g._data if isinstance(g, Array) else g for name, g in found.items() if g is not None}
        for name, g in raw.items():
            named[name].check_grad(g, f"{label}, gradient of {name}")
        for name, parameter in named.items():
            parameter.grad = raw.get(name)

    # ---- the update

    def _step_flat(self, flat: _Flat) -> None:
        counts, names, slots = self._steps_of, flat.names, flat.slots
        group, storage = flat.group, flat.storage
        touched = [slot.grad is not None for slot in slots]
        taken = set()
        for name, flag in zip(names, touched, strict=True):
            if flag:
                counts[name] += 1
                taken.add(counts[name])
        lr, xp, options = self._lr(group), storage.xp, group.options
        for t in taken:
            if len(taken) == 1 and all(touched):
                pieces = flat.everything
            else:
                now = [flag and counts[n] == t for n, flag in zip(names, touched, strict=True)]
                pieces = storage.pieces(now, flat.state)
            for p, g, state in pieces:
                new_p, new_state = self.update(xp, p, g, state, options, lr, t)
                if new_p is not p:
                    p[...] = new_p
                for old, new in zip(state, new_state, strict=True):
                    if new is not old:
                        old[...] = new
        for parameter, flag in zip(storage.parameters, touched, strict=True):
            if flag:
                parameter.changed()

    def _step_alone(self, name: str, parameter: Parameter, group: Group) -> None:
        xp = get_backend(parameter.value).xp
        self._steps_of[name] += 1
        p = xp.asarray(parameter.value, copy=True)
        lr, t = self._lr(group), self._steps_of[name]
        new, state = self.update(xp, p, parameter.raw_grad, self._state[name], group.options, lr, t)
        self._state[name] = list(state)
        parameter.value = new

    def _flush_subnormals(self) -> None:
        """Set states to zero that are about to become subnormal, such as the mean gradient of a unit that died.

        A CPU takes some hundred cycles for each subnormal number, and decay by a factor never takes them to zero.
        """
        for flat in self._flat:
            tiny = _FLUSH.get(dtype_name(flat.storage.dtype))
            if tiny is not None and flat.storage.on_host:
                for _, _, state in flat.everything:
                    for array in state:
                        array += tiny
                        array -= tiny

    def _rescale(self, group: Group) -> None:
        """Keep the true states when an option that their scale depends on has changed."""
        scales = self.state_scales(group.options)
        if scales == group.scales:
            return
        if group.scales is not None and len(scales) != len(group.scales):
            raise ValueError(
                f"{type(self).__name__}: an option changed that decides which states there are "
                f"({', '.join(self.state_names) or 'none'} now); make a new optimizer instead."
            )
        for old, new, k in zip(group.scales or (), scales, range(len(scales)), strict=False):
            if old != new:
                for name, arrays in self._named_state().items():
                    if name in group.names:
                        arrays[k] *= old / new
        group.scales = scales

    # ---- state

    def _ensure_state(self) -> None:
        """Lay out parameters and state, at the first step and whenever a parameter has moved since."""
        stale = self._alone is None or self._alone.stale or any(flat.storage.stale for flat in self._flat)
        if stale:
            self._lay_out()
        for group in self.groups:
            if group.options != group.seen:
                self.check_options(group.options)
                group.options = plain_options(group.options)
                self._rescale(group)
                group.seen = dict(group.options)

    def _lay_out(self) -> None:
        known = self._named_state()
        self._flat, self._state = [], {}
        alone: list[Parameter] = []
        for group in self.groups:
            name_of = dict(zip(group.parameters, group.names, strict=True))
            for storage in storages([p for p in group.parameters if get_backend(p.value).writable]):
                names = [name_of[p] for p in storage.parameters]
                self._flat.append(_Flat(group, names, storage, [storage.new_array() for _ in self.state_names]))
            for name, parameter in zip(group.names, group.parameters, strict=True):
                if not get_backend(parameter.value).writable:
                    alone.append(parameter)
                    xp = get_backend(parameter.value).xp
                    self._state[name] = [xp.zeros_like(parameter.value) for _ in self.state_names]
        self._alone = Alone(alone)
        for name, arrays in self._named_state().items():
            self._put_state(name, arrays, known.get(name, arrays))

    def _put_state(self, name: str, arrays: list[Any], new: list[Any]) -> None:
        """Write new values into the state of one parameter."""
        if name in self._state:
            self._state[name] = [like(n, a) for n, a in zip(new, arrays, strict=True)]
        else:
            for array, n in zip(arrays, new, strict=True):
                if n is not array:
                    array[...] = like(n, array)

    def _named_state(self) -> dict[str, list[Any]]:
        found = dict(self._state)
        for flat in self._flat:
            found.update(flat.named_state())
        return found

    def __getstate__(self) -> dict:
        """What a copy needs: the states by name. It lays them out anew, for nothing in a copy is a view of anything."""
        return {**self.__dict__, "_state": self._named_state(), "_flat": [], "_alone": None}

    def state_dict(self) -> dict[str, Any]:
        """Return the state by name: ``{"steps": int, "parameters": {name: {"step": int, <state name>: array}}}``."""
        self._ensure_state()
        named, entries = self._named_state(), {}
        for group in self.groups:
            scales = self.state_scales(group.options)
            for name in group.names:
                true = [array * scale for array, scale in zip(named[name], scales, strict=True)]
                entries[name] = {"step": self._steps_of[name], **dict(zip(self.state_names, true, strict=True))}
        return {"steps": self.steps, "parameters": entries}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `state_dict` returned. A failed load changes nothing.

        Raises
        ------
        WeightsError
            Listing every missing, unexpected or misshapen entry, and every other problem.
        """
        self._ensure_state()
        own = self._named_state()
        steps, entries = checked_state(type(self).__name__, own, self.state_names, state)
        self.steps = steps
        for group in self.groups:
            scales = self.state_scales(group.options)
            for name in group.names:
                self._steps_of[name], true = entries[name]
                self._put_state(name, own[name], [array / k for array, k in zip(true, scales, strict=True)])

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.defaults.items())
        count = sum(len(group.parameters) for group in self.groups)
        return f"{type(self).__name__}({count} parameters, {options})"
