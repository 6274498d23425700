"""Values of the special functions against SciPy in float64, on NumPy and on the strict namespace."""

import array_api_compat.numpy as numpy_namespace
import array_api_strict
import numpy as np
import pytest

from nnx.autodiff import special

scipy_special = pytest.importorskip("scipy.special")

INF, NAN = np.inf, np.nan
NAMESPACES = pytest.mark.parametrize("xp", [numpy_namespace, array_api_strict], ids=["numpy", "strict"])
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def expected(function, *args, **kwargs):
    """SciPy's answer; it may warn where this package must not."""
    with np.errstate(all="ignore"):
        return np.asarray(function(*args, **kwargs))


def close(actual, desired, dtype, eps, floor=0.0):
    """Compare within `eps` units of the dtype's precision, relative to the desired value or to `floor`."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.dtype == dtype
    assert actual.shape == desired.shape
    limits = np.finfo(dtype)
    with np.errstate(over="ignore", under="ignore"):
        desired = desired.astype(dtype)
    # Below the normal range only absolute accuracy is left; near the top the two may round to either side.
    regular = np.isfinite(desired) & (np.abs(desired) > 4 * limits.tiny) & (np.abs(desired) < limits.max / 2)
    size = np.maximum(np.abs(desired[regular].astype("float64")), floor)
    error = np.abs(actual[regular].astype("float64") - desired[regular].astype("float64")) / size
    assert error.size > 0
    worst = int(np.argmax(error))
    assert error[worst] <= eps * limits.eps, (actual[regular][worst], desired[regular][worst])
    small = np.abs(desired) <= 4 * limits.tiny
    np.testing.assert_allclose(actual[small], desired[small], rtol=0, atol=4 * limits.tiny)


def log_grid(low, high, n=200):
    return np.logspace(low, high, n)


def both_signs(x):
    return np.concatenate([-x, x])


CENTRE = both_signs(np.concatenate([np.linspace(0, 5, 301), log_grid(-30, 0)]))
NEAR_ZERO_TO_LARGE = np.concatenate([log_grid(-30, 30), np.linspace(0.01, 20, 1000)])
BETWEEN_POLES = np.concatenate([np.linspace(0.1, 0.9, 30) - k for k in range(1, 21)])
POSITIVE_ZERO = 1.4616321449683623

# name: (points, units of precision allowed, floor of relative error). The points keep away from where SciPy
# itself is not good for a few units (tails, poles); `HARD` covers those.
CASES = {
    "erf": (np.concatenate([CENTRE, both_signs(np.linspace(5, 9, 50))]), 8, 0),
    "erfc": (np.concatenate([np.linspace(-6, 3, 501), both_signs(log_grid(-30, 0))]), 12, 0),
    "erfcx": (np.concatenate([np.linspace(-3, 20, 501), log_grid(1, 30)]), 12, 0),
    "erfinv": (np.concatenate([np.linspace(-0.999, 0.999, 801), both_signs(log_grid(-30, -1))]), 12, 0),
    "erfcinv": (np.concatenate([np.linspace(0.01, 1.99, 801), log_grid(-36, -1)]), 12, 0),
    "ndtr": (np.linspace(-2.5, 8, 801), 12, 0),
    "log_ndtr": (np.concatenate([np.linspace(-38, 2.5, 801), -log_grid(1, 15)]), 12, 0),
    "ndtri": (np.concatenate([np.linspace(0.01, 0.99, 801), log_grid(-36, -1)]), 12, 0),
    "gammaln": (np.concatenate([NEAR_ZERO_TO_LARGE, both_signs(np.linspace(0.05, 20.2, 600))]), 16, 1),
    "gamma": (np.concatenate([np.linspace(0.01, 34, 500), np.linspace(-20.05, -0.05, 400)]), 16, 0),
    "digamma": (np.concatenate([NEAR_ZERO_TO_LARGE, BETWEEN_POLES]), 16, 1),
    "i0": (np.concatenate([CENTRE, np.linspace(-80, 80, 501)]), 12, 0),
    "i0e": (np.concatenate([CENTRE, np.linspace(-80, 80, 501), log_grid(2, 30)]), 12, 0),
    "i1": (np.concatenate([CENTRE, np.linspace(-80, 80, 501)]), 12, 0),
    "i1e": (np.concatenate([CENTRE, np.linspace(-80, 80, 501), log_grid(2, 30)]), 12, 0),
    "expit": (np.linspace(-80, 40, 801), 6, 0),
    "logit": (np.concatenate([np.linspace(0.001, 0.999, 800), log_grid(-30, -3)]), 6, 1e-2),
    "log_expit": (np.linspace(-80, 80, 801), 6, 0),
    "entr": (np.concatenate([np.linspace(0.01, 3, 500), log_grid(-30, 30)]), 6, 1e-2),
    "sinc": (np.linspace(-4.9, 4.9, 800), 12, 0.1),
}


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("name", CASES)
def test_one_argument(name, dtype, xp):
    points, eps, floor = CASES[name]
    x = points.astype(dtype)
    actual = getattr(special, name)(xp, xp.asarray(x))
    close(actual, expected(getattr(scipy_special, name), x.astype("float64")), dtype, eps, floor)


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 10])
def test_polygamma(n, dtype, xp):
    x = np.concatenate([np.linspace(0.05, 30, 500), log_grid(-2, 3)]).astype(dtype)
    actual = special.polygamma(xp, n, xp.asarray(x))
    close(actual, expected(scipy_special.polygamma, n, x.astype("float64")), dtype, 16, 1.0 if n == 0 else 0)


@NAMESPACES
@pytest.mark.parametrize("n", [1, 2, 3])
def test_polygamma_of_negative_arguments(n, xp):
    x = np.linspace(-6.07, -0.07, 97)
    x = x[np.abs(x - np.round(x)) > 1e-3]
    close(special.polygamma(xp, n, xp.asarray(x)), expected(scipy_special.polygamma, n, x), "float64", 60, 1.0)


@pytest.mark.parametrize("n", [-1, 1.0, 101, None])
def test_polygamma_wants_a_moderate_integer(n):
    with pytest.raises(ValueError, match="polygamma: expected an int n from 0 to 100 for float64, got"):
        special.polygamma(numpy_namespace, n, np.ones(2))
    with pytest.raises(ValueError, match="from 0 to 25 for float32, got 26"):
        special.polygamma(numpy_namespace, 26, np.ones(2, dtype="float32"))


@NAMESPACES
@DTYPES
def test_zeta(dtype, xp):
    s = np.linspace(1.1, 12, 40).astype(dtype)[:, None]
    q = np.concatenate([np.linspace(0.1, 20, 40), log_grid(-2, 2, 20)]).astype(dtype)
    desired = expected(scipy_special.zeta, s.astype("float64"), q.astype("float64"))
    close(special.zeta(xp, xp.asarray(s), xp.asarray(q)), desired, dtype, 24)


PAIRS = {
    "xlogy": (log_grid(-20, 10, 40), log_grid(-20, 20, 41), 4),
    "xlog1py": (log_grid(-20, 10, 40), np.concatenate([[-0.9], log_grid(-20, 20, 41)]), 4),
    "rel_entr": (log_grid(-15, 10, 40), log_grid(-15, 15, 41), 6),
    "betaln": (log_grid(-1, 1, 40), log_grid(-1, 1, 41), 24),
}


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("name", PAIRS)
def test_two_arguments(name, dtype, xp):
    a, b, eps = PAIRS[name]
    a, b = a.astype(dtype)[:, None], b.astype(dtype)
    desired = expected(getattr(scipy_special, name), a.astype("float64"), b.astype("float64"))
    close(
        getattr(special, name)(xp, xp.asarray(a), xp.asarray(b)),
        desired,
        dtype,
        eps,
        1.0 if name == "betaln" else 0,
    )


@NAMESPACES
@DTYPES
def test_kl_div(dtype, xp):
    x, y = np.linspace(0.1, 3, 30).astype(dtype)[:, None], np.linspace(0.2, 4, 30).astype(dtype)
    desired = expected(scipy_special.kl_div, x.astype("float64"), y.astype("float64"))
    close(special.kl_div(xp, xp.asarray(x), xp.asarray(y)), desired, dtype, 6, 3.0)


@NAMESPACES
@DTYPES
def test_multigammaln(dtype, xp):
    a = np.linspace(1.6, 30, 100).astype(dtype)
    desired = [scipy_special.multigammaln(float(v), 4) for v in a]
    close(special.multigammaln(xp, xp.asarray(a), 4), desired, dtype, 16, 1.0)
    assert np.isnan(np.asarray(special.multigammaln(xp, xp.asarray(a[:1] * 0 + 1.5), 4)))[0]


# Values computed with 40 digits, where SciPy has lost some of its own.
HARD = [
    ("erfc", 6.375, 1.9577523042806317e-19),
    ("erfc", 26.0, 5.663192408856143e-296),
    ("erfcx", -26.0, 7.657724931490568e293),
    ("ndtr", -12.3, 4.5287069561587846e-35),
    ("ndtr", -37.0, 5.725571222524577e-300),
    ("log_ndtr", -30.0, -454.32124395634322),
    ("log_ndtr", 7.75, -4.594627435778606e-15),
    ("log_ndtr", 30.0, -4.906713927148187e-198),
    ("erfinv", 0.999999999999, 5.042031898572696),
    ("gammaln", 1.0000000000000002, -1.2816762426960008e-16),
    ("gammaln", 2.0000001, 4.227843666532498e-08),
    ("gamma", 171.0, 7.257415615307999e306),
    ("gammaln", -3.9999, 6.032437168735688),
    ("digamma", -3.9999, -9998.493575456188),
    ("digamma", POSITIVE_ZERO, -9.241265521729427e-17),
    ("digamma", 1.4616321, -4.3514636958769774e-08),
    ("sinc", 12345.25, -1.823203896553545e-05),
    ("i0", 713.0, 6.705128263670996e307),
]


@NAMESPACES
@pytest.mark.parametrize(("name", "x", "desired"), HARD)
def test_hard_values(name, x, desired, xp):
    actual = getattr(special, name)(xp, xp.asarray([x], dtype=xp.float64))
    np.testing.assert_allclose(np.asarray(actual), [desired], rtol=2e-15)


SPECIAL_VALUES = {
    "erf": ([0.0, INF, -INF, NAN, 1e30, -30.0], [0.0, 1.0, -1.0, NAN, 1.0, -1.0]),
    "erfc": ([0.0, INF, -INF, NAN, 1e30, -30.0], [1.0, 0.0, 2.0, NAN, 0.0, 2.0]),
    "erfcx": ([0.0, INF, -INF, NAN, -30.0], [1.0, 0.0, INF, NAN, INF]),
    "erfinv": ([0.0, 1.0, -1.0, 1.5, -1.5, INF, -INF, NAN], [0.0, INF, -INF, NAN, NAN, NAN, NAN, NAN]),
    "erfcinv": ([1.0, 0.0, 2.0, -0.5, 2.5, INF, -INF, NAN], [0.0, INF, -INF, NAN, NAN, NAN, NAN, NAN]),
    "ndtr": ([0.0, INF, -INF, NAN, -1e30], [0.5, 1.0, 0.0, NAN, 0.0]),
    "log_ndtr": ([INF, -INF, NAN, 1e30, -1e30], [0.0, -INF, NAN, 0.0, None]),
    "ndtri": ([0.5, 0.0, 1.0, -0.5, 1.5, INF, -INF, NAN], [0.0, -INF, INF, NAN, NAN, NAN, NAN, NAN]),
    "gammaln": (
        [0.0, -0.0, 1.0, 2.0, -1.0, -50.0, INF, -INF, NAN],
        [INF, INF, 0, 0, INF, INF, INF, INF, NAN],
    ),
    "gamma": (
        [0.0, -0.0, 1.0, 2.0, 5.0, 7.0, -1.0, 200.0, -200.5, INF, -INF, NAN],
        [INF, -INF, 1.0, 1.0, 24.0, 720.0, NAN, INF, 0.0, INF, NAN, NAN],
    ),
    "digamma": ([0.0, -0.0, -1.0, -50.0, INF, -INF, NAN], [-INF, INF, NAN, NAN, INF, NAN, NAN]),
    "i0": ([0.0, INF, -INF, 1e4, NAN], [1.0, INF, INF, INF, NAN]),
    "i0e": ([0.0, INF, -INF, NAN], [1.0, 0.0, 0.0, NAN]),
    "i1": ([0.0, INF, -INF, -1e4, NAN], [0.0, INF, -INF, -INF, NAN]),
    "i1e": ([0.0, INF, -INF, NAN], [0.0, 0.0, 0.0, NAN]),
    "expit": ([0.0, INF, -INF, 1e30, -1e30, NAN], [0.5, 1.0, 0.0, 1.0, 0.0, NAN]),
    "logit": ([0.5, 0.0, 1.0, -0.5, 1.5, INF, NAN], [0.0, -INF, INF, NAN, NAN, NAN, NAN]),
    "log_expit": ([INF, -INF, -1e4, NAN], [0.0, -INF, -1e4, NAN]),
    "entr": ([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN], [0.0, 0.0, 0.0, -INF, -INF, -INF, NAN]),
    "sinc": ([0.0, 1.0, -7.0, 1e30, INF, -INF, NAN], [1.0, 0.0, 0.0, 0.0, NAN, NAN, NAN]),
}


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("name", SPECIAL_VALUES)
def test_special_values(name, dtype, xp):
    points, values = SPECIAL_VALUES[name]
    pairs = [(x, v) for x, v in zip(points, values, strict=True) if v is not None]
    x = xp.asarray([x for x, _ in pairs], dtype=getattr(xp, dtype))
    actual = np.asarray(getattr(special, name)(xp, x))
    np.testing.assert_array_equal(actual, np.asarray([v for _, v in pairs], dtype=dtype))


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("name", CASES)
def test_no_argument_warns(name, dtype, xp):
    limits = np.finfo(dtype)
    points = both_signs(np.asarray([0, limits.tiny, limits.tiny / 4, limits.smallest_subnormal, limits.max]))
    x = np.concatenate([points.astype(dtype), both_signs(log_grid(-44, 37, 400)).astype(dtype)])
    result = np.asarray(getattr(special, name)(xp, xp.asarray(x)))
    assert result.dtype == dtype


@NAMESPACES
@DTYPES
def test_polygamma_poles(dtype, xp):
    x = xp.asarray([0.0, -1.0, -2.0, INF, -INF, NAN, 1e-38, -1e-38], dtype=getattr(xp, dtype))
    first = np.asarray(special.polygamma(xp, 3, x))
    np.testing.assert_array_equal(first[:6], [INF, INF, INF, 0.0, INF, NAN])
    second = np.asarray(special.polygamma(xp, 2, x))
    np.testing.assert_array_equal(second[:6], [-INF, -INF, -INF, 0.0, -INF, NAN])
    if dtype == "float32":
        np.testing.assert_array_equal(first[6:], [INF, INF])
        np.testing.assert_array_equal(second[6:], [-INF, INF])


EDGE = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, INF, -INF, NAN, 1e-30, 1e30]


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("name", ["xlogy", "xlog1py", "rel_entr", "kl_div"])
def test_special_values_of_two_arguments(name, dtype, xp):
    a, b = np.asarray(EDGE, dtype=dtype)[:, None], np.asarray(EDGE, dtype=dtype)
    desired = expected(getattr(scipy_special, name), a.astype("float64"), b.astype("float64"))
    actual = np.asarray(getattr(special, name)(xp, xp.asarray(a), xp.asarray(b)))
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, desired.astype(dtype), rtol=8 * np.finfo(dtype).eps, atol=0)


@NAMESPACES
@DTYPES
def test_special_values_of_betaln_and_zeta(dtype, xp):
    a, b = (xp.asarray(v, dtype=getattr(xp, dtype)) for v in ([0.0, 1, 1, -1, NAN, 1], [1.0, INF, 1, 2, 1, 2]))
    np.testing.assert_allclose(np.asarray(special.betaln(xp, a, b)), [INF, -INF, 0, NAN, NAN, -np.log(2)], rtol=1e-6)
    s, q = (
        xp.asarray(v, dtype=getattr(xp, dtype))
        for v in ([1.0, 2, 2, 0.5, 2, NAN, 20, 1e9], [1.0, 0, -3, 1, -0.5, 1, 1e-30, 2])
    )
    np.testing.assert_array_equal(np.asarray(special.zeta(xp, s, q)), [INF, INF, INF, NAN, NAN, NAN, INF, 0.0])


ROWS = np.asarray([[1.0, 2.0, -3.0], [1e4, -1e4, 0.0], [-INF, 0.5, 1.5], [-700.0, -701.0, -705.0]])


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), (-1,)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax_family(name, axis, dtype, xp):
    x = ROWS.astype(dtype)
    actual = np.asarray(getattr(special, name)(xp, xp.asarray(x), axis=axis))
    desired = expected(getattr(scipy_special, name), x.astype("float64"), axis=axis)
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, desired, rtol=8 * np.finfo(dtype).eps, atol=2 * np.finfo(dtype).tiny)


@NAMESPACES
def test_softmax_family_of_infinite_rows(xp):
    x = xp.asarray([[-INF, -INF], [INF, 1e4], [INF, -INF], [INF, INF], [NAN, 1e4]])
    nan = np.full((5, 2), NAN)
    np.testing.assert_array_equal(np.asarray(special.softmax(xp, x, axis=1)), nan)
    np.testing.assert_array_equal(np.asarray(special.log_softmax(xp, x, axis=1)), nan)
    np.testing.assert_array_equal(np.asarray(special.logsumexp(xp, x, axis=1)), [-INF, INF, INF, INF, NAN])


@NAMESPACES
def test_logsumexp_shapes(xp):
    x = xp.reshape(xp.arange(24, dtype=xp.float32), (2, 3, 4))
    for axis, kept, dropped in [(1, (2, 1, 4), (2, 4)), ((0, 2), (1, 3, 1), (3,)), (None, (1, 1, 1), ())]:
        assert special.logsumexp(xp, x, axis=axis, keepdims=True).shape == kept
        assert special.logsumexp(xp, x, axis=axis).shape == dropped
    empty = xp.zeros((2, 0), dtype=xp.float32)
    np.testing.assert_array_equal(np.asarray(special.logsumexp(xp, empty, axis=1)), [-INF, -INF])
    assert special.logsumexp(xp, empty, axis=0).shape == (0,)
    assert special.softmax(xp, empty, axis=1).shape == special.log_softmax(xp, empty, axis=0).shape == (2, 0)


@NAMESPACES
@DTYPES
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
@pytest.mark.parametrize("name", [*CASES, "polygamma"])
def test_shapes(name, shape, dtype, xp):
    x = xp.full(shape, 0.25, dtype=getattr(xp, dtype))
    value = special.polygamma(xp, 1, x) if name == "polygamma" else getattr(special, name)(xp, x)
    assert value.shape == shape
    assert value.dtype == x.dtype


@pytest.mark.parametrize("name", [*CASES, "logsumexp", "softmax", "log_softmax"])
def test_results_stay_on_the_device(name):
    x = array_api_strict.asarray([0.25, 0.5], device=array_api_strict.Device("device1"))
    assert getattr(special, name)(array_api_strict, x).device == x.device


def test_public_names():
    assert len(set(special.__all__)) == len(special.__all__)
    assert all(callable(getattr(special, name)) for name in special.__all__)
    assert special.psi is special.digamma
