"""Attention in bfloat16, forward and backward: PyTorch's flash, cuDNN and math, and nnx's beside them.

The batch shrinks as the length grows, at 16k tokens of 2048 numbers in all, as published figures have it. Operations:
4 B H T² D forward, 2.5 times that backward, half with a causal mask.
"""

from __future__ import annotations

from typing import Any

from . import ours, timing
from .session import NotHere, Session
from .timing import Timer

BACKENDS = {"flash": "FLASH_ATTENTION", "cuDNN": "CUDNN_ATTENTION", "math": "MATH"}
OURS = "nnx"
LENGTHS = (1024, 4096, 512, 2048, 8192, 16384)
_TOKENS, _WIDTH = 16384, 2048
_LONGEST_FOR_MATH = 4096  # it keeps all T x T numbers


def run(session: Session) -> None:
    """Measure the shape of GPT-2 first, then the grid."""
    gpu = session.gpu
    if not session.has_torch():
        return
    timer = Timer(gpu, rehearse=session.rehearse)
    if session.rehearse:
        shapes = [(1, 2, 16, 8, True)]
    else:
        shapes = [(16, 12, 1024, 64, True)]
        shapes += [
            (_TOKENS // length, _WIDTH // width, length, width, causal)
            for length in LENGTHS
            for width in (64, 128)
            for causal in (True, False)
        ]
    for backend in ("flash", "cuDNN", OURS, "math"):
        if backend == OURS and _of_nnx() is None:
            session.measure(OURS, _missing, expected=0)
            continue
        for shape in shapes:
            batch, heads, length, width, causal = shape
            if backend == "math" and length > _LONGEST_FOR_MATH:
                continue
            name = f"{backend}, {batch} x {heads} heads, T {length}, D {width}{', causal' if causal else ''}"
            session.measure(
                name,
                lambda backend=backend, shape=shape: attention(gpu, timer, backend, shape),
                expected=3,
                shape=shape,
                backend=backend,
            )


def _of_nnx() -> Any:
    try:
        return getattr(ours.nnx().functional, "scaled_dot_product_attention", None)
    except NotHere:
        return None


def _missing() -> None:
    ours.nnx()
    raise NotHere("nnx has no attention yet")


def attention(gpu: Any, timer: Timer, backend: str, shape: tuple[int, int, int, int, bool]) -> dict[str, Any]:
    """Time one shape, forward and backward, and tell the rate of its operations."""
    batch, heads, length, width, causal = shape
    work = 4.0 * batch * heads * length**2 * width * (0.5 if causal else 1.0)
    forward, backward = (of_nnx if backend == OURS else of_torch)(gpu, timer, backend, shape)
    return {
        "forward": {**forward, "tflops": work / forward["median_us"] / 1e6},
        "backward": {**backward, "tflops": 2.5 * work / backward["median_us"] / 1e6},
    }


def _numbers(gpu: Any, shape: tuple[int, int, int, int, bool], count: int) -> list[Any]:
    torch = gpu.torch
    return [torch.randn(*shape[:4], device=gpu.place, dtype=torch.bfloat16) for _ in range(count)]


def of_torch(gpu: Any, timer: Timer, backend: str, shape: tuple[int, int, int, int, bool]) -> tuple[Any, Any]:
    """Time one backend of PyTorch, which must not choose another."""
    torch = gpu.torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    causal = shape[4]
    q, k, v = (tensor.requires_grad_() for tensor in _numbers(gpu, shape, 3))
    attend = torch.nn.functional.scaled_dot_product_attention
    # On a CPU there is no cuDNN and flash takes other shapes: a rehearsal asks for what there is.
    chosen = SDPBackend.MATH if gpu.rehearsing else getattr(SDPBackend, BACKENDS[backend])
    with sdpa_kernel([chosen]):
        with torch.no_grad():
            forward = timer(lambda: attend(q, k, v, is_causal=causal))
        grad = torch.randn_like(q)
        backward = timing.backward(torch, timer, lambda: attend(q, k, v, is_causal=causal), (q, k, v), grad)
    return forward, backward


def of_nnx(gpu: Any, timer: Timer, backend: str, shape: tuple[int, int, int, int, bool]) -> tuple[Any, Any]:
    """Time nnx's function, whose arguments are those of PyTorch's."""
    nnx, causal, attend = ours.nnx(), shape[4], _of_nnx()
    ours.backend(gpu)
    q, k, v, grad = (gpu.shared(tensor) for tensor in _numbers(gpu, shape, 4))
    forward = timer(lambda: attend(q, k, v, is_causal=causal))
    made: list[Any] = []

    def prepare() -> None:
        made.append(nnx.vjp(lambda *arrays: attend(*arrays, is_causal=causal), q, k, v)[1])

    return forward, timer(lambda: made.pop()(grad), before=prepare)
