"""nnx's kernels beside convolution: each against its roofline and against PyTorch, on the same numbers.

The bare operations are timed, forward and backward. A kernel that nnx does not have yet is written down as that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from . import ceilings, ours, roofline, timing
from .convolution import Wanted, our_precision, torch_precision
from .session import NotHere, Session
from .timing import Timer

Maker = Callable[[Any, Any], "Case"]


class Case(NamedTuple):
    """One piece of work: nnx's primitive with its arguments, PyTorch's function, and the traffic of each direction.

    `arguments` are tensors, of which nnx gets the memory, and what is no array. `gradients` tells which of them want
    one. `passes` are the bytes that have to move, forward and backward; `flops` the operations.
    """

    primitive: str
    arguments: tuple
    gradients: tuple[int, ...]
    torch: Callable[[], Any]
    leaves: tuple
    passes: tuple[float, float]
    flops: float = 0.0
    unit: str = "float32"
    grad: Any = None


def run(session: Session) -> None:
    """Measure all of them in float32, then in bfloat16, nnx after PyTorch."""
    gpu = session.gpu
    if not session.has_torch():
        return
    timer = Timer(gpu, rehearse=session.rehearse)
    limits = ceilings.known(session, timer)
    for dtype in ("float32", "bfloat16"):
        for name, make in CASES.items():
            if dtype == "bfloat16" and name in _FLOAT32_ONLY:
                continue
            for library, measure in (("torch", of_torch), ("nnx", of_nnx)):
                session.measure(
                    f"{name}, {dtype}: {library}",
                    lambda measure=measure, make=make, dtype=dtype: measure(
                        session, timer, limits, make(session, dtype)
                    ),
                    expected=3,
                    library=library,
                    case=f"{name}, {dtype}",
                )
            gpu.free()


def _random(session: Session, shape: tuple[int, ...], dtype: str) -> Any:
    torch = session.gpu.torch
    return torch.randn(shape, device=session.gpu.place).to(getattr(torch, dtype))


def _finished(found: dict[str, Any], case: Case, limits: dict[str, float]) -> dict[str, Any]:
    for part, moved in zip(("forward", "backward"), case.passes, strict=True):
        if part in found:
            work = case.flops * (2 if part == "backward" else 1)
            least = roofline.floor(limits, bytes_moved=moved, flops=work, unit=case.unit)
            found[part]["floor"] = least
            found[part]["of_floor"] = roofline.achieved(found[part], least)
            found[part]["gb_per_s"] = moved / found[part]["median_us"] / 1e3
    return found


def of_torch(session: Session, timer: Timer, limits: dict[str, float], case: Case) -> dict[str, Any]:
    """Time PyTorch, eager; tf32 is not allowed."""
    torch = session.gpu.torch
    with torch_precision(session.gpu, "float32"):
        if not case.leaves:
            with torch.no_grad():
                return _finished({"forward": timer(case.torch)}, case, limits)
        with torch.no_grad():
            found = {"forward": timer(case.torch)}
        grad = case.grad if case.grad is not None else torch.randn_like(case.torch())
        found["backward"] = timing.backward(torch, timer, case.torch, case.leaves, grad)
        return _finished(found, case, limits)


def of_nnx(session: Session, timer: Timer, limits: dict[str, float], case: Case) -> dict[str, Any]:
    """Time nnx's kernel; tell how far its output is from PyTorch's."""
    gpu, torch = session.gpu, session.gpu.torch
    kernel = ours.backend(gpu).kernels.get(case.primitive)
    if kernel is None:
        raise NotHere(f"nnx has no kernel for {case.primitive} here")
    arguments = tuple(gpu.shared(a) if isinstance(a, torch.Tensor) else a for a in case.arguments)
    with our_precision("float32"):
        reason = kernel.supports(*arguments)
        if reason:
            raise NotHere(f"the kernel refuses: {reason}")
        out, kept = kernel.forward(*arguments)
        found: dict[str, Any] = {}
        if case.leaves:
            with torch_precision(gpu, "float32"):
                found["error"] = _error(gpu, out, case.torch)
        found["forward"] = timer(lambda: kernel.forward(*arguments))
        if case.gradients:
            grad = case.grad if case.grad is not None else torch.randn_like(gpu.tensor(out))
            given = gpu.shared(grad)
            arrays = [i for i, a in enumerate(case.arguments) if a is None or isinstance(a, torch.Tensor)]
            needs = tuple(Wanted() if i in case.gradients else None for i in arrays)
            found["backward"] = timer(lambda: kernel.backward(given, kept, needs))
    return _finished(found, case, limits)


def _error(gpu: Any, out: Any, reference: Callable[[], Any]) -> Any:
    wanted = reference().detach().float()
    found = gpu.tensor(out).float()
    if tuple(found.shape) != tuple(wanted.shape):
        # PyTorch's images have their channels second; a view has them last.
        wanted = wanted.permute(0, *range(2, wanted.ndim), 1)
    return float((found - wanted).norm() / wanted.norm())


# ------------------------------------------------------------------ the cases


def _images(session: Session, dtype: str, size: int, channels: int) -> tuple[Any, Any]:
    """Return images (N, H, W, C) and the view that PyTorch takes, a leaf in channels_last."""
    shape = session.sized((128, size, size, channels), (2, 6, 6, 8))
    x = _random(session, shape, dtype)
    return x, x.permute(0, 3, 1, 2).requires_grad_()


def max_pool(session: Session, dtype: str) -> Case:
    """The pooling of ResNet-50's stem."""
    x, leaf = _images(session, dtype, 112, 64)
    out = ((x.shape[1] + 1) // 2,) * 2
    function = session.gpu.torch.nn.functional.max_pool2d
    large, small = x.numel() * x.element_size(), x.numel() // 4 * x.element_size()
    arguments = (x, (3, 3), (2, 2), (1, 1), (1, 1), out)
    return Case("max_pool", arguments, (0,), lambda: function(leaf, 3, 2, 1), (leaf,), (large + small, large + small))


def global_average(session: Session, dtype: str) -> Case:
    """The average over whole images at the end of ResNet-50."""
    x, leaf = _images(session, dtype, 7, 2048)
    n = x.shape[1]
    function = session.gpu.torch.nn.functional.avg_pool2d
    moved = x.numel() * x.element_size()
    arguments = (x, (n, n), (n, n), (0, 0), (1, 1), ((n,), (n,)))
    return Case("avg_pool", arguments, (0,), lambda: function(leaf, n), (leaf,), (moved, moved))


def average_pool(session: Session, dtype: str) -> Case:
    """Averages of 2 x 2."""
    x, leaf = _images(session, dtype, 56, 256)
    n = x.shape[1] // 2
    function = session.gpu.torch.nn.functional.avg_pool2d
    moved = x.numel() * x.element_size() * 1.25
    arguments = (x, (2, 2), (2, 2), (0, 0), (n, n), ((2,) * n, (2,) * n))
    return Case("avg_pool", arguments, (0,), lambda: function(leaf, 2), (leaf,), (moved, moved))


def batch_norm(session: Session, dtype: str) -> Case:
    """Batch normalisation while training: forward two reads and a write, backward four reads and a write."""
    x, leaf = _images(session, dtype, 56, 256)
    torch = session.gpu.torch
    w, b = (torch.randn(x.shape[-1], device=session.gpu.place).requires_grad_() for _ in range(2))
    function = torch.nn.functional.batch_norm
    size = x.numel() * x.element_size()
    arguments = (x, w.detach(), b.detach(), 1e-5, [])
    run_torch = lambda: function(leaf, None, None, w, b, True)  # noqa: E731
    return Case("batch_norm", arguments, (0, 1, 2), run_torch, (leaf, w, b), (3 * size, 5 * size))


def batch_norm_relu(session: Session, dtype: str) -> Case:
    """The same with a residual and ReLU: one read more forward; backward the output is read and a gradient written."""
    x, leaf = _images(session, dtype, 56, 256)
    other, other_leaf = _images(session, dtype, 56, 256)
    torch = session.gpu.torch
    w, b = (torch.randn(x.shape[-1], device=session.gpu.place).requires_grad_() for _ in range(2))
    function = torch.nn.functional.batch_norm
    size = x.numel() * x.element_size()
    arguments = (x, w.detach(), b.detach(), other, 1e-5, [])
    run_torch = lambda: torch.relu(function(leaf, None, None, w, b, True) + other_leaf)  # noqa: E731
    leaves = (leaf, w, b, other_leaf)
    return Case("batch_norm_relu", arguments, (0, 1, 2, 3), run_torch, leaves, (4 * size, 7 * size))


def linear(session: Session, dtype: str) -> Case:
    """The first product of GPT-2's feed-forward layers, with a bias."""
    rows, inputs, outputs = session.sized((16384, 768, 3072), (8, 16, 8))
    torch = session.gpu.torch
    x, w = _random(session, (rows, inputs), dtype), _random(session, (outputs, inputs), dtype)
    b = _random(session, (outputs,), dtype)
    leaves = tuple(t.detach().requires_grad_() for t in (x, w, b))
    moved = (x.numel() + w.numel() + rows * outputs) * x.element_size()
    run_torch = lambda: torch.nn.functional.linear(*leaves)  # noqa: E731
    work = 2.0 * rows * inputs * outputs
    return Case("linear", (x, w, b), (0, 1, 2), run_torch, leaves, (moved, 2 * moved), work, dtype)


def layer_norm(session: Session, dtype: str) -> Case:
    """Rows of 768, one read and one write forward, two reads and a write backward."""
    rows, width = session.sized((65536, 768), (8, 16))
    torch = session.gpu.torch
    x, w, b = _random(session, (rows, width), dtype), *(_random(session, (width,), dtype) for _ in range(2))
    leaves = tuple(t.detach().requires_grad_() for t in (x, w, b))
    size = x.numel() * x.element_size()
    run_torch = lambda: torch.nn.functional.layer_norm(leaves[0], (width,), *leaves[1:])  # noqa: E731
    return Case("layer_norm", (x, w, b, 1, 1e-5), (0, 1, 2), run_torch, leaves, (2 * size, 3 * size))


def cross_entropy(session: Session, dtype: str) -> Case:
    """Scores of 50,304 classes: a read forward, a read and a write backward."""
    rows, classes = session.sized((8192, 50304), (8, 16))
    torch = session.gpu.torch
    x = _random(session, (rows, classes), dtype)
    y = torch.randint(0, classes, (rows,), device=session.gpu.place)
    leaf = x.detach().requires_grad_()
    size = x.numel() * x.element_size()
    run_torch = lambda: torch.nn.functional.cross_entropy(leaf, y)  # noqa: E731
    arguments = (x, y, None, -100, "mean", 0.0)
    grad = torch.ones((), device=session.gpu.place, dtype=x.dtype)
    return Case("cross_entropy", arguments, (0,), run_torch, (leaf,), (size, 2 * size), grad=grad)


def adam(session: Session, dtype: str) -> Case:
    """A step over 124 M numbers: four reads and three writes of 4 bytes."""
    n = session.sized(124_000_000, 100)
    gpu = session.gpu
    torch = gpu.torch
    p, g, mean = (_random(session, (n,), dtype) for _ in range(3))
    square = _random(session, (n,), dtype).square()
    leaf = torch.randn(n, device=gpu.place, requires_grad=True)
    leaf.grad = torch.randn_like(leaf)
    chosen = {} if gpu.rehearsing else {"fused": True}
    step = torch.optim.AdamW([leaf], lr=1e-3, **chosen).step
    numbers = (0.999, 1.0, 0.0, 0.9, 0.999, 1e-8, 1e-3)
    return Case("adam", (p, g, mean, square, *numbers), (), step, (), (28.0 * n, 0.0))


def dropout(session: Session, dtype: str) -> Case:
    """What is kept, given the mask; PyTorch draws its own meanwhile."""
    n = session.sized(1 << 26, 64)
    torch = session.gpu.torch
    x = _random(session, (n,), dtype)
    mask = torch.rand(n, device=session.gpu.place) < 0.9
    run_torch = lambda: torch.nn.functional.dropout(x, 0.1)  # noqa: E731
    return Case("masked_scale", (x, mask, 1 / 0.9), (), run_torch, (), ((2.0 * x.element_size() + 1) * n, 0.0))


def draw_mask(session: Session, dtype: str) -> Case:
    """Drawing a mask of Philox's numbers: a byte each is written."""
    n = session.sized(1 << 26, 64)
    torch = session.gpu.torch
    like = torch.zeros(1, device=session.gpu.place)
    room = torch.empty(n, device=session.gpu.place, dtype=torch.bool)
    run_torch = lambda: room.bernoulli_(0.9)  # noqa: E731
    return Case("draw_mask", (like, (0, 3), 0, (n,), 0.9), (), run_torch, (), (1.0 * n, 0.0))


def draw_uniform(session: Session, dtype: str) -> Case:
    """Uniform numbers of 4 bytes."""
    n = session.sized(1 << 26, 64)
    torch = session.gpu.torch
    like = torch.zeros(1, device=session.gpu.place)
    room = torch.empty(n, device=session.gpu.place)
    return Case("draw_uniform", (like, (0, 3), 0, (n,)), (), room.uniform_, (), (4.0 * n, 0.0))


CASES: dict[str, Maker] = {
    "batch_norm": batch_norm,
    "batch_norm + residual + ReLU": batch_norm_relu,
    "max_pool 3x3, stride 2": max_pool,
    "global average": global_average,
    "avg_pool 2x2": average_pool,
    "linear 16384 x 768 x 3072": linear,
    "AdamW, 124 M": adam,
    "dropout": dropout,
    "mask of dropout": draw_mask,
    "uniform numbers": draw_uniform,
    "layer_norm": layer_norm,
    "cross_entropy": cross_entropy,
}
_FLOAT32_ONLY = ("AdamW, 124 M", "mask of dropout", "uniform numbers")
