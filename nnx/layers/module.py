"""`Module`: the base class of layers, networks and losses."""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..autodiff import Buffer, Parameter
from ..autodiff.parameter import reader
from .constructors import check_constructor
from .state import checked_state, converter
from .weight_rules import WeightRules

_next_key = itertools.count().__next__


class Module(WeightRules):
    """A plain object that has parameters and computes something in `forward`.

    Assign parameters, buffers and other modules to attributes in ``__init__``; they are found in the order of
    assignment. Reading ``self.weight`` gives the raw array of a parameter, or its tracked leaf while recording;
    assigning an array writes into the parameter, and assigning a `Parameter` ties it. No call of ``super().__init__()``
    is needed.

    What reading gives is a raw array of the library: ``w = net.weight`` is a snapshot until the first step of an
    optimizer, and from then on a view that later steps write into. Copy it to keep it, or read it anew to have the
    values of the moment on every device.

    A backward pass refuses a graph whose parameters have changed since. It does not notice ``net.weight[0, 0] = 5``,
    which writes into the raw array behind the parameter's back: assign a whole array, to the attribute or to
    ``parameter.value``.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> class Scale(nnx.Module):
    ...     def __init__(self, size):
    ...         self.factor = nnx.Parameter(np.ones(size, dtype="float32"))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale(2)(np.asarray([1.0, 2.0], dtype="float32"))
    array([1., 2.], dtype=float32)
    """

    _parameters: dict[str, Parameter]
    _buffers: dict[str, Buffer]
    _modules: dict[str, Module]
    _hooks: dict[int, Callable]
    training: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Module:
        if args or kwargs:
            check_constructor(cls, args, kwargs)
        self = super().__new__(cls)
        self.__dict__.update(_parameters={}, _buffers={}, _modules={}, _hooks={}, training=True)
        self.__dict__.update(_regularizers=[], _constraints=[])
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(self, ...).")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self.forward(*args, **kwargs)
        if self._hooks:
            for hook in tuple(self._hooks.values()):
                changed = hook(self, args, output)
                if changed is not None:
                    output = changed
        return output

    # ---- attributes

    def __getattr__(self, name: str) -> Any:  # only for names that are no ordinary attribute
        own = self.__dict__
        parameter = own["_parameters"].get(name)
        if parameter is not None:
            read = reader.get()
            return parameter.value if read is None else read(parameter)
        if name in own["_modules"]:
            return own["_modules"][name]
        if name in own["_buffers"]:
            return own["_buffers"][name].value
        computed = own["_modules"].get("parametrizations")  # of a layer with weight_norm or spectral_norm
        if computed is not None and name in computed._modules:
            return computed._modules[name].forward()
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def __setattr__(self, name: str, value: Any) -> None:
        registries: tuple[dict[str, Any], ...] = (self._parameters, self._buffers, self._modules)
        computed: Any = self._modules.get("parametrizations")
        if computed is not None and name in computed._modules:
            computed._modules[name].assign(value)
        elif isinstance(value, (Parameter, Buffer, Module)):
            kind = 0 if isinstance(value, Parameter) else 1 if isinstance(value, Buffer) else 2
            self.__dict__.pop(name, None)
            for k, registry in enumerate(registries):
                if k != kind:
                    registry.pop(name, None)
            registries[kind][name] = value
        elif name in self._parameters and value is not None:
            self._parameters[name].value = value
        elif name in self._buffers and value is not None:
            self._buffers[name].value = value
        else:
            for registry in registries:
                registry.pop(name, None)
            self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def parameter(self, name: str) -> Parameter:
        """Return the `Parameter` of a dotted name, such as ``"0.weight"``."""
        path, _, last = name.rpartition(".")
        module = self.module(path)
        if last not in module._parameters:
            known = ", ".join(n for n, _ in self.named_parameters()) or "none"
            raise AttributeError(f"{type(self).__name__} has no parameter {name!r}; it has {known}.")
        return module._parameters[last]

    def module(self, name: str) -> Module:
        """Return the module of a dotted name; the empty name is this module."""
        found = self
        for part in name.split(".") if name else ():
            if part not in found._modules:
                raise AttributeError(f"{type(self).__name__} has no module {name!r}.")
            found = found._modules[part]
        return found

    # ---- what is inside

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and all inside it with their dotted names, each once."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            stack += [(f"{name}.{key}" if name else key, child) for key, child in reversed(module._modules.items())]

    def modules(self) -> Iterator[Module]:
        """Yield this module and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator[Module]:
        """Yield the modules directly inside this one."""
        return iter(dict.fromkeys(self._modules.values()))

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its dotted name; a tied one once, under its first name.

        A parameter remembers the name, for messages and for optimizers.
        """
        seen: set[Parameter] = set()
        for name, parameter in self._all("_parameters", prefix):
            if parameter not in seen:
                seen.add(parameter)
                parameter.name = name
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Buffer]]:
        """Yield every buffer with its dotted name."""
        return self._all("_buffers", prefix)

    def buffers(self) -> Iterator[Buffer]:
        """Yield every buffer."""
        return (buffer for _, buffer in self.named_buffers())

    def _all(self, registry: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
        for path, module in self.named_modules(prefix):
            for name, item in module.__dict__[registry].items():
                yield (f"{path}.{name}" if path else name), item

    def __nnx_parameters__(self) -> dict[str, Parameter]:
        """The parameters by name; how transforms and optimizers know a module."""
        return dict(self.named_parameters())

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Return the raw arrays (no copies) of parameters and buffers by dotted name; a tied one under each name."""
        return {name: item.value for name, item in self._named_state()}

    def _named_state(self, prefix: str = "", outer: tuple[Module, ...] = ()) -> Iterator[tuple[str, Any]]:
        """Yield parameters and buffers under every name that leads to them, without going in circles."""
        for name, item in (*self._parameters.items(), *self._buffers.items()):
            yield prefix + name, item
        for name, module in self._modules.items():
            if module is not self and module not in outer:
                yield from module._named_state(f"{prefix}{name}.", (*outer, self))

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Write arrays into the parameters and buffers of the same names. A failed load changes nothing.

        Parameters
        ----------
        state
            Arrays by dotted name, of any backend.
        strict
            Whether missing and unexpected names are errors. Shapes and dtypes always are.

        Raises
        ------
        TypeError
            If `state` is no mapping.
        WeightsError
            Listing every problem at once.
        """
        own = dict(self._named_state())
        arrays = {name: item.value for name, item in own.items()}
        for name, array in checked_state(type(self).__name__, arrays, state, strict).items():
            own[name].value = array

    # ---- modes

    def train(self, mode: bool = True) -> Module:
        """Put this module and all inside it into training mode (dropout drops); return it."""
        for module in self.modules():
            module.__dict__["training"] = bool(mode)
        return self

    def eval(self) -> Module:
        """Put this module and all inside it into evaluation mode; return it."""
        return self.train(False)

    def freeze(self) -> Module:
        """Stop training all its parameters; return it.

        Running statistics of batch normalisation move all the same while it trains: ``module.freeze().eval()`` keeps
        them, too.
        """
        for parameter in self.parameters():
            parameter.trainable = False
        return self

    def unfreeze(self) -> Module:
        """Train all its parameters again; return it."""
        for parameter in self.parameters():
            parameter.trainable = True
        return self

    def to(self, target: Any) -> Module:
        """Move parameters and buffers to a backend or cast them to a floating-point dtype; return this module.

        Parameters
        ----------
        target
            A dtype or its name (``"float64"``), or the name of a backend (``"cupy"``). Libraries that nnx has no
            backend for, such as ``"torch"``, are known by name once nnx has seen an array of theirs.

        Raises
        ------
        BackendError
            If there is no such backend, or it cannot be used here.
        DTypeError
            If a backend has no such dtype.
        """
        convert = converter(type(self).__name__, target, self.state_dict().values())
        for parameter in self.parameters():
            value, grad = parameter.value, parameter.raw_grad
            moved = convert(value)
            if moved is not value:
                parameter.move(moved)
                parameter.grad = None if grad is None else convert(grad)
        for buffer in self.buffers():
            buffer.move(convert(buffer.value))
        return self

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Call `function` on every module inside and on this one; return it."""
        seen: set[int] = set()

        def visit(module: Module) -> None:
            if id(module) not in seen:
                seen.add(id(module))
                for child in module._modules.values():
                    visit(child)
                function(module)

        visit(self)
        return self

    def register_forward_hook(self, hook: Callable[[Module, tuple, Any], Any]) -> Callable[[], None]:
        """Call ``hook(module, args, output)`` after every forward pass; what it returns, unless None, replaces the
        output.

        Returns
        -------
        callable
            Call it to remove the hook.
        """
        if not callable(hook):
            raise TypeError(
                f"{type(self).__name__}.register_forward_hook: expected a function of (module, args, output), got "
                f"{type(hook).__name__}."
            )
        key = _next_key()
        self._hooks[key] = hook

        def remove() -> None:
            self._hooks.pop(key, None)

        return remove

    # ---- text

    def extra_repr(self) -> str:
        """The arguments to show in the representation; subclasses define it."""
        return ""

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        head = type(self).__name__
        if not self._modules:
            return f"{head}({self.extra_repr()})"
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        return "\n".join([f"{head}({self.extra_repr()}", *lines, ")"])

    def summary(self) -> str:
        """Return a table of all modules that have parameters, with shapes and counts."""
        rows = [("layer", "type", "parameters", "shapes")]
        for path, module in self.named_modules():
            if module._parameters:
                shapes = ", ".join(f"{n} {p.shape}" for n, p in module._parameters.items())
                count = sum(p.size for p in module._parameters.values())
                rows.append((path or "(self)", type(module).__name__, f"{count:,}", shapes))
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
        total = sum(p.size for p in self.parameters())
        trainable = sum(p.size for p in self.parameters() if p.trainable)
        return "\n".join([*lines, f"{total:,} parameters, {trainable:,} of them trainable"])
