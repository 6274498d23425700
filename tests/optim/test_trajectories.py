"""Every optimizer takes the steps that PyTorch's takes, or those of its written-out rule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.dtypes import dtype_name
from nnx.errors import DTypeError
from nnx.optim import schedules
from tests.optim.optimizer_table import COMBINATIONS, ENTRIES, Entry
from tests.optim.references import Group, TorchReference

STEPS = 20
EXECUTION = {
    "params",
    "foreach",
    "fused",
    "capturable",
    "differentiable",
}  # PyTorch's arguments that nnx has no use for
ALL_CASES = [pytest.param(e, options, id=f"{e.name}-{k}") for e in ENTRIES for k, options in enumerate(e.cases())]
every_optimizer = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
in_torch = pytest.mark.parametrize("entry", [e for e in ENTRIES if e.reference is None], ids=lambda entry: entry.name)


@pytest.fixture(autouse=True)
def numbers_in_float64() -> Iterator[None]:
    """PyTorch keeps NAdam's and ASGD's numbers in its default dtype."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Pair:
    """One optimizer of nnx and its reference, with the same parameters and gradients."""

    def __init__(self, xp_backend: Any, entry: Entry, groups: list[Group], **defaults: Any) -> None:
        self.xp_backend, self.entry = xp_backend, entry
        own = [{"params": [xp_backend.parameter(v) for v in values], **options} for values, options in groups]
        self.parameters = [p for group in own for p in group["params"]]
        self.ours = entry.cls(own, **defaults)
        if entry.reference is None:
            self.theirs: Any = TorchReference(entry.name, groups, **defaults)
        else:
            self.theirs = entry.reference([(values, {**self.ours.defaults, **options}) for values, options in groups])

    def step(self, rng: np.random.Generator, missing: tuple[int, ...] = (), lr: float | None = None) -> None:
        grads = [None if i in missing else gradient(rng, p.shape, p.dtype) for i, p in enumerate(self.parameters)]
        for p, g in zip(self.parameters, grads, strict=True):
            p.grad = None if g is None else self.xp_backend.array(g)
        self.ours.step()
        self.theirs.step(grads, lr)

    def change(self, key: str, value: Any) -> None:
        """Give all parameters another value of an option."""
        for group in self.ours.groups:
            group.options[key] = value
        if self.entry.reference is None:
            for group in self.theirs.optimizer.param_groups:
                group[key] = value
        else:
            for options in self.theirs.options:
                options[key] = value

    def compare(self) -> None:
        for p, wanted in zip(self.parameters, self.theirs.values, strict=True):
            np.testing.assert_allclose(nnx.to_numpy(p.value), wanted, rtol=1e-9, atol=1e-12)

    def compare_states(self) -> None:
        """Those that have the same name: PyTorch keeps nothing that is not used, and no count of steps in SGD."""
        found = self.ours.state_dict()["parameters"].values()
        for entry, wanted in zip(found, self.theirs.states, strict=True):
            for key in entry.keys() & wanted.keys():
                a = nnx.to_numpy(entry[key]) if hasattr(entry[key], "shape") else entry[key]
                b = np.sign(wanted[key]) if (self.entry.name, key) == ("Rprop", "prev") else wanted[key]
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=key)


def gradient(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = "float64") -> np.ndarray:
    """Random numbers, a tenth of them zero."""
    g = rng.standard_normal(shape)
    if "complex" in str(dtype):
        g = g + 1j * rng.standard_normal(shape)
    return np.asarray(g * (rng.random(shape) > 0.1))


def values(rng: np.random.Generator, entry: Entry) -> list[np.ndarray]:
    return [np.asarray(rng.standard_normal(shape)) for shape in entry.shapes]


