"""Primitives: functions with a reference in Array API code that a backend may override with a kernel."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..backend import Kernel, choose_kernel
from . import codegen
from .array import Array
from .namespace import differentiable_of
from .tape import Node, Operation, record
from .transforms import new_variable, pull


def primitive(name: str, arrays: int) -> Callable[[Callable], Callable]:
    """Make a function a primitive: its first `arrays` arguments are arrays (or None), the rest plain values.

    The decorated function is the reference. Calls go to the backend's kernel of this name if there is one that supports
    them; its gradient is then the kernel's, and second derivatives are those of the reference.
    """

    def decorate(reference: Callable) -> Callable:
        signature = inspect.signature(reference)
        names = list(signature.parameters)
        plain = signature.replace(
            parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
            return_annotation=signature.empty,
        )
        source = f"def {reference.__name__}{plain}:\n    return call(({', '.join(names)},))"
        call = functools.partial(_call, name, arrays, reference)
        wrapper = codegen.compile_function(source, reference.__name__, name, {"call": call})
        functools.update_wrapper(wrapper, reference)
        return wrapper

    return decorate


def _call(name: str, arrays: int, reference: Callable, args: tuple) -> Any:
    namespace = differentiable_of(args[0], name)
    backend = namespace.backend
    if name not in backend.kernels:
        choose_kernel(name, backend, args)
        return reference(*args)
    cls = namespace.Array
    wrapped = False
    nodes: list[Node | None] = []
    raw = list(args)
    for i in range(arrays):
        array = args[i]
        if type(array) is cls:
            wrapped = True
            raw[i] = array._data
            nodes.append(array._node)
        else:
            if type(array) not in namespace.accepted:
                namespace.accept(array, name)
            nodes.append(None)
    kernel = choose_kernel(name, backend, raw)
    if kernel is None:
        return reference(*args)
    out, residuals = kernel.forward(*raw)
    if not wrapped:
        return out
    if not any(nodes):
        return namespace.wrap(out)
    saved = (residuals, raw)
    return namespace.wrap(out, record(_operation(name, arrays, reference, kernel, namespace), tuple(nodes), saved, out))


@functools.cache
def _operation(name: str, arrays: int, reference: Callable, kernel: Kernel, namespace: Any) -> Operation:
    backward = kernel.backward

    def vjp(xp: Any, g: Any, saved: tuple, needs: tuple) -> tuple:
        return backward(g, saved[0], needs)

    def replay(g: Any, node: Node, needs: tuple) -> list:
        """Differentiate the reference, so that the gradient itself is recorded."""
        args = list(node.saved[1])
        variables: dict[int, Array] = {}
        for i, need in enumerate(needs):
            if need is not None:
                args[i] = variables[i] = new_variable(namespace.wrap(args[i], node.parents[i]), name)
            elif node.parents[i] is not None:
                args[i] = namespace.wrap(args[i])
        grads = iter(pull([reference(*args)], [g], list(variables.values()), retain_graph=True))
        return [next(grads) if i in variables else None for i in range(arrays)]

    return Operation(name, vjp, (), namespace, replay=replay)
