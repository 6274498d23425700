"""SGD, Adam and AdamW take the steps that PyTorch's take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx

STEPS = 20
SHAPES = [(3, 4), (5,), (), (2, 1, 3)]
OPTIONS: list[tuple[str, dict]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 0.1, "weight_decay": 0.2, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.5, 0.9)}),
    ("Adam", {"lr": 0.05, "betas": (0.0, 0.0), "eps": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "betas": (0.9, 0.5)}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "maximize": True, "eps": 1e-3}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.5}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.0, "betas": (0.8, 0.95), "eps": 1e-2}),
    ("AdamW", {"lr": 0.05, "amsgrad": True, "maximize": True}),
]


def values(rng: np.random.Generator) -> list[np.ndarray]:
    return [np.asarray(rng.standard_normal(shape)) for shape in SHAPES]


class Pair:
    """The same parameters and gradients in both libraries."""

    def __init__(self, xp_backend: Any, start: list[np.ndarray]) -> None:
        self.torch = pytest.importorskip("torch")
        self.xp_backend = xp_backend
        self.ours = [xp_backend.parameter(v) for v in start]
        self.theirs = [self.torch.nn.Parameter(self.torch.tensor(v)) for v in start]

    def set_gradients(self, rng: np.random.Generator, missing: tuple[int, ...] = ()) -> None:
        for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            g = np.asarray(rng.standard_normal(p.shape))
            p.grad = None if i in missing else self.xp_backend.array(g)
            q.grad = None if i in missing else self.torch.tensor(g)

    def compare(self) -> None:
        for p, q in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(nnx.to_numpy(p.value), q.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
@pytest.mark.parametrize("gaps", [False, True])
def test_every_option(xp_backend: Any, name: str, options: dict, gaps: bool) -> None:
    """Also with parameters that have no gradient at some steps."""
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, values(rng))
    ours = getattr(nnx.optim, name)(pair.ours, **options)
    theirs = getattr(pair.torch.optim, name)(pair.theirs, **{"lr": 1e-3, **options})
    for step in range(STEPS):
        missing = tuple(i for i in range(len(SHAPES)) if gaps and (step + i) % 3 == 0)
        pair.set_gradients(rng, missing)
        ours.step()
        theirs.step()
        pair.compare()
        if step % 7 == 6:
            ours.zero_grad()
            ours.step()  # without gradients nothing moves
            pair.compare()


@pytest.mark.parametrize(
    ("name", "own"), [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True, "betas": (0.5, 0.6)})]
)
def test_groups_with_options_of_their_own(xp_backend: Any, name: str, own: dict) -> None:
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, values(rng))

    def groups(p: list) -> list[dict]:
        return [{"params": p[:2]}, {"params": p[2:3], **own}, {"params": iter(p[3:]), "lr": 0.5, "weight_decay": 0.1}]

    ours = getattr(nnx.optim, name)(groups(pair.ours), lr=0.1)
    theirs = getattr(pair.torch.optim, name)(groups(pair.theirs), lr=0.1)
    for _ in range(STEPS):
        pair.set_gradients(rng)
        ours.step()
        theirs.step()
    pair.compare()


def test_a_schedule_is_a_function_of_the_step(xp_backend: Any) -> None:
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, values(rng))

    def schedule(step: int) -> float:
        return 0.1 / (1 + step)

    ours = nnx.optim.AdamW(pair.ours, lr=schedule)
    theirs = pair.torch.optim.AdamW(pair.theirs, lr=1.0)
    for step in range(STEPS):
        assert ours.lr == schedule(step)
        theirs.param_groups[0]["lr"] = schedule(step)
        pair.set_gradients(rng)
        ours.step()
        theirs.step()
    pair.compare()


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("saved", [False, True])
def test_options_may_change_on_the_way(xp_backend: Any, name: str, saved: bool) -> None:
    """The state is kept in a scale that depends on betas; what it stands for must survive, also a visit to a file."""
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, values(rng))
    ours = getattr(nnx.optim, name)(pair.ours, lr=0.05)
    theirs = getattr(pair.torch.optim, name)(pair.theirs, lr=0.05)
    changes = {5: {"betas": (0.5, 0.9)}, 9: {"lr": 0.01}, 12: {"betas": (0.95, 0.99), "weight_decay": 0.1}}
    for step in range(STEPS):
        for key, value in changes.get(step, {}).items():
            ours.groups[0].options[key] = theirs.param_groups[0][key] = value
        if saved and step in changes:
            state = ours.state_dict()
            for i, q in enumerate(pair.theirs):
                for key in ("exp_avg", "exp_avg_sq"):
                    found = nnx.to_numpy(state["parameters"][str(i)][key])
                    np.testing.assert_allclose(found, theirs.state[q][key].numpy(), rtol=1e-9, atol=1e-15)
            ours.load_state_dict(state)
        pair.set_gradients(rng)
        ours.step()
        theirs.step()
    pair.compare()


def test_subsets_at_different_steps_of_a_long_vector(xp_backend: Any) -> None:
    """More than one block of the flat vector, with untouched parameters between touched ones."""
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, [rng.standard_normal(n) for n in (40_000, 1, 30_001, 7)])
    ours, theirs = nnx.optim.Adam(pair.ours, lr=0.1), pair.torch.optim.Adam(pair.theirs, lr=0.1)
    for missing in ((), (0,), (1, 2), (3,), ()):
        pair.set_gradients(rng, missing)
        ours.step()
        theirs.step()
    pair.compare()


def _network(xp_backend: Any, dtype: str = "float64") -> nnx.Module:
    nnx.seed(0)
    return nnx.Sequential(nnx.Linear(3, 5), nnx.GELU(), nnx.Linear(5, 2)).to(dtype).to(xp_backend.backend.name)


STYLES: dict[str, Callable] = {}


def style(f: Callable) -> Callable:
    STYLES[f.__name__.strip("_")] = f
    return f


@style
def _tape(net: Any, loss_of: Any, optimizer: Any) -> None:
    with nnx.record():
        loss = loss_of(net)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


@style
def _dict(net: Any, loss_of: Any, optimizer: Any) -> None:
    _, grads = nnx.value_and_grad(loss_of)(net)
    optimizer.step(grads)


@style
def _list(net: Any, loss_of: Any, optimizer: Any) -> None:
    _, grads = nnx.value_and_grad(loss_of)(net)
    optimizer.step(list(grads.values()))


@style
def _closure(net: Any, loss_of: Any, optimizer: Any) -> None:
    def closure() -> Any:
        optimizer.zero_grad()
        with nnx.record():
            loss = loss_of(net)
        loss.backward()
        return loss

    assert optimizer.step(closure).shape == ()


def test_all_styles_of_training_agree(xp_backend: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = xp_backend.array(rng.standard_normal((8, 3))), xp_backend.array(rng.standard_normal((8, 2)))
    ends = {}
    for name, one_step in STYLES.items():
        net = _network(xp_backend)
        optimizer = nnx.optim.Adam(net, lr=0.1)
        for _ in range(5):
            one_step(net, lambda n: nnx.functional.mse_loss(n(x), y), optimizer)
        ends[name] = nnx.to_numpy(net(x))
    for found in ends.values():
        np.testing.assert_allclose(found, ends["tape"], rtol=1e-12)
    assert not np.allclose(ends["tape"], nnx.to_numpy(_network(xp_backend)(x)))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_float32_stays_float32(xp_backend: Any, name: str) -> None:
    p = xp_backend.parameter(np.ones(3), "float32")
    optimizer = getattr(nnx.optim, name)([p], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.step([xp_backend.array(np.ones(3), "float32")])
    state = optimizer.state_dict()["parameters"]["0"]
    for array in (p.value, *[v for k, v in state.items() if k != "step"]):
        assert str(array.dtype).endswith("float32")
