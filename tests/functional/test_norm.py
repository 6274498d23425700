"""Every normalisation: against PyTorch, over every backend, with derivatives, in every dtype, for empty batches."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from tests.functional.norm_table import CALLS, Call
from tests.tolerances import assert_close

# One call of each kind, with everything learned, for tests that need no grid.
FULL = list({call.name: call for call in CALLS}.values())


def bound(call: Call) -> Any:
    return functools.partial(call.ours, **call.options)


def close(actual: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(nnx.to_numpy(actual), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_values_and_gradients_are_those_of_torch(xp_backend: Any, call: Call) -> None:
    torch = pytest.importorskip("torch")
    arrays = call.arrays()
    turned = [np.ascontiguousarray(call.turned(arrays[0])), *arrays[1:]]
    theirs = [torch.tensor(a, requires_grad=True) for a in turned]
    expected = call.theirs(torch.nn.functional, *theirs, **call.options)
    values = call.turned_back(expected.detach().numpy())
    cotangent = np.random.default_rng(7).standard_normal(values.shape)
    expected.backward(torch.tensor(np.ascontiguousarray(call.turned(cotangent))))
    for mode in ("auto", "off"):
        with nnx.use_kernels(mode):
            out, pullback = nnx.vjp(bound(call), *[xp_backend.array(a) for a in arrays])
            close(out, values)
            grads = pullback(xp_backend.array(cotangent))
        close(grads[0], call.turned_back(theirs[0].grad.numpy()))
        for grad, their in zip(grads[1:], theirs[1:], strict=True):
            close(grad, their.grad.numpy())


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_first_and_second_derivatives(call: Call) -> None:
    arrays = call.arrays()
    if call.options.get("p") == float("inf") or arrays[0].shape[-1] == 1:
        arrays[0] = np.arange(arrays[0].size).reshape(arrays[0].shape) * 0.7 + 0.5  # away from ties and kinks
    nnx.check_grads(bound(call), arrays)


@pytest.mark.parametrize("call", FULL, ids=str)
def test_second_derivatives_on_every_backend(xp_backend: Any, call: Call) -> None:
    nnx.check_grads(bound(call), [xp_backend.array(a) for a in call.arrays()])


@pytest.mark.parametrize("call", FULL, ids=str)
def test_only_one_array_is_tracked(xp_backend: Any, call: Call) -> None:
    """Raw arrays may stand on either side of a tracked one."""
    arrays = [xp_backend.array(a) for a in call.arrays()]
    complete = nnx.grad(lambda *a: nnx.namespace(*a).sum(bound(call)(*a) ** 2), tuple(range(len(arrays))))(*arrays)
    for i, expected in enumerate(complete):

        def alone(x: Any, i: int = i) -> Any:
            out = bound(call)(*arrays[:i], x, *arrays[i + 1 :])
            return nnx.namespace(out).sum(out * out)

        assert_close(nnx.grad(alone)(arrays[i]), expected)


@pytest.mark.parametrize("call", FULL, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(xp_backend: Any, call: Call, dtype: str) -> None:
    arrays = [xp_backend.array(a, dtype) for a in call.arrays()]
    for mode in ("auto", "off"):
        with nnx.use_kernels(mode):
            out, pullback = nnx.vjp(bound(call), *arrays)
            grads = pullback(out)
        assert {str(a.dtype) for a in (out, *grads)} == {str(arrays[0].dtype)}
    expected = bound(call)(*[np.asarray(nnx.to_numpy(a), "float64") for a in arrays])
    np.testing.assert_allclose(nnx.to_numpy(out), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("call", [c for c in FULL if c.name.split("_")[-1] == "norm"], ids=str)
def test_sixteen_bits_are_summed_in_float32(call: Call) -> None:
    """A sum of squares of float16 numbers overflows at 65504."""
    arrays = [np.asarray(a, "float16") for a in call.arrays()]
    arrays[0] = arrays[0] * np.float16(100)
    out, pullback = nnx.vjp(bound(call), *arrays)
    assert {str(a.dtype) for a in (out, *pullback(out))} == {"float16"}
    expected = bound(call)(*[a.astype("float64") for a in arrays])
    np.testing.assert_allclose(out.astype("float64"), expected, rtol=4e-3, atol=4e-3)


@pytest.mark.parametrize("call", FULL, ids=str)
def test_an_empty_batch(xp_backend: Any, call: Call) -> None:
    arrays = call.arrays()
    if arrays[0].ndim == 1:
        arrays[0] = arrays[0][None]
    arrays[0] = arrays[0][:0]
    for mode in ("auto", "off"):
        with nnx.use_kernels(mode):
            out, pullback = nnx.vjp(bound(call), *[xp_backend.array(a) for a in arrays])
            grads = pullback(out)
        assert out.shape == arrays[0].shape
        assert [g.shape for g in grads] == [a.shape for a in arrays]
        assert not any(nnx.to_numpy(g).any() for g in grads)


def far_out(offset: float) -> np.ndarray:
    """Integers, which float32 holds exactly, whose mean is large beside their deviation of 4.6."""
    return (np.random.default_rng(0).integers(-8, 8, (600, 300)) + offset).astype("float32")


@pytest.mark.parametrize(("offset", "atol"), [(1e4, 2e-4), (-1e6, 0.1)])
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_a_mean_that_is_large_beside_the_deviation(name: str, offset: float, atol: float) -> None:
    """A difference of mean squares would have no digit left: (1e6)² has a rounding error of 1e5 in float32."""
    x = far_out(offset)

    def normalized(values: np.ndarray) -> np.ndarray:
        if name == "layer_norm":
            return functional.layer_norm(values, 300)
        return functional.batch_norm(values, None, None, training=True)

    with nnx.use_kernels("require"):
        found = normalized(x)
    np.testing.assert_allclose(found, normalized(x.astype("float64")), atol=atol)


def drifting() -> np.ndarray:
    """Samples of which each piece has another mean, far from the others'."""
    x = np.random.default_rng(0).standard_normal((4000, 64)) + np.linspace(0, 1e4, 4000)[:, None]
    return x.astype("float32")


@pytest.mark.parametrize("x", [far_out(1e4), far_out(-1e6), drifting()], ids=["1e4", "-1e6", "drifting"])
def test_statistics_are_exact_to_float32(x: np.ndarray) -> None:
    channels = x.shape[1]
    mean, variance = nnx.Buffer(np.zeros(channels, "float32")), nnx.Buffer(np.ones(channels, "float32"))
    with nnx.use_kernels("require"):
        functional.batch_norm(x, mean, variance, training=True, momentum=1.0)
    x = x.astype("float64")
    np.testing.assert_allclose(mean.value, x.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(variance.value, x.var(axis=0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
def test_normalize_leaves_zeros(xp_backend: Any, p: float) -> None:
    x = xp_backend.array(np.zeros((2, 3)))
    out, pullback = nnx.vjp(lambda a: functional.normalize(a, p), x)
    assert not nnx.to_numpy(out).any()
    assert np.isfinite(nnx.to_numpy(pullback(x + 1)[0])).all()


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_normalize_along_another_axis(xp_backend: Any, axis: int) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    expected = torch.nn.functional.normalize(torch.tensor(x), dim=axis).numpy()
    close(functional.normalize(xp_backend.array(x), axis=axis), expected)


def test_an_integer_is_a_normalized_shape(xp_backend: Any) -> None:
    x = xp_backend.array(np.random.default_rng(0).standard_normal((3, 4)))
    for function in (functional.layer_norm, functional.rms_norm):
        assert_close(function(x, 4), function(x, [4]))