@in_torch
def test_arguments_are_pytorchs(entry: Entry) -> None:
    """Names, order and defaults."""
    torch = pytest.importorskip("torch")
    ours = list(inspect.signature(entry.cls.__init__).parameters.values())[2:]
    theirs = inspect.signature(getattr(torch.optim, entry.name).__init__).parameters
    wanted = [p for p in theirs.values() if p.name not in {"self", *EXECUTION}]
    places = {p.name: k for k, p in enumerate(theirs.values())}
    assert {p.name: p.default for p in ours} == {p.name: p.default for p in wanted}
    by_place = [p.name for p in ours if p.kind is not p.KEYWORD_ONLY]
    assert by_place == [p.name for p in wanted][: len(by_place)]
    assert [places[name] for name in by_place] == list(range(2, len(by_place) + 2))  # nothing left out before them


@every_optimizer
def test_the_table_has_every_argument_and_tries_every_value(entry: Entry) -> None:
    assert list(entry.values) == list(inspect.signature(entry.cls.__init__).parameters)[2:]
    for name, tried in entry.values.items():
        assert len(tried) > 1
        assert {options[name] for options in entry.cases()} == set(tried), name


@pytest.mark.parametrize(("entry", "options"), ALL_CASES)
def test_every_argument(xp_backend: Any, entry: Entry, options: dict) -> None:
    """From the fifth step to the twelfth, some parameters have no gradient, and are behind the others from then on."""
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, entry, [(values(rng, entry), {})], **options)
    for step in range(STEPS):
        resting = tuple(i for i in range(len(entry.shapes)) if 4 <= step < 12 and (step + i) % 3 == 0)
        pair.step(rng, resting)
        pair.compare()
    pair.ours.zero_grad()
    pair.ours.step()  # without gradients nothing moves
    pair.compare()
    pair.compare_states()


@every_optimizer
def test_groups_with_options_of_their_own(xp_backend: Any, entry: Entry) -> None:
    rng = np.random.default_rng(0)
    start = values(rng, entry)
    defaults, *cases = entry.cases()[::-1][:4]
    own = [{name: v for name, v in options.items() if name not in entry.not_by_group} for options in [{}, *cases]]
    pair = Pair(xp_backend, entry, [([v], o) for v, o in zip(start, own, strict=True)], **defaults | entry.every_state)
    for _ in range(STEPS):
        pair.step(rng)
    pair.compare()
    pair.compare_states()


SCHEDULES: dict[str, tuple[Callable, Callable]] = {
    "step": (lambda lr: schedules.step_decay(lr, 3, 0.5), lambda torch, o: torch.StepLR(o, 3, 0.5)),
    "cosine": (lambda lr: schedules.cosine_annealing(lr, 9), lambda torch, o: torch.CosineAnnealingLR(o, 9)),
    "warm-up": (lambda lr: schedules.linear(lr, 0.1, 1.0, 8), lambda torch, o: torch.LinearLR(o, 0.1, 1.0, 8)),
}


@pytest.mark.parametrize("kind", SCHEDULES)
@every_optimizer
def test_a_schedule_is_a_function_of_the_step(xp_backend: Any, entry: Entry, kind: str) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = SCHEDULES[kind]
    lr = entry.values["lr"][0]
    pair = Pair(xp_backend, entry, [(values(rng, entry), {})], lr=lr)
    schedule = pair.ours.lr = ours(lr)
    if entry.reference is None:
        driver = theirs(pytest.importorskip("torch.optim.lr_scheduler"), pair.theirs.optimizer)
    for step in range(STEPS):
        assert pair.ours.lr == schedule(step)
        pair.step(rng, lr=None if entry.reference is None else schedule(step))
        if entry.reference is None:
            driver.step()
    pair.compare()


@every_optimizer
def test_a_rate_of_a_group_may_be_a_schedule(xp_backend: Any, entry: Entry) -> None:
    rng = np.random.default_rng(0)
    first, *rest = values(rng, entry)
    pair = Pair(xp_backend, entry, [([first], {}), (rest, {"lr": 0.3})], lr=0.5)
    pair.ours.groups[1].options["lr"] = lambda step: 0.5
    for _ in range(STEPS):
        pair.step(rng, lr=0.5)
    pair.compare()


