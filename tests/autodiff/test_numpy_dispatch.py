"""Plain NumPy code on tracked arrays: recorded with the right gradient, or refused; never a silent detour."""

from __future__ import annotations

import numpy as np
import pytest

import nnx
from tests.autodiff.op_cases import at, cplx, positive, real, unit
from tests.tolerances import assert_close

SQUARE = np.asarray([[2.0, 0.5, -0.3], [0.1, 1.5, 0.4], [-0.2, 0.3, 1.8]])
SYMMETRIC = SQUARE @ SQUARE.T + np.eye(3)

UFUNCS = {
    unit: "arcsin arccos arctanh",
    real: "sin cos tan sinh cosh tanh arcsinh arctan exp expm1 negative positive square absolute fabs reciprocal sign",
    positive: "log log2 log10 log1p sqrt",
}
NOT_RECORDED = ("cbrt", "deg2rad", "degrees", "exp2", "rad2deg", "radians")
BINARY = """add subtract multiply divide true_divide power float_power arctan2 hypot logaddexp maximum minimum fmod
remainder mod copysign"""
X, Y = real(3, 4), real(4)

CALLS = {
    # reductions, by function and by method of the ufunc
    "sum": lambda x: np.sum(x),
    "sum axis": lambda x: np.sum(x, 0) * np.sum(x, axis=-2, keepdims=True),
    "sum tuple": lambda x: np.sum(x, axis=(0, 1)),
    "mean": lambda x: np.mean(x, axis=1),
    "mean dtype": lambda x: np.mean(x, axis=1, dtype=np.float64),
    "prod": lambda x: np.prod(x, axis=0),
    "max": lambda x: np.max(x, axis=1) * np.amax(x),
    "min": lambda x: np.min(x) + np.amin(x, 0),
    "var": lambda x: np.var(x, axis=0, ddof=1),
    "std": lambda x: np.std(x),
    "std keepdims": lambda x: np.std(x, 1, keepdims=True),
    "add.reduce": lambda x: np.add.reduce(x),
    "add.reduce none": lambda x: np.add.reduce(x, axis=None),
    "multiply.reduce": lambda x: np.multiply.reduce(x, axis=1, keepdims=True),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=-1),
    "minimum.reduce": lambda x: np.minimum.reduce(x),
    "add.accumulate": lambda x: np.add.accumulate(x),
    "multiply.accumulate": lambda x: np.multiply.accumulate(x, axis=1),
    "cumsum": lambda x: np.cumsum(x),
    "cumsum axis": lambda x: np.cumsum(x, axis=1),
    "cumprod": lambda x: np.cumprod(x, 0),
    "diff": lambda x: np.diff(x, axis=0),
    "sort": lambda x: np.sort(x, axis=0),
    "linalg.norm": lambda x: np.linalg.vector_norm(x, axis=1),
    "norm": lambda x: np.linalg.norm(x),
    "norm axis": lambda x: np.linalg.norm(x, axis=1, keepdims=True) + np.linalg.norm(x, 1, 0),
    "norm of matrix": lambda x: np.linalg.norm(x, "fro") + np.linalg.norm(x, 1) + np.linalg.norm(x, 2, axis=(0, 1)),
    "sort position": lambda x: np.sort(x, 0) + np.flip(x, 1),
    "diff position": lambda x: np.diff(x, 2, 1),
    # shapes
    "reshape": lambda x: np.reshape(x, (2, 6)) ** 2,
    "transpose": lambda x: np.transpose(x) ** 2,
    "transpose axes": lambda x: np.transpose(x, (1, 0)) ** 2,
    "permute_dims": lambda x: np.permute_dims(x, (1, 0)) ** 2,
    "matrix_transpose": lambda x: np.matrix_transpose(x) ** 2,
    "swapaxes": lambda x: np.swapaxes(x, 0, -1) ** 2,
    "moveaxis": lambda x: np.moveaxis(x, 0, 1) ** 2,
    "ravel": lambda x: np.ravel(x) ** 2,
    "expand_dims": lambda x: np.expand_dims(x, 1) ** 2,
    "squeeze": lambda x: np.squeeze(x[:, 0:1], axis=1) ** 2,
    "squeeze all": lambda x: np.squeeze(x[None, ..., None]) ** 2,
    "by position": lambda x: np.stack([np.take(x, np.asarray([0, 2]), 1), np.roll(x, 1, 0)[:, 0:2]], 1) ** 2,
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 3, 4)) ** 2,
    "flip": lambda x: np.flip(x, axis=1) ** 2,
    "roll": lambda x: np.roll(x, 1, axis=0) ** 2,
    "concatenate": lambda x: np.concatenate([x, x * x], axis=1),
    "concatenate axis": lambda x: np.concatenate((x, x * x), 0),
    "concat": lambda x: np.concat([x, x * x]),
    "stack": lambda x: np.stack([x, x * x], axis=1),
    "vstack": lambda x: np.vstack([x, x * x]),
    "hstack": lambda x: np.hstack([x, x * x]),
    "tile": lambda x: np.tile(x, (2, 1)) ** 2,
    "repeat": lambda x: np.repeat(x, 2, axis=1) ** 2,
    "tril": lambda x: np.tril(x) + np.triu(x, k=1) ** 2,
    "take": lambda x: np.take(x, np.asarray([0, 2, 0]), axis=1) ** 2,
    "take_along_axis": lambda x: np.take_along_axis(x, np.asarray([[0, 1], [1, 1], [3, 0]]), axis=1) ** 2,
    "concatenate flat": lambda x: np.concatenate([x, x * x], axis=None),
    "concat flat": lambda x: np.concat([x, x * x], None),
    "concatenate lists": lambda x: np.concatenate([x[0, :], [1.0, 2.0]]),
    "vstack vectors": lambda x: np.vstack([x[0, :], x[1, :], np.ones(4), x]) ** 2,
    "hstack vectors": lambda x: np.hstack([x[0, :], x[1, 0], 3.0]) ** 2,
    "sort flat": lambda x: np.sort(x, axis=None) * np.arange(12.0) + np.sort(x, None),
    "take flat": lambda x: np.take(x, np.asarray([[0, 5], [11, 5]])) ** 2 + np.take(x, 3, axis=None),
    "take number": lambda x: np.take(x, 1, axis=-1) ** 2 * np.take(x, [0, 1, 1], axis=0)[:, 0],
    "take_along_axis flat": lambda x: np.take_along_axis(x, np.asarray([0, 7]), None) ** 2,
    "tile number": lambda x: np.tile(x, 2) ** 2,
    "tile array": lambda x: np.tile(x, np.asarray([2, 1, 2])) ** 2,
    "copy": lambda x: np.copy(x) ** 2,
    "flip roll flat": lambda x: np.flip(x, axis=None) * np.roll(x, 1, axis=None),
    "sums over None": lambda x: np.sum(x, axis=None) * np.max(x, axis=None) + np.cumsum(x, axis=None),
    "tensordot axis": lambda x: np.tensordot(x, x, axes=(0, 0)) + np.tensordot(x, x, axes=(0, [0])),
    "dot list": lambda x: np.dot([1.0, 2.0, 3.0], x),
    "astype": lambda x: np.astype(x, np.complex128) * 1j,
    # choices
    "where": lambda x: np.where(x > 0, x * x, -x),
    "where scalar": lambda x: np.where(x > 0, x, 0.0),
    "clip": lambda x: np.clip(x, -0.7, 0.7),
    "maximum scalar": lambda x: np.maximum(x, 0.1) + np.minimum(0.2, x),
    # products
    "matmul": lambda x: np.matmul(x, x.T),
    "dot": lambda x: np.dot(x, x.T),
    "dot vectors": lambda x: np.dot(x[0, :], x[1, :]),
    "dot matrix vector": lambda x: np.dot(x, x[0, :]),
    "dot scalar": lambda x: np.dot(2.0, x) + np.dot(x, 2.0),
    "tensordot": lambda x: np.tensordot(x, x, axes=((1,), (1,))),
    "vecdot": lambda x: np.vecdot(x, x),
    "outer": lambda x: np.outer(x[0, :], x),
    # operators with NumPy arrays on either side
    "operators": lambda x: (Y * x + Y / x - Y) @ np.ones(4),
    "raw left": lambda x: np.ones((2, 3)) @ x,
    "scalar left": lambda x: np.float64(2.0) * x - np.float64(1.0),
}


