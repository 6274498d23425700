"""Convolution, layer by layer: cuDNN through PyTorch, and nnx beside it on the same numbers; each against its roofline.

PyTorch runs in benchmark mode and channels_last. Three precisions: bfloat16; float32 with products in tf32; float32.
The bare operations are timed, without a tape: forward, input gradient, weight gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.conv import Layer

from . import ceilings, networks, ours, roofline
from .session import NotHere, Session
from .timing import Timer

PARTS = ("forward", "input gradient", "weight gradient")
PRECISIONS = ("bfloat16", "tf32", "float32")
_BYTES = {"bfloat16": 2, "tf32": 4, "float32": 4}


def run(session: Session) -> None:
    """Measure bfloat16 over all layers first; then the other precisions."""
    gpu = session.gpu
    if not session.has_torch():
        return
    gpu.torch.backends.cudnn.benchmark = True
    timer = Timer(gpu, rehearse=session.rehearse)
    limits = ceilings.known(session, timer)
    dense = networks.resnet50()
    if session.rehearse:
        layers = {Layer("ResNet-50", 1, 5, 8, 8, 3): 1, Layer("MobileNetV2", 1, 5, 8, 8, 3, 1, 8): 1}
    else:
        # The 3 x 3 layers have a gate of their own, so they come first.
        order = sorted(dense, key=lambda layer: (layer.kernel != 3, layer.kernel == 7))
        layers = {layer: dense[layer] for layer in order} | networks.depthwise()
    for precision in PRECISIONS if not session.rehearse else PRECISIONS[:2]:
        for layer, count in layers.items():
            pair = Pair(gpu, layer, precision)
            for library, measure in (("torch", pair.torch), ("nnx", pair.ours)):
                session.measure(
                    f"{layer}, {precision}: {library}",
                    lambda measure=measure: measure(timer, limits),
                    expected=3,
                    count=count,
                    precision=precision,
                    library=library,
                    kind=layer.kind,
                    layer=str(layer),
                )
            del pair
            gpu.free()


class Pair:
    """The same layer in both libraries; the numbers are made when the first needs them."""

    def __init__(self, gpu: Any, layer: Layer, precision: str) -> None:
        self._gpu, self._layer, self._precision = gpu, layer, precision
        self._made: tuple[Any, Any, Any] | None = None

    def numbers(self) -> tuple[Any, Any, Any]:
        """Return input, weight and output gradient as contiguous tensors, features last."""
        if self._made is None:
            torch, layer = self._gpu.torch, self._layer
            torch.manual_seed(0)
            size = networks.out_size(layer)
            shapes = (
                (layer.batch, layer.size, layer.size, layer.channels),
                (layer.outputs, layer.kernel, layer.kernel, layer.channels // layer.groups),
                (layer.batch, size, size, layer.outputs),
            )
            dtype = torch.bfloat16 if self._precision == "bfloat16" else torch.float32
            x, w, g = (torch.randn(shape, device=self._gpu.place).to(dtype) for shape in shapes)
            fan = layer.kernel**2 * (layer.channels // layer.groups)
            self._made = (x, w / fan**0.5, g)
        return self._made

    def _floors(self, limits: dict[str, float]) -> dict[str, Any]:
        image, weight, out = networks.elements(self._layer)
        moved = dict.fromkeys(PARTS, (image + weight + out) * _BYTES[self._precision])
        work = networks.flops(self._layer)
        return {
            part: roofline.floor(limits, bytes_moved=moved[part], flops=work, unit=self._precision) for part in PARTS
        }

    def _timed(self, functions: dict[str, Callable[[], Any]], timer: Timer, limits: dict[str, float]) -> dict[str, Any]:
        floors, work = self._floors(limits), networks.flops(self._layer)
        found = {}
        for part, function in functions.items():
            result = timer(function)
            least = floors[part]
            extra = {"tflops": work / result["median_us"] / 1e6, "floor": least}
            found[part] = {**result, **extra, "of_floor": roofline.achieved(result, least)}
        return found

    def torch(self, timer: Timer, limits: dict[str, float]) -> dict[str, Any]:
        """Time PyTorch."""
        with torch_precision(self._gpu, self._precision):
            return self._timed(self.of_torch(), timer, limits)

    def of_torch(self) -> dict[str, Callable[[], Any]]:
        """Return PyTorch's three operations."""
        torch, layer = self._gpu.torch, self._layer
        # The memory of (N, H, W, C) under the names of (N, C, H, W): channels_last.
        x, w, g = (tensor.permute(0, 3, 1, 2) for tensor in self.numbers())
        stride, pad, groups = layer.stride, layer.kernel // 2, layer.groups

        def backward(mask: list[bool]) -> Any:
            sizes = ([stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups)
            return torch.ops.aten.convolution_backward(g, x, w, None, *sizes, mask)

        functions = (
            lambda: torch.conv2d(x, w, None, stride, pad, 1, groups),
            lambda: backward([True, False, False])[0],
            lambda: backward([False, True, False])[1],
        )
        return dict(zip(PARTS, functions, strict=True))

    def ours(self, timer: Timer, limits: dict[str, float]) -> dict[str, Any]:
        """Time nnx's kernel, if it has one for this; tell how far its results are from PyTorch's."""
        kernel = ours.backend(self._gpu).kernels.get("convolution")
        if kernel is None:
            raise NotHere("nnx has no kernel for convolution here")
        layer = self._layer
        x, w, g = (self._gpu.shared(tensor) for tensor in self.numbers())
        pad = (layer.kernel // 2, layer.kernel // 2)
        arguments = (x, w, None, (layer.stride,) * 2, (pad, pad), (1, 1), layer.groups)
        with our_precision(self._precision):
            reason = kernel.supports(*arguments)
            if reason:
                raise NotHere(f"the kernel refuses: {reason}")
            _, kept = kernel.forward(*arguments)
            wanted = Wanted()
            functions: dict[str, Callable[[], Any]] = {
                PARTS[0]: lambda: kernel.forward(*arguments)[0],
                PARTS[1]: lambda: kernel.backward(g, kept, (wanted, None, None))[0],
                PARTS[2]: lambda: kernel.backward(g, kept, (None, wanted, None))[1],
            }
            errors = self._errors(functions)
            found = self._timed(functions, timer, limits)
        return {part: {**found[part], "error": errors[part]} for part in PARTS}

    def _errors(self, functions: dict[str, Callable[[], Any]]) -> dict[str, float]:
        """The norm of the difference to PyTorch's float32 results, over the norm of those."""
        gpu = self._gpu
        exact = Pair(gpu, self._layer, "float32")
        benchmark, gpu.torch.backends.cudnn.benchmark = gpu.torch.backends.cudnn.benchmark, False
        exact._made = tuple(tensor.float() for tensor in self.numbers())
        found = {}
        with torch_precision(gpu, "float32"):
            references = exact.of_torch()
            for part, function in functions.items():
                wanted = references[part]().permute(0, 2, 3, 1)
                difference = gpu.tensor(function()).float() - wanted
                found[part] = float(difference.norm() / wanted.norm())
        gpu.torch.backends.cudnn.benchmark = benchmark
        return found


class Wanted:
    """What stands for a gradient that is wanted, without a place for it."""

    def destination(self) -> None:
        return None


@contextmanager
def torch_precision(gpu: Any, precision: str) -> Iterator[None]:
    """Allow PyTorch tf32, or not, in convolutions and products."""
    backends = gpu.torch.backends
    before = backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32
    backends.cudnn.allow_tf32 = backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32 = before


@contextmanager
def our_precision(precision: str) -> Iterator[None]:
    """Allow nnx tf32, or not, and let it refuse what it has no kernel for."""
    nnx = ours.nnx()
    with nnx.use_kernels("require"), nnx.use_float32_precision("high" if precision == "tf32" else "highest"):
        yield
