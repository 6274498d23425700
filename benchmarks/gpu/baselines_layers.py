"""PyTorch's layers beside convolution and attention: cuDNN's LSTM, layer_norm, cross_entropy, fused AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import timing
from .convolution import PRECISIONS, torch_precision
from .session import Session
from .timing import Timer

ROWS, WIDTH, CLASSES = 65536, 768, 50304
PARAMETERS = 124_000_000


def run(session: Session) -> None:
    """Measure each eager first; compilers take long to start, so what they make comes last."""
    gpu = session.gpu
    if not session.has_torch():
        return
    timer = Timer(gpu, rehearse=session.rehearse)
    sizes = session.sized((ROWS, WIDTH), (8, 16))
    logits = session.sized((16384, CLASSES), (8, 16))
    for mode in ("eager", "compiled"):
        for dtype in ("bfloat16", "float32"):
            for name, measure, shape in (("layer_norm", layer_norm, sizes), ("cross_entropy", cross_entropy, logits)):
                session.measure(
                    f"{name} {shape[0]} x {shape[1]}, {dtype}, {mode}",
                    lambda measure=measure, shape=shape, dtype=dtype, mode=mode: measure(
                        gpu, timer, shape, dtype, mode
                    ),
                    expected=3 if mode == "eager" else 20,
                    limit=120,
                )
        for kind in ("fused", "foreach"):
            if mode == "eager" or kind == "foreach":
                for tensors, each in session.sized(((148, PARAMETERS // 148), (100, 1000)), ((3, 5),)):
                    session.measure(
                        f"AdamW {kind}, {tensors} x {each}, {mode}",
                        lambda t=tensors, e=each, k=kind, m=mode: adamw(gpu, timer, t, e, k, m),
                        expected=3 if mode == "eager" else 30,
                        limit=150,
                    )
        if mode == "eager":
            for hidden, batch, steps in session.sized(((128, 64, 100), (512, 64, 100), (1024, 64, 100)), ((4, 2, 3),)):
                for precision in PRECISIONS:
                    session.measure(
                        f"LSTM 2 x {hidden}, batch {batch}, {steps} steps, {precision}",
                        lambda h=hidden, b=batch, s=steps, p=precision: lstm(gpu, timer, h, b, s, p),
                        expected=4,
                    )


def _both(timer: Timer, forward: Callable[[], Any], leaves: tuple, torch: Any) -> dict[str, Any]:
    """Time forward without a tape, then backward alone."""
    with torch.no_grad():
        first = timer(forward)
        out = forward()
    grad = torch.randn_like(out) if out.ndim else torch.ones_like(out)
    return {
        "forward": first,
        "backward": timing.backward(torch, timer, forward, leaves, grad),
        # A compiled forward saves what its backward needs, so the two belong together.
        "forward and backward": timer(lambda: torch.autograd.grad(forward(), leaves, grad)),
    }


def layer_norm(gpu: Any, timer: Timer, shape: tuple[int, int], dtype: str, mode: str) -> dict[str, Any]:
    """Time layer_norm over rows; the least traffic is one read and one write, and two reads and a write backward."""
    torch = gpu.torch
    kind = getattr(torch, dtype)
    x = torch.randn(shape, device=gpu.place).to(kind).requires_grad_()
    w, b = (torch.randn(shape[1], device=gpu.place).to(kind).requires_grad_() for _ in range(2))
    function = torch.nn.functional.layer_norm
    if mode == "compiled":
        function = gpu.compiled(function, "default")
    found = _both(timer, lambda: function(x, (shape[1],), w, b), (x, w, b), torch)
    size = x.numel() * x.element_size()
    for part, passes in (("forward", 2), ("backward", 3)):
        found[part]["gb_per_s"] = passes * size / found[part]["median_us"] / 1e3
    return found


def cross_entropy(gpu: Any, timer: Timer, shape: tuple[int, int], dtype: str, mode: str) -> dict[str, Any]:
    """Time cross_entropy of rows of scores."""
    torch = gpu.torch
    x = torch.randn(shape, device=gpu.place).to(getattr(torch, dtype)).requires_grad_()
    y = torch.randint(0, shape[1], (shape[0],), device=gpu.place)
    function = torch.nn.functional.cross_entropy
    if mode == "compiled":
        function = gpu.compiled(function, "default")
    found = _both(timer, lambda: function(x, y), (x,), torch)
    size = x.numel() * x.element_size()
    for part, passes in (("forward", 1), ("backward", 2)):
        found[part]["gb_per_s"] = passes * size / found[part]["median_us"] / 1e3
    return found


def adamw(gpu: Any, timer: Timer, tensors: int, each: int, kind: str, mode: str) -> dict[str, Any]:
    """Time a step of AdamW in float32: 28 bytes an element at least."""
    torch = gpu.torch
    parameters = [torch.randn(each, device=gpu.place, requires_grad=True) for _ in range(tensors)]
    for p in parameters:
        p.grad = torch.randn_like(p)
    # Fused steps of PyTorch exist on CUDA devices alone for some versions; a rehearsal takes what there is.
    fused = kind == "fused" and not gpu.rehearsing
    chosen = {"fused": True} if fused else {"foreach": True}
    if mode == "compiled" and not gpu.rehearsing:
        chosen["capturable"] = True
    step = torch.optim.AdamW(parameters, lr=1e-3, **chosen).step
    if mode == "compiled":
        step = gpu.compiled(step, "default")
    found = timer(step)
    return {**found, "gb_per_s": 28.0 * tensors * each / found["median_us"] / 1e3}


def lstm(gpu: Any, timer: Timer, hidden: int, batch: int, steps: int, precision: str) -> dict[str, Any]:
    """Time two layers of cuDNN's LSTM; its float32 is tf32 unless that is forbidden, so the two are told apart."""
    torch = gpu.torch
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    net = torch.nn.LSTM(hidden, hidden, 2).to(gpu.place, kind)
    x = torch.randn(steps, batch, hidden, device=gpu.place).to(kind).requires_grad_()
    with torch_precision(gpu, precision):
        found = _both(timer, lambda: net(x)[0], (x, *net.parameters()), torch)
        return {**found, "tf32": torch.backends.cudnn.allow_tf32}
