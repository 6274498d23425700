"""Modules made of modules."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from .module import Module


def checked_module(module: Any, where: str) -> Module:
    if isinstance(module, type) and issubclass(module, Module):
        raise TypeError(
            f"{where}: expected a Module, got the class {module.__name__}; make one: {module.__name__}(...)."
        )
    if isinstance(module, (list, tuple)):
        raise TypeError(f"{where}: expected a Module, got a {type(module).__name__}; unpack it with *.")
    if not isinstance(module, Module):
        raise TypeError(f"{where}: expected a Module, got {type(module).__name__}.")
    return module


class _Listing(Module):
    """What `Sequential` and `ModuleList` share: modules in order, found by position, named by number."""

    def append(self, module: Module) -> Self:
        """Add a module at the end; return self."""
        module = checked_module(module, type(self).__name__)
        setattr(self, str(1 + max((int(name) for name in self._modules if name.isdecimal()), default=-1)), module)
        return self

    def extend(self, modules: Any) -> Self:
        """Add the modules of an iterable at the end; return self."""
        if not isinstance(modules, Iterable):
            label = type(self).__name__
            raise TypeError(f"{label}: expected an iterable of modules, got {type(modules).__name__}; pass [module].")
        for module in [checked_module(module, type(self).__name__) for module in modules]:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before position `index`; those after it get new numbers. Return self."""
        entries = list(self._modules.items())
        entries.insert(index, ("0", checked_module(module, type(self).__name__)))
        self._number(entries)
        return self

    def pop(self, index: int = -1) -> Module:
        """Remove the module at a position and return it; those after it get new numbers."""
        module = list(self)[index]
        del self[index]
        return module

    def _number(self, entries: Iterable[tuple[str, Module]]) -> None:
        """Hold these modules, numbered anew; other names stay."""
        number = itertools.count()
        numbered = {str(next(number)) if name.isdecimal() else name: module for name, module in entries}
        self._modules.clear()
        self._modules.update(numbered)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        if not hasattr(index, "__index__"):
            raise TypeError(f"{type(self).__name__}: expected an integer as index to assign to, got {index!r}.")
        name = list(self._modules)[index]
        setattr(self, name, checked_module(module, type(self).__name__))

    def __delitem__(self, index: int | slice) -> None:
        entries = list(self._modules.items())
        del entries[index]
        self._number(entries)


class Sequential(_Listing):
    """Modules that are called one after another.

    It is a list, too: index and slice it, assign to a position, delete, append, insert.

    Parameters
    ----------
    *modules
        The modules in order.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Linear(4, 8), nnx.ReLU(), nnx.Linear(8, 2))
    >>> net(np.ones((3, 4), dtype="float32")).shape
    (3, 2)
    """

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            setattr(self, str(i), checked_module(module, f"Sequential, argument {i}"))

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self)[index]
        return Sequential(*modules) if isinstance(modules, list) else modules


class ModuleList(_Listing):
    """A list of modules, found by the module that holds it.

    Examples
    --------
    >>> import nnx
    >>> layers = nnx.ModuleList([nnx.Linear(2, 2) for _ in range(3)])
    >>> len(layers), [name for name, _ in layers.named_parameters()][:2]
    (3, ['0.weight', '0.bias'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self)[index]
        return ModuleList(modules) if isinstance(modules, list) else modules


class ModuleDict(Module):
    """A dict of modules, found by the module that holds it.

    Examples
    --------
    >>> import nnx
    >>> heads = nnx.ModuleDict({"mean": nnx.Linear(2, 1), "scale": nnx.Linear(2, 1)})
    >>> list(heads), heads["mean"]
    (['mean', 'scale'], Linear(in_features=2, out_features=1, bias=True))
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(name, str):
            raise TypeError(f"ModuleDict: expected a string as key, got {name!r}.")
        if "." in name or not name or (hasattr(self, name) and name not in self._modules):
            raise KeyError(f"ModuleDict: {name!r} cannot name a module; use letters, digits and underscores.")
        setattr(self, name, checked_module(module, f"ModuleDict, key {name!r}"))

    def __getitem__(self, name: str) -> Module:
        if name not in self._modules:
            raise KeyError(f"{name!r}; the keys are {', '.join(map(repr, self._modules)) or 'none'}")
        return self._modules[name]

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """The names and modules."""
        return self._modules.items()
