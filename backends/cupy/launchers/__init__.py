"""The kernels of primitives: how each is launched. Nothing here knows CuPy; the simulator runs the same code."""

from __future__ import annotations

from typing import Any

from ..compiler import Kernel
from ..launch import Machine
from . import (
    column_sum,
    convolution,
    convolution_depthwise,
    convolution_gemm,
    convolution_hopper,
    convolution_narrow,
    dropout,
    linear,
    norm_batch,
    optim,
    pooling,
    random,
    upsampling,
)

EVERY: tuple[Kernel, ...] = (
    *random.KERNELS,
    *dropout.KERNELS,
    *optim.KERNELS,
    *norm_batch.KERNELS,
    *column_sum.KERNELS,
    *pooling.KERNELS,
    *upsampling.KERNELS,
    *convolution_gemm.KERNELS,
    *convolution_hopper.KERNELS,
    *convolution_depthwise.KERNELS,
    *convolution_narrow.KERNELS,
)


def kernels_on(machine: Machine) -> dict[str, Any]:
    """Return the overrides of primitives that run on a machine, by the primitive's name."""
    return {
        "adam": optim.Adam(machine),
        "convolution": convolution.Convolution(machine),
        "convolution_transpose": convolution.ConvolutionTranspose(machine),
        "batch_norm": norm_batch.BatchNorm(machine),
        "batch_norm_inference": norm_batch.BatchNormInference(machine),
        "batch_norm_relu": norm_batch.BatchNormReLU(machine),
        "draw_mask": random.DrawMask(machine),
        "draw_uniform": random.DrawUniform(machine),
        "avg_pool": pooling.AvgPool(machine),
        "linear": linear.Linear(machine),
        "max_pool": pooling.MaxPool(machine),
        "max_pool_places": pooling.MaxPoolPlaces(machine),
        "resample": upsampling.Resample(machine),
        "masked_scale": dropout.MaskedScale(machine),
    }
