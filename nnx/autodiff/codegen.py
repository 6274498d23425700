"""Writes the Python of every function of a differentiable namespace from its rule.

One flat function per operation costs a third of a generic one with loops over arguments. The text is registered with
`linecache`, so that tracebacks and debuggers show it. For ``multiply(x1, x2, /)`` it is ::

    def multiply(x1, x2, /):
        if type(x1) is Array: x1_node = x1._node; x1 = x1._data
        else: x1_node = None; x1 = x1 if type(x1) in RAW else accept(x1, 'multiply')
        if type(x2) is Array: x2_node = x2._node; x2 = x2._data
        else: x2_node = None; x2 = x2 if type(x2) in RAW else accept(x2, 'multiply')
        out = forward(x1, x2)
        result = Array()
        result._data = out
        if x1_node is None and x2_node is None:
            result._node = None
            return result
        result._node = node = Node()
        node.op = OP
        node.parents = (x1_node, x2_node,)
        node.saved = (x1, x2,)
        node.shape = out.shape
        node.dtype = out.dtype
        node.seq = next_seq()
        return result
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable
from typing import Any

from .rule import Rule

_CONTAINERS = ("key", "arrays")  # arguments that may hold arrays inside a tuple or list


def compile_function(source: str, name: str, label: str, names: dict[str, Any]) -> Callable:
    """Compile the text of one function; its tracebacks show the text."""
    filename = f"<nnx {label}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    scope = dict(names)
    exec(compile(source, filename, "exec"), scope)
    return scope[name]


def unwrap_lines(parameter: str, name: str) -> list[str]:
    """Lines that split an argument into its raw array and its node."""
    if parameter in _CONTAINERS:
        return [f"    {parameter} = raw({parameter}, {name!r})"]
    return [
        f"    if type({parameter}) is Array: {parameter}_node = {parameter}._node; {parameter} = {parameter}._data",
        f"    else: {parameter}_node = None; {parameter} = {parameter} if type({parameter}) in RAW "
        f"else accept({parameter}, {name!r})",
    ]


def record_lines(nodes: Iterable[str], saved: Iterable[str]) -> list[str]:
    """Lines that wrap `out` and, if an argument is tracked, record the operation."""
    nodes = list(nodes)
    return [
        "    result = Array()",
        "    result._data = out",
        f"    if {' and '.join(f'{n} is None' for n in nodes)}:",
        "        result._node = None",
        "        return result",
        "    result._node = node = Node()",
        "    node.op = OP",
        f"    node.parents = ({''.join(n + ', ' for n in nodes)})",
        f"    node.saved = ({''.join(s + ', ' for s in saved)})",
        "    node.shape = out.shape",
        "    node.dtype = out.dtype",
        "    node.seq = next_seq()",
        "    return result",
    ]


def call_arguments(signature: inspect.Signature) -> str:
    """The arguments with which a function hands its own parameters on."""
    parts = []
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            parts.append(f"*{p.name}")
        elif p.name in ("prepend", "append", "sorter", "device"):  # None is not a value for these in every library
            parts.append(f"**({{}} if {p.name} is None else {{{p.name!r}: {p.name}}})")
        elif p.kind is p.KEYWORD_ONLY or (p.name == "axis" and p.kind is not p.POSITIONAL_ONLY):
            parts.append(f"{p.name}={p.name}")
        else:
            parts.append(p.name)
    return ", ".join(parts)


# ------------------------------------------------------------------ what a rule saves


def differentiable_parameters(rule: Rule) -> list[str]:
    """The arguments whose nodes become parents, in order."""
    if rule.joint is not None:
        return [p for p in rule.array_parameters if p in ("x", "x1", "x2", "value", "arrays")]
    return [p for p in rule.signature.parameters if p in rule.vjps]


def _requested(function: Callable, skip: int) -> list[str]:
    return list(inspect.signature(function).parameters)[skip:]


def saved_names(rule: Rule) -> list[str]:
    """The names that the derivatives of a rule ask for, each once."""
    if rule.joint is not None:
        return _requested(rule.joint, 3)
    return list(dict.fromkeys(n for vjp in rule.vjps.values() for n in _requested(vjp, 2)))


def _saved_expression(name: str, rule: Rule) -> str:
    if name in rule.outputs:
        return f"out[{rule.outputs.index(name)}]"
    if name == "arrays_shapes":
        return "[a.shape for a in arrays]"
    for suffix in ("_shape", "_dtype"):
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)}.{suffix[1:]}"
    if name != "out" and name not in rule.signature.parameters:
        raise ValueError(f"{rule.name}: its derivative asks for {name!r}, which is no argument")
    return name


def sources(rule: Rule) -> tuple[int | None, ...]:
    """Where each saved value comes from, as `tape.Operation` wants it."""
    parents = differentiable_parameters(rule)
    found: list[int | None] = []
    for name in saved_names(rule):
        if name == "out":
            found.append(~0)
        elif name in rule.outputs:
            found.append(~rule.outputs.index(name))
        else:
            found.append(parents.index(name) if name in parents else None)
    return tuple(found)


def compile_vjp(rule: Rule) -> Callable:
    """Return ``vjp(xp, g, saved, needs) -> tuple`` for a rule, from its own functions."""
    saved = saved_names(rule)
    unpack = f"    {', '.join(saved)}, = saved\n" if saved else ""
    names: dict[str, Any] = {}
    if rule.joint is not None:
        names["joint"] = rule.joint
        body = f"    return joint(xp, g, needs, {', '.join(saved)})\n"
    else:
        parts = []
        for k, (parameter, vjp) in enumerate(rule.vjps.items()):
            names[f"vjp_{parameter}"] = vjp
            call = f"vjp_{parameter}({', '.join(['xp', 'g', *_requested(vjp, 2)])})"
            parts.append(call if len(rule.vjps) == 1 else f"None if needs[{k}] is None else {call}")
        body = f"    return ({', '.join(parts)},)\n"
    return compile_function(f"def vjp(xp, g, saved, needs):\n{unpack}{body}", "vjp", f"{rule.name} backward", names)


# ------------------------------------------------------------------ the four kinds of function


def operation_source(rule: Rule, expression: str | None = None) -> str:
    """The text of a recorded function; `expression` replaces the call of ``forward`` (for operators)."""
    lines = [f"def {rule.function_name}{rule.signature}:"]
    parents = differentiable_parameters(rule)
    if rule.array_parameters == ["arrays"]:
        return "\n".join(lines + _sequence_lines(rule))
    for parameter in rule.array_parameters:
        lines += unwrap_lines(parameter, rule.name)
    lines.append(f"    out = {expression or f'forward({call_arguments(rule.signature)})'}")
    nodes = [f"{p}_node" for p in parents]
    if "dtype" in rule.signature.parameters:
        lines += ["    if not is_differentiable(out.dtype):", "        return wrap(out)"]
    saved = [_saved_expression(name, rule) for name in saved_names(rule)]
    if rule.lift:
        tracked = " or ".join(f"{n} is not None" for n in nodes)
        lines.append(f"    if {tracked}:")
        lines += [f"        {p} = {p} if type({p}) not in SCALARS else lift({p}, out)" for p in parents]
    if not rule.outputs:
        return "\n".join(lines + record_lines(nodes, saved))
    return "\n".join(
        [
            *lines,
            f"    if {' and '.join(f'{n} is None' for n in nodes)}:",
            "        return wrap(out)",
            f"    nodes = record_outputs(OP, ({''.join(n + ', ' for n in nodes)}), "
            f"({''.join(s + ', ' for s in saved)}), out)",
            "    return rebuild(out, [wrap(o, n) for o, n in zip(out, nodes)])",
        ]
    )


def _sequence_lines(rule: Rule) -> list[str]:
    saved = [_saved_expression(name, rule) for name in saved_names(rule)]
    return [
        "    nodes = tuple([a._node if type(a) is Array else None for a in arrays])",
        f"    arrays = [a._data if type(a) is Array else accept(a, {rule.name!r}) for a in arrays]",
        f"    out = forward({call_arguments(rule.signature)})",
        "    if not any(nodes):",
        "        return wrap(out)",
        f"    return wrap(out, record(OP, nodes, ({''.join(s + ', ' for s in saved)}), out))",
    ]


def other_source(rule: Rule) -> str:
    """The text of a composite, a constant or an undifferentiable function."""
    variadic = [p.name for p in rule.signature.parameters.values() if p.kind is p.VAR_POSITIONAL]
    arrays = [p for p in rule.array_parameters if p not in variadic]
    lines = [f"def {rule.function_name}{rule.signature}:"]
    every = ", ".join(arrays + [f"*{v}" for v in variadic])
    if rule.kind == "composite":
        lines += [f"    if tracked({every}):", f"        return body(NS, {call_arguments(rule.signature)})"]
    elif rule.kind == "undifferentiable" and every:
        lines += [f"    if tracked({every}):", f"        raise no_rule({rule.name!r})"]
    lines += [f"    {p} = raw({p}, {rule.name!r})" for p in arrays]
    lines += [f"    {v} = [raw(a, {rule.name!r}) for a in {v}]" for v in variadic]
    return "\n".join([*lines, f"    return wrap(forward({call_arguments(rule.signature)}))"])
