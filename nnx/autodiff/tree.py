"""Nested containers of arrays: dicts, lists and tuples, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ShapeError


def leaves_of(tree: Any) -> list[Any]:
    """Return the leaves of nested dicts, lists and tuples in order. None is an empty container."""
    if tree is None:
        return []
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves_of(value)]
    if isinstance(tree, (list, tuple)):
        return [leaf for value in tree for leaf in leaves_of(value)]
    return [tree]


def map_tree(function: Callable, tree: Any) -> Any:
    """Return a container of the same structure with `function` of every leaf."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: map_tree(function, value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        values = [map_tree(function, value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return function(tree)


def fill_tree(tree: Any, leaves: list[Any]) -> Any:
    """Return a container of the structure of `tree` with other leaves."""
    remaining = iter(leaves)
    return map_tree(lambda _: next(remaining), tree)


def match_tree(tree: Any, given: Any, operation: str, what: str, like: str, *, shapes: bool = True) -> list[Any]:
    """Return the leaves of `given` in the order of those of `tree`, whose structure it must have.

    Entries of dicts belong together by their keys, whatever their order. A list may stand for a tuple. With `shapes`,
    the shapes must agree too.

    Raises
    ------
    ShapeError
        Naming the place, if the structure or a shape differs.
    """
    found: list[Any] = []

    def walk(tree: Any, given: Any, place: str) -> None:
        got = type(given).__name__
        if tree is None:
            if given is not None:
                raise ShapeError(f"{operation}: expected {place} to be None, like {like}, got {got}.")
        elif isinstance(tree, dict):
            if not isinstance(given, dict):
                raise ShapeError(f"{operation}: expected {place} to be a dict, like {like}, got {got}.")
            missing = [f"{place}[{key!r}]" for key in tree if key not in given]
            unknown = [f"{place}[{key!r}]" for key in given if key not in tree]
            if missing or unknown:
                parts = [f"{label} {', '.join(k)}" for label, k in (("missing", missing), ("unexpected", unknown)) if k]
                raise ShapeError(f"{operation}: expected {place} to have the keys of {like}; {'; '.join(parts)}.")
            for key, value in tree.items():
                walk(value, given[key], f"{place}[{key!r}]")
        elif isinstance(tree, (list, tuple)):
            if not isinstance(given, (list, tuple)):
                raise ShapeError(f"{operation}: expected {place} to hold {len(tree)} entries, like {like}, got {got}.")
            if len(given) != len(tree):
                raise ShapeError(
                    f"{operation}: expected {place} to hold {len(tree)} entries, like {like}, got {len(given)}."
                )
            for i, (part, value) in enumerate(zip(tree, given, strict=True)):
                walk(part, value, f"{place}[{i}]")
        else:
            shape = tuple(getattr(tree, "shape", ()))
            if given is None or isinstance(given, (dict, list, tuple)):
                raise ShapeError(f"{operation}: expected {place} to be an array of shape {shape}, got {got}.")
            if shapes and tuple(getattr(given, "shape", ())) != shape:
                raise ShapeError(
                    f"{operation}: expected {place} to have shape {shape}, got {tuple(getattr(given, 'shape', ()))}."
                )
            found.append(given)

    walk(tree, given, what)
    return found
