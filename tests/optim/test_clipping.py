"""Gradient clipping: in parameters and by name, by value and by norm."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, MixedBackendsError
from nnx.optim.clipping import scale_gradients

SHAPES = [(3, 4), (5,), (), (2, 1, 3)]
NORMS = [2.0, 1.0, 3.0, 0.5, math.inf]
BOUNDS = [0.3, 2.0, 1e6]


def gradients(xp_backend: Any, dtype: str = "float64", seed: int = 0) -> tuple[list[nnx.Parameter], list[np.ndarray]]:
    """Parameters with gradients, except the second, and the gradients."""
    rng = np.random.default_rng(seed)
    parameters = [xp_backend.parameter(np.zeros(shape), dtype) for shape in SHAPES]
    values = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]
    for i, (p, g) in enumerate(zip(parameters, values, strict=True)):
        p.grad = None if i == 1 else xp_backend.array(g)
    return parameters, values


def in_torch(values: list[np.ndarray]) -> list[Any]:
    torch = pytest.importorskip("torch")
    parameters = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in values]
    for i, (p, g) in enumerate(zip(parameters, values, strict=True)):
        p.grad = None if i == 1 else torch.tensor(g)
    return parameters


def compare(parameters: list, references: list) -> None:
    for p, q in zip(parameters, references, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            np.testing.assert_allclose(nnx.to_numpy(p.grad), q.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("laid_out", [False, True])
@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("norm_type", NORMS)
def test_clip_grad_norm_is_torchs(xp_backend: Any, norm_type: float, bound: float, laid_out: bool) -> None:
    parameters, values = gradients(xp_backend)
    references = in_torch(values)
    if laid_out:
        nnx.optim.SGD(parameters).state_dict()
    found = nnx.optim.clip_grad_norm_(parameters, bound, norm_type)
    wanted = pytest.importorskip("torch").nn.utils.clip_grad_norm_(references, bound, norm_type)
    assert tuple(found.shape) == ()
    assert isinstance(found, (*xp_backend.backend.array_types, np.float64))
    np.testing.assert_allclose(nnx.to_numpy(found), wanted.item(), rtol=1e-9)
    compare(parameters, references)


@pytest.mark.parametrize("laid_out", [False, True])
@pytest.mark.parametrize("bound", BOUNDS)
def test_clip_grad_value_is_torchs(xp_backend: Any, bound: float, laid_out: bool) -> None:
    parameters, values = gradients(xp_backend)
    references = in_torch(values)
    if laid_out:
        nnx.optim.SGD(parameters).state_dict()
    assert nnx.optim.clip_grad_value_(parameters, bound) is None
    pytest.importorskip("torch").nn.utils.clip_grad_value_(references, bound)
    compare(parameters, references)


def test_long_gradients_are_clipped_whole() -> None:
    """More than one block of the flat vector."""
    parameters = [nnx.Parameter(np.zeros(n)) for n in (70_001, 3)]
    nnx.optim.SGD(parameters).state_dict()
    for p in parameters:
        p.grad = np.linspace(-9, 9, p.size)
    nnx.optim.clip_grad_value_(parameters, 2.0)
    for p in parameters:
        np.testing.assert_array_equal(p.grad, np.clip(np.linspace(-9, 9, p.size), -2, 2))


@pytest.mark.parametrize("norm_type", NORMS)
def test_by_name_agrees_with_in_parameters(xp_backend: Any, norm_type: float) -> None:
    parameters, values = gradients(xp_backend)
    tree = {"a": xp_backend.array(values[0]), "b": [None, (xp_backend.array(values[2]), xp_backend.array(values[3]))]}
    clipped, norm = nnx.optim.clip_by_global_norm(tree, 0.3, norm_type)
    np.testing.assert_allclose(
        nnx.to_numpy(norm), nnx.to_numpy(nnx.optim.clip_grad_norm_(parameters, 0.3, norm_type)), rtol=1e-12
    )
    assert clipped["b"][0] is None
    assert isinstance(clipped["b"][1], tuple)
    for g, p in zip([clipped["a"], *clipped["b"][1]], [parameters[0], *parameters[2:4]], strict=True):
        np.testing.assert_allclose(nnx.to_numpy(g), nnx.to_numpy(p.grad), rtol=1e-12)
    np.testing.assert_array_equal(nnx.to_numpy(tree["a"]), values[0])  # nothing in place


def test_by_value_by_name(xp_backend: Any) -> None:
    tree = {"a": xp_backend.array([3.0, -0.5]), "b": xp_backend.array(-7.0)}
    clipped = nnx.optim.clip_by_value(tree, 1.0)
    assert nnx.to_numpy(clipped["a"]).tolist() == [1.0, -0.5]
    assert float(nnx.to_numpy(clipped["b"])) == -1.0
    assert nnx.to_numpy(tree["a"]).tolist() == [3.0, -0.5]


def test_a_step_with_gradients_by_name(xp_backend: Any) -> None:
    net = nnx.Linear(2, 1, dtype="float64")
    x = xp_backend.array([[30.0, 40.0]])
    before = nnx.to_numpy(net.weight).copy()
    _, grads = nnx.value_and_grad(lambda net: nnx.functional.mse_loss(net(x), net(x) * 0 + 1e3))(net)
    grads, _ = nnx.optim.clip_by_global_norm(grads, 1.0)
    nnx.optim.SGD(net, lr=1.0).step(grads)
    assert 0.99 < np.linalg.norm(nnx.to_numpy(net.weight) - before) <= 1.0


def test_clipping_is_differentiable_by_name() -> None:
    """Within an outer transform: the gradient of a clipped length that is the bound is zero."""

    def length(g: Any) -> Any:
        clipped, _ = nnx.optim.clip_by_global_norm([g], 1.0)
        return (clipped[0] ** 2)[0] + (clipped[0] ** 2)[1]

    np.testing.assert_allclose(nnx.grad(length)(np.asarray([3.0, 4.0])), 0.0, atol=1e-6)
    np.testing.assert_allclose(nnx.grad(length)(np.asarray([0.3, 0.4])), [0.6, 0.8])


# ------------------------------------------------------------------ where gradients lie


def test_flat_gradients_are_clipped_in_place() -> None:
    net = nnx.Sequential(nnx.Linear(3, 5, dtype="float64"), nnx.Linear(5, 2, dtype="float64"))
    optimizer = nnx.optim.SGD(net, lr=1.0)
    optimizer.state_dict()
    for p in net.parameters():
        p.grad = np.ones(p.shape)
    views = [p.grad for p in net.parameters()]
    storage = optimizer._parts[0].storage
    nnx.optim.clip_grad_norm_(net, 1.0)
    for p, view in zip(net.parameters(), views, strict=True):
        assert p.grad is view
        assert np.shares_memory(view, storage.grads)
    assert math.isclose(np.linalg.norm(storage.grads), 1.0, rel_tol=1e-5)


@pytest.mark.parametrize("laid_out", [False, True])
def test_a_part_of_the_parameters(xp_backend: Any, laid_out: bool) -> None:
    parameters, values = gradients(xp_backend)
    if laid_out:
        nnx.optim.SGD(parameters).state_dict()
    parameters[1].grad = xp_backend.array(values[1])
    norm = nnx.optim.clip_grad_norm_(parameters[2:4], 0.1)
    wanted = math.sqrt((values[2] ** 2).sum() + (values[3] ** 2).sum())
    np.testing.assert_allclose(nnx.to_numpy(norm), wanted, rtol=1e-12)
    np.testing.assert_array_equal(nnx.to_numpy(parameters[0].grad), values[0])
    np.testing.assert_allclose(nnx.to_numpy(parameters[3].grad), values[3] * 0.1 / (wanted + 1e-6), rtol=1e-12)


def test_one_array_as_the_gradient_of_two_parameters() -> None:
    """As after a + b: clipping one in place would clip the other, twice."""
    g = np.asarray([3.0, 4.0])
    a, b = nnx.Parameter(np.zeros(2)), nnx.Parameter(np.zeros(2))
    a.grad = b.grad = g
    nnx.optim.clip_grad_norm_([a, b], 1.0)
    np.testing.assert_allclose(a.grad, g / math.sqrt(50), rtol=1e-5)
    np.testing.assert_allclose(b.grad, a.grad)
    assert g.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("laid_out", [False, True])
def test_gradients_that_were_recorded_themselves(laid_out: bool) -> None:
    net = nnx.Linear(2, 1, dtype="float64")
    optimizer = nnx.optim.SGD(net)
    if laid_out:
        optimizer.state_dict()
    with nnx.record():
        loss = nnx.functional.mse_loss(net(np.asarray([[3.0, 4.0]])), np.asarray([[9.0]]))
    loss.backward(create_graph=True)
    nnx.optim.clip_grad_norm_(net, 1.0)
    assert sum(float((p.raw_grad**2).sum()) for p in net.parameters()) == pytest.approx(1.0, rel=1e-5)
    assert not isinstance(net.parameter("weight").grad, nnx.Array)


def test_a_module_an_iterable_and_one_parameter() -> None:
    net = nnx.Linear(2, 1, dtype="float64")
    for parameters in (net, net.parameters(), dict(net.named_parameters())):
        net.parameter("weight").grad, net.parameter("bias").grad = np.asarray([[0.0, 3.0]]), np.asarray([4.0])
        assert float(nnx.optim.clip_grad_norm_(parameters, 1.0)) == 5.0
    assert float(nnx.optim.clip_grad_norm_(net.parameter("bias"), 0.1)) == pytest.approx(0.8)
    nnx.optim.clip_grad_value_(net.parameter("weight"), 0.25)
    assert net.parameter("weight").grad.tolist() == [[0.0, 0.25]]


def test_without_gradients(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.zeros(2), "float32")
    norm = nnx.optim.clip_grad_norm_([p], 1.0)
    assert float(nnx.to_numpy(norm)) == 0.0
    assert str(norm.dtype).endswith("float32")
    assert p.grad is None
    nnx.optim.clip_grad_value_([p], 1.0)
    assert p.grad is None


@pytest.mark.parametrize("norm_type", NORMS)
def test_gradients_without_elements(xp_backend: Any, norm_type: float) -> None:
    empty, p = xp_backend.parameter(np.zeros((0, 2))), xp_backend.parameter(np.zeros(1))
    empty.grad = xp_backend.array(np.zeros((0, 2)))
    assert float(nnx.to_numpy(nnx.optim.clip_grad_norm_([empty], 1.0, norm_type))) == 0.0
    p.grad = xp_backend.array([-3.0])
    assert float(nnx.to_numpy(nnx.optim.clip_grad_norm_([empty, p], 1.0, norm_type))) == pytest.approx(3.0)


def test_of_zeros_stay_zeros(xp_backend: Any) -> None:
    p = xp_backend.parameter(np.zeros(2), "float32")
    p.grad = xp_backend.array(np.zeros(2), "float32")
    nnx.optim.clip_grad_norm_([p], 1.0)
    np.testing.assert_array_equal(nnx.to_numpy(p.grad), 0.0)


# ------------------------------------------------------------------ dtypes


def test_dtypes_are_kept(xp_backend: Any) -> None:
    parameters = [xp_backend.parameter(np.zeros(2), dtype) for dtype in ("float32", "float64", "complex128")]
    for p, g in zip(parameters, ([3.0, 0.0], [0.0, 4.0], [0.0, 12.0j]), strict=True):
        p.grad = xp_backend.array(g, str(p.dtype).rpartition(".")[2])
    norm = nnx.optim.clip_grad_norm_(parameters, 6.5)
    assert float(nnx.to_numpy(norm)) == 13.0
    assert str(norm.dtype).endswith("float64")
    for p, g in zip(parameters, ([1.5, 0.0], [0.0, 2.0], [0.0, 6.0j]), strict=True):
        assert p.grad.dtype == p.dtype
        np.testing.assert_allclose(nnx.to_numpy(p.grad), g, rtol=1e-6)


def test_the_norm_of_float16_does_not_overflow() -> None:
    p = nnx.Parameter(np.zeros(4, "float16"))
    p.grad = np.full(4, 500.0, "float16")
    assert float(nnx.optim.clip_grad_norm_([p], 100.0)) == 1000.0
    assert p.grad.dtype == np.float16
    np.testing.assert_allclose(p.grad, 50.0, rtol=2e-3)


def test_scale_gradients(xp_backend: Any) -> None:
    parameters, values = gradients(xp_backend, "float32")
    scale_gradients(parameters, 0.5)
    assert parameters[1].grad is None
    np.testing.assert_array_equal(nnx.to_numpy(parameters[0].grad), values[0] / 2)
    assert parameters[0].grad.dtype == parameters[0].dtype


# ------------------------------------------------------------------ what is not finite, and errors


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("norm_type", [2.0, math.inf])
def test_error_if_nonfinite(xp_backend: Any, bad: float, norm_type: float) -> None:
    p = xp_backend.parameter(np.zeros(2))
    p.grad = xp_backend.array([bad, 1.0])
    before = copy.copy(nnx.to_numpy(p.grad))
    text = r"clip_grad_norm_: expected a finite norm of the gradients, got (nan|inf); look for the layer"
    with pytest.raises(RuntimeError, match=text):
        nnx.optim.clip_grad_norm_([p], 1.0, norm_type, error_if_nonfinite=True)
    np.testing.assert_array_equal(nnx.to_numpy(p.grad), before)
    with pytest.raises(RuntimeError, match="clip_by_global_norm: expected a finite norm"):
        nnx.optim.clip_by_global_norm([p.grad], 1.0, norm_type, error_if_nonfinite=True)


P = nnx.Parameter(np.ones(2))
G = {"a": np.ones(2)}
ARGUMENTS: list[tuple[Callable, type[Exception], str]] = [
    (
        lambda: nnx.optim.clip_grad_norm_([P], 0.0),
        ValueError,
        "clip_grad_norm_: expected max_norm to be a number above 0, got 0.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.clip_grad_norm_([P], -1.0),
        ValueError,
        "clip_grad_norm_: expected max_norm to be a number above 0, got -1.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.clip_grad_norm_([P], "1"),
        TypeError,
        "clip_grad_norm_: expected max_norm to be a number above 0",
    ),
    (
        lambda: nnx.optim.clip_grad_norm_([P], 1.0, 0.0),
        ValueError,
        "clip_grad_norm_: expected norm_type to be a number above 0, got 0.0; pass one in that range.",
    ),
    (
        lambda: nnx.optim.clip_grad_norm_([P], 1.0, error_if_nonfinite=1),
        TypeError,
        "clip_grad_norm_: expected error_if_nonfinite to be True or False, got 1.",
    ),
    (
        lambda: nnx.optim.clip_grad_norm_([], 1.0),
        ValueError,
        "clip_grad_norm_: got no parameters. Pass a module that has some, or module.parameters().",
    ),
    (lambda: nnx.optim.clip_grad_norm_([P, P], 1.0), ValueError, "clip_grad_norm_: parameter 1 appears twice"),
    (lambda: nnx.optim.clip_grad_norm_(G, 1.0), TypeError, "clip_grad_norm_: expected parameters, got ndarray."),
    (
        lambda: nnx.optim.clip_grad_value_([P], 0),
        ValueError,
        "clip_grad_value_: expected clip_value to be a number above 0, got 0; pass one in that range.",
    ),
    (lambda: nnx.optim.clip_grad_value_(nnx.ReLU(), 1.0), ValueError, "clip_grad_value_: got no parameters."),
    (
        lambda: nnx.optim.clip_by_global_norm([P], 1.0),
        TypeError,
        "clip_by_global_norm: expected gradients as arrays, in dicts, lists or tuples, got Parameter. For gradients "
        "that are in parameters, use clip_grad_norm_ or clip_grad_value_.",
    ),
    (
        lambda: nnx.optim.clip_by_global_norm({}, 1.0),
        ValueError,
        "clip_by_global_norm: got no gradients; pass what nnx.grad",
    ),
    (
        lambda: nnx.optim.clip_by_global_norm(G, -2),
        ValueError,
        "clip_by_global_norm: expected max_norm to be a number above 0, got -2; pass one in that range.",
    ),
    (
        lambda: nnx.optim.clip_by_value(G, math.nan),
        ValueError,
        "clip_by_value: expected clip_value to be a number above 0, got nan; pass one in that range.",
    ),
    (
        lambda: nnx.optim.clip_by_value([np.ones(2, "complex128")], 1.0),
        DTypeError,
        "clip_by_value: complex gradients have no order; clip their norm instead.",
    ),
    (
        lambda: nnx.optim.clip_by_global_norm([np.ones(2), nnx.asarray(np.ones(2), backend="strict")], 1.0),
        MixedBackendsError,
        "clip_by_global_norm: expected arrays of one backend, got",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ARGUMENTS)
def test_arguments_are_checked(call: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value.args[0])
