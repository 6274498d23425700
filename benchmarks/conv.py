"""Convolutions, nnx against PyTorch (oneDNN) on the CPU, layer by layer. Run: ``python -m benchmarks.conv``.

PyTorch runs in its default memory layout, (N, C, H, W), and in channels_last; the gates are against the former.
Forward, input gradient and weight gradient are the bare operations, "forward + backward" goes through both libraries'
tapes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.timing import compare, fresh_process, ratio, save

DEFAULT, LAST = "torch", "torch, channels_last"
PARTS = ("forward", "input gradient", "weight gradient", "forward + backward")
GATES = {"Winograd": 1.2, "other": 2.0, "depthwise": 5.0}  # of forward + backward
MEAN_GATE = 1.0  # geometric mean over the dense layers


class Layer(NamedTuple):
    """A square convolution of square images; the padding keeps the size but for the stride."""

    network: str
    batch: int
    size: int
    channels: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def kind(self) -> str:
        """Which gate it has. Winograd's algorithm helps with other kernels, too, but 3 x 3 at stride 1 is its home."""
        if self.groups > 1:
            return "depthwise"
        return "Winograd" if self.kernel == 3 and self.stride == 1 else "other"

    def __str__(self) -> str:
        stride = f" stride {self.stride}" if self.stride > 1 else ""
        sizes = f"{self.channels} to {self.outputs}, {self.size}×{self.size}, batch {self.batch}"
        depthwise = " depthwise" if self.groups > 1 else ""
        return f"{self.network}{depthwise} {self.kernel}×{self.kernel}{stride}, {sizes}"


LAYERS = (
    Layer("ResNet-50", 16, 56, 64, 64, 3),
    Layer("ResNet-50", 16, 28, 128, 128, 3),
    Layer("ResNet-50", 16, 14, 256, 256, 3),
    Layer("ResNet-50", 16, 7, 512, 512, 3),
    Layer("ResNet-50", 16, 56, 128, 128, 3, 2),
    Layer("ResNet-50", 16, 28, 256, 256, 3, 2),
    Layer("ResNet-50", 16, 14, 512, 512, 3, 2),
    Layer("ResNet-50", 16, 56, 64, 64, 1),
    Layer("ResNet-50", 16, 56, 64, 256, 1),
    Layer("ResNet-50", 16, 56, 256, 64, 1),
    Layer("ResNet-50", 16, 28, 512, 128, 1),
    Layer("ResNet-50", 16, 14, 256, 1024, 1),
    Layer("ResNet-50", 16, 7, 2048, 512, 1),
    Layer("ResNet-50", 16, 56, 256, 512, 1, 2),
    Layer("ResNet-50 first", 8, 224, 3, 64, 7, 2),
    Layer("small images", 64, 28, 32, 64, 3),
    Layer("small images", 64, 14, 32, 64, 3),
    Layer("small images", 64, 7, 64, 64, 3),
    Layer("MNIST first", 64, 28, 1, 32, 3),
    Layer("CIFAR first", 64, 32, 3, 16, 3),
    Layer("CIFAR ResNet", 64, 32, 16, 16, 3),
    Layer("CIFAR ResNet", 64, 16, 32, 32, 3),
    Layer("CIFAR ResNet", 64, 8, 64, 64, 3),
    Layer("CIFAR ResNet", 64, 32, 16, 32, 3, 2),
    Layer("LeNet first", 64, 28, 1, 6, 5),
    Layer("LeNet", 64, 14, 6, 16, 5),
    Layer("MobileNetV2", 8, 112, 32, 32, 3, 1, 32),
    Layer("MobileNetV2", 8, 56, 144, 144, 3, 1, 144),
    Layer("MobileNetV2", 8, 56, 144, 144, 3, 2, 144),
    Layer("MobileNetV2", 16, 14, 384, 384, 3, 1, 384),
)


