"""Weight constraints, `Module.constrain`, and training under them."""

import copy

import numpy as np
import pytest

import nnx
from nnx import constraints
from nnx.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from nnx.errors import DTypeError, ShapeError, StaleParameterError
from tests.tolerances import assert_close

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(5, 3)) * np.asarray([[0.1], [1.0], [3.0], [0.0], [10.0]])
KERNEL = RNG.normal(size=(4, 3, 2, 2))


def by_rows(weight, change):
    """Scale each row, all axes but the first, so that its norm becomes ``change(norm)``: one loop, no broadcasting."""
    rows = [row * (change(norm) / norm if (norm := np.sqrt((row**2).sum())) else 1.0) for row in weight]
    return np.stack(rows)


CASES = [
    (MaxNorm(1.5), lambda norm: min(norm, 1.5)),
    (UnitNorm(), lambda norm: 1.0),
    (MinMaxNorm(0.5, 2.0), lambda norm: min(max(norm, 0.5), 2.0)),
    (MinMaxNorm(0.5, 2.0, rate=0.25), lambda norm: 0.25 * min(max(norm, 0.5), 2.0) + 0.75 * norm),
]


@pytest.mark.parametrize(("constraint", "change"), CASES)
@pytest.mark.parametrize("weight", [MATRIX, KERNEL])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_against_the_definition(xp_backend, constraint, change, weight, dtype):
    found = constraint(xp_backend.array(weight, dtype=dtype))
    assert_close(found, by_rows(weight, change).astype(dtype))
    assert nnx.backend.device(found) == nnx.backend.device(xp_backend.array(weight))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_negative_weights(xp_backend, dtype):
    assert_close(NonNeg()(xp_backend.array(MATRIX, dtype=dtype)), np.maximum(MATRIX, 0).astype(dtype))


@pytest.mark.parametrize(("axis", "axes"), [(0, (0,)), (-1, (3,)), ((1, -1), (1, 3)), ([0, 1, 2], (0, 1, 2))])
def test_other_axes(xp_backend, axis, axes):
    norm = np.sqrt((KERNEL**2).sum(axis=axes, keepdims=True))
    assert_close(UnitNorm(axis)(xp_backend.array(KERNEL)), KERNEL / norm)


def test_keras_axis_0_on_its_transposed_kernel_is_the_default(xp_backend):
    assert_close(MaxNorm(1.0, axis=0)(xp_backend.array(MATRIX.T)), nnx.to_numpy(MaxNorm(1.0)(MATRIX)).T)


def test_a_weight_within_the_bounds_keeps_its_bits():
    weight = np.asarray([[0.1, 0.7], [1e-30, 0.3]], dtype="float32")
    for constraint in (MaxNorm(1.0), MinMaxNorm(0.0, 1.0), MinMaxNorm(0.0, 1.0, rate=0.3), NonNeg()):
        np.testing.assert_array_equal(constraint(weight), weight)


@pytest.mark.parametrize("constraint", [MaxNorm(1.5), UnitNorm(), MinMaxNorm(0.5, 2.0), NonNeg()])
def test_applied_twice_is_applied_once(constraint):
    once = constraint(MATRIX)
    assert_close(constraint(once), once)


def test_nothing_comes_of_nothing(xp_backend):
    for constraint in (MaxNorm(1.0), UnitNorm(), MinMaxNorm(0.5, 1.0), NonNeg()):
        for shape in ((0, 3), (3, 0), (2, 2)):
            assert_close(constraint(xp_backend.array(np.zeros(shape))), np.zeros(shape))


def test_norms_of_half_precision_do_not_overflow():
    weight = np.full((1, 4), 200.0, dtype="float16")  # its squares are beyond float16
    assert_close(MaxNorm(100.0)(weight), np.full((1, 4), 50.0, dtype="float16"))


