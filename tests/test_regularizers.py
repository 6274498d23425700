"""Regularisers and `Module.regularize`."""

import numpy as np
import pytest

import nnx
from nnx.regularizers import L1, L2


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


@pytest.mark.parametrize("regularizer", [L1(0.3), L2(0.3)])
def test_gradients(regularizer):
    nnx.check_grads(regularizer, (np.asarray([0.5, -1.5, 2.0]),))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"L2: expected strength to be at least 0, got -1"):
        L2(-1)
    with pytest.raises(ValueError, match=r"regularize: no parameter matches '\*\.wait'; the names are weight, bias\."):
        nnx.Linear(2, 2).regularize(L1(), "*.wait")
