"""Bugs in the kernel of interpolation, each of which a comparison with the reference has to find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import nnx
from nnx import functional
from tests.cuda.bugs_pooling import instead
from tests.cuda.own_kernels import array, module

upsampling = module("cupy.launchers.upsampling")


def interpolations(changed: Callable) -> bool:
    """Whether interpolation and its derivative are right."""
    for shape, options in (
        ((2, 4, 5, 8), {"scale_factor": 2, "mode": "bilinear"}),
        ((1, 4, 11, 3), {"size": (7, 5)}),
        ((1, 2, 3, 2, 4), {"size": (3, 5, 4), "mode": "trilinear"}),
    ):
        x = np.random.default_rng(0).standard_normal(shape).astype("f4")
        with nnx.use_kernels("off"):
            out, pullback = nnx.vjp(lambda v, o=options: functional.interpolate(v, **o), x)
            cotangent = np.random.default_rng(1).standard_normal(out.shape).astype("f4")
            wanted = [out, pullback(cotangent)[0]]
        with instead([upsampling.RESAMPLE], changed), nnx.use_kernels("require"):
            out, pullback = nnx.vjp(lambda v, o=options: functional.interpolate(v, **o), array(x))
            found = [out, pullback(array(cotangent))[0]]
        if not all(np.allclose(nnx.to_numpy(f), w, rtol=1e-5, atol=1e-5) for f, w in zip(found, wanted, strict=True)):
            return False
    return True


BUGS: list[tuple[Callable, str, str, str]] = [
    (interpolations, "upsampling.cu", "spans + 2 * (before + o)", "spans + 2 * o"),
    (interpolations, "upsampling.cu", "weights + o * taps", "weights"),
    (interpolations, "upsampling.cu", "weights + out_depth * of.taps_d", "weights"),
    (interpolations, "upsampling.cu", "o < of.out_width; o +=", "o < of.out_width - 1; o +="),
    (interpolations, "upsampling.cu", "o < of.out_width; o +=", "o <= of.out_width; o +="),
    (interpolations, "upsampling.cu", "d.weights[kd] * h.weights[kh]", "h.weights[kh]"),
    (interpolations, "upsampling.cu", "(i * of.depth + d.first + kd)", "(i * of.depth + d.first)"),
    (interpolations, "upsampling.cu", "from += channels", "from += 1"),
    (interpolations, "upsampling.cu", "kw < w.count", "kw < of.taps_w"),
    (interpolations, "upsampling.cu", "line * of.out_width + o", "line * of.out_width + ow"),
]
