"""The tape: nodes that remember how an array was made, and the engine that runs them backwards.

Nodes hold raw saved arrays and parent nodes, never wrappers or Parameters, so that graphs have no reference cycles and
free themselves. The engine is iterative, drops what it no longer needs as it goes, and is the one place where gradients
are summed to their argument's shape and cast to its dtype.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Any

from ..dtypes import is_complex, is_differentiable
from ..errors import StaleParameterError

next_seq = itertools.count().__next__
_by_seq = attrgetter("seq")


class Node:
    """One recorded operation, or a leaf (``op is None``; `saved` is then its `Slot`)."""

    __slots__ = ("op", "parents", "saved", "shape", "dtype", "seq")

    op: Operation | None
    parents: tuple[Node | None, ...]
    saved: Any
    shape: tuple[int, ...]
    dtype: Any
    seq: int

    def destination(self) -> Any:
        """Return an array that a kernel may write this node's gradient to, or None; each is lent once."""
        if self.op is None:
            slot = self.saved[0]
            if slot.view is not None and slot.grad is None and not slot.lent:
                slot.lent = True
                return slot.view
        return None


class Operation:
    """A rule bound to one differentiable namespace; what a node points to.

    Attributes
    ----------
    vjp
        ``vjp(xp, g, saved, needs) -> tuple`` with one gradient or None per parent.
    sources
        Where each saved value came from: the index of a parent, ~k for output number k, None for anything else.
    holomorphic
        Whether complex cotangents are conjugated round the rule.
    outputs
        The number of outputs.
    namespace
        The differentiable namespace.
    replay
        For kernels: ``replay(g, node, needs)`` differentiates the reference instead (used under `create_graph`).
    """

    __slots__ = ("name", "vjp", "sources", "holomorphic", "outputs", "namespace", "replay")

    def __init__(
        self,
        name: str,
        vjp: Callable,
        sources: tuple[int | None, ...],
        namespace: Any,
        *,
        holomorphic: bool = False,
        outputs: int = 1,
        replay: Callable | None = None,
    ) -> None:
        self.name = name
        self.vjp = vjp
        self.sources = sources
        self.holomorphic = holomorphic
        self.outputs = outputs
        self.namespace = namespace
        self.replay = replay


class Slot:
    """Where the gradient of a leaf arrives. Owned by the leaf's node and by the Parameter or variable alike.

    `grad` is a raw array, or a differentiable one after a recorded backward pass; `raw_grad` is always raw.

    `view`, if set, is the piece of a flat buffer that holds the raw gradient once there is one. It may be lent to a
    kernel, once per backward pass, to write the gradient there at once.
    """

    __slots__ = ("grad", "view", "lent", "version", "name")

    def __init__(self, name: str = "") -> None:
        self.grad: Any = None
        self.view: Any = None
        self.lent = False
        self.version = 0
        self.name = name

    def accumulate(self, g: Any) -> None:
        if self.view is not None:
            self.lent = False
            if self.grad is None:
                if g is not self.view:
                    self.view[...] = g
                self.grad = self.view
            elif self.grad is self.view:
                self.grad += g
            else:
                self.accumulate_recorded(g)
        else:
            self.grad = g if self.grad is None else self.grad + g

    def accumulate_recorded(self, g: Any) -> None:
        """Add a gradient that may have a graph: `grad` keeps it, and the view gets its raw values."""
        self.lent = False
        if self.grad is None:
            self.grad = g
        else:  # one of the two is differentiable, and it has to be the left one for some libraries
            self.grad = g + self.grad if _has_graph(g) else self.grad + g
        if self.view is not None:
            self.view[...] = self.grad._data

    @property
    def raw_grad(self) -> Any:
        """The gradient without its graph, for optimizers: a raw array, or None."""
        return self.grad._data if _has_graph(self.grad) else self.grad


def _has_graph(gradient: Any) -> bool:
    return hasattr(type(gradient), "__nnx_tracked__")


class _Freed:
    """Stands for the saved values of a node whose backward pass has run."""


FREED = _Freed()


def leaf(like: Any, slot: Slot) -> Node:
    """Return the node of a new leaf, with the shape and dtype of an array or of its former node."""
    node = Node()
    node.op = None
    node.parents = ()
    node.saved = (slot, slot.version)
    node.shape = like.shape
    node.dtype = like.dtype
    node.seq = next_seq()
    return node


def record(op: Operation, parents: tuple[Node | None, ...], saved: Any, out: Any) -> Node:
    """Return the node of an operation with one output."""
    node = Node()
    node.op = op
    node.parents = parents
    node.saved = saved
    node.shape = out.shape
    node.dtype = out.dtype
    node.seq = next_seq()
    return node


# ------------------------------------------------------------------ several outputs


def _select_vjp(xp: Any, g: Any, saved: tuple, needs: tuple) -> tuple:
    raise AssertionError("the engine handles the outputs of multi-output nodes itself")


class Selection(Operation):
    """Output number `index` of a node with several outputs."""

    __slots__ = ("index",)

    def __init__(self, namespace: Any, index: int) -> None:
        super().__init__(f"output {index}", _select_vjp, (), namespace)
        self.index = index


def record_outputs(
    op: Operation, parents: tuple[Node | None, ...], saved: Any, outputs: Sequence[Any]
) -> list[Node | None]:
    """Return one node per output of an operation with several; None for outputs that carry no gradient."""
    bundle = record(op, parents, saved, outputs[0])
    return [_output_node(bundle, k, out) for k, out in enumerate(outputs)]


def _output_node(bundle: Node, index: int, out: Any) -> Node | None:
    if not is_differentiable(out.dtype):
        return None
    return record(Selection(bundle.op.namespace, index), (bundle,), (), out)  # type: ignore[union-attr]


