"""Products of matrices through cuBLASLt, over a stand-in that multiplies what the descriptors say; or on a device."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nnx
from nnx.backend import to_numpy
from tests.cuda.blaslt_standin import BLAS, StandIn, blas_on, gelu, gelu_slope
from tests.cuda.own_kernels import array, machine, module

LAYOUT = module("cupy.blaslt_layout")
# kind -> dtype, and the tolerance relative to the largest number
KINDS: dict[str, tuple[Any, float]] = {
    "float64": (np.float64, 1e-12),
    "float32": (np.float32, 2e-6),
    "tf32": (np.float32, 2e-3),
    "float16": (np.float16, 2e-3),
    "bfloat16": (ml_dtypes.bfloat16, 1.6e-2),
}
ORDERS = ("rows", "rows apart", "columns", "columns apart")


@pytest.fixture(autouse=True)
def standin() -> Iterator[StandIn | None]:
    with blas_on(machine()) as found:
        yield found
    if found is not None:
        assert all(call["stream"] == found.place.number_of_stream for call in found.calls[-1:])


# ------------------------------------------------------------------ arrays, and what is right


def numbers(seed: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(KINDS[kind][0])


def laid(values: np.ndarray, order: str = "rows", before: int = 0) -> Any:
    """An array with these values whose matrices lie as `order` says; `before` are elements in front of it."""
    turned = values.swapaxes(-1, -2) if order.startswith("columns") else values
    *batch, rows, columns = turned.shape
    apart = 3 if order.endswith("apart") else 0
    memory = array(np.full((*batch, rows + bool(apart), columns + apart + before), 7), turned.dtype)
    view = memory[..., :rows, before : before + columns]
    view[...] = array(turned)
    return view.swapaxes(-1, -2) if order.startswith("columns") else view


def close(found: Any, wanted: np.ndarray, kind: str, slack: float = 1) -> None:
    values = to_numpy(found).astype(np.float64)
    assert values.shape == wanted.shape
    if wanted.size:
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(values, wanted, rtol=0, atol=slack * KINDS[kind][1] * scale)


def multiply(a: Any, b: Any, kind: str, **options: Any) -> Any:
    return machine().blas.matmul(a, b, precision="high" if kind == "tf32" else "highest", **options)


def exact(*arrays: np.ndarray) -> list[np.ndarray]:
    return [x.astype(np.float64) for x in arrays]


# ------------------------------------------------------------------ all orders


@pytest.mark.parametrize("kind", KINDS)
def test_every_order_without_copies(kind: str, standin: StandIn | None) -> None:
    sizes = [(5, 7, 3), (1, 4, 6), (6, 1, 5), (4, 3, 1), (1, 1, 1), (16, 8, 24)]
    for (m, k, n), left, right in itertools.product(sizes, ORDERS, ORDERS):
        for transpose_a, transpose_b in itertools.product((False, True), repeat=2):
            a, b = numbers(1, (m, k), kind), numbers(2, (k, n), kind)
            given_a = laid(a.T if transpose_a else a, left)
            given_b = laid(b.T if transpose_b else b, right)
            found = multiply(given_a, given_b, kind, transpose_a=transpose_a, transpose_b=transpose_b)
            assert found.dtype == a.dtype
            close(found, np.matmul(*exact(a, b)), kind)
            if standin is not None:
                places = {machine().address(x) for x in (given_a, given_b, found)}
                assert set(standin.calls[-1]["addresses"]) == places
    if standin is not None:
        assert len(standin.calls) == 6 * 16 * 4
        assert standin.refusals == []


def test_sums_are_in_the_wide_type(standin: StandIn | None) -> None:
    a, b = np.full((1, 4096), 1, np.float16), np.full((4096, 1), 1.0005, np.float16)
    found = multiply(array(a), array(b), "float16")  # in float16, the sum would stop at 2048
    close(found, np.matmul(*exact(a, b)), "float16")


def test_tf32_only_where_it_is_allowed(standin: StandIn | None) -> None:
    a, b = array([[1 + 2.0**-13]], "f4"), array([[1.0]], "f4")
    assert float(to_numpy(multiply(a, b, "float32"))[0, 0]) == 1 + 2.0**-13
    for kind, compute in (("tf32", 77), ("float32", 68)):
        multiply(a, b, kind)
        if standin is not None:
            assert standin.calls[-1]["compute"] == compute


# ------------------------------------------------------------------ many matrices

BATCHES = [
    ((3,), (3,)),
    ((3,), ()),
    ((), (3,)),
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((1, 3), (2, 1)),
    ((1,), (4,)),
    ((2, 1, 3), (2, 2, 1)),
    ((1, 1), ()),
]


@pytest.mark.parametrize(("left", "right"), BATCHES)
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_batches_are_broadcast(left: tuple, right: tuple, kind: str, standin: StandIn | None) -> None:
    for order_a, order_b in itertools.product(ORDERS, repeat=2):
        a, b = numbers(1, (*left, 4, 5), kind), numbers(2, (*right, 5, 3), kind)
        close(multiply(laid(a, order_a), laid(b, order_b), kind), np.matmul(*exact(a, b)), kind)
    if standin is not None:
        assert standin.refusals == []


def test_one_weight_for_many_rows_is_one_product(standin: StandIn | None) -> None:
    a, b = numbers(1, (4, 6, 5), "float32"), numbers(2, (3, 5), "float32")
    for given in (array(a), laid(a, "rows")[:, :, :], array(np.concatenate([a, a], 2))[..., :5]):
        close(multiply(given, array(b), "float32", transpose_b=True), np.matmul(*exact(a, b.T)), "float32")
        if standin is not None:
            assert [standin.calls[-1][key] for key in ("m", "n", "k", "batch")] == [3, 24, 5, 1]


@pytest.mark.parametrize(("batch", "heads"), [(2, 3), (5, 2)])
def test_heads_of_attention_need_no_copies(batch: int, heads: int, standin: StandIn | None) -> None:
    q, k = (numbers(i, (batch, 7, heads, 4), "float32") for i in (1, 2))
    given = [array(x).transpose(0, 2, 1, 3) for x in (q, k)]
    scores = multiply(*given, "float32", transpose_b=True)
    close(scores, np.einsum("bthd,bshd->bhts", *exact(q, k)), "float32")
    if standin is not None:
        most, few = max(batch, heads), min(batch, heads)
        assert [(call["batch"], call["turned"]) for call in standin.calls] == [(most, (True, False))] * few
        assert {call["layouts"]["a"]["leading"] for call in standin.calls} == {4 * heads}
        assert standin.place.made == 1


def test_more_matrices_than_a_call_takes(standin: StandIn | None) -> None:
    a, b = numbers(1, (65538, 1, 2), "float32"), numbers(2, (65538, 2, 1), "float32")
    close(multiply(array(a), array(b), "float32"), np.matmul(*exact(a, b)), "float32")
    if standin is not None:
        assert [call["batch"] for call in standin.calls] == [65535, 3]


def test_what_would_be_many_calls_is_copied(standin: StandIn | None) -> None:
    a, b = numbers(1, (40, 41, 2, 3), "float32"), numbers(2, (40, 41, 3, 2), "float32")
    given = array(np.concatenate([a, a], 1))[:, :41]
    close(multiply(given, array(b), "float32"), np.matmul(*exact(a, b)), "float32")
    if standin is not None:
        assert [call["batch"] for call in standin.calls] == [40 * 41]


@pytest.mark.parametrize("which", ["reversed", "every second", "repeated"])
def test_other_views_are_copied(which: str, standin: StandIn | None) -> None:
    a, b = numbers(1, (6, 4), "float32"), numbers(2, (4, 6), "float32")
    cut = {"reversed": np.s_[::-1, :], "every second": np.s_[::2, ::2], "repeated": np.s_[:, :]}[which]
    given = array(a)[cut]
    if which == "repeated":
        given, a = machine_broadcast(array(a[:1]), (6, 4)), np.broadcast_to(a[:1], (6, 4))
    b = b[: a[cut].shape[1]]
    close(multiply(given, array(b), "float32"), np.matmul(*exact(a[cut], b)), "float32")


def test_matrices_in_reverse_are_copied(standin: StandIn | None) -> None:
    a, b = numbers(1, (3, 2, 4), "float32"), numbers(2, (3, 4, 5), "float32")
    close(multiply(array(a)[::-1], array(b), "float32"), np.matmul(*exact(a[::-1], b)), "float32")
    if standin is not None:
        assert standin.refusals == []


def test_rows_that_overlap_are_no_matrix() -> None:
    assert LAYOUT.leading_dimension(3, 4, 3, 1) is None
    assert LAYOUT.leading_dimension(3, 4, 4, 1) == 4
    windows = LAYOUT.Strided((5, 1, 4), (1, 4, 1))  # one row each, which begins one element after the last one
    weight, out = LAYOUT.Strided((5, 4, 2), (0, 2, 1)), LAYOUT.Strided((5, 1, 2), (2, 2, 1))
    (group,) = LAYOUT.arrange(windows, weight, out)
    assert (group.problem.n, group.problem.batch, group.problem.strides) == (1, 5, (0, 1, 2))


def machine_broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    return nnx.namespace(x).broadcast_to(x, shape)


# ------------------------------------------------------------------ where the result goes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5])
def test_into_an_array(kind: str, beta: float, standin: StandIn | None) -> None:
    for order, batch in itertools.product(ORDERS, ((), (3,), (2, 3))):
        a, b, c = (numbers(i, (*batch, *s), kind) for i, s in enumerate(((4, 5), (5, 6), (4, 6))))
        if beta == 0:
            c[...] = np.nan
        out = laid(c, order)
        assert multiply(array(a), array(b), kind, out=out, beta=beta) is out
        a, b, c = exact(a, b, c)
        close(out, a @ b + (beta * c if beta else 0), kind)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_sixteen_bits_into_float32(kind: str) -> None:
    a, b = numbers(1, (4, 5), kind), numbers(2, (5, 3), kind)
    out, bias = array(np.ones((4, 3)), "f4"), array(np.arange(3), "f4")
    multiply(array(a), array(b), kind, out=out, beta=1.0, bias=bias)
    close(out, np.matmul(*exact(a, b)) + 1 + np.arange(3), "float32")


# ------------------------------------------------------------------ epilogues

LIBRARY_KINDS = [kind for kind in KINDS if kind != "float64"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_bias_and_relu(kind: str, batch: tuple, standin: StandIn | None) -> None:
    a, b, bias = numbers(1, (*batch, 4, 5), kind), numbers(2, (*batch, 5, 7), kind), numbers(3, (7,), kind)
    for c, epilogue, order in itertools.product((None, bias), (None, "relu"), ("rows", "columns apart")):
        given = None if c is None else array(c)
        found = multiply(laid(a, order), laid(b, order), kind, bias=given, epilogue=epilogue)
        wanted = np.matmul(*exact(a, b)) + (0 if c is None else exact(c)[0])
        close(found, np.maximum(wanted, 0) if epilogue else wanted, kind)
    if standin is not None and kind != "float64":
        assert {call["epilogue"] for call in standin.calls} == {1, 2, 4, 6}


@pytest.mark.parametrize("kind", LIBRARY_KINDS)
@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("epilogue", ["relu", "gelu"])
def test_an_activation_and_its_gradient(kind: str, batch: tuple, epilogue: str, standin: StandIn | None) -> None:
    m, k, n = 6, 5, 131
    blas = machine().blas
    a, b, bias = numbers(1, (*batch, m, k), kind), numbers(2, (*batch, k, n), kind), numbers(3, (n,), kind)
    aux = blas.aux_for(epilogue, (*batch, m, n), str(a.dtype), array(a))
    found = multiply(array(a), array(b), kind, bias=array(bias), epilogue=epilogue, aux=aux)
    before = np.matmul(*exact(a, b)) + exact(bias)[0]
    close(found, np.maximum(before, 0) if epilogue == "relu" else gelu(before), kind)
    # The gradient: of a product with the next layer's weight, at what was kept.
    g, w = numbers(4, (*batch, m, 8), kind), numbers(5, (n, 8), kind)
    slope = (before > 0) if epilogue == "relu" else gelu_slope(before)
    wanted = np.matmul(*exact(g, w.T)) * slope
    found = multiply(array(g), array(w), kind, transpose_b=True, epilogue=f"d{epilogue}", aux=aux)
    close(found, wanted, kind, slack=3)
    sums = array(np.full(n, np.nan), a.dtype)
    options: dict[str, Any] = {"transpose_b": True, "epilogue": f"d{epilogue}", "aux": aux, "bias_gradient": sums}
    close(multiply(array(g), array(w), kind, **options), wanted, kind, slack=3)
    close(sums, wanted.sum(tuple(range(wanted.ndim - 1))), kind, slack=3)
    if standin is not None:
        assert [call["batch"] for call in standin.calls[1:]] == [1, 1]  # rows of all are the rows of one


@pytest.mark.parametrize("kind", LIBRARY_KINDS)
def test_sums_of_a_factor(kind: str, standin: StandIn | None) -> None:
    g, x = numbers(1, (9, 4), kind), numbers(2, (9, 5), kind)  # the gradient of a layer's output, its input
    sums = array(np.zeros(4), g.dtype)
    found = multiply(array(g), array(x), kind, transpose_a=True, epilogue="bgrada", bias_gradient=sums)
    close(found, np.matmul(*exact(g.T, x)), kind)
    close(sums, exact(g)[0].sum(0), kind, slack=2)
    found = multiply(array(x), array(g), kind, transpose_a=True, epilogue="bgradb", bias_gradient=sums)
    close(found, np.matmul(*exact(x.T, g)), kind)
    close(sums, exact(g)[0].sum(0), kind, slack=2)


def test_what_epilogues_cannot_do() -> None:
    blas = machine().blas
    g, sums = array(np.ones((9, 4)), "f4"), array(np.ones(4), "f4")
    with pytest.raises(BLAS.Unsupported, match="sums the factor a in another order only"):
        blas.matmul(array(np.ones((4, 9)), "f4"), g, epilogue="bgrada", bias_gradient=sums)
    with pytest.raises(BLAS.Unsupported, match="products over one element"):
        blas.matmul(g[:1], g[:1], transpose_a=True, epilogue="bgrada", bias_gradient=sums)
    wide = array(np.ones((2, 9, 4)), "f4")
    with pytest.raises(BLAS.Unsupported, match="of one product, not of many"):
        blas.matmul(wide, wide, transpose_a=True, epilogue="bgrada", bias_gradient=sums)
    with pytest.raises(BLAS.Unsupported, match="no epilogues for float64"):
        blas.matmul(array(np.ones((2, 2))), array(np.ones((2, 2))), epilogue="gelu")


def test_a_bias_that_begins_anywhere(standin: StandIn | None) -> None:
    a, b, bias = (numbers(i, s, "float32") for i, s in enumerate(((4, 5), (5, 6), (9,))))
    memory = array(bias)
    for start in range(4):
        found = multiply(array(a), array(b), "float32", bias=memory[start : start + 6])
        close(found, np.matmul(*exact(a, b)) + exact(bias)[0][start : start + 6], "float32")
    if standin is not None:
        assert [call["epilogue"] for call in standin.calls] == [4, 1, 1, 1]
        assert standin.refusals == []


# ------------------------------------------------------------------ no elements, or too many


@pytest.mark.parametrize("kind", ["float32", "float64", "bfloat16"])
def test_no_elements(kind: str, standin: StandIn | None) -> None:
    for batch, (m, k, n) in itertools.product(((), (2,), (0,)), itertools.product((0, 3), repeat=3)):
        a, b, bias, c = (numbers(i, s, kind) for i, s in enumerate(((*batch, m, k), (k, n), (n,), (*batch, m, n))))
        for given, epilogue, beta in itertools.product((None, bias), (None, "relu"), (0.0, 1.0, 2.0)):
            out = array(c) if beta else None
            vector = None if given is None else array(given)
            found = multiply(array(a), array(b), kind, bias=vector, epilogue=epilogue, beta=beta, out=out)
            wanted = np.matmul(*exact(a, b)) + beta * exact(c)[0] + (0 if given is None else exact(given)[0])
            close(found, np.maximum(wanted, 0) if epilogue else wanted, kind)
    if standin is not None:
        assert all(call["k"] == 3 for call in standin.calls)


def test_sums_over_no_rows() -> None:
    blas, sums = machine().blas, array(np.ones(4), "f4")
    empty, x = array(np.ones((0, 4)), "f4"), array(np.ones((0, 3)), "f4")
    found = blas.matmul(empty, x, transpose_a=True, epilogue="bgrada", bias_gradient=sums)
    np.testing.assert_array_equal(to_numpy(found), np.zeros((4, 3)))
    np.testing.assert_array_equal(to_numpy(sums), np.zeros(4))
    with pytest.raises(BLAS.Unsupported, match="over nothing"):
        blas.matmul(empty, x, transpose_a=True, epilogue="gelu")


def test_sizes_of_more_than_32_bits() -> None:
    far = 2**33
    left, right, out = (LAYOUT.Strided((3, 4, 4), (far * 4, far, 1)) for _ in range(3))
    (group,) = LAYOUT.arrange(left, right, out)
    assert group.problem == LAYOUT.Problem(4, 4, 4, 3, False, False, (far,) * 3, (far * 4,) * 3)
    long = SimpleNamespace(dtype=np.dtype("f4"), shape=(2**31, 1))
    assert machine().blas.refusal(long) == "an axis of 2147483648 elements is longer than cuBLASLt takes"
    assert machine().blas.refusal(SimpleNamespace(dtype=np.dtype("f4"), shape=(2**31 - 1, 2**20))) is None


# ------------------------------------------------------------------ at random


@pytest.mark.parametrize("seed", range(8))
def test_at_random(seed: int, standin: StandIn | None) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(25):
        kind = str(rng.choice(list(KINDS)))
        m, k, n = (int(x) for x in rng.choice([1, 2, 3, 5, 8, 13, 33], 3))
        batch = tuple(int(x) for x in rng.integers(1, 4, rng.integers(0, 4)))
        shapes = []
        for rows, columns in ((m, k), (k, n)):
            own = tuple(1 if rng.random() < 0.3 else size for size in batch)[int(rng.integers(0, len(batch) + 1)) :]
            shapes.append((*own, rows, columns))
        a, b = (numbers(seed + i, shape, kind) for i, shape in enumerate(shapes))
        turn = [bool(x) for x in rng.integers(0, 2, 2)]
        given = [
            laid(x.swapaxes(-1, -2) if turned else x, str(rng.choice(ORDERS)), int(rng.integers(0, 3)))
            for x, turned in zip((a, b), turn, strict=True)
        ]
        product = np.matmul(*exact(a, b))
        options: dict[str, Any] = {"transpose_a": turn[0], "transpose_b": turn[1]}
        if rng.random() < 0.5:
            bias = numbers(seed + 5, (n,), kind)
            options["bias"], product = array(bias), product + exact(bias)[0]
        if rng.random() < 0.3:
            c = numbers(seed + 6, product.shape, kind)
            options["out"] = laid(c, str(rng.choice(ORDERS[:2])), int(rng.integers(0, 3)))
            options["beta"], product = 0.5, product + 0.5 * exact(c)[0]
        if rng.random() < 0.3:
            options["epilogue"], product = "relu", np.maximum(product, 0)
        close(multiply(*given, kind, **options), product, kind, slack=2)
    if standin is not None:
        assert standin.refusals == []
