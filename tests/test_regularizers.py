"""Regularisers and `Module.regularize`."""

import numpy as np
import pytest

import nnx
from nnx import regularizers
from nnx.errors import ShapeError
from nnx.regularizers import L1, L1L2, L2, Orthogonal
from tests.tolerances import assert_close


def test_the_penalty_sums_over_the_matching_parameters():
    net = nnx.Sequential(nnx.Linear(3, 2), nnx.Linear(2, 2)).regularize(L2(0.5), "*.weight").regularize(L1(0.1), "1.*")
    expected = 0.5 * sum(np.sum(net[k].weight ** 2) for k in (0, 1))
    expected += 0.1 * (np.abs(net[1].weight).sum() + np.abs(net[1].bias).sum())
    assert net.regularized
    assert float(net.penalty()) == pytest.approx(expected, rel=1e-6)
    assert not nnx.Linear(2, 2).regularized
    assert nnx.Linear(2, 2).penalty() == 0.0


def test_inner_regularisers_count_and_are_differentiated():
    layer = nnx.Linear(2, 2).regularize(L2(1.0), "weight")
    net = nnx.Sequential(layer)
    with nnx.record():
        penalty = net.penalty()
    penalty.backward()
    np.testing.assert_allclose(layer.parameter("weight").grad, 2 * layer.weight, rtol=1e-6)
    assert layer.parameter("bias").grad is None


def test_a_penalty_leaves_the_names_of_parameters_alone():
    layer = nnx.Linear(2, 2).regularize(L2(1.0), "weight")
    net = nnx.Sequential(layer)
    names = [parameter.name for _, parameter in net.named_parameters()]
    net.penalty()
    assert [parameter.name for parameter in net.parameters()] == names == ["0.weight", "0.bias"]


WIDE = [[0.5, -1.5, 2.0], [0.25, 1.0, -0.75]]
KERNEL = np.random.default_rng(0).normal(size=(3, 2, 2, 2))
# The smallest and largest arrays of each kind: nothing, one number, rows only, columns only, a kernel of convolution.
WEIGHTS = [WIDE, np.transpose(WIDE), KERNEL, np.ones((1, 1)), np.full((3, 1), 0.5), np.zeros((0, 2)), np.zeros((2, 0))]


def elastic(w):
    return 0.3 * np.abs(w).sum() + 0.2 * (w**2).sum()


def orthogonal(w):
    w = w.reshape(w.shape[0], -1) if w.size else np.zeros((w.shape[0], 0 if w.shape[0] else 2))
    total = sum((w[i] @ w[j] - (i == j)) ** 2 for i in range(len(w)) for j in range(len(w)))
    return 0.3 * (total - max(w.shape[0] - w.shape[1], 0))  # rows beyond the columns cannot be orthogonal