# ------------------------------------------------------------------ the engine


def collect(roots: Sequence[Node], targets: Collection[Node] = ()) -> tuple[list[Node], list[Node]]:
    """Return the nodes that the roots depend on, latest first, and the leaves among them that are no targets.

    The search does not go past a target.
    """
    seen = set(roots)
    stack = list(seen)
    order = []
    leaves = []
    while stack:
        node = stack.pop()
        order.append(node)
        if node.op is None:
            slot, version = node.saved
            if slot.version != version:
                raise StaleParameterError(
                    f"parameter {slot.name or 'of shape ' + str(node.shape)} was changed between the forward and the "
                    "backward pass (by an optimizer step or an assignment), so its gradient would be wrong. Call "
                    "backward() before step(), and run the forward pass again after it."
                )
            if node not in targets:
                leaves.append(node)
        elif node not in targets:
            for parent in node.parents:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
    order.sort(key=_by_seq, reverse=True)
    return order, leaves


def useful(order: Sequence[Node], targets: Collection[Node]) -> set[Node]:
    """Return the nodes among `order` through which a gradient reaches a target."""
    found = set(targets)
    for node in reversed(order):
        if node not in found and node.op is not None and not found.isdisjoint(node.parents):
            found.add(node)
    return found


def backpropagate(
    order: Sequence[Node],
    cotangents: dict[Node, Any],
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    targets: Collection[Node] | None = None,
    within: set[Node] | None = None,
) -> dict[Node, Any]:
    """Run nodes backwards (they come latest first) and return the cotangents that reached leaves or targets.

    With `create_graph` the cotangents are differentiable arrays and every step is recorded; otherwise they are raw.
    `within` restricts the pass to some nodes.
    """
    arrived: dict[Node, Any] = {}
    for node in order:
        g = cotangents.pop(node, None)
        if g is None:
            continue
        op = node.op
        if op is None or (targets is not None and node in targets):
            arrived[node] = g
            continue
        parents = node.parents
        if within is not None:
            parents = tuple([p if p in within else None for p in parents])
        if type(op) is Selection:
            bundle = parents[0]
            if bundle is not None:
                partial = cotangents.setdefault(bundle, [None] * bundle.op.outputs)  # type: ignore[union-attr]
                other = partial[op.index]
                partial[op.index] = g if other is None else other + g
            continue
        saved = node.saved
        if saved is FREED:
            raise RuntimeError(
                f"{op.name}: this graph has already been differentiated and its saved arrays are freed. "
                "Pass retain_graph=True to the first backward() to differentiate it twice."
            )
        namespace = op.namespace
        if create_graph:
            xp = namespace
            if op.replay is None:
                saved = _rewrap(namespace, node, saved)
        else:
            xp = namespace.raw
            if not retain_graph:
                node.saved = FREED
        if create_graph and op.replay is not None:
            grads = op.replay(g, node, parents)
        elif node.dtype in namespace.real_dtypes or not op.holomorphic or not is_complex(node.dtype):
            grads = op.vjp(xp, g, saved, parents)
        else:
            grads = _conjugated(xp, op, g, saved, parents)
        for parent, grad in zip(parents, grads, strict=True):
            if parent is None or grad is None:
                continue
            if grad.shape != parent.shape or grad.dtype is not parent.dtype:
                grad = fit(xp, grad, parent)
            other = cotangents.get(parent)
            cotangents[parent] = grad if other is None else other + grad
    return arrived


def _rewrap(namespace: Any, node: Node, saved: tuple) -> tuple:
    """Give saved raw arrays their nodes back, so that a rule that runs on them is recorded."""
    values = []
    wrap = namespace.wrap
    op: Any = node.op
    for value, source in zip(saved, op.sources, strict=True):
        if source is None or not hasattr(value, "dtype"):
            values.append(value)
        elif source >= 0:
            values.append(wrap(value, node.parents[source]))
        else:
            values.append(wrap(value, node if op.outputs == 1 else _output_node(node, ~source, value)))
    return tuple(values)


def _conjugated(xp: Any, op: Operation, g: Any, saved: Any, needs: tuple) -> list:
    g = [conj(xp, k) for k in g] if type(g) is list else conj(xp, g)
    return [grad if grad is None else conj(xp, grad) for grad in op.vjp(xp, g, saved, needs)]


def conj(xp: Any, x: Any) -> Any:
    """Return the complex conjugate, and real arrays as they are."""
    return xp.conj(x) if x is not None and is_complex(x.dtype) else x


def fit(xp: Any, grad: Any, node: Node) -> Any:
    """Sum a gradient over the axes along which its argument was broadcast, and cast it to its argument's dtype."""
    if grad.shape != node.shape:
        grad = unbroadcast(xp, grad, node.shape)
    if grad.dtype != node.dtype:
        if is_complex(grad.dtype) and not is_complex(node.dtype):
            grad = xp.real(grad)
        if grad.dtype != node.dtype:
            grad = xp.astype(grad, node.dtype)
    return grad


def unbroadcast(xp: Any, grad: Any, shape: tuple[int, ...]) -> Any:
    """Sum `grad` to `shape`, the reverse of broadcasting; expand it where the rule returned less than `shape`."""
    added = len(grad.shape) - len(shape)
    if added < 0:
        return xp.broadcast_to(grad, shape)
    axes = tuple(range(added)) + tuple(i + added for i, n in enumerate(shape) if n == 1 and grad.shape[i + added] != 1)
    if axes:
        grad = xp.sum(grad, axis=axes, keepdims=True)
    if added:
        grad = xp.reshape(grad, grad.shape[added:])
    return grad if grad.shape == shape else xp.broadcast_to(grad, shape)