@pytest.mark.parametrize("size", [1e30, 1e-30, 3e38, 1e-44])
def test_norms_of_single_precision_neither_overflow_nor_vanish(xp_backend, size):
    weight = xp_backend.array([[size, 0.0], [-size, 0.0]], "float32")
    assert_close(UnitNorm()(weight), np.asarray([[1.0, 0.0], [-1.0, 0.0]], "float32"))
    if 1e-44 < size < 1e38:
        both = xp_backend.array([[size, size]], "float32")
        assert_close(UnitNorm()(both), np.full((1, 2), 0.5**0.5, "float32"))
        expected = both if size < 1 else np.full((1, 2), 0.5**0.5, "float32")
        assert_close(MaxNorm(1.0)(both), expected)
        assert_close(MinMaxNorm(1.0, 1.0)(both), np.full((1, 2), 0.5**0.5, "float32"))


def test_complex_weights_have_norms_but_no_sign():
    weight = np.asarray([[3.0 + 0.0j, 4.0j]])
    assert_close(UnitNorm()(weight), weight / 5)
    with pytest.raises(DTypeError, match="NonNeg: expected a real weight, got dtype complex128"):
        NonNeg()(weight)


# ------------------------------------------------------------------ on a module


def test_constraints_apply_to_the_parameters_that_match(xp_backend):
    net = nnx.Sequential(nnx.Linear(3, 2), nnx.Linear(2, 2))
    before = {name: nnx.to_numpy(array) for name, array in net.state_dict().items()}
    assert not net.constrained
    assert net.constrain(UnitNorm(), "0.weight") is net
    assert net.constrained
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(nnx.to_numpy(array), before[name])  # constrain itself changes nothing
    net.apply_constraints()
    for name, array in net.state_dict().items():
        norm = np.linalg.norm(before[name], axis=1, keepdims=True) if name == "0.weight" else 1.0
        np.testing.assert_allclose(nnx.to_numpy(array), before[name] / norm, rtol=1e-6)


def test_constraints_of_inner_modules_count_and_outer_ones_go_first():
    layer = nnx.Linear(1, 1, bias=False).constrain(lambda w: w + 1.0, "weight")
    net = nnx.Sequential(layer).constrain(lambda w: w * 2.0).constrain(lambda w: w * w)
    layer.weight = np.asarray([[3.0]], dtype="float32")
    net.apply_constraints()
    assert float(layer.weight[0, 0]) == (3.0 * 2.0) ** 2 + 1.0
    assert net.parameter("0.weight").name == "0.weight"


def test_frozen_parameters_are_left_alone():
    net = nnx.Sequential(nnx.Linear(3, 2), nnx.Linear(2, 2)).constrain(UnitNorm(), "*.weight")
    frozen = net[0].freeze().weight.copy()
    net.apply_constraints()
    np.testing.assert_array_equal(net[0].weight, frozen)
    np.testing.assert_allclose(np.linalg.norm(net[1].weight, axis=1), 1.0, rtol=1e-6)


def test_a_tied_parameter_is_changed_once():
    net = nnx.Sequential(nnx.Linear(2, 2, bias=False), nnx.Linear(2, 2, bias=False)).constrain(lambda w: w * 2.0)
    net[1].weight = net[0].parameter("weight")
    before = net[0].weight.copy()
    net.apply_constraints()
    np.testing.assert_array_equal(net[1].weight, before * 2)


def test_a_copy_keeps_its_constraints_to_itself():
    net = nnx.Sequential(nnx.Linear(2, 2)).constrain(UnitNorm(), "*.weight")
    twin = copy.deepcopy(net).constrain(NonNeg())
    assert (len(net._constraints), len(twin._constraints)) == (1, 2)


def test_a_graph_from_before_is_outdated():
    layer = nnx.Linear(2, 2).constrain(UnitNorm(), "weight")
    with nnx.record():
        loss = nnx.functional.mse_loss(layer(np.ones((1, 2), "float32")), np.ones((1, 2), "float32"))
    layer.apply_constraints()
    with pytest.raises(StaleParameterError):
        loss.backward()


# ------------------------------------------------------------------ in training


def batch(xp_backend):
    return xp_backend.array(RNG.normal(size=(16, 3)), "float32"), xp_backend.array(RNG.normal(size=(16, 2)), "float32")


