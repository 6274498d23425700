"""Nested containers of arrays: dicts, lists and tuples, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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
