"""Creation functions. Most depend on no array's values; the others are made from functions that have derivatives."""

from typing import Any

from ...backend import device as device_of
from ..rule import composite, constant, undifferentiable

constant(
    "empty(shape, *, dtype=None, device=None)",
    "empty_like(x, /, *, dtype=None, device=None)",
    "eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)",
    "nonzero(x, /)",
    "ones(shape, *, dtype=None, device=None)",
    "ones_like(x, /, *, dtype=None, device=None)",
    "zeros(shape, *, dtype=None, device=None)",
    "zeros_like(x, /, *, dtype=None, device=None)",
)
undifferentiable("arange(start, /, stop=None, step=1, *, dtype=None, device=None)")  # its length depends on them


def _full(xp: Any, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    return xp.broadcast_to(xp.asarray(fill_value, dtype=dtype, device=device), shape)


def _full_like(xp: Any, x: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    raw = xp.untracked(x)
    if not (isinstance(fill_value, xp.Array) and fill_value.tracked):
        return xp.wrap(xp.raw.full_like(raw, xp.untracked(fill_value), dtype=dtype, device=device))
    place = device_of(raw) if device is None else device
    return _full(xp, raw.shape, fill_value, dtype=raw.dtype if dtype is None else dtype, device=place)


def _linspace(
    xp: Any, start: Any, stop: Any, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Any:
    kind = xp.result_type(start, stop)
    place = next(device_of(v) for v in (start, stop) if isinstance(v, xp.Array)) if device is None else device
    start, stop = (xp.asarray(v, dtype=kind, device=place) for v in (start, stop))
    k = xp.raw.arange(num, dtype=xp.raw.int64, device=place)
    k = xp.raw.reshape(k, (num, *(1 for _ in xp.broadcast_shapes(start.shape, stop.shape))))
    steps = num - 1 if endpoint else num
    y = (stop - start) / max(steps, 1) * xp.raw.astype(k, kind) + start
    if endpoint and num > 1:  # exactly, whatever the rounding
        y = xp.where(k == steps, stop, y)
    return y if dtype is None or dtype == kind else xp.astype(y, dtype)


composite("full(shape, fill_value, *, dtype=None, device=None)", _full)
composite("full_like(x, /, fill_value, *, dtype=None, device=None)", _full_like)
composite("linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)", _linspace)
