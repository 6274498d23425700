"""The parts of the measurements, the most important first."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """A part: the module that has its ``run(session)``, the seconds that it may take, and what it is about."""

    name: str
    module: str
    seconds: float
    about: str


_EVERY = (
    Part("ceilings", "benchmarks.gpu.ceilings", 60, "copy bandwidth and matrix products: what the card can do"),
    Part("assumptions", "benchmarks.gpu.assumptions", 180, "what was assumed of CuPy, NVRTC and the hardware"),
    Part("gpu_tests", "benchmarks.gpu.gpu_tests", 420, "pytest -m gpu: every kernel against its reference"),
    Part("convolution", "benchmarks.gpu.convolution", 420, "every layer of ResNet-50, depthwise: cuDNN, nnx"),
    Part("kernels", "benchmarks.gpu.kernels", 180, "nnx's other kernels against their roofline and PyTorch"),
    Part("attention", "benchmarks.gpu.baselines_attention", 240, "attention: PyTorch's three backends, nnx"),
    Part("layers", "benchmarks.gpu.baselines_layers", 150, "cuDNN's LSTM, layer_norm, cross_entropy, fused AdamW"),
    Part("curves", "benchmarks.gpu.curves", 150, "MNIST on the card and on the CPU: losses step by step"),
    Part("steps", "benchmarks.gpu.baselines_steps", 420, "training steps: PyTorch eager and compiled, nnx"),
    Part("library", "benchmarks.gpu.library", 480, "the whole test suite with NNX_BACKEND=cupy"),
    Part("conformance", "benchmarks.gpu.conformance", 480, "the official Array API suite"),
)
PARTS = {part.name: part for part in _EVERY}