SINGLE = {  # what else has NumPy's dtype, shape and value
    "dot number": lambda x: np.dot(x, 2.0),
    "dot": lambda x: np.dot(x, x.T),
    "float_power": lambda x: np.float_power(np.abs(x), 2),
    "power": lambda x: np.power(x, 2),
    "hstack number": lambda x: np.hstack([x[0, :], 1.0]),
    "argsort flat": lambda x: np.argsort(x, axis=None),
    "argsort": lambda x: np.argsort(x, 0),
    "argmax": lambda x: np.argmax(x, axis=None),
    "argmin": lambda x: np.argmin(x, 0, keepdims=True),
    "all": lambda x: np.all(x > 0, axis=None) | np.any(x > 0),
    "copy": lambda x: np.copy(x > 0),
    "linspace": lambda x: np.linspace(x[0, 0], x[1, 1], 5),
    "full_like": lambda x: np.full_like(x, 3.0),
}


@pytest.mark.parametrize("f", [*CALLS.values(), *SINGLE.values()], ids=[*CALLS, *(f"single {k}" for k in SINGLE)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_shapes_and_dtypes_are_those_of_numpy(f, dtype):
    x = np.asarray(X, dtype)
    expected = f(x)
    for given in (nnx.variable(x), nnx.differentiable(np).asarray(x)):
        found = nnx.stop_gradient(f(given))
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


def check(f, *args):
    """The tracked call returns a tracked array with NumPy's values, and its gradient is right."""
    tracked = f(*[nnx.variable(a) for a in args])
    assert isinstance(tracked, nnx.Array)
    assert tracked.tracked
    assert_close(nnx.stop_gradient(tracked), np.asarray(f(*args)))
    nnx.check_grads(f, args, order=1)


@pytest.mark.parametrize(
    ("name", "domain"),
    [(n, d) for d, names in UFUNCS.items() for n in names.split()],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_ufuncs_of_one_argument(name, domain):
    check(lambda x: getattr(np, name)(x), domain(3, 2))


@pytest.mark.parametrize("name", BINARY.split())
def test_ufuncs_of_two_arguments(name):
    ufunc = getattr(np, name)
    if name == "fmod":
        with pytest.raises(TypeError, match=r"numpy\.fmod"):
            ufunc(nnx.variable(X), Y)
        return
    x, y = positive(3, 4), positive(4)
    check(lambda x, y: ufunc(x, y), x, y)
    check(lambda x: ufunc(x, y), x)
    if name == "copysign":  # its derivative by the second is zero
        assert not ufunc(x, nnx.variable(y)).tracked
        return
    check(lambda y: ufunc(x, y), y)
    check(lambda y: ufunc(1.3, y), y)


@pytest.mark.parametrize("f", CALLS.values(), ids=CALLS)
def test_functions(f):
    check(f, X)


@pytest.mark.parametrize("name", ["det", "inv", "eigvalsh", "cholesky", "matrix_norm", "trace", "diagonal", "svdvals"])
def test_linalg(name):
    function = getattr(np.linalg, name)
    check(lambda x: function((x + x.T) / 2), SYMMETRIC)


def test_linalg_of_several_results():
    check(lambda x: np.linalg.slogdet(x).logabsdet, SQUARE)
    check(lambda x: np.linalg.qr(x)[1] ** 2, SQUARE)
    check(lambda x: np.linalg.eigh((x + x.T) / 2).eigenvalues, SYMMETRIC)
    check(lambda x, y: np.linalg.solve(x, y), SQUARE, real(3, 2))
    check(lambda x: np.linalg.matrix_power(x, 3), SQUARE)
    check(lambda x: np.linalg.outer(x[0, :], x[1, :]), SQUARE)


@pytest.mark.parametrize("name", ["fft", "ifft", "fftn", "hfft", "fftshift"])
def test_fft(name):
    check(lambda x: np.abs(getattr(np.fft, name)(x)) ** 2, cplx(4))


def test_fft_of_real_numbers():
    check(lambda x: np.real(np.fft.rfft(x)) ** 2, real(6))
    check(lambda x: np.fft.irfft(np.fft.rfft(x) ** 2), real(6))


def test_complex_numbers():
    check(lambda z: np.real(z) * np.imag(z) + np.abs(z), cplx(3))
    check(lambda z: np.conj(z) * z, cplx(3))
    check(lambda z: np.conjugate(z) * z, cplx(3))


def test_what_has_no_gradient_is_computed():
    x = nnx.variable(at(1.4, -2.5, 3.0))
    for result, expected in (
        (np.floor(x), [1.0, -3.0, 3.0]),
        (np.rint(x), [1.0, -2.0, 3.0]),
        (np.isfinite(x), [True, True, True]),
        (np.greater(x, 0.0), [True, False, True]),
        (np.argmax(x), 2),
        (np.any(x > 2), True),
        (np.zeros_like(x), [0.0, 0.0, 0.0]),
        (np.argsort(x), [1, 0, 2]),
    ):
        assert isinstance(result, nnx.Array)
        assert not result.tracked
        assert nnx.stop_gradient(result).tolist() == expected
    assert np.shape(x) == (3,)
    assert np.ndim(x) == 1
    assert np.size(x) == 3


def _refused():
    out, mask = np.zeros((3, 4)), np.ones((3, 4), dtype=bool)
    yield from (lambda x, name=name: getattr(np, name)(x) for name in NOT_RECORDED)
    yield from (
        lambda x: np.sin(x, out=out),
        lambda x: np.add(x, x, where=mask),
        lambda x: np.add(x, x, dtype=np.float32),
        lambda x: np.sum(x, out=out),
        lambda x: np.sum(x, where=mask),
        lambda x: np.sum(x, initial=1.0),
        lambda x: np.mean(x, where=mask),
        lambda x: np.max(x, initial=1.0),
        lambda x: np.std(x, where=mask),
        lambda x: np.std(x, dtype=np.float32),
        lambda x: np.prod(x, where=mask),
        lambda x: np.cumsum(x, out=out),
        lambda x: np.clip(x, 0.0, 1.0, out=out),
        lambda x: np.add.reduce(x, where=mask),
        lambda x: np.add.reduce(x, initial=1.0),
        lambda x: np.add.reduce(x, out=out),
        lambda x: np.subtract.reduce(x),
        lambda x: np.add.reduceat(x, [0, 1]),
        lambda x: np.add.outer(x, x),
        lambda x: np.add.at(x, 0, 1.0),
        lambda x: np.median(x),
        lambda x: np.interp(x, out, out),
        lambda x: np.gradient(x),
        lambda x: np.einsum("ij->i", x),
        lambda x: np.convolve(x[0, :], x[0, :]),
        lambda x: np.fmax(x, x),
        lambda x: np.modf(x),
        lambda x: np.divmod(x, 2.0),
        lambda x: np.linalg.lstsq(x, x),
        lambda x: np.linalg.qr(x, mode="r"),
        lambda x: np.copy(x, order="F"),
        lambda x: np.concatenate([x, x], out=out),
        lambda x: np.sort(x, kind="stable"),
        lambda x: np.reshape(x, (2, 6), order="F"),
        lambda x: np.ravel(x, order="F"),
        lambda x: np.matmul(x, x.T, out=out),
        lambda x: np.dot(x, x.T, out=out),
        lambda x: np.copyto(out, x),
        lambda x: out.__iadd__(x),
        lambda x: np.var(x, mean=out),
    )


@pytest.mark.parametrize("call", [pytest.param(f, id=str(i)) for i, f in enumerate(_refused())])
def test_what_is_not_recorded_is_refused(call):
    with pytest.raises(
        TypeError, match=r"numpy\.\w+.* is not recorded on tracked arrays.*__array_namespace__.*stop_gradient"
    ):
        call(nnx.variable(real(3, 4)))


def test_a_list_of_tracked_arrays_is_not_converted_in_silence():
    x = nnx.variable(at(1.0, 2.0))
    with pytest.raises(BufferError, match="would lose its gradient"):
        np.asarray([x, x])
    with pytest.raises(BufferError, match="would lose its gradient"):
        np.asarray(x)[0] = 1.0
    target = np.zeros(2)
    with pytest.raises((BufferError, TypeError)):
        target[:] = x
