"""What the card can do: bandwidth of its memory, rates of its matrix units on random data.

Everything else is held against these figures. Bytes are counted read plus written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .session import Session
from .timing import Timer

BYTES = 4 << 30
SIZES = (8192, 4096)
# name -> (dtype of PyTorch, whether tf32 is allowed)
PRODUCTS = {
    "bfloat16": ("bfloat16", False),
    "tf32": ("float32", True),
    "float32": ("float32", False),
    "float16": ("float16", False),
}


def run(session: Session) -> None:
    """Measure bandwidth, then products."""
    timer = None

    def begun() -> Timer:
        nonlocal timer
        if timer is None:
            _ = session.gpu.torch  # before the timer is made, which times by the library that is there
        timer = timer or Timer(session.gpu, seconds=1.0, rehearse=session.rehearse)
        return timer

    size = session.sized(BYTES, 1 << 14)
    for name in ("copy", "read", "write"):
        session.measure(f"memory, {name}", lambda name=name: bandwidth(session.gpu, begun(), name, size), expected=4)
    for n in session.sized(SIZES, (32,)):
        for name in PRODUCTS:
            session.measure(
                f"product {n}, {name}", lambda n=n, name=name: product(session.gpu, begun(), n, name), expected=3
            )
    session.measure("product 4096, CuPy float32", lambda: cupy_product(session), expected=3)


def bandwidth(gpu: Any, timer: Timer, name: str, size: int) -> dict[str, Any]:
    """Time a copy, a sum or a fill of some bytes."""
    torch = gpu.torch
    x = torch.empty(size // 4, device=gpu.place).normal_()
    y = torch.empty_like(x)
    works: dict[str, tuple[Callable[[], Any], int]] = {
        "copy": (lambda: y.copy_(x), 2),
        "read": (lambda: torch.sum(x), 1),
        "write": (lambda: y.fill_(1.5), 1),
    }
    work, passes = works[name]
    found = timer(work)
    return {**found, "gb_per_s": passes * size / found["median_us"] / 1e3}


def product(gpu: Any, timer: Timer, n: int, name: str) -> dict[str, Any]:
    """Time an n x n x n matrix product of PyTorch, which cuBLAS computes."""
    torch = gpu.torch
    dtype, tf32 = PRODUCTS[name]
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        pairs = [[torch.randn(n, n, device=gpu.place).to(getattr(torch, dtype)) for _ in range(2)] for _ in range(2)]
        found = timer([lambda a=a, b=b: a @ b for a, b in pairs])
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return {**found, "tflops": 2 * n**3 / found["median_us"] / 1e6}


def cupy_product(session: Session) -> dict[str, Any]:
    """Time CuPy's own product: does it reach the same library?"""
    gpu, n = session.gpu, session.sized(4096, 32)
    cp = gpu.cp
    a, b = (cp.asarray(cp.random.random((n, n)), dtype="float32") for _ in range(2))
    found = Timer(gpu, rehearse=session.rehearse)(lambda: cp.matmul(a, b))
    return {**found, "tflops": 2 * n**3 / found["median_us"] / 1e6}


def known(session: Session, timer: Timer) -> dict[str, float]:
    """Return the ceilings by name, in GB/s and TFLOP/s: as measured in the part of that name, else measured now."""
    found: dict[str, float] = {}
    size, n = session.sized(BYTES, 1 << 14), session.sized(SIZES[0], 32)
    names = {"memory": "memory, copy", **{name: f"product {n}, {name}" for name in PRODUCTS}}
    for name, measured in names.items():
        value = session.known("ceilings", measured) or session.known(session.part, measured)
        if value is None and name == "memory":
            value = session.measure(measured, lambda: bandwidth(session.gpu, timer, "copy", size), expected=3)
        elif value is None:
            value = session.measure(measured, lambda name=name: product(session.gpu, timer, n, name), expected=3)
        if value is not None:
            found[name] = value["gb_per_s" if name == "memory" else "tflops"]
    return found
