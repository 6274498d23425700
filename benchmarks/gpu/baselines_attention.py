"""PyTorch's attention in bfloat16: flash, cuDNN and math, forward and backward.

The batch shrinks as the length grows, at 16k tokens of 2048 numbers in all, as published figures have it. Operations:
4 B H T² D forward, 2.5 times that backward, half with a causal mask.
"""

from __future__ import annotations

from typing import Any

from .session import Session
from .timing import Timer

BACKENDS = {"flash": "FLASH_ATTENTION", "cuDNN": "CUDNN_ATTENTION", "math": "MATH"}
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
    for backend in BACKENDS:
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


def attention(gpu: Any, timer: Timer, backend: str, shape: tuple[int, int, int, int, bool]) -> dict[str, Any]:
    """Time one shape on one backend of PyTorch, which must not choose another."""
    torch = gpu.torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    batch, heads, length, width, causal = shape
    q, k, v = (
        torch.randn(batch, heads, length, width, device=gpu.place, dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )
    attend = torch.nn.functional.scaled_dot_product_attention
    work = 4.0 * batch * heads * length**2 * width * (0.5 if causal else 1.0)
    # On a CPU there is no cuDNN and flash takes other shapes: a rehearsal asks for what there is.
    chosen = SDPBackend.MATH if gpu.rehearsing else getattr(SDPBackend, BACKENDS[backend])
    with sdpa_kernel([chosen]):
        with torch.no_grad():
            forward = timer(lambda: attend(q, k, v, is_causal=causal))
        out = attend(q, k, v, is_causal=causal)
        grad = torch.randn_like(out)
        backward = timer(lambda: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True))
    return {
        "forward": {**forward, "tflops": work / forward["median_us"] / 1e6},
        "backward": {**backward, "tflops": 2.5 * work / backward["median_us"] / 1e6},
    }
