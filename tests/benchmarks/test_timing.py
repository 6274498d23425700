"""What is timed is the work alone, by the library that it runs on, in the precision that its name says."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gpu import baselines_attention, baselines_layers, ceilings, timing
from benchmarks.gpu.session import NotHere
from benchmarks.gpu.standin import Rehearsal
from nnx.backend import load_backend


class Clock(Rehearsal):
    """A device whose time passes as functions say."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, []

    def event(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Any:
        def call() -> None:
            self.now += seconds
            self.calls.append(name)

        return call


def test_what_a_call_needs_anew_is_made_before_each_and_not_timed():
    gpu = Clock()
    timer = timing.Timer(gpu, rehearse=True)
    found = timer(gpu.work("call", 1e-3), before=gpu.work("before", 5.0))
    assert found["samples_us"] == pytest.approx([1000.0] * len(found["samples_us"]))
    assert gpu.calls == ["before", "call"] * (len(gpu.calls) // 2)


def test_no_graph_is_kept_for_another_backward_pass():
    torch = pytest.importorskip("torch")
    x = torch.ones(3, requires_grad=True)
    outs = []

    def forward() -> Any:
        outs.append((x * x).exp())
        return outs[-1]

    found = timing.backward(torch, timing.Timer(Rehearsal(), rehearse=True), forward, (x,), torch.ones(3))
    assert found["median_us"] > 0
    assert len(outs) > len(found["samples_us"])
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(outs[-1], (x,), torch.ones(3))


@pytest.mark.parametrize(("precision", "tf32"), [("tf32", True), ("float32", False), ("bfloat16", False)])
def test_the_lstm_runs_in_the_precision_of_its_name(precision, tf32):
    torch = pytest.importorskip("torch")
    seen = []

    def timer(function: Any, before: Any = lambda: None) -> dict[str, Any]:
        before()
        function()
        seen.append(torch.backends.cudnn.allow_tf32)
        return {"median_us": 1.0}

    before = torch.backends.cudnn.allow_tf32
    found = baselines_layers.lstm(Rehearsal(), timer, 4, 2, 3, precision)
    assert (set(seen), found["tf32"]) == ({tf32}, tf32)
    assert torch.backends.cudnn.allow_tf32 == before


def test_the_timer_of_pytorch_s_work_is_pytorch_s(monkeypatch):
    """A timer that is made before PyTorch is there would time by CuPy's events, and need CuPy."""
    gpus = []

    class Part:
        rehearse = True

        def __init__(self) -> None:
            self.gpu = Rehearsal()
            gpus.append(self.gpu)

        def sized(self, usual: Any, tiny: Any) -> Any:
            return tiny

        def measure(self, name: str, function: Any, **facts: Any) -> None:
            if name != "product 4096, CuPy float32":
                function()

    def timer(gpu: Any, **options: Any) -> Any:
        assert "torch" in gpu.__dict__
        return lambda functions: {"median_us": 1.0}

    pytest.importorskip("torch")
    monkeypatch.setattr(ceilings, "Timer", timer)
    ceilings.run(Part())
    assert "cp" not in gpus[0].__dict__


def test_attention_of_nnx_is_measured_once_it_is_there(monkeypatch):
    torch = pytest.importorskip("torch")
    import nnx

    machine = load_backend("simt").machine
    monkeypatch.setattr(machine, "checked", machine.checked)  # which a rehearsal switches off for its process
    shape = (1, 2, 8, 4, True)
    if not hasattr(nnx.functional, "scaled_dot_product_attention"):
        with pytest.raises(NotHere, match="nnx has no attention yet"):
            baselines_attention._missing()

    def attend(q: Any, k: Any, v: Any, *, is_causal: bool) -> Any:
        assert is_causal
        return q * k + v

    monkeypatch.setattr(nnx.functional, "scaled_dot_product_attention", attend, raising=False)
    monkeypatch.setattr(
        baselines_attention,
        "_numbers",
        lambda gpu, shape, count: [torch.randn(*shape[:4]) for _ in range(count)],
    )
    found = baselines_attention.attention(Rehearsal(), timing.Timer(Rehearsal(), rehearse=True), "nnx", shape)
    assert all(found[direction]["tflops"] > 0 for direction in ("forward", "backward"))