@pytest.mark.parametrize("optimizer", [nnx.optim.SGD, nnx.optim.Adam])
def test_a_loop_by_hand_equals_projected_steps(xp_backend, optimizer):
    x, y = batch(xp_backend)
    net = nnx.Linear(3, 2).constrain(MaxNorm(0.4), "weight")
    free = copy.deepcopy(net)
    steps, free_steps = optimizer(net, lr=0.1), optimizer(free, lr=0.1)
    for _ in range(5):
        for module, rule in ((net, steps), (free, free_steps)):
            with nnx.record():
                loss = nnx.functional.mse_loss(module(x), y)
            loss.backward()
            rule.step()
            rule.zero_grad()
        net.apply_constraints()
        weight = nnx.to_numpy(free.weight)
        free.weight = by_rows(weight, lambda norm: min(norm, 0.4)).astype("float32")
        assert_close(net.weight, nnx.to_numpy(free.weight))


def test_flat_storage_stays_whole():
    net = nnx.Sequential(nnx.Linear(3, 4), nnx.Linear(4, 2)).constrain(MaxNorm(0.3), "*.weight")
    optimizer = nnx.optim.Adam(net, lr=0.1)
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    storages = []
    for _ in range(3):
        with nnx.record():
            loss = nnx.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        storage = net.parameter("0.weight")._storage
        net.apply_constraints()
        assert net.parameter("0.weight")._storage is storage
        assert not storage.stale
        assert np.shares_memory(net[0].weight, storage.values)
        storages.append(storage)
        optimizer.zero_grad()
    assert storages[0] is storages[1] is storages[2]
    assert np.linalg.norm(net[0].weight, axis=1).max() <= 0.3 * (1 + 1e-6)


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        (NonNeg(), lambda w: w.min() >= 0),
        (MaxNorm(0.2), lambda w: np.linalg.norm(w, axis=1).max() <= 0.2 * (1 + 1e-6)),
        (UnitNorm(), lambda w: np.allclose(np.linalg.norm(w, axis=1), 1.0, rtol=1e-6)),
        (MinMaxNorm(0.3, 0.5), lambda w: np.all(np.abs(np.linalg.norm(w, axis=1) - 0.4) <= 0.1 + 1e-6)),
    ],
)
def test_fit_keeps_the_bounds(xp_backend, constraint, holds):
    nnx.seed(0)
    x, y = batch(xp_backend)
    net = nnx.Sequential(nnx.Linear(3, 4), nnx.ReLU(), nnx.Linear(4, 2)).constrain(constraint, "*.weight")
    frozen = nnx.to_numpy(net[2].freeze().weight)
    model = nnx.Model(net, loss="mse", optimizer=lambda net: nnx.optim.SGD(net, lr=0.5))
    model.fit(x, y, epochs=3, batch_size=8, verbose=0)
    weight = nnx.to_numpy(net[0].weight)
    assert holds(weight)
    assert np.isfinite(weight).all()
    np.testing.assert_array_equal(nnx.to_numpy(net[2].weight), frozen)


def test_fit_on_bounds_that_do_not_bind_changes_nothing():
    weights = []
    for constraint in (None, MaxNorm(1e6)):
        nnx.seed(0)
        net = nnx.Sequential(nnx.Linear(3, 4), nnx.Linear(4, 2))
        if constraint is not None:
            net.constrain(constraint, "*.weight")
        x = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
        nnx.Model(net, loss="mse").fit(x, x[:, :2], epochs=2, batch_size=4, verbose=0)
        weights.append(net[0].weight)
    np.testing.assert_array_equal(*weights)


