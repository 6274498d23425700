"""How the parameters of a group and their states are held: in flat vectors, or tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..autodiff import Parameter
from ..backend import get_backend
from ..dtypes import dtype_name
from .flat import Alone, FlatStorage, storages

_FLUSH = {"float32": 2.0**-66, "float64": 2.0**-930}  # adding and subtracting it drops what is 1e-7 (1e-16) of it


class Group:
    """Parameters that share their options."""

    def __init__(self, named: dict[str, Parameter], options: dict[str, Any]) -> None:
        self.names = list(named)
        self.parameters = list(named.values())
        self.options = options
        self.scales: tuple[float, ...] | None = None
        self.seen: dict[str, Any] = {}  # the options that the scales were computed from


class Step(NamedTuple):
    """What a rule knows of a step beside the arrays."""

    options: Mapping[str, Any]
    """Those of the group."""
    lr: float
    """The learning rate of this step."""
    t: int
    """How many steps the parameter has made, this one among them."""
    numbers: tuple[float, ...]
    """Those of `Optimizer.number_names`."""


Rule = Callable[[Any, Any, Any, list[Any], Step], tuple[Any, list[Any]]]


class FlatPart:
    """Parameters of a group in a flat storage, with their states in the same layout."""

    def __init__(self, group: Group, names: list[str], storage: FlatStorage, states: int) -> None:
        self.group = group
        self.names = names
        self.storage = storage
        self.rule_dtype = _rule_dtype(storage.dtype, storage.xp)
        self.state = [storage.new_array(self.rule_dtype) for _ in range(states)]
        self.everything = storage.pieces([True] * len(names), self.state)
        # which parameters have a gradient is asked at every step: through properties it would take several times longer
        self.slots = [p._slot for p in storage.parameters]

    @property
    def stale(self) -> bool:
        return self.storage.stale

    def run(self, rule: Rule, touched: Sequence[bool], step: Step) -> None:
        """Change the touched parameters, a cache-sized block at a time."""
        xp = self.storage.xp
        rule = rule if self.rule_dtype == self.storage.dtype else _widened(rule, self.rule_dtype)
        for p, g, state in self.everything if all(touched) else self.storage.pieces(touched, self.state):
            new_p, new_state = rule(xp, p, g, state, step)
            if new_p is not p:
                p[...] = new_p
            for old, new in zip(state, new_state, strict=True):
                if new is not old:
                    old[...] = new
        for parameter, flag in zip(self.storage.parameters, touched, strict=True):
            if flag:
                parameter.changed()

    def named_state(self) -> dict[str, list[Any]]:
        view, layout = self.storage.view, zip(self.names, self.storage.parameters, self.storage.offsets, strict=True)
        return {name: [view(a, parameter, offset) for a in self.state] for name, parameter, offset in layout}

    def put_state(self, name: str, new: list[Any]) -> None:
        """Take over values of the layout and dtype that `named_state` has."""
        for array, n in zip(self.named_state()[name], new, strict=True):
            array[...] = n

    def flush(self) -> None:
        tiny = _FLUSH.get(dtype_name(self.rule_dtype))
        if tiny is not None and self.storage.on_host:
            for _, _, state in self.everything:
                for array in state:
                    array += tiny
                    array -= tiny


class TensorPart:
    """Parameters of a group one by one: of a library whose views do not write through, or for a rule that needs it."""

    def __init__(
        self, group: Group, named: Mapping[str, Parameter], shapes: Callable[[tuple[int, ...]], list[tuple[int, ...]]]
    ) -> None:
        self.group = group
        self.names = list(named)
        self.parameters = list(named.values())
        self.slots = [p._slot for p in self.parameters]
        self.rule_dtypes = [_rule_dtype(p.dtype, get_backend(p.value).xp) for p in self.parameters]
        kinds = zip(self.parameters, self.rule_dtypes, strict=True)
        self.state = [[_zeros(p.value, shape, dtype) for shape in shapes(p.shape)] for p, dtype in kinds]
        self.marker = Alone(self.parameters)

    @property
    def stale(self) -> bool:
        return self.marker.stale

    def run(self, rule: Rule, touched: Sequence[bool], step: Step) -> None:
        """Change the touched parameters."""
        for k, (parameter, flag) in enumerate(zip(self.parameters, touched, strict=True)):
            if not flag:
                continue
            value, backend = parameter.value, get_backend(parameter.value)
            p = value if backend.writable else backend.xp.asarray(value, copy=True)
            wide = self.rule_dtypes[k]
            run = rule if wide == value.dtype else _widened(rule, wide)
            new, state = run(backend.xp, p, parameter.raw_grad, self.state[k], step)
            self.state[k] = list(state)
            if new is value:
                parameter.changed()
            else:
                parameter.value = new

    def named_state(self) -> dict[str, list[Any]]:
        return dict(zip(self.names, self.state, strict=True))

    def put_state(self, name: str, new: list[Any]) -> None:
        """Take over values of the shapes and dtype that `named_state` has."""
        self.state[self.names.index(name)] = [get_backend(n).xp.asarray(n, copy=True) for n in new]

    def flush(self) -> None:
        tiny = {n: _FLUSH.get(dtype_name(d)) for n, d in zip(self.names, self.rule_dtypes, strict=True)}
        on_host = [get_backend(p.value).on_host for p in self.parameters]
        self.state = [
            [(a + tiny[name]) - tiny[name] for a in arrays] if host and tiny[name] else arrays
            for name, host, arrays in zip(self.names, on_host, self.state, strict=True)
        ]


def _zeros(like: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return get_backend(like).xp.zeros(shape, dtype=dtype, device=like.device)


def _rule_dtype(dtype: Any, xp: Any) -> Any:
    """The dtype that rules compute in, and states have. Float16 ends at 65504: squares of gradients, and states that
    are sums instead of means, would soon be more than that, and an eps of 1e-8 would be 0."""
    return xp.float32 if dtype_name(dtype) == "float16" else dtype


def _widened(rule: Rule, dtype: Any) -> Rule:
    """Return a rule over parameters and gradients of a narrow dtype that computes in a wider one."""

    def widened(xp: Any, p: Any, g: Any, state: list[Any], step: Step) -> tuple[Any, list[Any]]:
        new, state = rule(xp, xp.astype(p, dtype), xp.astype(g, dtype), state, step)
        return xp.astype(new, p.dtype), state

    return widened


def parts_of(
    group: Group, elementwise: bool, shapes: Callable[[tuple[int, ...]], list[tuple[int, ...]]]
) -> list[FlatPart | TensorPart]:
    """Lay out the parameters of a group: flat where the rule is elementwise and views write through."""
    named = dict(zip(group.names, group.parameters, strict=True))
    flat = [p for p in group.parameters if elementwise and get_backend(p.value).writable]
    name_of = {p: name for name, p in named.items()}
    parts: list[FlatPart | TensorPart] = [
        FlatPart(group, [name_of[p] for p in storage.parameters], storage, len(shapes(())))
        for storage in storages(flat)
    ]
    rest = {name: p for name, p in named.items() if p not in set(flat)}
    return [*parts, TensorPart(group, rest, shapes)] if rest else parts
