"""EMA and SWA: PyTorch's averages, in and out of the network, and their states."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import WeightsError

UPDATES = 20


class Net(nnx.Module):
    """Parameters of several shapes, a floating-point buffer and an integer one."""

    def __init__(self, backend: Any, values: list[np.ndarray]) -> None:
        self.a, self.b = (nnx.Parameter(backend.asarray(v)) for v in values[:2])
        self.mean = nnx.Buffer(backend.asarray(values[2]))
        self.count = nnx.Buffer(backend.asarray(values[3]))


def draw(rng: np.random.Generator) -> list[np.ndarray]:
    return [
        rng.standard_normal((3, 4)),
        np.asarray(rng.standard_normal()),
        rng.standard_normal(2),
        rng.integers(9, size=1),
    ]


class Pair:
    """The same network in both libraries, and the same changes to it."""

    def __init__(self, xp_backend: Any) -> None:
        torch = pytest.importorskip("torch")
        self.rng, self.backend = np.random.default_rng(0), xp_backend.backend
        start = draw(self.rng)
        self.net = Net(xp_backend.backend, start)
        self.reference = torch.nn.Module()
        for name, value in zip("ab", start, strict=False):
            setattr(self.reference, name, torch.nn.Parameter(torch.tensor(value)))
        for name, value in zip(("mean", "count"), start[2:], strict=True):
            self.reference.register_buffer(name, torch.tensor(value))
        self.torch = torch

    def change(self) -> None:
        for name, value in zip(("a", "b", "mean", "count"), draw(self.rng), strict=True):
            setattr(self.net, name, self.backend.asarray(value))
            getattr(self.reference, name).data = self.torch.tensor(value)

    def compare(self, average: Any, wanted: Any) -> None:
        with average.applied():
            for name, value in wanted.module.state_dict().items():
                found = nnx.to_numpy(getattr(self.net, name))
                np.testing.assert_allclose(found, value.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("decay", [0.999, 0.5, 0.0])
def test_ema_is_torchs(xp_backend: Any, decay: float) -> None:
    pair = Pair(xp_backend)
    utils = pair.torch.optim.swa_utils
    average = nnx.optim.EMA(pair.net, decay)
    wanted = utils.AveragedModel(pair.reference, multi_avg_fn=utils.get_ema_multi_avg_fn(decay))
    for _ in range(UPDATES):
        pair.change()
        average.update()
        wanted.update_parameters(pair.reference)
        pair.compare(average, wanted)


@pytest.mark.parametrize("start", [0, 5])
def test_swa_is_torchs(xp_backend: Any, start: int) -> None:
    pair = Pair(xp_backend)
    average = nnx.optim.SWA(pair.net, start)
    wanted = pair.torch.optim.swa_utils.AveragedModel(pair.reference)
    for update in range(UPDATES):
        pair.change()
        average.update()
        if update >= start:
            wanted.update_parameters(pair.reference)
            pair.compare(average, wanted)
    assert (average.updates, average.n_averaged) == (UPDATES, UPDATES - start)


@pytest.mark.parametrize("kind", ["EMA", "SWA"])
def test_buffers_may_be_averaged_too(xp_backend: Any, kind: str) -> None:
    pair = Pair(xp_backend)
    pair.net.count = pair.backend.asarray(np.asarray([3]))  # torch would average integers, and truncate
    utils = pair.torch.optim.swa_utils
    functions = {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.9)} if kind == "EMA" else {}
    del pair.reference.count
    average = nnx.optim.EMA(pair.net, 0.9, use_buffers=True) if kind == "EMA" else nnx.optim.SWA(pair.net, 0, True)
    wanted = utils.AveragedModel(pair.reference, use_buffers=True, **functions)
    for _ in range(UPDATES):
        for name, value in zip(("a", "b", "mean"), draw(pair.rng), strict=False):
            setattr(pair.net, name, pair.backend.asarray(value))
            getattr(pair.reference, name).data = pair.torch.tensor(value)
        average.update()
        wanted.update_parameters(pair.reference)
    pair.compare(average, wanted)
    with average.applied():
        assert nnx.to_numpy(pair.net.count).tolist() == [3]


def test_warmup_forgets_faster_at_first(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.zeros(2))
    average = nnx.optim.EMA([p], decay=0.4, warmup=True)
    expected = 0.0
    for n in range(12):
        p.value = xp_backend.array([float(n)] * 2)
        average.update()
        decay = 0.0 if n == 0 else min(0.4, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
        with average.applied():
            np.testing.assert_allclose(nnx.to_numpy(p.value), expected, rtol=1e-12)


# ------------------------------------------------------------------ in the network and out again


def test_applied_gives_everything_back(xp_backend: Any) -> None:
    net = Net(xp_backend.backend, draw(np.random.default_rng(0)))
    optimizer = nnx.optim.Adam([net.parameter("a"), net.parameter("b")])
    optimizer.state_dict()  # into flat storage, where there is one
    average = nnx.optim.EMA(net, 0.5)
    average.update()
    held = net.parameter("a").value
    net.a = xp_backend.array(np.ones((3, 4)))
    net.mean = xp_backend.array(np.ones(2))
    before = {name: nnx.to_numpy(v).copy() for name, v in net.state_dict().items()}
    inside: dict[str, np.ndarray] = {}

    def fail_inside() -> None:
        with average.applied():
            inside.update({name: nnx.to_numpy(v).copy() for name, v in net.state_dict().items()})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert not np.allclose(inside["a"], 1.0)
    assert not np.allclose(inside["mean"], 1.0)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(nnx.to_numpy(value), before[name])
    if xp_backend.backend.writable:
        assert net.parameter("a").value is held  # the flat storage is still in use
    with average.applied():
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(nnx.to_numpy(value), inside[name])


def test_an_average_is_no_view_of_the_network() -> None:
    p = nnx.Parameter(np.zeros(2))
    average = nnx.optim.SWA([p])
    average.update()
    p.value[...] = 7.0
    with average.applied():
        assert p.value.tolist() == [0.0, 0.0]
        p.value[...] = 5.0  # what is done to parameters within the block is lost
    with average.applied():
        assert p.value.tolist() == [0.0, 0.0]


def test_what_is_held_of_the_average_keeps_its_values(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.zeros(2))
    average = nnx.optim.EMA([p], 0.5)
    average.update()
    with average.applied():
        held = p.value
    p.value = xp_backend.array([8.0, 8.0])
    average.update()
    average.update()
    wanted = 8.0 if xp_backend.backend.writable else 0.0  # a parameter that is written to in place
    assert nnx.to_numpy(held).tolist() == [wanted, wanted]


def test_it_follows_the_network_to_other_places() -> None:
    net = Net(nnx.get_backend(), draw(np.random.default_rng(0)))
    average = nnx.optim.SWA(net)
    average.update()
    first = net.a.copy()
    net.to("strict")
    average.update()
    net.to("numpy").to("float32")
    with average.applied():
        np.testing.assert_allclose(net.a, first, rtol=1e-6)
        assert net.a.dtype == np.float32
    average.update()
    with average.applied():
        np.testing.assert_allclose(net.a, first, rtol=1e-6)


def test_a_training_run_with_an_average(xp_backend: Any) -> None:
    """The average of the last steps is nearer to the solution than a step of a noisy gradient."""
    rng = np.random.default_rng(0)
    p = xp_backend.parameter(np.ones(50))
    optimizer, average = nnx.optim.SGD([p], lr=0.5), nnx.optim.EMA([p], decay=0.98)
    for _ in range(300):
        optimizer.step([xp_backend.array(nnx.to_numpy(p.value) + rng.standard_normal(50))])
        average.update()
    last = np.abs(nnx.to_numpy(p.value)).mean()
    with average.applied():
        assert np.abs(nnx.to_numpy(p.value)).mean() < last / 3


# ------------------------------------------------------------------ states

KINDS: dict[str, Callable] = {
    "EMA": lambda net: nnx.optim.EMA(net, 0.7),
    "warmup": lambda net: nnx.optim.EMA(net, warmup=True),
    "SWA": lambda net: nnx.optim.SWA(net, start=2),
}


@pytest.mark.parametrize("after", [0, 2, 5])
@pytest.mark.parametrize("kind", list(KINDS))
def test_averaging_goes_on_from_a_saved_state(xp_backend: Any, kind: str, after: int) -> None:
    net, other = (Net(xp_backend.backend, draw(np.random.default_rng(0))) for _ in range(2))
    average, resumed = KINDS[kind](net), KINDS[kind](other)

    def change(update: int) -> None:
        for name, value in zip(("a", "b", "mean", "count"), draw(np.random.default_rng(update)), strict=True):
            for each in (net, other):
                setattr(each, name, xp_backend.array(value))

    for update in range(after):
        change(update)
        average.update()
    state = average.state_dict()
    saved = copy.deepcopy(state)
    resumed.load_state_dict(state)
    for update in range(after, after + 4):
        change(update)
        average.update()
        resumed.update()
    with average.applied(), resumed.applied():
        for name, value in net.state_dict().items():
            np.testing.assert_allclose(nnx.to_numpy(other.state_dict()[name]), nnx.to_numpy(value), rtol=1e-12)
    for name, entry in saved["parameters"].items():  # what was returned is a copy
        np.testing.assert_array_equal(
            nnx.to_numpy(entry["average"]), nnx.to_numpy(state["parameters"][name]["average"])
        )


def test_a_state_that_does_not_fit_is_refused_whole() -> None:
    net = nnx.Linear(2, 1)
    average = nnx.optim.EMA(net)
    average.update()
    state = average.state_dict()
    assert list(state) == ["steps", "parameters"]
    assert list(state["parameters"]) == ["weight", "bias"]
    state["parameters"]["weight"]["average"] = np.zeros((2, 1), "float32")
    state["parameters"]["scale"] = state["parameters"].pop("bias")
    with pytest.raises(WeightsError) as caught:
        average.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "the state does not fit EMA (3 problems, nothing was loaded):",
        "  missing: bias",
        "  unexpected: scale",
        "  weight, average: expected shape (1, 2), got (2, 1)",
    ]
    assert (average.updates, average.n_averaged) == (1, 1)


# ------------------------------------------------------------------ errors

P = nnx.Parameter(np.ones(2))
ARGUMENTS: list[tuple[Callable, type[Exception], str]] = [
    (
        lambda: nnx.optim.EMA([P], 1.0),
        ValueError,
        "EMA: expected decay to be a number from 0 to below 1, got 1.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.EMA([P], "x"),
        TypeError,
        "EMA: expected decay to be a number from 0 to below 1, got 'x'; pass one in that range.",
    ),
    (lambda: nnx.optim.EMA([P], warmup=1), TypeError, "EMA: expected warmup to be True or False, got 1."),
    (lambda: nnx.optim.EMA([P], use_buffers=0), TypeError, "EMA: expected use_buffers to be True or False, got 0."),
    (lambda: nnx.optim.EMA([]), ValueError, "EMA: got no parameters. Pass a module that has some, or"),
    (lambda: nnx.optim.SWA(nnx.ReLU()), ValueError, "SWA: got no parameters."),
    (lambda: nnx.optim.SWA(3), TypeError, "SWA: expected a module or an iterable of parameters, got int."),
    (lambda: nnx.optim.SWA([P], -1), ValueError, "SWA: expected start to be a non-negative integer, got -1."),
    (
        lambda: nnx.optim.SWA([P], 2).applied().__enter__(),
        RuntimeError,
        "SWA.applied: nothing has been averaged yet; call update() after a step first.",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(call: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_within_the_block_there_is_no_update_and_no_other_block() -> None:
    average = nnx.optim.EMA([P])
    average.update()
    with average.applied():
        with pytest.raises(RuntimeError, match=r"EMA.update: the parameters are the averages within applied\(\)"):
            average.update()
        with (
            pytest.raises(RuntimeError, match=r"EMA\.applied: the averages are in place already; leave the other"),
            average.applied(),
        ):
            pass
    average.update()
    assert repr(average) == "EMA(1 arrays, decay=0.999, n_averaged=2)"
    assert repr(nnx.optim.SWA([P], 3)) == "SWA(1 arrays, start=3, n_averaged=0)"
