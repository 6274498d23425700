"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .module import Module


def _checked(module: Any, where: str) -> Module:
    if isinstance(module, type) and issubclass(module, Module):
        raise TypeError(
            f"{where}: expected a Module, got the class {module.__name__}; make one: {module.__name__}(...)."
        )
    if isinstance(module, (list, tuple)):
        raise TypeError(f"{where}: expected a Module, got a {type(module).__name__}; unpack it with *.")
    if not isinstance(module, Module):
        raise TypeError(f"{where}: expected a Module, got {type(module).__name__}.")
    return module


class Sequential(Module):
    """Modules that are called one after another.

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
            setattr(self, str(i), _checked(module, f"Sequential, argument {i}"))

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def append(self, module: Module) -> Sequential:
        """Add a module at the end; return self."""
        setattr(self, str(len(self)), _checked(module, "Sequential.append"))
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self._modules.values())
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]


class ModuleList(Module):
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

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end; return self."""
        setattr(self, str(len(self)), _checked(module, "ModuleList"))
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add modules at the end; return self."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self._modules.values())
        return ModuleList(modules[index]) if isinstance(index, slice) else modules[index]

    def __setitem__(self, index: int, module: Module) -> None:
        key = list(self._modules)[index]
        setattr(self, key, _checked(module, "ModuleList"))


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
        setattr(self, name, _checked(module, f"ModuleDict, key {name!r}"))

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
