"""Training steps as a user sees them, by the wall clock: PyTorch eager and compiled, as a graph, and nnx.

A step is forward, backward and the optimizer's update, over batches that lie on the device. PyTorch's convolutions may
use tf32 and its products may not, as it comes; ResNet-50 and GPT-2 run in autocast to bfloat16.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import networks, ours, timing
from .session import NotHere, Session

MODES = ("eager", "CUDA graph by hand", "compile reduce-overhead", "compile default")


class Work(NamedTuple):
    """A network, the shape of its input without the batch, what a step is made of, and the precision of products."""

    name: str
    build: str
    batch: int
    shape: tuple[int, ...]
    optimizer: str
    ours: str
    precision: str = "float32"


SMALL = (
    Work("MNIST MLP 784-128-10", "mlp", 32, (28, 28, 1), "Adam", "mlp"),
    Work("LeNet-5", "lenet", 64, (28, 28, 1), "SGD", "LeNet5"),
    Work("ResNet-20", "resnet20", 64, (32, 32, 3), "SGD", "resnet20"),
)
RESNET50 = Work("ResNet-50 bfloat16", "resnet50_network", 128, (224, 224, 3), "SGD", "resnet50", "bfloat16")
GPT2 = {"layers": 12, "width": 768, "heads": 12, "vocabulary": 50304, "length": 1024}
_TINY_GPT = {"layers": 1, "width": 16, "heads": 2, "vocabulary": 32, "length": 8}


def run(session: Session) -> None:
    """Measure eager steps and nnx's first; compilers last, since they may not start at all."""
    for work in (*SMALL, RESNET50):
        for how in ("eager", "CUDA graph"):
            session.measure(f"{work.name}, nnx {how}", lambda w=work, h=how: of_nnx(session, w, h), expected=6)
    if not session.has_torch():
        return
    for mode in MODES:
        for work in SMALL:
            session.measure(
                f"{work.name}, torch {mode}",
                lambda w=work, m=mode: of_torch(session, w, m),
                expected=6 if "compile" not in mode else 40,
                limit=180,
            )
        if mode == "eager":
            session.measure(f"{RESNET50.name}, torch eager", lambda: of_torch(session, RESNET50, "eager"), expected=15)
        if mode != "CUDA graph by hand":
            session.measure(
                f"GPT-2 124M bfloat16, torch {mode}",
                lambda m=mode: gpt2(session, m),
                expected=15 if "compile" not in mode else 60,
                limit=240,
            )


def _seconds(session: Session) -> float:
    return session.sized(1.5, 0.001)


