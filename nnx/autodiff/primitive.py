"""Primitives: functions with a reference in Array API code that a backend may override with a kernel.

The function that users call is generated, like those of a namespace: it takes arrays apart, asks `choose_kernel`, and
records the kernel's call. For a primitive ``f(x, y, scale)`` with two arrays it is ::

    def f(x, y, scale):
        namespace = namespaces.get(type(x)) or lookup(x, 'f')
        namespace = namespace.differentiable
        kernels = namespace.backend.kernels
        if 'f' not in kernels: return plain(namespace, x, y, scale)
        Array = namespace.Array; RAW = namespace.accepted
        if type(x) is Array: x_raw = x._data; x_node = x._node
        else: x_raw = x if type(x) in RAW else namespace.accept(x, 'f'); x_node = None
        ... the same for y ...
        kernel = choose_kernel('f', namespace.backend, (x_raw, y_raw, scale))
        if kernel is None: return reference(x, y, scale)
        out, residuals = kernel.forward(x_raw, y_raw, scale)
        if x_node is None and y_node is None:
            return namespace.wrap(out) if type(x) is Array or type(y) is Array else out
        result = Array()
        result._data = out
        result._node = node = Node()
        node.op = operations.get((kernel, namespace)) or new_operation(kernel, namespace)
        node.parents = (x_node, y_node,)
        node.saved = (residuals, (x_raw, y_raw, scale,))
        node.shape = out.shape
        node.dtype = out.dtype
        node.seq = next_seq()
        return result
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..kernels import Kernel, choose_kernel
from . import codegen
from .array import Array
from .inputs import new_variable, pull
from .namespace import differentiable_of, namespaces
from .tape import Node, Operation, next_seq

_LOCALS = {"Array", "RAW", "args", "kernel", "namespace", "node", "out", "residuals", "result"}  # of the generated code


def primitive(name: str, arrays: int) -> Callable[[Callable], Callable]:
    """Make a function a primitive: its first `arrays` arguments are arrays (or None), the rest plain values.

    The decorated function is the reference. Calls go to the backend's kernel of this name if there is one that supports
    them; its gradient is then the kernel's, and second derivatives are those of the reference.
    """

    def decorate(reference: Callable) -> Callable:
        def plain(namespace: Any, *args: Any) -> Any:
            choose_kernel(name, namespace.backend, args)  # notes the decision, or raises if a kernel is required
            return reference(*args)

        operations: dict[Any, Operation] = {}

        def new_operation(kernel: Kernel, namespace: Any) -> Operation:
            op = operations[kernel, namespace] = _operation(name, arrays, reference, kernel, namespace)
            return op

        scope = {
            "Node": Node,
            "choose_kernel": choose_kernel,
            "lookup": differentiable_of,
            "namespaces": namespaces,
            "next_seq": next_seq,
            "new_operation": new_operation,
            "operations": operations,
            "plain": plain,
            "reference": reference,
        }
        source = _source(name, arrays, reference)
        wrapper = codegen.compile_function(source, reference.__name__, name, scope)
        functools.update_wrapper(wrapper, reference)
        return wrapper

    return decorate


def _source(name: str, arrays: int, reference: Callable) -> str:
    signature = inspect.signature(reference)
    names = list(signature.parameters)
    plain = signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
        return_annotation=signature.empty,
    )
    taken = _LOCALS & set(names)
    if taken:
        raise ValueError(f"primitive {name!r}: rename {', '.join(sorted(taken))}; the generated code uses that name.")
    own, rest = names[:arrays], names[arrays:]
    every, raw = ", ".join(names), "".join(f"{a}_raw, " for a in own) + "".join(f"{r}, " for r in rest)
    lines = [
        f"def {reference.__name__}{plain}:",
        f"    namespace = (namespaces.get(type({own[0]})) or lookup({own[0]}, {name!r})).differentiable",
        f"    if {name!r} not in namespace.backend.kernels: return plain(namespace, {every})",
        "    Array = namespace.Array; RAW = namespace.accepted",
    ]
    for a in own:
        lines += [
            f"    if type({a}) is Array: {a}_raw = {a}._data; {a}_node = {a}._node",
            f"    else: {a}_raw = {a} if {a} is None or type({a}) in RAW else namespace.accept({a}, {name!r}); "
            f"{a}_node = None",
        ]
    return "\n".join(
        [
            *lines,
            f"    args = ({raw})",
            f"    kernel = choose_kernel({name!r}, namespace.backend, args)",
            f"    if kernel is None: return reference({every})",
            "    out, residuals = kernel.forward(*args)",
            f"    if {' and '.join(f'{a}_node is None' for a in own)}:",
            f"        return namespace.wrap(out) if {' or '.join(f'type({a}) is Array' for a in own)} else out",
            "    result = Array()",
            "    result._data = out",
            "    result._node = node = Node()",
            "    node.op = operations.get((kernel, namespace)) or new_operation(kernel, namespace)",
            f"    node.parents = ({''.join(f'{a}_node, ' for a in own)})",
            "    node.saved = (residuals, args)",
            "    node.shape = out.shape",
            "    node.dtype = out.dtype",
            "    node.seq = next_seq()",
            "    return result",
        ]
    )


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