def contenders(layer: Layer) -> dict[str, dict[str, Callable[[], Any]]]:
    """Return for each part of the work what the libraries are to run, on equal numbers."""
    import numpy as np

    import nnx
    from nnx.backend import load_backend

    rng = np.random.default_rng(0)
    k, stride, groups, pad = layer.kernel, layer.stride, layer.groups, layer.kernel // 2
    x = rng.standard_normal((layer.batch, layer.size, layer.size, layer.channels), dtype=np.float32)
    weight = rng.standard_normal((layer.outputs, k, k, layer.channels // groups), dtype=np.float32)
    pair = (pad, pad)
    args = (x, weight, None, (stride, stride), (pair, pair), (1, 1), groups)
    kernel = load_backend("numpy").kernels["convolution"]
    out, residuals = kernel.forward(*args)
    grad = rng.standard_normal(out.shape, dtype=np.float32)
    wanted = object()
    tracked = [nnx.variable(x), nnx.variable(weight)]

    def step() -> None:
        nnx.functional.conv2d(*tracked, None, stride, pad, 1, groups).backward(grad)
        for variable in tracked:
            variable.grad = None

    found: dict[str, dict[str, Callable[[], Any]]] = {part: {} for part in PARTS}
    ours = (
        lambda: nnx.functional.conv2d(x, weight, None, stride, pad, 1, groups),
        lambda: kernel.backward(grad, residuals, (wanted, None, None)),
        lambda: kernel.backward(grad, residuals, (None, wanted, None)),
        step,
    )
    theirs = {name: _torch(x, weight, grad, layer, name == LAST) for name in (DEFAULT, LAST)}
    for part, function in zip(PARTS, ours, strict=True):
        found[part] = {"nnx": function, **{name: functions[part] for name, functions in theirs.items()}}
    return found


def _torch(x: Any, weight: Any, grad: Any, layer: Layer, last: bool) -> dict[str, Callable[[], Any]]:
    import torch

    layout = torch.channels_last if last else torch.contiguous_format
    arrays = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=layout) for a in (x, weight, grad))
    tx, tw, tg = arrays
    stride, pad, groups = layer.stride, layer.kernel // 2, layer.groups
    leaves = [t.clone(memory_format=torch.preserve_format).requires_grad_() for t in (tx, tw)]

    def backward(mask: list[bool]) -> Any:
        sizes = ([stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups)
        return torch.ops.aten.convolution_backward(tg, tx, tw, None, *sizes, mask)

    def step() -> None:
        torch.conv2d(*leaves, None, stride, pad, 1, groups).backward(tg)
        for leaf in leaves:
            leaf.grad = None

    functions = (
        lambda: torch.conv2d(tx, tw, None, stride, pad, 1, groups),
        lambda: backward([True, False, False]),
        lambda: backward([False, True, False]),
        step,
    )
    return dict(zip(PARTS, functions, strict=True))


def measure(layer: Layer, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each part of a layer's work."""
    rows = []
    for part, functions in contenders(layer).items():
        results = compare(functions, rounds=rounds, seconds=seconds)
        row = {"layer": str(layer), "kind": layer.kind, "part": part, "results": results}
        row |= {"ratio": ratio(results, "nnx", DEFAULT), "ratio_last": ratio(results, "nnx", LAST)}
        rows.append(row)
    return rows


def mean(rows: list[dict[str, Any]], key: str = "ratio", part: str = PARTS[-1]) -> float:
    """Return the geometric mean over the dense layers of the ratios of a part of their work."""
    return statistics.geometric_mean(row[key] for row in rows if row["kind"] != "depthwise" and row["part"] == part)


def dense(rows: list[dict[str, Any]]) -> int:
    """Return the number of dense layers."""
    return len({row["layer"] for row in rows if row["kind"] != "depthwise"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.1, help="how long a block lasts")
    parser.add_argument("--only", default="", help="layers whose name contains this")
    parser.add_argument("--save", action="store_true", help="write a file to benchmarks/results")
    options = parser.parse_args()
    fresh_process(options.threads)

    import torch

    torch.set_num_threads(options.threads)
    rows = []
    for layer in LAYERS:
        if options.only not in str(layer):
            continue
        print(layer)
        measured = measure(layer, options.rounds, options.seconds)
        for row in measured:
            times = " ".join(f"{name} {r['median_us'] / 1e3:8.2f} ms  " for name, r in row["results"].items())
            print(f"  {row['part']:20s} {times} ratio {row['ratio']:.2f}, to channels_last {row['ratio_last']:.2f}")
        met = measured[-1]["ratio"] <= GATES[layer.kind]
        print(f"  gate {GATES[layer.kind]} {'met' if met else 'MISSED'}", flush=True)
        rows += measured
    if dense(rows):
        found, last = mean(rows), mean(rows, "ratio_last")
        verdict = "met" if found <= MEAN_GATE else "MISSED"
        print(f"geometric mean, dense layers: {found:.2f} (gate {MEAN_GATE} {verdict}), to channels_last {last:.2f}")
    if options.save:
        name = "conv" if options.threads == 1 else f"conv_{options.threads}_threads"
        print("written:", save(name, {"rows": rows}).name)


if __name__ == "__main__":
    main()
