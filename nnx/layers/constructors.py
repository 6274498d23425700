"""What a module is made with: a wrong argument gets one clear text for every layer, whichever way it is wrong."""

from __future__ import annotations

import functools
import inspect
from typing import Any


def check_constructor(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise TypeError if a class does not take these arguments. That some are missing Python tells well itself.

    A class without an ``__init__`` takes none; `object` alone would let all of them pass.
    """
    signature = _signature(cls)
    if signature is None:
        return
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    if inspect.Parameter.VAR_KEYWORD not in kinds.values():
        for name in kwargs:
            if kinds.get(name, inspect.Parameter.POSITIONAL_ONLY) is inspect.Parameter.POSITIONAL_ONLY:
                raise TypeError(
                    f"{cls.__name__}: got an unexpected argument {name}={kwargs[name]!r}; {_fix(name, kinds)}"
                )
    if inspect.Parameter.VAR_POSITIONAL not in kinds.values():
        ordered = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        most = sum(kind in ordered for kind in kinds.values())
        if len(args) > most:
            # PyTorch's layers end their arguments with inplace, which some pass by position.
            name = "inplace" if isinstance(args[most], bool) and len(args) == most + 1 else ""
            raise TypeError(
                f"{cls.__name__}: expected {most or 'no'} positional argument{'s' * (most != 1)}, got {len(args)}; "
                f"{_fix(name, kinds)}"
            )


@functools.lru_cache(maxsize=1024)
def _signature(cls: Any) -> inspect.Signature | None:
    if cls.__init__ is object.__init__:
        return inspect.Signature()
    try:
        signature = inspect.signature(cls.__init__)
    except (TypeError, ValueError):  # of a method that is written in C
        return None
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        parameters = parameters[1:]  # self
    return signature.replace(parameters=parameters)


def _fix(name: str, kinds: dict[str, Any]) -> str:
    if name == "inplace":
        return "nnx has no inplace, layers return new arrays: leave it out."
    if name == "dim" and "axis" in kinds:
        return "it is called axis here."
    return f"it takes {', '.join(kinds)}." if kinds else "it takes none."
