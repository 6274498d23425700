"""Random numbers as arrays of any backend, drawn on the device where there is a kernel for it.

The numbers are those of `nnx.random`, the same bits everywhere. The first argument only tells where: an array of the
backend and on the device that shall hold them, never a tracked one.
"""

from __future__ import annotations

from typing import Any

from .. import random
from ..autodiff.primitive import primitive
from ..backend import device, get_backend


def draw_uniform(like: Any, key: tuple[int, int], counter: int, shape: tuple[int, ...]) -> Any:
    """Draw float32 numbers from [0, 1) where `like` lives; see `nnx.random.uniform`."""
    draw = _uniform_from_host if get_backend(like).on_host else _draw_uniform
    return draw(like, key, counter, shape)


def draw_mask(like: Any, key: tuple[int, int], counter: int, shape: tuple[int, ...], keep_probability: float) -> Any:
    """Draw booleans where `like` lives, each True with a probability; see `nnx.random.bernoulli_mask`."""
    draw = _mask_from_host if get_backend(like).on_host else _draw_mask
    return draw(like, key, counter, shape, keep_probability)


def _uniform_from_host(like: Any, key: tuple[int, int], counter: int, shape: tuple[int, ...]) -> Any:
    return get_backend(like).asarray(random.uniform(key, counter, shape), device=device(like))


def _mask_from_host(like: Any, key: tuple[int, int], counter: int, shape: tuple[int, ...], keep: float) -> Any:
    return get_backend(like).asarray(random.bernoulli_mask(key, counter, shape, keep), device=device(like))


_draw_uniform = primitive("draw_uniform", arrays=1)(_uniform_from_host)
_draw_mask = primitive("draw_mask", arrays=1)(_mask_from_host)
