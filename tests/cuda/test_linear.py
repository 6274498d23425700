"""Fully connected layers, products of matrices and pointwise convolutions through cuBLASLt: as NumPy computes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nnx
from nnx.backend import to_numpy
from tests.cuda import own_kernels, test_layers
from tests.cuda.blaslt_standin import StandIn, blas_on
from tests.cuda.own_kernels import array, machine, module
from tests.tolerances import TOLERANCES

LINEAR, POINTWISE = module("cupy.launchers.linear"), module("cupy.launchers.convolution_pointwise")
GEOMETRY = module("cupy.launchers.geometry").Geometry
DTYPES: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
# rows before the features, features in, features out
SIZES = [((5,), 3, 4), ((), 3, 4), ((2, 3), 7, 130), ((1,), 1, 1), ((6,), 5, 1), ((6,), 1, 5), ((33, 2), 17, 9)]
EMPTY = [((0,), 3, 4), ((3,), 0, 4), ((3,), 4, 0), ((2, 0), 3, 4)]


@pytest.fixture(autouse=True)
def standin() -> Iterator[StandIn | None]:
    with blas_on(machine()) as found:
        yield found
    if found is not None:
        assert found.refusals == []


class Need:
    """What the tape hands to a kernel: a gradient is wanted, here or anywhere."""

    def __init__(self, to: Any = None) -> None:
        self.to = to

    def destination(self) -> Any:
        return self.to


def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(DTYPES[dtype])


def close(found: Any, wanted: Any, dtype: str, slack: float = 1) -> None:
    assert found.dtype == DTYPES[dtype]
    values, wanted = to_numpy(found).astype(np.float64), np.asarray(wanted, np.float64)
    assert values.shape == wanted.shape
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(values, wanted, rtol=0, atol=slack * TOLERANCES[dtype][0] * scale)


# ------------------------------------------------------------------ the kernel


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES + EMPTY, ids=str)
@pytest.mark.parametrize("precision", ["highest", "high"])
def test_forward_and_backward(dtype: str, sizes: tuple, precision: str) -> None:
    rows, features, outputs = sizes
    x, w, b = (numbers(s, dtype, i) for i, s in enumerate(((*rows, features), (outputs, features), (outputs,))))
    g = numbers((*rows, outputs), dtype, 9)
    exact = [v.astype(np.float64) for v in (x, w, b, g)]
    slack = 200 if (dtype, precision) == ("float32", "high") else 3
    kernel = LINEAR.Linear(machine())
    for bias in (None, b):
        given = (array(x), array(w), None if bias is None else array(bias))
        assert kernel.supports(*given) is None
        with nnx.use_float32_precision(precision):
            out, residuals = kernel.forward(*given)
        close(out, exact[0] @ exact[1].T + (0 if bias is None else exact[2]), dtype, slack)
        count = math.prod(rows)
        flat_x, flat_g = exact[0].reshape((count, features)), exact[3].reshape((count, outputs))
        wanted = (exact[3] @ exact[1], flat_g.T @ flat_x, flat_g.sum(0))
        for asked in ((1, 1, 1), (0, 1, 0), (1, 0, 1), (0, 0, 1), (0, 1, 1)):
            needs = tuple(Need() if ask and (i < 2 or bias is not None) else None for i, ask in enumerate(asked))
            found = kernel.backward(array(g), residuals, needs)
            for value, need, right in zip(found, needs, wanted, strict=True):
                assert (value is None) == (need is None)
                if need is not None:
                    close(value, right, dtype, slack)


def test_gradients_go_where_they_are_wanted(standin: StandIn | None) -> None:
    x, w, b, g = (numbers(s, "float32", i) for i, s in enumerate(((6, 5), (4, 5), (4,), (6, 4))))
    kernel = LINEAR.Linear(machine())
    _, residuals = kernel.forward(array(x), array(w), array(b))
    places = array(np.full((4, 5), np.nan), "f4"), array(np.full(4, np.nan), "f4")
    found = kernel.backward(array(g), residuals, (None, Need(places[0]), Need(places[1])))
    assert found[1] is places[0]
    close(places[0], g.T @ x, "float32", 3)
    close(found[2], g.sum(0), "float32", 3)
    if standin is not None:
        assert [call["epilogue"] for call in standin.calls] == [4, 512]  # two calls: the sums come in passing


@pytest.mark.parametrize("how", ["turned", "every second", "repeated", "read-only", "apart"])
def test_views(how: str, standin: StandIn | None) -> None:
    x, w, b, g = (numbers(s, "float32", i) for i, s in enumerate(((6, 5), (4, 5), (4,), (6, 4))))
    kernel = LINEAR.Linear(machine())

    def view(values: np.ndarray) -> Any:
        if how == "turned":
            return array(np.ascontiguousarray(values.T)).T
        if how == "every second":
            return array(np.repeat(values, 2, -1))[..., ::2]
        if how == "apart":
            return array(np.concatenate([values, values], -1))[..., : values.shape[-1]]
        if how == "repeated":
            return nnx.namespace(array(values)).broadcast_to(array(values[:1]), values.shape)
        found = array(values)
        found.flags.writeable = False
        return found

    if how == "read-only" and standin is None:
        pytest.skip("a device has no read-only arrays")
    arrays = [view(v) for v in (x, w, b, g)]
    x, w, b, g = (to_numpy(v).astype(np.float64) for v in arrays)
    out, residuals = kernel.forward(*arrays[:3])
    close(out, x @ w.T + b, "float32", 3)
    found = kernel.backward(arrays[3], residuals, (Need(), Need(), Need()))
    for value, wanted in zip(found, (g @ w, g.T @ x, g.sum(0)), strict=True):
        close(value, wanted, "float32", 3)


def test_where_sums_cannot_come_in_passing(standin: StandIn | None) -> None:
    if standin is None:
        pytest.skip("a device decides by itself")
    standin.refuses = lambda product, when: product["epilogue"] == 512
    x, w, b, g = (numbers(s, "bfloat16", i) for i, s in enumerate(((6, 5), (4, 5), (4,), (6, 4))))
    kernel = LINEAR.Linear(machine())
    _, residuals = kernel.forward(array(x), array(w), array(b))
    for _ in range(2):
        _, weight, bias = kernel.backward(array(g), residuals, (None, Need(), Need()))
        close(weight, g.astype("f8").T @ x.astype("f8"), "bfloat16")
        close(bias, g.astype("f8").sum(0), "bfloat16")
    assert [call["epilogue"] for call in standin.calls] == [4, 1, 1]


@pytest.mark.parametrize(
    ("shapes", "dtypes", "reason"),
    [
        (((2, 3), (4, 5), (4,)), ("f4",) * 3, "the shapes do not fit"),
        (((2, 3), (4, 3), (3,)), ("f4",) * 3, "the shapes do not fit"),
        (((), (4, 3), (4,)), ("f4",) * 3, "the shapes do not fit"),
        (((2, 3), (4, 3), (4,)), ("i4",) * 3, "it takes float32, float64, float16, bfloat16 arrays of one dtype"),
        (((2, 3), (4, 3), (4,)), ("f4", "f8", "f4"), "it takes float32, .* arrays of one dtype"),
        (((2, 3), (4, 3), (4,)), ("c8",) * 3, "it takes float32, .* arrays of one dtype"),
    ],
)
def test_what_the_reference_does(shapes: tuple, dtypes: tuple, reason: str) -> None:
    arrays = [array(np.ones(shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    assert re.fullmatch(reason, LINEAR.Linear(machine()).supports(*arrays))


# ------------------------------------------------------------------ through the library


def test_the_reason_is_told_without_the_library() -> None:
    if own_kernels._backend != "simt":
        pytest.skip("a device has the library")
    given = machine().blas
    machine().blas = None
    try:
        x, w = array(np.ones((2, 3)), "f4"), array(np.ones((4, 3)), "f4")
        np.testing.assert_array_equal(to_numpy(nnx.functional.linear(x, w)), np.full((2, 4), 3.0))
        (line,) = [line for line in nnx.explain().splitlines() if line.startswith("linear")]
        assert line.endswith("reference: the simulator has no cuBLASLt")
        assert not POINTWISE.fits(machine(), x, geometry(), "float32", "forward")
    finally:
        machine().blas = given


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_first_and_second_derivatives(dtype: str) -> None:
    arrays = [numbers(s, dtype, i) for i, s in enumerate(((2, 3, 5), (4, 5), (4,)))]

    def loss(x: Any, w: Any, b: Any) -> Any:
        out = nnx.functional.linear(x, w, b)
        return nnx.namespace(out).sum(out * out * out)

    def of_gradients(x: Any, w: Any, b: Any) -> Any:
        grads = nnx.grad(loss, argnums=(0, 1, 2))(x, w, b)
        xp = nnx.namespace(*grads)
        return sum(xp.sum(g * g) for g in grads)

    for function in (loss, of_gradients):
        wanted = nnx.grad(function, argnums=(0, 1, 2))(*arrays)
        with nnx.use_kernels("require" if function is loss else "auto"):
            found = nnx.grad(function, argnums=(0, 1, 2))(*[array(v) for v in arrays])
        for mine, theirs in zip(found, wanted, strict=True):
            close(mine, theirs, dtype, slack=20)


def mlp() -> Any:
    return nnx.Sequential(nnx.Linear(6, 16), nnx.ReLU(), nnx.Linear(16, 9), nnx.GELU(), nnx.Linear(9, 3))


def test_a_training_step_is_that_of_numpy(standin: StandIn | None) -> None:
    wanted = test_layers.step("numpy", mlp, (9, 6), 3)
    found = test_layers.step(own_kernels._backend, mlp, (9, 6), 3)
    for name, values in wanted.items():
        close(found[name], values, "float32", slack=10)
    if standin is not None:
        # Three layers forward, three gradients of weights with those of biases, two of inputs; one workspace.
        assert sorted(call["epilogue"] for call in standin.calls) == [1, 1, 4, 4, 4, 512, 512, 512]
        assert len(standin.place.workspaces) == 1


@pytest.mark.parametrize("shapes", [((4, 5), (5, 6)), ((2, 3, 4, 5), (3, 5, 6)), ((2, 4, 5), (5, 6)), ((0, 5), (5, 6))])
def test_matmul_of_the_namespace(shapes: tuple, standin: StandIn | None) -> None:
    a, b = (numbers(s, "float32", i) for i, s in enumerate(shapes))

    def product(x: Any, y: Any) -> Any:
        xp = nnx.namespace(x, y)
        return xp.sum(xp.matmul(x, y) ** 2)

    found, wanted = (nnx.value_and_grad(product, argnums=(0, 1))(*given) for given in ((array(a), array(b)), (a, b)))
    assert type(found[1][0]) is type(array(a))
    np.testing.assert_allclose(to_numpy(found[0]), wanted[0], rtol=1e-5)
    for mine, theirs in zip(found[1], wanted[1], strict=True):
        close(mine, theirs, "float32", slack=10)
    if standin is not None and 0 not in shapes[0]:
        assert len(standin.calls) >= 3


def test_other_matmuls_are_those_of_the_library(standin: StandIn | None) -> None:
    xp = nnx.namespace(array([1.0]))
    m, v = array(np.ones((3, 4)), "f4"), array(np.ones(4), "f4")
    for x, y in ((m, v), (v, v), (array(np.ones((3, 4)), "i4"), array(np.ones((4, 3)), "i4"))):
        np.testing.assert_array_equal(to_numpy(xp.matmul(x, y)), to_numpy(x) @ to_numpy(y))
    if standin is not None:
        assert standin.calls == []
        standin.refuses = lambda product, when: True
        np.testing.assert_array_equal(to_numpy(xp.matmul(m, m.mT)), np.full((3, 3), 4.0))


# ------------------------------------------------------------------ pointwise convolutions


def geometry(**changes: Any) -> Any:
    sizes: dict[str, Any] = {"batch": 2, "lengths": (1, 3, 4), "channels": 5, "out": (1, 3, 4), "outputs": 7}
    sizes |= {"kernel": (1, 1, 1), "stride": (1, 1, 1), "before": (0, 0, 0), "dilation": (1, 1, 1), "groups": 1}
    return GEOMETRY(**(sizes | changes))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("sizes", [(2, (1, 3, 4), 5, 7), (1, (1, 1, 1), 1, 1), (3, (2, 5, 3), 16, 33)])
def test_pointwise_convolutions(dtype: str, sizes: tuple) -> None:
    batch, lengths, channels, outputs = sizes
    g = geometry(batch=batch, lengths=lengths, out=lengths, channels=channels, outputs=outputs)
    shapes = ((batch, *lengths, channels), (outputs, 1, 1, 1, channels), (outputs,), (batch, *lengths, outputs))
    x, w, b, grad = (numbers(s, dtype, i) for i, s in enumerate(shapes))
    fx, fw, fb, fg = (v.astype(np.float64).reshape(-1, v.shape[-1]) for v in (x, w, b, grad))
    for direction in ("forward", "input_gradient", "weight_gradient"):
        assert POINTWISE.fits(machine(), array(x), g, dtype, direction)
    for bias, relu in ((None, False), (b, False), (b, True), (None, True)):
        given = None if bias is None else array(bias)
        wanted = fx @ fw.T + (0 if bias is None else fb)
        close(
            POINTWISE.forward(machine(), array(x), array(w), given, g, relu=relu),
            np.maximum(wanted, 0) if relu else wanted,
            dtype,
            3,
        )
    close(POINTWISE.input_gradient(machine(), array(grad), array(w), g), fg @ fw, dtype, 3)
    close(POINTWISE.weight_gradient(machine(), array(x), array(grad), g), fg.T @ fx, dtype, 3)


def test_pointwise_convolutions_without_an_algorithm(standin: StandIn | None) -> None:
    if standin is None:
        pytest.skip("a device has algorithms")
    standin.refuses = lambda product, when: True
    g = geometry()
    x, w, b, grad = (numbers(s, "float32", i) for i, s in enumerate(((24, 5), (7, 5), (7,), (24, 7))))
    found = POINTWISE.forward(machine(), array(x), array(w), array(b), g, relu=True)
    close(found.reshape((24, 7)), np.maximum(x @ w.T + b, 0), "float32", 3)
    close(POINTWISE.input_gradient(machine(), array(grad), array(w), g).reshape((24, 5)), grad @ w, "float32", 3)
    close(POINTWISE.weight_gradient(machine(), array(x), array(grad), g).reshape((7, 5)), grad.T @ x, "float32", 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": (1, 1, 3)},
        {"stride": (1, 2, 1)},
        {"before": (0, 1, 0)},
        {"groups": 5},
        {"out": (1, 4, 4)},
        {"batch": 0},
        {"outputs": 0},
        {"batch": 2**31},
    ],
)
def test_what_is_not_pointwise(changes: dict[str, Any]) -> None:
    x = array([1.0], "f4")
    assert POINTWISE.fits(machine(), x, geometry(), "float32", "forward")
    assert not POINTWISE.fits(machine(), x, geometry(**changes), "float32", "forward")
    assert not POINTWISE.fits(machine(), x, geometry(), "int32", "forward")


def test_precision_reaches_the_library(standin: StandIn | None) -> None:
    if standin is None:
        pytest.skip("the stand-in tells")
    x, w = array(np.ones((24, 5)), "f4"), array(np.ones((7, 5)), "f4")
    for name, compute in (("high", 77), ("highest", 68)):
        with nnx.use_float32_precision(name):
            POINTWISE.forward(machine(), x, w, None, geometry())
            _, pullback = nnx.vjp(nnx.functional.linear, x, w, array(np.ones(7), "f4"))
        pullback(array(np.ones((24, 7)), "f4"))
        assert {call["compute"] for call in standin.calls} == {compute}
        # With TF32 the sums would be of rounded numbers.
        assert (512 in {call["epilogue"] for call in standin.calls}) == (name == "highest")
        standin.calls.clear()
