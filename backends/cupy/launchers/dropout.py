"""Dropout, once the mask is drawn."""

from __future__ import annotations

from typing import Any

from ..compiler import Kernel
from ..launch import Machine, blocks_for, launch

MASKED_SCALE = {
    "float32": Kernel("dropout.cu", "masked_scale", (("REAL", "float"),)),
    "float64": Kernel("dropout.cu", "masked_scale", (("REAL", "double"),)),
}
KERNELS = tuple(MASKED_SCALE.values())
_PER_THREAD = 8


class MaskedScale:
    """Override of ``masked_scale`` in `nnx.functional.dropout`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def supports(self, input: Any, mask: Any, scale: float) -> str | None:
        if str(input.dtype) not in MASKED_SCALE:
            return f"it takes {' or '.join(MASKED_SCALE)} arrays"
        if str(mask.dtype) != "bool" or input.shape != mask.shape:
            return "it takes a mask of booleans in the shape of the input"
        if not (input.flags.c_contiguous and mask.flags.c_contiguous):
            return "it takes contiguous arrays"
        return self._machine.refusal(input, mask)

    def forward(self, input: Any, mask: Any, scale: float) -> tuple[Any, Any]:
        return self._scaled(input, mask, scale), (mask, scale)

    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple:
        mask, scale = residuals
        return self._scaled(grad if grad.flags.c_contiguous else grad.copy(), mask, scale), None

    def _scaled(self, input: Any, mask: Any, scale: float) -> Any:
        kernel = MASKED_SCALE[str(input.dtype)]
        out = self._machine.empty(input.shape, str(input.dtype), input)
        launch(
            self._machine, kernel, blocks_for(input.size, kernel, _PER_THREAD), (input, mask, scale, out, input.size)
        )
        return out
