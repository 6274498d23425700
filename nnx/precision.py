"""How exactly a GPU multiplies float32 numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PRECISIONS = ("highest", "high")

_precision: ContextVar[str] = ContextVar("nnx_float32_precision", default="highest")


def float32_precision() -> str:
    """Return how float32 matrices are multiplied, ``"highest"`` or ``"high"``; see `use_float32_precision`.

    Examples
    --------
    >>> import nnx
    >>> nnx.float32_precision()
    'highest'
    """
    return _precision.get()


@contextmanager
def use_float32_precision(name: str) -> Iterator[None]:
    """Choose within a ``with`` block how kernels multiply float32 matrices, in linear layers and convolutions.

    Parameters
    ----------
    name
        ``"highest"``: in float32. ``"high"``: tensor cores may round the factors to TF32, that is to 10 bits of
        mantissa (a relative error of some 5e-4), and add up in float32; several times as fast where there are such
        tensor cores, and without effect elsewhere. The names are those of ``torch.set_float32_matmul_precision``.

    Raises
    ------
    ValueError
        If there is no such precision.

    Examples
    --------
    >>> import nnx
    >>> with nnx.use_float32_precision("high"):
    ...     nnx.float32_precision()
    'high'
    """
    if name not in PRECISIONS:
        raise ValueError(f"use_float32_precision: expected {' or '.join(map(repr, PRECISIONS))}, got {name!r}.")
    token = _precision.set(name)
    try:
        yield
    finally:
        _precision.reset(token)
