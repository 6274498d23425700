"""Random numbers drawn where they are needed: the bits that `nnx.random` defines."""

from __future__ import annotations

import math
from typing import Any

from ..compiler import Kernel
from ..launch import Machine, blocks_for, launch

WORDS = Kernel("random.cu", "draw_words")
UNIFORM = Kernel("random.cu", "draw_uniform")
MASK = Kernel("random.cu", "draw_mask")
KERNELS = (WORDS, UNIFORM, MASK)
_PER_THREAD = 8  # the 32-bit words of a Philox block


def draw_words(machine: Machine, key: tuple[int, int], counter: int, n: int, like: Any) -> Any:
    """Return n raw words on the device of `like`: what `nnx.random.random_words` returns."""
    out = machine.empty((n,), "uint32", like)
    launch(machine, WORDS, blocks_for(n, WORDS, _PER_THREAD), (*key, counter, out, n))
    return out


class _Draw:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def supports(self, like: Any, key: tuple[int, int], counter: int, *rest: Any) -> str | None:
        return self._machine.refusal(like)

    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple:
        return (None,)  # what is drawn does not depend on the array that tells where


class DrawUniform(_Draw):
    """Override of ``draw_uniform`` in `nnx.functional.drawing`."""

    def forward(self, like: Any, key: tuple[int, int], counter: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
        n = math.prod(shape)
        out = self._machine.empty(shape, "float32", like)
        launch(self._machine, UNIFORM, blocks_for(n, UNIFORM, _PER_THREAD), (*key, counter, out, n))
        return out, None


class DrawMask(_Draw):
    """Override of ``draw_mask`` in `nnx.functional.drawing`."""

    def forward(
        self, like: Any, key: tuple[int, int], counter: int, shape: tuple[int, ...], keep_probability: float
    ) -> tuple[Any, Any]:
        n = math.prod(shape)
        threshold = math.floor(float(keep_probability) * 2.0**32)  # as `nnx.random.keep_threshold`
        out = self._machine.empty(shape, "bool", like)
        launch(self._machine, MASK, blocks_for(n, MASK, _PER_THREAD), (*key, counter, threshold, out, n))
        return out, None
