"""PyTorch and JAX as mere array libraries under nnx: no plug-in, the same rules."""

from __future__ import annotations

import numpy as np
import pytest

import nnx
from tests.autodiff import array_cases, op_cases
from tests.autodiff.test_rules import function_of

CASES = [c for c in [*op_cases.CASES, *array_cases.REDUCTIONS, *array_cases.SHAPES, *array_cases.INDEXING] if c.smooth]
CASES = list({(c.rule, c.args[0].dtype.kind): c for c in reversed(CASES)}.values())  # the first of each rule and kind
# JAX compiles every operation anew, so that it gets one case of each sort.
ON_JAX = [
    "exp",
    "abs",
    "pow",
    "divide",
    "maximum",
    "where",
    "clip",
    "sum",
    "max",
    "prod",
    "std",
    "cumulative_prod",
    "sort",
    "reshape",
    "concat",
    "stack",
    "repeat",
    "matmul",
    "indexing.getitem",
    "indexing.setitem",
    "take",
    "take_along_axis",
]


def _torch():
    return pytest.importorskip("torch").asarray


def _jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax.numpy.asarray


LIBRARIES = {"torch": _torch, "jax": _jax}

CALLS = [("torch", c) for c in CASES if not c.rule.startswith("unique_")]  # PyTorch lacks unique_all
CALLS += [("jax", c) for c in CASES if c.rule in ON_JAX]
IDS = [f"{library}-{c.rule}-{c.args[0].dtype.kind}" for library, c in CALLS]


@pytest.fixture(params=LIBRARIES)
def guest(request):
    """A function that makes arrays of the guest library."""
    return LIBRARIES[request.param]()


@pytest.mark.parametrize(("guest", "case"), CALLS, ids=IDS, indirect=["guest"])
@pytest.mark.filterwarnings("ignore")  # of the guest library
def test_gradients_are_those_over_numpy(case, guest):
    values = [np.array(v) for v in case.values()]
    arrays = [guest(v) for v in values]
    out, pullback = nnx.vjp(function_of(case, arrays), *[arrays[i] for i in case.differentiated])
    reference, reference_pullback = nnx.vjp(function_of(case, values), *[values[i] for i in case.differentiated])
    cotangent = np.asarray(np.linspace(0.5, 1.5, reference.size).reshape(reference.shape), dtype=reference.dtype)
    np.testing.assert_allclose(nnx.to_numpy(out), reference, rtol=1e-10, atol=1e-12)
    grads = pullback(guest(cotangent))
    for g, expected in zip(grads, reference_pullback(cotangent), strict=True):
        assert type(g) is type(arrays[0])
        np.testing.assert_allclose(nnx.to_numpy(g), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_second_order_and_the_tape(guest):
    x = guest(np.asarray([0.5, -1.0, 2.0]))
    assert nnx.namespace(x) is nnx.differentiable(nnx.namespace(x).backend.xp).raw
    t = nnx.variable(x)
    xp = t.__array_namespace__()
    y = t * 1.0
    y[1] = t[0] * 3.0
    y += t
    xp.sum(y * y).backward()
    np.testing.assert_allclose(nnx.to_numpy(t.grad), [7.0, 1.0, 16.0])
    h = nnx.hessian(lambda x: nnx.namespace(x).sum(nnx.namespace(x).sin(x) ** 2))(x)
    np.testing.assert_allclose(nnx.to_numpy(h), np.diag(2 * np.cos(2 * nnx.to_numpy(x))), atol=1e-12)


@pytest.mark.parametrize("key", [[0, 0, 1], (slice(None), [1, 1]), ([0, 0], [1, 1]), (None, [2, 0])], ids=str)
def test_torch_indexing_with_lists(key):
    torch = pytest.importorskip("torch")
    x = torch.arange(12.0, dtype=torch.float64).reshape(3, 4)
    g = nnx.grad(lambda x: nnx.namespace(x).sum(x[key] ** 2))(x)
    expected = nnx.grad(lambda x: nnx.namespace(x).sum(x[key] ** 2))(x.numpy())
    np.testing.assert_allclose(g.numpy(), expected)


def test_a_guest_and_numpy_do_not_mix(guest):
    x = guest(np.ones(2))
    with pytest.raises(nnx.errors.MixedBackendsError, match="expected arrays of one backend"):
        nnx.namespace(x, np.ones(2))
    with pytest.raises(nnx.errors.MixedBackendsError, match="expected arrays of one backend"):
        nnx.namespace(x).differentiable.multiply(nnx.variable(x), np.ones(2))


def test_nnx_and_torch_agree_when_torch_differentiates_too():
    torch = pytest.importorskip("torch")
    x = torch.asarray([0.5, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(
        nnx.grad(lambda x: nnx.namespace(x).sum(nnx.namespace(x).exp(x)))(x).numpy(),
        torch.func.grad(lambda x: torch.exp(x).sum())(x).numpy(),
    )
