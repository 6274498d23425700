"""Optimizers: the names of parameters, and everything that is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, MixedBackendsError, ShapeError
from tests.optim.optimizer_table import ENTRIES, OWN_TESTS, WRAPPERS, Entry

# ------------------------------------------------------------------ names


def test_names_of_parameters() -> None:
    def names(parameters: Any) -> list[str]:
        return list(nnx.optim.SGD(parameters).state_dict()["parameters"])

    a, b = nnx.Linear(2, 2), nnx.Linear(2, 2)
    assert names(a) == names(a.parameters()) == names(a.named_parameters()) == ["weight", "bias"]
    assert names([*a.parameters(), *b.parameters()]) == ["0", "1", "2", "3"]
    assert names([{"params": a}, {"params": b.parameters()}]) == ["0", "1", "2", "3"]
    assert names([nnx.Parameter(np.ones(1)), nnx.Parameter(np.ones(1))]) == ["0", "1"]
    assert names({"x": a.parameter("weight")}) == ["x"]
    assert names([{"params": a.parameters()}, {"params": [("scale", nnx.Parameter(np.ones(1)))]}]) == [
        "weight",
        "bias",
        "scale",
    ]


# ------------------------------------------------------------------ errors


P = nnx.Parameter(np.ones(2))
ARGUMENTS: list[tuple[Callable, type[Exception], str]] = [
    (
        lambda: nnx.optim.SGD([]),
        ValueError,
        "SGD: got no parameters. Pass a module that has some, or module.parameters().",
    ),
    (lambda: nnx.optim.SGD(nnx.ReLU()), ValueError, "SGD: got no parameters."),
    (lambda: nnx.optim.SGD(P), TypeError, "got one Parameter; pass [parameter]."),
    (lambda: nnx.optim.SGD(3), TypeError, "SGD: expected a module or an iterable of parameters, got int."),
    (lambda: nnx.optim.SGD("net"), TypeError, "SGD: expected a module or an iterable of parameters, got str."),
    (lambda: nnx.optim.SGD([np.ones(2)]), TypeError, "SGD: expected parameters, got ndarray. Pass the module itself"),
    (lambda: nnx.optim.SGD([P, P]), ValueError, "appears twice; a parameter may be in one group only."),
    (lambda: nnx.optim.SGD([{"params": [P]}, {"params": [P]}]), ValueError, "a parameter may be in one group only."),
    (lambda: nnx.optim.SGD([{"lr": 1.0}]), KeyError, "SGD: a group needs the key \"params\"; got 'lr'."),
    (
        lambda: nnx.optim.SGD([{"params": [P], "betas": (0, 0)}]),
        TypeError,
        "SGD: unknown option 'betas'; it has lr, momentum, dampening, weight_decay, nesterov, maximize.",
    ),
    (
        lambda: nnx.optim.SGD([("a", P), ("a", nnx.Parameter(np.ones(1)))]),
        ValueError,
        "SGD: two parameters are named 'a'; pass pairs of distinct names.",
    ),
    (
        lambda: nnx.optim.SGD([P], lr=-1.0),
        ValueError,
        "SGD: expected lr to be a number of at least 0, got -1.0; pass such as lr=0.1, or a schedule.",
    ),
    (
        lambda: nnx.optim.SGD([P], lr=float("nan")),
        ValueError,
        "SGD: expected lr to be a number of at least 0, got nan; pass such as lr=0.1, or a schedule.",
    ),
    (
        lambda: nnx.optim.SGD([P], lr=True),
        TypeError,
        "SGD: expected lr to be a number of at least 0, got True; pass such as lr=0.1, or a schedule.",
    ),
    (
        lambda: nnx.optim.SGD([P], dampening="x"),
        TypeError,
        "SGD: expected dampening to be a number of at least 0, got 'x'; pass one in that range.",
    ),
    (
        lambda: nnx.optim.SGD([P], dampening=-1),
        ValueError,
        "SGD: expected dampening to be a number of at least 0, got -1; pass one in that range.",
    ),
    (lambda: nnx.optim.SGD([P], nesterov="x"), TypeError, "SGD: expected nesterov to be True or False, got 'x'."),
    (lambda: nnx.optim.SGD([P], maximize=1), TypeError, "SGD: expected maximize to be True or False, got 1."),
    (lambda: nnx.optim.AdamW([P], amsgrad="no"), TypeError, "AdamW: expected amsgrad to be True or False, got 'no'."),
    (lambda: nnx.optim.Adam([P], maximize="x"), TypeError, "Adam: expected maximize to be True or False, got 'x'."),
    (
        lambda: nnx.optim.Adam([P], lr="fast"),
        TypeError,
        "Adam: expected lr to be a number of at least 0, got 'fast'; pass such as lr=0.1, or a schedule.",
    ),
    (
        lambda: nnx.optim.SGD([P], momentum=1.0),
        ValueError,
        "SGD: expected momentum to be a number from 0 to below 1, got 1.0; pass one in that range.",
    ),
    (lambda: nnx.optim.SGD([P], nesterov=True), ValueError, "nesterov=True needs a momentum above 0 and dampening=0."),
    (
        lambda: nnx.optim.SGD([P], weight_decay=-1),
        ValueError,
        "SGD: expected weight_decay to be a number of at least 0, got -1; pass one in that range.",
    ),
    (
        lambda: nnx.optim.Adam([P], betas=(0.9, 1.0)),
        ValueError,
        "Adam: expected betas[1] to be a number from 0 to below 1, got 1.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.AdamW([P], betas=(-0.1, 0.9)),
        ValueError,
        "AdamW: expected betas[0] to be a number from 0 to below 1",
    ),
    (
        lambda: nnx.optim.Adam([P], betas=0.9),
        TypeError,
        "Adam: expected betas to be a pair of numbers, got 0.9; pass betas=(..., ...).",
    ),
    (
        lambda: nnx.optim.Adam([P], eps=0.0),
        ValueError,
        "Adam: expected eps to be a number above 0, got 0.0; a zero gradient would give NaN; pass such as eps=1e-8.",
    ),
    (
        lambda: nnx.optim.Adam([P], weight_decay=-1.0),
        ValueError,
        "Adam: expected weight_decay to be a number of at least 0, got -1.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.Adam([{"params": [P], "lr": -1}]),
        ValueError,
        "Adam: expected lr to be a number of at least 0, got -1; pass such as lr=0.1, or a schedule.",
    ),
    (
        lambda: nnx.optim.Adagrad([P], eps=0.0),
        ValueError,
        "Adagrad: expected eps to be a number above 0, got 0.0; a zero gradient would give NaN; pass such as eps=1e-8.",
    ),
    (
        lambda: nnx.optim.RMSprop([P], eps=0.0),
        ValueError,
        "RMSprop: expected eps to be a number above 0, got 0.0; a zero gradient would give NaN; pass such as eps=1e-8.",
    ),
    (
        lambda: nnx.optim.RMSprop([P], alpha=1.0),
        ValueError,
        "RMSprop: expected alpha to be a number from 0 to below 1, got 1.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.RMSprop([P], momentum=1),
        ValueError,
        "RMSprop: expected momentum to be a number from 0 to below 1, got 1; pass one in that range.",
    ),
    (
        lambda: nnx.optim.Adadelta([P], rho=1.0),
        ValueError,
        "Adadelta: expected rho to be a number from 0 to below 1, got 1.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.Rprop([P], etas=(1.2, 0.5)),
        ValueError,
        "Rprop: expected etas to be a factor between 0 and 1 and one above 1, got (1.2, 0.5); such as (0.5, 1.2).",
    ),
    (lambda: nnx.optim.Rprop([P], etas=(0.0, 1.2)), ValueError, "Rprop: expected etas to be a factor between 0 and 1"),
    (lambda: nnx.optim.Rprop([P], etas=(0.5, 1.0)), ValueError, "Rprop: expected etas to be a factor between 0 and 1"),
    (
        lambda: nnx.optim.Rprop([P], step_sizes=(50, 1e-6)),
        ValueError,
        "Rprop: expected step_sizes to be the smallest and the largest, got (50, 1e-06); swap them.",
    ),
]


@pytest.mark.parametrize(("make", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(make: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value.args[0])


every_optimizer = pytest.mark.parametrize("entry", [*ENTRIES, *OWN_TESTS], ids=lambda entry: entry.name)


def test_no_optimizer_is_left_out() -> None:
    classes = {
        name: cls
        for name, cls in vars(nnx.optim).items()
        if isinstance(cls, type) and issubclass(cls, nnx.optim.Optimizer) and cls is not nnx.optim.Optimizer
    }
    assert set(classes) == {entry.name for entry in [*ENTRIES, *OWN_TESTS]} | WRAPPERS
    for entry in [*ENTRIES, *OWN_TESTS]:
        assert set(inspect.signature(entry.cls).parameters) == {"parameters", *entry.values}


NO_BOUND = {("LAMB", "trust_clip"), ("Adafactor", "d"), ("ASGD", "t0")}  # infinity is as good as no bound there


def parameter(entry: Entry) -> nnx.Parameter:
    return nnx.Parameter(np.ones(entry.shapes[0]))


@every_optimizer
def test_parameters_of_every_optimizer_are_checked(entry: Entry) -> None:
    p = parameter(entry)
    with pytest.raises(ValueError, match=rf"{entry.name}: got no parameters. Pass a module that has some, or module"):
        entry.cls([])
    with pytest.raises(ValueError, match=rf"{entry.name}: got no parameters"):
        entry.cls([{"params": []}, {"params": [], "lr": 1.0}])
    with pytest.raises(
        ValueError, match=rf"{entry.name}: parameter '?\w+'? appears twice; a parameter may be in one group"
    ):
        entry.cls([{"params": [parameter(entry), p]}, {"params": [p]}])
    with pytest.raises(TypeError, match=rf"{entry.name}: unknown option 'speed'; it has {', '.join(entry.values)}"):
        entry.cls([{"params": [p], "speed": 1.0}])
    with pytest.raises(
        TypeError, match=rf"{entry.name}: expected a module or an iterable of parameters, got one Param"
    ):
        entry.cls(p)


@every_optimizer
def test_options_of_every_optimizer_are_checked(entry: Entry) -> None:
    """Whether they are given for all parameters, for a group, or changed on the way."""
    for name, tried in entry.values.items():
        if name in entry.checked_elsewhere:
            continue
        bad: list[tuple[Any, type[Exception], str]]
        if isinstance(tried[0], bool):
            bad = [(1, TypeError, f"{name} to be True or False"), ("yes", TypeError, f"{name} to be True or False")]
        elif isinstance(tried[0], tuple):
            bad = [(0.5, TypeError, f"{name} to be a pair"), ((0.5,) * 3, TypeError, f"{name} to be a pair")]
            for k in range(2):
                for value in (-0.1, float("nan"), *((1.0,) if name == "betas" else ())):
                    broken = tuple(value if i == k else item for i, item in enumerate(tried[0]))
                    bad.append((broken, ValueError, rf"{name}\[{k}\] to be .*, got {value};"))
                broken = tuple("x" if i == k else item for i, item in enumerate(tried[0]))
                bad.append((broken, TypeError, rf"{name}\[{k}\] to be .*, got 'x';"))
        else:
            bad = [(value, ValueError, rf"{name} to be .*, got {value}") for value in (-0.1, float("nan"))]
            bad += [(value, TypeError, rf"{name} to be .*, got {value!r};") for value in ("x", None, True)]
            if (entry.name, name) not in NO_BOUND:
                bad.append((float("inf"), ValueError, f"{name} to be a (finite )?number .*, got inf;"))
        for value, error, text in bad:
            text = f"^{entry.name}: expected {text}"
            with pytest.raises(error, match=text):
                entry.cls([parameter(entry)], **{name: value})
            with pytest.raises(error, match=text):
                entry.cls([{"params": [parameter(entry)], name: value}])
            if not entry.refuses_groups:
                with pytest.raises(error, match=text):
                    entry.cls([{"params": [parameter(entry)]}, {"params": [parameter(entry)], name: value}])
            optimizer = entry.cls([parameter(entry)])
            optimizer.groups[0].options[name] = value
            with pytest.raises(error, match=text):
                entry.step(optimizer, np.ones(entry.shapes[0]))


GRADS: list[tuple[Any, type[Exception], str]] = [
    ({"wieght": np.ones(2)}, KeyError, "SGD.step: no parameter is named 'wieght'; the names are weight, bias."),
    ([np.ones((2, 3))], ValueError, "SGD.step: expected 2 gradients, one per parameter, got 1."),
    (
        {"weight": np.ones((2, 3)), "bias": np.ones(3)},
        ShapeError,
        "SGD.step, gradient of bias: expected shape (2,), got (3,).",
    ),
    (
        {"bias": np.ones(2, "f4")},
        DTypeError,
        "SGD.step, gradient of bias: expected dtype float64, got float32; cast it first.",
    ),
    ({"bias": nnx.asarray(np.ones(2), backend="strict")}, MixedBackendsError, "SGD.step, gradient of bias: expected"),
    ({"bias": [1.0, 2.0]}, TypeError, "SGD.step, gradient of bias: expected an array, got list; use nnx.asarray(x)."),
    (
        3,
        TypeError,
        "SGD.step: expected gradients by name, a list of them, or a closure, got int. After backward(), call step() "
        "without an argument.",
    ),
    ("bias", TypeError, "SGD.step: expected gradients by name, a list of them, or a closure, got str."),
    (np.ones(2), TypeError, "SGD.step: expected gradients by name, a list of them, or a closure, got ndarray."),
]


@pytest.mark.parametrize(("grads", "error", "text"), GRADS)
def test_gradients_are_checked_before_anything_changes(grads: Any, error: type[Exception], text: str) -> None:
    layer = nnx.Linear(3, 2, dtype="float64")
    optimizer = nnx.optim.SGD(layer, lr=0.1)
    before = {name: array.copy() for name, array in layer.state_dict().items()}
    with pytest.raises(error) as caught:
        optimizer.step(grads)
    assert text in str(caught.value.args[0])
    assert all(p.grad is None for p in layer.parameters())
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_gradients_by_name_may_be_a_part() -> None:
    layer = nnx.Linear(3, 2, dtype="float64")
    before = {name: array.copy() for name, array in layer.state_dict().items()}
    nnx.optim.SGD(layer, lr=1.0).step({"bias": np.ones(2), "weight": None})
    np.testing.assert_array_equal(layer.bias, before["bias"] - 1)
    np.testing.assert_array_equal(layer.weight, before["weight"])


def test_an_option_that_adds_a_state_needs_a_new_optimizer() -> None:
    optimizer = nnx.optim.SGD([nnx.Parameter(np.ones(2))], lr=0.1)
    optimizer.step([np.ones(2)])
    optimizer.groups[0].options["momentum"] = 0.9
    with pytest.raises(ValueError, match=r"SGD: an option changed .* \(momentum_buffer now\); make a new optimizer"):
        optimizer.step([np.ones(2)])


def test_a_changed_option_is_checked_at_the_next_step() -> None:
    parameter = nnx.Parameter(np.ones(2, "f4"))
    optimizer = nnx.optim.SGD([parameter], lr=0.5)
    optimizer.groups[0].options["lr"] = "fast"
    with pytest.raises(
        TypeError,
        match=r"lr to be a number of at least 0, got .fast.; pass such as lr=0\.1, or a schedule\.",
    ):
        optimizer.step([np.ones(2, "f4")])
    optimizer.groups[0].options["lr"] = np.float64(0.25)
    optimizer.step([np.ones(2, "f4")])
    assert parameter.value.tolist() == [0.75, 0.75]


# ------------------------------------------------------------------ numbers


def test_the_learning_rate_can_be_assigned() -> None:
    a, b = nnx.Parameter(np.ones(1)), nnx.Parameter(np.ones(1))
    optimizer = nnx.optim.SGD([{"params": [a]}, {"params": [b], "lr": 5.0}], lr=1.0)
    optimizer.lr = 0.25
    assert optimizer.lr == 0.25
    assert "lr=0.25" in repr(optimizer)
    optimizer.step([np.ones(1), np.ones(1)])
    assert (a.value.tolist(), b.value.tolist()) == ([0.75], [0.75])
    optimizer.lr = lambda step: step / 2
    optimizer.step([np.ones(1), np.ones(1)])
    assert (a.value.tolist(), b.value.tolist()) == ([0.25], [0.25])
    with pytest.raises(
        ValueError, match=r"SGD: expected lr to be a number of at least 0, got -1; pass such as lr=0\.1, or"
    ):
        optimizer.lr = -1
    assert optimizer.lr == 1.0


@pytest.mark.parametrize("cls", [np.float32, np.float64, np.int64, Fraction])
def test_any_real_number_is_an_option(xp_backend: Any, cls: type) -> None:
    """And it changes no dtype: a NumPy scalar would promote a float32 array, and other libraries refuse it."""
    one, zero = cls(1), cls(0)
    for optimizer in (
        nnx.optim.SGD([xp_backend.parameter(np.zeros(2), "float32")], one, zero, zero, one),
        nnx.optim.Adam([xp_backend.parameter(np.zeros(2), "float32")], one, [zero, zero], one, one),
    ):
        (parameter,) = optimizer.groups[0].parameters
        optimizer.step([xp_backend.array(np.full(2, -3.0), "float32")])
        assert parameter.dtype == xp_backend.xp.float32
        expected = 3.0 if isinstance(optimizer, nnx.optim.SGD) else 0.75
        assert nnx.to_numpy(parameter.value).tolist() == [expected] * 2
        assert all(type(value) in (bool, int, float, tuple) for value in optimizer.groups[0].options.values())


def test_repr() -> None:
    assert repr(nnx.optim.SGD([P], lr=0.1)).startswith("SGD(1 parameters, lr=0.1, momentum=0.0")