@every_optimizer
def test_complex_parameters_are_right_or_refused(xp_backend: Any, entry: Entry) -> None:
    rng = np.random.default_rng(0)
    start = [v + 1j * w for v, w in zip(values(rng, entry), values(rng, entry), strict=True)]
    if not entry.cls.allows_complex:
        with pytest.raises(DTypeError, match=rf"{entry.name}: parameter '0' is complex.*Keep real and imaginary part"):
            entry.cls([xp_backend.parameter(v) for v in start])
        return
    for options in entry.cases():
        pair = Pair(xp_backend, entry, [(start, {})], **options)
        for _ in range(8):
            pair.step(rng)
        pair.compare()
        pair.compare_states()


@every_optimizer
def test_float32_stays_float32(xp_backend: Any, entry: Entry) -> None:
    for options in entry.cases()[-COMBINATIONS:]:
        ends = {}
        for dtype in ("float64", "float32"):
            rng = np.random.default_rng(0)
            parameters = [xp_backend.parameter(v, dtype) for v in values(rng, entry)]
            optimizer = entry.cls(parameters, **options)
            for _ in range(STEPS):
                optimizer.step([xp_backend.array(gradient(rng, p.shape), dtype) for p in parameters])
            ends[dtype] = [nnx.to_numpy(p.value) for p in parameters]
            states = optimizer.state_dict()["parameters"].values()
            arrays = [p.value for p in parameters] + [a for s in states for a in s.values() if hasattr(a, "shape")]
            assert {dtype_name(a.dtype) for a in arrays} == {dtype}
        for a, b in zip(ends["float32"], ends["float64"], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@every_optimizer
@pytest.mark.parametrize("saved", [False, True])
def test_options_may_change_on_the_way(xp_backend: Any, entry: Entry, saved: bool) -> None:
    """Some states are kept in a scale that depends on options; what they stand for must survive, also in a file."""
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, entry, [(values(rng, entry), {})], **entry.every_state)
    fixed = {*entry.every_state, *entry.not_by_group, *entry.at_once}
    changes = dict(zip((0, 4, 9, 13, 17), entry.cases()[::-1], strict=False))
    for step in range(STEPS):
        for key, value in changes.get(step, {}).items():
            if key not in fixed:
                pair.change(key, value)
        if saved and step in changes and step:
            pair.compare_states()
            pair.ours.load_state_dict(pair.ours.state_dict())
        pair.step(rng, missing=(0,) if step == 6 else ())
    pair.compare()


@every_optimizer
def test_subsets_at_different_steps_of_a_long_vector(xp_backend: Any, entry: Entry) -> None:
    """More than one block of the flat vector, with untouched parameters between touched ones."""
    rng = np.random.default_rng(0)
    pair = Pair(xp_backend, entry, [([rng.standard_normal(n) for n in entry.long], {})], lr=0.1)
    for missing in ((), (0,), (1, 2), (3,), ()):
        pair.step(rng, missing)
    pair.compare()


def test_a_variance_that_rounding_makes_negative_is_zero(xp_backend: Any) -> None:
    """Where all gradients are alike: PyTorch divides by the root of a negative number then."""
    p = xp_backend.parameter(np.zeros(1000), "float32")
    optimizer = nnx.optim.RMSprop([p], centered=True, alpha=0.5)
    g = np.random.default_rng(0).standard_normal(1000)
    for _ in range(60):
        optimizer.step([xp_backend.array(g, "float32")])
    assert np.isfinite(nnx.to_numpy(p.value)).all()


def test_the_average_of_asgd_is_an_array_of_its_own() -> None:
    """Where parameters are not views, who holds one keeps its values; the average is written to."""
    p = nnx.Parameter(nnx.asarray(np.ones(3), backend="strict"))
    optimizer = nnx.optim.ASGD([p], lr=0.5, lambd=0.0, t0=0)
    held = []
    for _ in range(4):
        optimizer.step([nnx.asarray(np.ones(3), backend="strict")])
        held.append(p.value)
    assert [nnx.to_numpy(value)[0] for value in held] == [0.5, 0.0, -0.5, -1.0]
    assert nnx.to_numpy(optimizer.state_dict()["parameters"]["0"]["ax"])[0] == -0.5


# ------------------------------------------------------------------ styles of training


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
