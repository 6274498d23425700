"""The kernels of primitives: how each is launched. Nothing here knows CuPy; the simulator runs the same code."""

from __future__ import annotations

from typing import Any

from ..compiler import Kernel
from ..launch import Machine
from . import dropout, optim, random

EVERY: tuple[Kernel, ...] = (*random.KERNELS, *dropout.KERNELS, *optim.KERNELS)


def kernels_on(machine: Machine) -> dict[str, Any]:
    """Return the overrides of primitives that run on a machine, by the primitive's name."""
    return {
        "adam": optim.Adam(machine),
        "draw_mask": random.DrawMask(machine),
        "draw_uniform": random.DrawUniform(machine),
        "masked_scale": dropout.MaskedScale(machine),
    }
