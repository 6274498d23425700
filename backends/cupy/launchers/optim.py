"""Steps of optimizers, in place."""

from __future__ import annotations

from typing import Any

from ..compiler import Kernel
from ..launch import Machine, blocks_for, launch

ADAM = {
    "float32": Kernel("optim.cu", "adam", (("REAL", "float"),)),
    "float64": Kernel("optim.cu", "adam", (("REAL", "double"),)),
}
KERNELS = tuple(ADAM.values())
_PER_THREAD = 8


class Adam:
    """The step of `nnx.optim.Adam` and `nnx.optim.AdamW` without AMSGrad."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def supports(self, p: Any, g: Any, mean: Any, square: Any, *numbers: float) -> str | None:
        arrays = (p, g, mean, square)
        names = {str(array.dtype) for array in arrays}
        if len(names) > 1 or not names <= set(ADAM):
            return f"it takes {' or '.join(ADAM)} arrays of one dtype"
        if not all(array.flags.c_contiguous and array.shape == p.shape for array in arrays):
            return "it takes contiguous arrays of one shape"
        return self._machine.refusal(*arrays)

    def forward(self, p: Any, g: Any, mean: Any, square: Any, *numbers: float) -> tuple[Any, Any]:
        """Change p, mean and square. The numbers: shrink, sign, penalty, beta1, beta2, eps, rate."""
        kernel = ADAM[str(p.dtype)]
        launch(self._machine, kernel, blocks_for(p.size, kernel, _PER_THREAD), (p, g, mean, square, *numbers, p.size))
        return p, None