def batches_of(work: Work, batch: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return random batches, features last."""
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((batch, *work.shape), dtype=np.float32), rng.integers(0, 10, batch)) for _ in range(4)]


def of_torch(session: Session, work: Work, mode: str) -> dict[str, Any]:
    """Time the steps of a network for images in PyTorch."""
    gpu = session.gpu
    torch = gpu.torch
    torch.backends.cudnn.benchmark = True
    batch = session.sized(work.batch, 2)
    sizes = {}
    if session.rehearse and work is RESNET50:
        work, sizes = work._replace(shape=(32, 32, 3)), {"width": 8}
    net = getattr(networks, work.build)(torch, **sizes).to(gpu.place, memory_format=torch.channels_last)
    batches = [
        (torch.from_numpy(x).to(gpu.place).permute(0, 3, 1, 2), torch.from_numpy(y).to(gpu.place))
        for x, y in batches_of(work, batch)
    ]
    optimizer = _optimizer(gpu, work.optimizer, net, capturable=mode == "CUDA graph by hand")

    def loss_of(x: Any, y: Any) -> Any:
        with torch.autocast(gpu.place, dtype=torch.bfloat16, enabled=work.precision == "bfloat16"):
            return torch.nn.functional.cross_entropy(net(x), y)

    step = _step(gpu, loss_of, optimizer, batches, mode)
    found = timing.steps(gpu, step, seconds=_seconds(session), blocks=session.sized(7, 2))
    return {**found, "batch": batch, "samples_per_s": batch / found["median_us"] * 1e6, **_flags(torch)}


def _optimizer(gpu: Any, name: str, net: Any, capturable: bool = False) -> Any:
    torch = gpu.torch
    fused = {} if gpu.rehearsing else {"fused": True}
    if name == "SGD":
        return torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, **fused)
    if capturable and not gpu.rehearsing:
        fused["capturable"] = True
    return getattr(torch.optim, name)(net.parameters(), lr=1e-3, **fused)


def _flags(torch: Any) -> dict[str, bool]:
    backends = torch.backends
    return {"tf32 convolutions": backends.cudnn.allow_tf32, "tf32 products": backends.cuda.matmul.allow_tf32}


def _step(gpu: Any, loss_of: Callable, optimizer: Any, batches: list, mode: str) -> Callable[[], Any]:
    if mode == "CUDA graph by hand":
        # A graph reads from where it was captured: what a new batch is copied to.
        x, y = (tensor.clone() for tensor in batches[0])

        def captured() -> None:
            optimizer.zero_grad(set_to_none=True)
            loss_of(x, y).backward()
            optimizer.step()

        replay = gpu.torch_captured(captured)
        turns = itertools.cycle(batches)

        def replayed() -> None:
            new_x, new_y = next(turns)
            x.copy_(new_x)
            y.copy_(new_y)
            replay()

        return replayed
    if mode.startswith("compile "):
        loss_of = gpu.compiled(loss_of, mode.removeprefix("compile "))
    mark = getattr(gpu.torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    turns = itertools.cycle(batches)

    def step() -> None:
        new_x, new_y = next(turns)
        if mode == "compile reduce-overhead":
            mark()
        optimizer.zero_grad(set_to_none=True)
        loss_of(new_x, new_y).backward()
        optimizer.step()

    return step


def gpt2(session: Session, mode: str) -> dict[str, Any]:
    """Time a step of GPT-2 124M."""
    gpu = session.gpu
    torch = gpu.torch
    sizes, batch = session.sized(GPT2, _TINY_GPT), session.sized(16, 2)
    length, vocabulary = sizes["length"], sizes["vocabulary"]
    net = networks.gpt(torch, **sizes).to(gpu.place)
    ids = [torch.randint(0, vocabulary, (batch, length + 1), device=gpu.place) for _ in range(4)]
    batches = [(each[:, :-1].contiguous(), each[:, 1:].contiguous()) for each in ids]

    def loss_of(x: Any, y: Any) -> Any:
        with torch.autocast(gpu.place, dtype=torch.bfloat16):
            scores = net(x)
            return torch.nn.functional.cross_entropy(scores.view(-1, vocabulary), y.reshape(-1))

    step = _step(gpu, loss_of, _optimizer(gpu, "AdamW", net), batches, mode)
    found = timing.steps(gpu, step, seconds=session.sized(4.0, 0.001), blocks=session.sized(5, 2), warm_up=3)
    count = sum(p.numel() for p in net.parameters())
    return {
        **found,
        "batch": batch,
        "parameters": count,
        "tokens_per_s": batch * length / found["median_us"] * 1e6,
        **_flags(torch),
    }


def of_nnx(session: Session, work: Work, how: str) -> dict[str, Any]:
    """Time the steps of a network for images in nnx on the device."""
    nnx, gpu = ours.nnx(), session.gpu
    reduced = work.precision != "float32"
    if reduced and not hasattr(nnx, "autocast"):
        raise NotHere(f"nnx has no autocast to {work.precision} yet")
    ours.backend(gpu)
    batch = session.sized(work.batch, 1)
    if session.rehearse and work.shape[2] == 3:
        work = work._replace(shape=(8, 8, 3))
    with nnx.use_backend(gpu.backend):
        nnx.seed(0)
        net = _ours(nnx, work.ours)
        batches = [(nnx.asarray(x), nnx.asarray(y)) for x, y in batches_of(work, batch)]
        if work.optimizer == "SGD":
            optimizer = nnx.optim.SGD(net, lr=1e-3, momentum=0.9)
        else:
            optimizer = getattr(nnx.optim, work.optimizer)(net, lr=1e-3)
        turns = itertools.cycle(batches)

        def of(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            with nnx.record(), nnx.autocast(work.precision) if reduced else contextlib.nullcontext():
                loss = nnx.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        if how == "CUDA graph":
            if not hasattr(nnx, "compile"):
                raise NotHere("nnx has no nnx.compile yet")
            of = nnx.compile(of)
        step = lambda: of(*next(turns))  # noqa: E731
        blocks = session.sized(7, 2)
        found = timing.steps(gpu, step, seconds=_seconds(session), blocks=blocks, warm_up=session.sized(5, 1))
    return {**found, "batch": batch, "samples_per_s": batch / found["median_us"] * 1e6, "explain": nnx.explain()}


def _ours(nnx: Any, name: str) -> Any:
    if name == "mlp":
        return nnx.Sequential(nnx.Flatten(), nnx.Linear(784, 128), nnx.ReLU(), nnx.Linear(128, 10))
    return getattr(nnx.models, name)()