# ------------------------------------------------------------------ errors and texts


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MaxNorm(0), ValueError, "MaxNorm: expected max_value to be a number above 0, got 0; pass one"),
        (lambda: MaxNorm(float("inf")), ValueError, "MaxNorm: expected max_value to be a finite number above 0"),
        (lambda: MaxNorm(float("nan")), ValueError, "MaxNorm: expected max_value to be a number above 0"),
        (lambda: MaxNorm("3"), TypeError, "MaxNorm: expected max_value to be a number above 0, got '3'; pass one"),
        (lambda: MaxNorm(True), TypeError, "MaxNorm: expected max_value to be a number above 0, got True"),
        (lambda: MinMaxNorm(-1), ValueError, r"min_value to be a number from 0 to 1, got -1"),
        (
            lambda: MinMaxNorm(2.0, 1.0),
            ValueError,
            r"from 0 to 1, got 2.0; max_value is the upper end; swap them",
        ),
        (
            lambda: MinMaxNorm(rate=0),
            ValueError,
            "expected rate to be a number above 0 and at most 1, got 0",
        ),
        (
            lambda: MinMaxNorm(rate=1.5),
            ValueError,
            "expected rate to be a number above 0 and at most 1, got 1.5",
        ),
        (lambda: UnitNorm(1.0), TypeError, "UnitNorm: expected axis to be an integer, a sequence of them, or None"),
        (lambda: UnitNorm(()), TypeError, r"got \(\). None sums over all axes but the first"),
        (lambda: UnitNorm((0, True)), TypeError, r"expected axis .* got \(0, True\)"),
        (lambda: UnitNorm("ab"), TypeError, "expected axis .* got 'ab'"),
        (lambda: UnitNorm()(np.ones(3)), ShapeError, r"two or more axes, \(out, ..., in\), got shape \(3,\).*axis=0"),
        (lambda: UnitNorm(2)(MATRIX), ShapeError, r"expected axes from -2 to 1 for a weight of shape \(5, 3\), got"),
        (lambda: Constraint()(MATRIX), NotImplementedError, "Constraint does not define __call__"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("constraint", "pattern", "error", "message"),
    [
        (NonNeg(), "*.wait", ValueError, r"^constrain: no parameter matches '\*\.wait'; the names are 0.weight, 0.bi"),
        (NonNeg(), None, TypeError, r"^constrain: expected pattern to be a string such as '\*.weight', got None"),
        (NonNeg, "*", TypeError, r"function from an array to a new one, .*, got the class NonNeg; write NonNeg\("),
        (3.0, "*", TypeError, r"such as nnx.constraints.MaxNorm\(3.0\), got 3.0"),
    ],
)
def test_bad_calls_of_constrain(constraint, pattern, error, message):
    net = nnx.Sequential(nnx.Linear(2, 2))
    with pytest.raises(error, match=message):
        net.constrain(constraint, pattern)
    assert not net.constrained


def test_a_constraint_that_does_not_fit_fails_at_once_and_names_the_parameter():
    net = nnx.Sequential(nnx.Linear(2, 2))
    with pytest.raises(ShapeError, match=r"'\*.weight'") as caught:
        net.constrain(MaxNorm(1.0))
    assert caught.value.__notes__ == ["This happened while applying MaxNorm(1.0) to the parameter '0.bias'."]
    assert not net.constrained


@pytest.mark.parametrize(
    ("constraint", "error", "message"),
    [
        (lambda w: w[:1, ...], ShapeError, r"constrain, 0.weight: expected shape \(2, 2\), got \(1, 2\)"),
        (lambda w: w.astype("float64"), DTypeError, "constrain, 0.weight: expected dtype float32, got float64"),
        (lambda w: None, TypeError, "constrain, 0.weight: expected an array, got NoneType"),
    ],
)
def test_a_constraint_that_returns_something_else_is_refused(constraint, error, message):
    with pytest.raises(error, match=message):
        nnx.Sequential(nnx.Linear(2, 2)).constrain(constraint, "*.weight")


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (NonNeg(), "NonNeg()"),
        (MaxNorm(3), "MaxNorm(3.0)"),
        (MaxNorm(3.0, axis=0), "MaxNorm(3.0, axis=(0,))"),
        (UnitNorm((0, 1)), "UnitNorm(axis=(0, 1))"),
        (MinMaxNorm(0.5, 2.0), "MinMaxNorm(0.5, 2.0, 1.0)"),
    ],
)
def test_representations(constraint, text):
    assert repr(constraint) == text


def test_only_constraints_are_public():
    assert set(constraints.__all__) == {"Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"}
