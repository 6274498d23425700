"""Every activation: its function, its layer, its options, and where it has kinks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Activation:
    """One row: a function with some options, and the layer that does the same."""

    function: str
    layer: str
    options: dict[str, Any] = field(default_factory=dict)
    kinks: tuple[float, ...] = ()
    in_torch: bool = True

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.function}({options})"

    @property
    def theirs(self) -> dict[str, Any]:
        """The options as PyTorch calls them, which leaves no axis to guess."""
        options = {"dim" if name == "axis" else name: value for name, value in self.options.items()}
        return {"dim": -1, **options} if self.along_axis else options

    @property
    def along_axis(self) -> bool:
        return self.function in ("softmax", "log_softmax", "softmin", "sparsemax", "glu", "maxout")


A = Activation
ELEMENTWISE = [
    A("relu", "ReLU", {}, (0.0,)),
    A("relu6", "ReLU6", {}, (0.0, 6.0)),
    A("leaky_relu", "LeakyReLU", {}, (0.0,)),
    A("leaky_relu", "LeakyReLU", {"negative_slope": 0.3}, (0.0,)),
    A("leaky_relu", "LeakyReLU", {"negative_slope": -1.5}, (0.0,)),
    A("rrelu", "RReLU", {}, (0.0,)),
    A("rrelu", "RReLU", {"lower": 0.1, "upper": 0.4}, (0.0,)),
    A("elu", "ELU", {}, (0.0,)),
    A("elu", "ELU", {"alpha": 1.7}, (0.0,)),
    A("selu", "SELU", {}, (0.0,)),
    A("celu", "CELU", {}, (0.0,)),
    A("celu", "CELU", {"alpha": 0.4}, (0.0,)),
    A("celu", "CELU", {"alpha": 0.5}, (0.0,)),
    A("gelu", "GELU", {}),
    A("gelu", "GELU", {"approximate": "tanh"}),
    A("silu", "SiLU", {}),
    A("mish", "Mish", {}),
    A("softplus", "Softplus", {}, (20.0,)),
    A("softplus", "Softplus", {"beta": 2.5, "threshold": 3.0}, (1.2,)),
    A("softplus", "Softplus", {"beta": -0.5, "threshold": 4.0}, (-8.0,)),
    A("softsign", "Softsign", {}, (0.0,)),
    A("tanh", "Tanh", {}),
    A("sigmoid", "Sigmoid", {}),
    A("logsigmoid", "LogSigmoid", {}),
    A("hardtanh", "Hardtanh", {}, (-1.0, 1.0)),
    A("hardtanh", "Hardtanh", {"min_val": -0.5, "max_val": 2.0}, (-0.5, 2.0)),
    A("hardsigmoid", "Hardsigmoid", {}, (-3.0, 3.0)),
    A("hardswish", "Hardswish", {}, (-3.0, 3.0)),
    A("tanhshrink", "Tanhshrink", {}),
    A("softshrink", "Softshrink", {}, (-0.5, 0.5)),
    A("softshrink", "Softshrink", {"lambd": 1.25}, (-1.25, 1.25)),
    A("softshrink", "Softshrink", {"lambd": 0.0}, (0.0,)),
    A("hardshrink", "Hardshrink", {}, (-0.5, 0.5)),
    A("hardshrink", "Hardshrink", {"lambd": 1.25}, (-1.25, 1.25)),
    A("threshold", "Threshold", {"threshold": 0.25, "value": -2.0}, (0.25,)),
]
ALONG_AXIS = [
    A("softmax", "Softmax"),
    A("softmax", "Softmax", {"axis": 0}),
    A("log_softmax", "LogSoftmax"),
    A("log_softmax", "LogSoftmax", {"axis": 1}),
    A("softmin", "Softmin"),
    A("softmin", "Softmin", {"axis": 0}),
    A("glu", "GLU"),
    A("glu", "GLU", {"axis": 0}),
    A("glu", "GLU", {"axis": -2}),
    A("sparsemax", "Sparsemax", {}, in_torch=False),
    A("sparsemax", "Sparsemax", {"axis": 0}, in_torch=False),
    A("maxout", "Maxout", {"pool_size": 2}, in_torch=False),
    A("maxout", "Maxout", {"pool_size": 3, "axis": 1}, in_torch=False),
]
ALL = [*ELEMENTWISE, *ALONG_AXIS]
IN_TORCH = [row for row in ALL if row.in_torch]


def points(row: Activation) -> np.ndarray:
    """Where to compare a row: near zero, on its kinks and either side, far out. Shape (4, 6, n)."""
    if row.along_axis:
        values = np.random.default_rng(3).standard_normal((4, 6, 8)) * 3
        values[0] *= 100  # softmax becomes one-hot, the gate of glu shuts
        return values
    near = np.random.default_rng(4).standard_normal(60) * 4
    far = [s * x for s in (-1.0, 1.0) for x in (1e-300, 1e-12, 1e-5, 19.9, 20.1, 36.0, 50.0, 300.0, 750.0, 1e6)]
    kinks = [k + d for k in (0.0, *row.kinks) for d in (-1e-9, 0.0, 1e-9)]
    values = np.asarray([*near, *far, *kinks])
    return np.resize(values, (4, 6, -(-len(values) // 24)))


def smooth_points(row: Activation) -> np.ndarray:
    """Where to compare derivatives with finite differences: off the kinks by at least 0.05. Shape (2, 6, 4)."""
    rng = np.random.default_rng(5)
    if row.along_axis:  # no ties, nor near ones
        return rng.permutation(48).reshape(2, 6, 4) * 0.07
    values = rng.uniform(-4.0, 7.0, 48)
    for kink in row.kinks:
        values = np.where(np.abs(values - kink) < 0.05, values + 0.1, values)
    return values.reshape(2, 6, 4)
