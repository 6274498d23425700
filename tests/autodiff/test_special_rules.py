"""Derivatives of the extension ``special``: against finite differences, and that a wrong one is noticed."""

import numpy as np
import pytest

import nnx
from nnx.autodiff.rule import RULES
from tests.tolerances import assert_close

# name -> inputs; the points lie where the functions are smooth
UNARY = {
    "erf": [-2.0, -0.3, 0.0, 0.7, 3.0],
    "erfc": [-2.0, -0.3, 0.0, 0.7, 3.0],
    "erfcx": [-1.5, -0.3, 0.0, 0.7, 8.0],
    "erfinv": [-0.95, -0.3, 0.0, 0.7],
    "erfcinv": [0.05, 0.7, 1.0, 1.6],
    "ndtr": [-3.0, -0.3, 0.0, 2.0],
    "ndtri": [0.02, 0.4, 0.5, 0.9],
    "log_ndtr": [-30.0, -3.0, -0.3, 0.4, 4.0],
    "gamma": [-1.4, 0.4, 1.0, 3.3],
    "gammaln": [0.4, 1.0, 2.0, 30.0],
    "digamma": [-1.4, 0.4, 1.46, 30.0],
    "psi": [-1.4, 0.4, 1.46, 30.0],
    "i0": [-4.0, -0.2, 0.0, 3.0],
    "i1": [-4.0, -0.2, 0.3, 3.0],
    "i0e": [-4.0, -0.2, 0.3, 30.0],
    "i1e": [-4.0, -0.2, 0.3, 30.0],
    "expit": [-40.0, -0.4, 0.0, 3.0],
    "logit": [0.1, 0.5, 0.9],
    "log_expit": [-40.0, -0.4, 0.0, 3.0],
    "entr": [0.1, 0.5, 3.0],
    "sinc": [-1.3, -0.004, 0.0, 0.009, 0.02, 2.5],
    "logsumexp": [-1.0, 0.3, 2.0],
    "softmax": [-1.0, 0.3, 2.0],
    "log_softmax": [-1.0, 0.3, 2.0],
}
BINARY = {
    "betaln": ([0.4, 3.0, 12.0], [1.5, 0.7, 5.0]),
    "xlogy": ([-0.4, 0.0, 2.0], [1.5, 0.7, 5.0]),
    "xlog1py": ([-0.4, 0.0, 2.0], [1.5, -0.7, 5.0]),
    "rel_entr": ([0.4, 1.0, 2.0], [1.5, 0.7, 5.0]),
    "kl_div": ([0.4, 1.0, 2.0], [1.5, 0.7, 5.0]),
}
COVERED = {f"special.{name}" for name in (*UNARY, *BINARY, "polygamma", "multigammaln")}


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_argument(xp_backend, name):
    function = getattr(xp_backend.ns.special, name)
    nnx.check_grads(function, (xp_backend.array(UNARY[name]),))


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arguments(xp_backend, name):
    function = getattr(xp_backend.ns.special, name)
    x, y = (xp_backend.array(v) for v in BINARY[name])
    nnx.check_grads(function, (x, y))
    nnx.check_grads(lambda a: function(a, nnx.namespace(a).asarray(0.7, device=a.device)), (y,))


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma_and_multigammaln(xp_backend, n):
    special = xp_backend.ns.special
    nnx.check_grads(lambda x: special.polygamma(n, x), (xp_backend.array([0.5, 1.7, 9.0]),))
    nnx.check_grads(lambda x: special.multigammaln(x, n + 1), (xp_backend.array([4.5, 9.0]),))


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_axes(xp_backend, name, axis):
    function = getattr(xp_backend.ns.special, name)
    x = xp_backend.array(np.random.default_rng(0).standard_normal((2, 3)))
    nnx.check_grads(lambda a: function(a, axis=axis), (x,))
    if name == "logsumexp":
        nnx.check_grads(lambda a: function(a, axis=axis, keepdims=True), (x,))


def test_minus_infinity_gets_no_gradient(xp_backend):
    special = xp_backend.ns.special
    x = xp_backend.array([[0.5, -np.inf], [-np.inf, -np.inf]])
    gradient = nnx.grad(lambda a: nnx.namespace(a).sum(special.logsumexp(a, axis=1)[0:1]))(x)
    assert_close(nnx.to_numpy(gradient), np.asarray([[1.0, 0.0], [0.0, 0.0]]))


def test_the_lower_tail_of_log_ndtr_keeps_its_slope():
    special = nnx.differentiable(np).special
    slope = nnx.grad(special.log_ndtr)(np.asarray(-100.0))
    assert float(slope) == pytest.approx(100.0 + 1 / 100.0, rel=1e-6)  # -x - 1/x + ...


@pytest.mark.parametrize("name", sorted(COVERED & {f"special.{n}" for n in (*UNARY, *BINARY)}))
def test_a_wrong_derivative_is_noticed(name):
    """Every derivative times 1.001 must fail the check that it passes above."""
    short = name.removeprefix("special.")
    function = getattr(nnx.differentiable(np).special, short)
    points = [np.asarray(v) for v in (BINARY[short] if short in BINARY else (UNARY[short],))]
    wrong = nnx.custom_vjp(function)
    wrong.defvjp(
        lambda *x: (nnx.stop_gradient(function(*x)), x),
        lambda x, g: tuple(1.001 * d for d in nnx.vjp(function, *x)[1](g)),
    )
    with pytest.raises(AssertionError, match="derivative of order 1 is wrong"):
        nnx.check_grads(wrong, points, order=1)


def test_every_rule_is_covered():
    assert {name for name in RULES if name.startswith("special.")} == COVERED
