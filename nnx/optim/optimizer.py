"""`Optimizer`: groups of parameters, their state, and how one rule runs over all of them.

A subclass gives its defaults, the names of its state arrays, and one rule in Array API code. An elementwise rule runs
over flat vectors, a cache-sized block at a time, where a library's views write through (NumPy, CuPy); any other rule,
and any other library, tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..autodiff import Array
from ..dtypes import is_complex
from ..errors import DTypeError
from .arguments import check_group_options, check_lr, checked_rate, gradients_by_name, grouped, plain_options
from .copies import at_home
from .parts import FlatPart, Group, Step, TensorPart, parts_of
from .state import checked_state

_FLUSH_EVERY = 50  # steps
_ELSEWHERE = {  # what PyTorch's have under other names
    "param_groups": "groups, e.g. optimizer.groups[0].options['lr'], or optimizer.lr for all",
    "add_param_group": "groups from the start: make the optimizer anew with a dict per group",
    "state": "state_dict()",
}


class Optimizer:
    """The base class of optimizers.

    Parameters
    ----------
    parameters
        A module; an iterable of parameters, or of pairs (name, parameter); or an iterable of dicts, one per group, with
        the key ``"params"`` and options that differ from the defaults.
    **options
        The defaults of the options, by the subclass; ``lr`` must be among them.

    Notes
    -----
    Subclasses set `state_names` and define ``update(xp, p, g, state, step) -> (p, state)``, with a `Step` that has the
    ``options``, the rate ``lr`` and ``t``, which counts a parameter's steps from 1. The states are zeros before the
    first. The rule may use augmented assignment (``p -= ...``), which changes flat arrays in place, but must not write
    to ``g``. A rule that looks at a tensor as a whole sets ``elementwise = False``. A rule that remembers numbers,
    which are the same for a whole tensor, gives `number_names` and `next_numbers`. A rule that is faster on a multiple
    of a state, such as a sum instead of a mean, keeps it divided by its `state_scales`. Options of one's own are
    checked in `check_options`. Parameters in float16 come to the rule as float32, and their states are so.

    Examples
    --------
    Gradient descent that looks at the signs of a running mean:

    >>> import numpy as np, nnx
    >>> class SignSGD(nnx.optim.Optimizer):
    ...     state_names = ("mean",)
    ...
    ...     def __init__(self, parameters, lr=1e-3, momentum=0.9):
    ...         super().__init__(parameters, lr=lr, momentum=momentum)
    ...
    ...     def update(self, xp, p, g, state, step):
    ...         (mean,) = state
    ...         mean = step.options["momentum"] * mean + g
    ...         return p - step.lr * xp.sign(mean), [mean]
    >>> p = nnx.Parameter(np.asarray([1.0, 2.0]))
    >>> optimizer = SignSGD([p], lr=0.5)
    >>> for gradient in ([1.0, -3.0], [-0.1, -1.0]):
    ...     optimizer.step([np.asarray(gradient)])
    >>> p.value
    array([0., 3.])
    >>> optimizer.state_dict()["parameters"]["0"]["mean"]
    array([ 0.8, -3.7])
    """

    elementwise = True
    allows_complex = True
    state_names: tuple[str, ...] = ()
    number_names: tuple[str, ...] = ()

    def __init__(self, parameters: Any, **options: Any) -> None:
        options = plain_options(options)
        if "lr" not in options:
            raise TypeError(
                f"{type(self).__name__}: expected the option lr, got {', '.join(options) or 'none'}; an optimizer of "
                "one's own calls super().__init__(parameters, lr=lr, ...)."
            )
        self.defaults = options
        found = grouped(parameters, type(self).__name__)
        check_group_options(type(self).__name__, found, options)
        self.groups = [Group(named, plain_options({**options, **own})) for named, own in found]
        names = [name for group in self.groups for name in group.names]
        for group in self.groups:
            self.check_options(group.options)
            if not self.allows_complex:
                self._refuse_complex(group)
        self.steps = 0
        self._steps_of: dict[str, int] = dict.fromkeys(names, 0)
        self._numbers: dict[str, tuple[float, ...]] = {}
        self._parts: list[FlatPart | TensorPart] | None = None  # laid out at the first step
        self._kept: dict[str, list[Any]] = {}  # states by name while they are not laid out

    def _refuse_complex(self, group: Group) -> None:
        for name, parameter in zip(group.names, group.parameters, strict=True):
            if is_complex(parameter.dtype):
                raise DTypeError(
                    f"{type(self).__name__}: parameter {name!r} is complex, which its rule does not allow. Keep real "
                    "and imaginary part as two parameters."
                )

    # ---- for subclasses

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option has an impossible value."""
        check_lr(type(self).__name__, options["lr"])

    def state_scales(self, options: Mapping[str, Any]) -> tuple[float, ...]:
        """What the states that `update` sees have to be multiplied with."""
        return (1.0,) * len(self.state_names)

    def state_shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The shape of each state of a tensor; an elementwise rule's are those of the tensor."""
        return [shape] * len(self.state_names)

    def next_numbers(self, step: Step) -> tuple[float, ...]:
        """Return the numbers to use in a step; ``step.numbers`` are those of the step before, () at the first."""
        return ()

    def update(self, xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        """Return the new values of parameters (a piece of a flat vector, or one tensor) and of their state."""
        raise NotImplementedError(f"{type(self).__name__} does not define update(self, xp, p, g, state, step).")

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
        for part in self._ready():
            self._step_part(part)
        self.steps += 1
        if self.steps % _FLUSH_EVERY == 0:  # a CPU takes some hundred cycles for each subnormal number, such as the
            for part in self._ready():  # mean gradient of a unit that died, and decay never takes it to zero
                part.flush()
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
        return checked_rate(type(self).__name__, lr, self.steps, lr(self.steps)) if callable(lr) else lr

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

    def _step_part(self, part: FlatPart | TensorPart) -> None:
        group, counts = part.group, self._steps_of
        options, lr = group.options, self._lr(group)
        alike: dict[
            tuple[int, tuple[float, ...]], list[bool]
        ] = {}  # parameters that joined later, or rested, have made fewer steps
        for k, (name, slot) in enumerate(zip(part.names, part.slots, strict=True)):
            if slot.grad is None:
                continue
            t = counts[name] = counts[name] + 1
            numbers = self._numbers.get(name, ())
            if self.number_names:
                numbers = self._numbers[name] = self.next_numbers(Step(options, lr, t, numbers))
            key = (t, numbers)
            if key not in alike:
                alike[key] = [False] * len(part.names)
            alike[key][k] = True
        for (t, numbers), touched in alike.items():
            part.run(self.update, touched, Step(options, lr, t, numbers))

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

    def __getattr__(self, name: str) -> Any:
        if name in _ELSEWHERE:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {_ELSEWHERE[name]}.")
        return object.__getattribute__(self, name)  # raises what a property raised, or that there is no such thing

    # ---- state

    def _ready(self) -> list[FlatPart | TensorPart]:
        """Lay out parameters and state, at the first step and whenever a parameter has moved since."""
        if self._parts is None or any(part.stale for part in self._parts):
            self._lay_out()
        for group in self.groups:
            if group.options != group.seen:
                group.options = plain_options(group.options)
                self.check_options(group.options)
                self._rescale(group)
                group.seen = dict(group.options)
        return self._parts or []

    def _lay_out(self) -> None:
        known, self._kept = self._named_state(), {}
        self._parts = [p for group in self.groups for p in parts_of(group, self.elementwise, self.state_shapes)]
        for part in self._parts:
            for name, arrays in part.named_state().items():
                if name in known:
                    part.put_state(name, [at_home(n, a) for n, a in zip(known[name], arrays, strict=True)])

    def _named_state(self) -> dict[str, list[Any]]:
        found = dict(self._kept)
        for part in self._parts or ():
            found.update(part.named_state())
        return found

    def __getstate__(self) -> dict:
        """What a copy needs: the states by name. It lays them out anew, for nothing in a copy is a view of anything."""
        return {**self.__dict__, "_kept": self._named_state(), "_parts": None}

    def state_dict(self) -> dict[str, Any]:
        """Return the state by name: ``{"steps": int, "parameters": {name: {"step": int, <state name>: array}}}``."""
        self._ready()
        named, entries = self._named_state(), {}
        for group in self.groups:
            scales = self.state_scales(group.options)
            for name in group.names:
                true = [array * scale for array, scale in zip(named[name], scales, strict=True)]
                numbers = dict(zip(self.number_names, self._numbers.get(name, ()), strict=False))
                entries[name] = {
                    "step": self._steps_of[name],
                    **numbers,
                    **dict(zip(self.state_names, true, strict=True)),
                }
        return {"steps": self.steps, "parameters": entries}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `state_dict` returned. A failed load changes nothing.

        Raises
        ------
        WeightsError
            Listing every missing, unexpected or misshapen entry, and every other problem.
        """
        parts = self._ready()
        own = self._named_state()
        steps, entries = checked_state(type(self).__name__, own, self.state_names, self.number_names, state)
        self.steps = steps
        for part in parts:
            scales = self.state_scales(part.group.options)
            for name in part.names:
                self._steps_of[name], self._numbers[name], true = entries[name]
                part.put_state(name, [array / scale for array, scale in zip(true, scales, strict=True)])

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.defaults.items())
        count = sum(len(group.parameters) for group in self.groups)
        return f"{type(self).__name__}({count} parameters, {options})"