@pytest.mark.parametrize(("regularizer", "reference"), [(L1L2(0.3, 0.2), elastic), (Orthogonal(0.3), orthogonal)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_against_the_definition(xp_backend, regularizer, reference, dtype):
    for weight in map(np.asarray, WEIGHTS):
        found = regularizer(xp_backend.array(weight, dtype=dtype))
        assert_close(found, np.asarray(reference(weight), dtype=dtype))


def test_l1l2_is_the_sum_of_l1_and_l2(xp_backend):
    weight = xp_backend.array(WIDE)
    assert_close(L1L2(0.3, 0.2)(weight), L1(0.3)(weight) + L2(0.2)(weight))
    assert float(L1L2()(weight)) == 0.0


def test_orthogonal_is_zero_for_what_its_initialiser_draws():
    for shape in ((4, 3), (3, 4), (3, 2, 2, 3)):
        assert float(Orthogonal(1.0)(nnx.init.orthogonal(shape, dtype="float64"))) < 1e-25


def test_training_on_orthogonal_alone_makes_a_weight_orthogonal():
    nnx.seed(0)
    layer = nnx.Linear(4, 3, bias=False).regularize(Orthogonal(1.0))
    optimizer = nnx.optim.SGD(layer, lr=0.05)
    for _ in range(200):
        with nnx.record():
            penalty = layer.penalty()
        penalty.backward()
        optimizer.step()
        optimizer.zero_grad()
    np.testing.assert_allclose(layer.weight @ layer.weight.T, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("regularizer", [L1(0.3), L2(0.3), L1L2(0.3, 0.2), Orthogonal(0.3)])
@pytest.mark.parametrize("weight", [WIDE, np.transpose(WIDE), KERNEL])
def test_gradients(xp_backend, regularizer, weight):
    nnx.check_grads(regularizer, (xp_backend.array(weight, dtype="float64"),))


@pytest.mark.parametrize("regularizer", [L1(0.3), L2(0.3), L1L2(0.3, 0.2), Orthogonal(0.3)])
def test_complex_parameters_have_real_penalties(regularizer):
    weight = np.asarray([[1.0 + 2.0j, -0.5], [0.25j, 1.0 - 1.0j]])
    size = np.abs(weight)
    gram = weight @ weight.conj().T
    expected = {
        "L1": 0.3 * size.sum(),
        "L2": 0.3 * (size**2).sum(),
        "L1L2": 0.3 * size.sum() + 0.2 * (size**2).sum(),
        "Orthogonal": 0.3 * (np.abs(gram - np.eye(2)) ** 2).sum(),
    }[type(regularizer).__name__]
    assert_close(regularizer(weight), np.asarray(expected))
    nnx.check_grads(regularizer, (weight,))


@pytest.mark.parametrize(
    ("regularizer", "text"),
    [(L1(0.5), "L1(0.5)"), (L1L2(l2=0.1), "L1L2(l1=0.0, l2=0.1)"), (Orthogonal(2.0), "Orthogonal(2.0)")],
)
def test_representations(regularizer, text):
    assert repr(regularizer) == text


def test_bad_arguments():
    for make, name in ((L1, "strength"), (L2, "strength"), (L1L2, "l1"), (Orthogonal, "strength")):
        with pytest.raises(ValueError, match=f"^{make.__name__}: expected {name} to be a number of at least 0, got -1"):
            make(-1)
        with pytest.raises(TypeError, match=f"^{make.__name__}: expected {name} to be a number of at least 0, got '1'"):
            make("1")
        with pytest.raises(ValueError, match=f"^{make.__name__}: expected {name} to be a finite number of at least 0"):
            make(float("inf"))
    with pytest.raises(ValueError, match="L1L2: expected l2 to be a number of at least 0, got nan"):
        L1L2(0.1, float("nan"))
    with pytest.raises(ValueError, match=r"regularize: no parameter matches '\*\.wait'; the names are weight, bias\."):
        nnx.Linear(2, 2).regularize(L1(), "*.wait")
    with pytest.raises(TypeError, match=r"regularizer to be a function .*, got the class L1; write L1\(\.\.\.\)"):
        nnx.Linear(2, 2).regularize(L1)
    with pytest.raises(TypeError, match=r"regularizer to be a function .*L2\(1e-4\), got 0.1"):
        nnx.Linear(2, 2).regularize(0.1)
    with pytest.raises(TypeError, match=r"regularize: expected pattern to be a string such as '\*.weight', got 3"):
        nnx.Linear(2, 2).regularize(L1(), 3)


def test_orthogonal_refuses_a_bias_and_names_it():
    net = nnx.Sequential(nnx.Linear(2, 2))
    with pytest.raises(
        ShapeError, match=r"two or more axes, \(out, ..., in\), got shape \(2,\).*'\*.weight'"
    ) as caught:
        net.regularize(Orthogonal())
    assert not net.regularized
    assert caught.value.__notes__ == ["This happened while applying Orthogonal(0.01) to the parameter '0.bias'."]


def test_only_regularisers_are_public():
    assert set(regularizers.__all__) == {"L1", "L1L2", "L2", "Orthogonal", "Regularizer"}


@pytest.mark.parametrize("number", [np.float64(0.1), np.float32(0.5), 1])
def test_a_strength_of_numpy_does_not_promote(number):
    weight = np.asarray(WIDE, dtype="float32")
    for regularizer in (L1(number), L2(number), L1L2(number, number), Orthogonal(number)):
        assert regularizer(weight).dtype == weight.dtype
    layer = nnx.Linear(3, 2).regularize(L2(number))
    assert layer.penalty().dtype == weight.dtype


@pytest.mark.parametrize(
    ("function", "error", "got"),
    [
        (lambda w: None, TypeError, "got None; return such as xp.sum"),
        (lambda w: "much", TypeError, "got 'much'; return"),
        (lambda w: w * w, ShapeError, r"got one of shape \(2, 3\); sum it up"),
    ],
)
def test_a_penalty_is_a_number(function, error, got):
    net = nnx.Sequential(nnx.Linear(3, 2))
    text = rf"^regularize, 0\.weight: expected the regularizer to return a number, an array of shape \(\), {got}"
    with pytest.raises(error, match=text):
        net.regularize(function, "*.weight")
    assert not net.regularized
    assert float(net.regularize(lambda w: 2.0).penalty()) == 4.0
