"""Kernels: optional fast overrides of primitives, and the one place that decides whether to run one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from .backend import Backend
from .errors import BackendError
from .settings import KERNEL_MODES, kernel_mode


class Kernel(Protocol):
    """A fast override of one primitive on one backend. All arrays it sees are raw.

    `supports` returns None, or the reason why this call has to take the reference. `forward` returns the output and
    whatever `backward` needs; `backward` returns one gradient (or None) per array argument of the primitive. `needs`
    holds None for arguments that want no gradient; the ``destination()`` of the others is an array to write it to, or
    None.
    """

    def supports(self, *args: Any) -> str | None: ...
    def forward(self, *args: Any) -> tuple[Any, Any]: ...
    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple: ...


_kernel_mode: ContextVar[str | None] = ContextVar("nnx_kernels", default=None)
_decisions: dict[str, tuple[str, str | None]] = {}
_initial_mode: str | None = None  # what NNX_KERNELS says; read at the first call of a primitive


def _read_initial_mode() -> str:
    global _initial_mode
    _initial_mode = kernel_mode()
    return _initial_mode


@contextmanager
def use_kernels(mode: str) -> Iterator[None]:
    """Switch the fast kernels within a ``with`` block: ``"off"``, ``"auto"``, or ``"require"`` (raise if one cannot
    run).

    The environment variable ``NNX_KERNELS`` sets the initial mode, which is read at the first use.

    Examples
    --------
    >>> import nnx
    >>> with nnx.use_kernels("off"):
    ...     pass
    """
    if mode not in KERNEL_MODES:
        raise ValueError(f"use_kernels: expected one of {', '.join(map(repr, KERNEL_MODES))}, got {mode!r}.")
    token = _kernel_mode.set(mode)
    try:
        yield
    finally:
        _kernel_mode.reset(token)


def choose_kernel(primitive: str, backend: Backend, args: Sequence[Any]) -> Kernel | None:
    """Return the kernel that shall run a call of a primitive, or None for the reference.

    Raises
    ------
    BackendError
        In mode ``"require"``, if no kernel can run; the text gives the reason.
    """
    mode = _kernel_mode.get() or _initial_mode or _read_initial_mode()
    kernel = backend.kernels.get(primitive)
    if kernel is None:
        reason: str | None = f"backend {backend.name!r} has no kernel for it"
    elif mode == "off":
        reason = "kernels are switched off"
    else:
        reason = kernel.supports(*args)
    _decisions[primitive] = (backend.name, reason)
    if reason is None:
        return kernel
    if mode == "require":
        raise BackendError(f"{primitive}: no kernel can run: {reason}. Use NNX_KERNELS=auto to allow the reference.")
    return None


def explain() -> str:
    """Tell for every primitive called so far whether its last call ran a kernel or the reference, and why.

    Examples
    --------
    >>> import nnx, numpy as np
    >>> _ = nnx.functional.linear(np.ones((2, 3), "float32"), np.ones((4, 3), "float32"))
    >>> "linear" in nnx.explain()
    True
    """
    lines = [
        f"{primitive:24s} {name:8s} {'kernel' if reason is None else 'reference: ' + reason}"
        for primitive, (name, reason) in sorted(_decisions.items())
    ]
    return "\n".join(lines) if lines else "no primitive has been called yet"
