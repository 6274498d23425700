"""StandardScaler and MinMaxScaler: scikit-learn's numbers on every backend, more axes, state, and the errors."""

import numpy as np
import pytest

import nnx
from nnx.data import MinMaxScaler, StandardScaler
from nnx.errors import DTypeError, ShapeError, WeightsError
from tests.tolerances import assert_close

RNG = np.random.default_rng(0)
# Features of several sizes, a constant one, and one far from zero for its spread.
X = RNG.normal(size=(40, 5)) * [1.0, 1e-3, 50.0, 0.0, 1.0] + [0.0, 1.0, -20.0, 0.1, 2000.0]
NEW = RNG.normal(size=(7, 5)) * [2.0, 2e-3, 70.0, 0.5, 3.0] + [0.0, 1.0, -20.0, 0.1, 2000.0]
MAKERS = [StandardScaler, MinMaxScaler]


@pytest.fixture
def preprocessing():
    return pytest.importorskip("sklearn.preprocessing")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StandardScaler", {}),
        ("StandardScaler", {"with_mean": False}),
        ("StandardScaler", {"with_std": False}),
        ("StandardScaler", {"with_mean": False, "with_std": False}),
        ("MinMaxScaler", {}),
        ("MinMaxScaler", {"feature_range": (-1, 3)}),
        ("MinMaxScaler", {"clip": True}),
        ("MinMaxScaler", {"feature_range": (-2.0, 0.5), "clip": True}),
    ],
)
def test_values_equal_scikit_learn(preprocessing, xp_backend, name, options):
    theirs = getattr(preprocessing, name)(**options).fit(X)
    ours = getattr(nnx.data, name)(**options)
    assert ours.fit(xp_backend.array(X)) is ours
    for data in (X, NEW):
        array = xp_backend.array(data)
        found = ours.transform(array)
        assert nnx.backend.device(found) == nnx.backend.device(array)
        assert_close(found, theirs.transform(data))
        assert_close(ours.inverse_transform(array), theirs.inverse_transform(data))
    assert_close(getattr(nnx.data, name)(**options).fit_transform(xp_backend.array(X)), theirs.transform(X))


def test_attributes_equal_scikit_learn(preprocessing, xp_backend):
    standard, theirs = StandardScaler().fit(xp_backend.array(X)), preprocessing.StandardScaler().fit(X)
    assert_close(standard.mean, theirs.mean_)
    assert_close(standard.scale, theirs.scale_)
    extremes, theirs = MinMaxScaler().fit(xp_backend.array(X)), preprocessing.MinMaxScaler().fit(X)
    assert_close(extremes.data_min, theirs.data_min_)
    assert_close(extremes.data_max, theirs.data_max_)
    assert all(type(array) is np.ndarray for array in (standard.mean, extremes.data_min))


@pytest.mark.parametrize("make", MAKERS)
def test_float32_is_as_exact_as_float32_can_be(xp_backend, make):
    single = X.astype("float32")  # 2000 with a spread of 1: sums in float32 would lose the variance
    expected = make().fit_transform(single.astype("float64"))
    scaler = make().fit(xp_backend.array(single))
    found = nnx.to_numpy(scaler.transform(xp_backend.array(single)))
    assert found.dtype == np.float32
    # The mean is rounded to float32, which for numbers of 2000 leaves 1e-4; MinMax subtracts one of the numbers.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1.3e-4 if make is StandardScaler else 1e-6)
    for name in make.state_names:
        np.testing.assert_allclose(
            getattr(scaler, name), getattr(make().fit(single.astype("float64")), name), rtol=1e-7
        )


def test_the_rounding_of_the_mean_does_not_count_as_variance(xp_backend):
    # float32 numbers around a million are 1/16 apart: the mean lies up to 1/32 from the one that is subtracted.
    data = np.asarray([[1e6], [1e6 + 0.0625], [1e6 + 0.0625]], dtype="float32")
    scaler = StandardScaler().fit(xp_backend.array(data))
    assert_close(scaler.mean, np.asarray([1e6 + 0.125 / 3]))
    assert_close(scaler.scale, np.asarray([0.0625 * np.sqrt(2) / 3]))


def test_the_largest_number_becomes_exactly_one():
    single = RNG.normal(size=(1000, 20)).astype("float32")
    scaled = MinMaxScaler().fit_transform(single)
    np.testing.assert_array_equal(scaled.min(axis=0), 0.0)
    np.testing.assert_array_equal(scaled.max(axis=0), 1.0)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_integers_become_float32(xp_backend, make, dtype):
    data = RNG.integers(0, 2 if dtype == "bool" else 200, size=(30, 3)).astype(dtype)
    found = make().fit_transform(xp_backend.array(data))
    assert_close(found, make().fit_transform(data.astype("float64")).astype("float32"))


@pytest.mark.parametrize("make", MAKERS)
def test_half_precision_does_not_overflow(make):
    data = np.asarray([[60000.0], [-60000.0], [0.0]], dtype="float16")
    assert_close(make().fit_transform(data), make().fit_transform(data.astype("float64")).astype("float16"))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("value", [0.0, 0.1, -1e8, 1e-20, 123456.789])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_features_become_zero_and_come_back(make, value, dtype):
    data = np.full((37, 2), value, dtype=dtype)
    scaler = make().fit(data)
    scaled = scaler.transform(data)
    np.testing.assert_array_equal(scaled, 0.0)
    np.testing.assert_array_equal(scaler.inverse_transform(scaled), data)


@pytest.mark.parametrize("make", MAKERS)
def test_statistics_are_over_all_axes_but_the_last(xp_backend, make):
    images = RNG.normal(size=(6, 4, 3, 2))
    found = make().fit_transform(xp_backend.array(images))
    expected = make().fit_transform(images.reshape(-1, 2)).reshape(images.shape)
    assert_close(found, expected)
    scaler = make().fit(images)
    assert_close(scaler.transform(images[0, 0]), expected[0, 0])
    assert_close(scaler.transform(images[0, 0, 0]), expected[0, 0, 0])


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_scaled_comes_back(xp_backend, make):
    scaler = make().fit(xp_backend.array(X))
    assert_close(scaler.inverse_transform(scaler.transform(xp_backend.array(NEW))), NEW)


@pytest.mark.parametrize("make", MAKERS)
def test_inputs_are_left_alone_and_nan_passes_through_transform(make):
    data = X.copy()
    scaler = make().fit(data)
    scaler.transform(data)
    np.testing.assert_array_equal(data, X)
    data[3, 2] = np.nan
    wrong = np.isnan(scaler.transform(data))
    assert wrong.sum() == 1
    assert wrong[3, 2]


@pytest.mark.parametrize("make", MAKERS)
def test_gradients_flow(xp_backend, make):
    scaler = make().fit(xp_backend.array(X))
    nnx.check_grads(scaler.transform, (xp_backend.array(NEW[:2]),))
    nnx.check_grads(scaler.inverse_transform, (xp_backend.array(NEW[:2]),))


@pytest.mark.parametrize("make", MAKERS)
def test_fit_takes_a_tracked_array_for_its_values(make):
    assert_close(make().fit(nnx.variable(X)).transform(NEW), make().fit(X).transform(NEW))


@pytest.mark.parametrize("make", MAKERS)
def test_state_goes_through_a_file(make, tmp_path):
    scaler = make().fit(X)
    np.savez(tmp_path / "scaler.npz", **scaler.state_dict())
    other = make()
    with np.load(tmp_path / "scaler.npz") as state:
        other.load_state_dict(state)
    assert_close(other.transform(NEW), scaler.transform(NEW))
    other.state_dict()[make.state_names[0]][:] = 0.0  # a copy
    assert_close(other.transform(NEW), scaler.transform(NEW))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_fit_names_the_features_with_nan(xp_backend, make, bad):
    data = X.astype("float32")
    data[[4, 5], [1, 3]] = bad
    with pytest.raises(
        ValueError, match=r"expected finite numbers, got NaN or infinity in feature 1, 3 of 5\. Leave those"
    ):
        make().fit(xp_backend.array(data))


def test_infinities_of_both_signs_are_no_warning():
    data = np.asarray([[np.inf], [-np.inf]])
    for make in MAKERS:
        with pytest.raises(ValueError, match="NaN or infinity in feature 0 of 1"):
            make().fit(data)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda s: s.fit(X[:, 0]),
            ShapeError,
            r"\.fit: expected x of shape \(N, ..., features\), got \(40,\)\. For a sin",
        ),
        (
            lambda s: s.fit(X[:0]),
            ValueError,
            r"\.fit: expected at least one sample and one feature, got shape \(0, 5\)",
        ),
        (lambda s: s.fit(X[:, :0]), ValueError, r"expected at least one sample and one feature, got shape \(40, 0\)"),
        (
            lambda s: s.fit([[1.0], [2.0]]),
            TypeError,
            r"\.fit: expected x to be an array, got list; use nnx.asarray\(x\)",
        ),
        (lambda s: s.fit(X + 1j), DTypeError, r"\.fit: expected real numbers, got dtype complex128"),
        (lambda s: s.transform(X), RuntimeError, r"\.transform: nothing was learned yet; call fit\(x\) first"),
        (lambda s: s.inverse_transform(X), RuntimeError, r"\.inverse_transform: nothing was learned yet"),
        (lambda s: s.state_dict(), RuntimeError, r"\.state_dict: nothing was learned yet"),
        (
            lambda s: s.fit(X).transform(X[:, :2]),
            ShapeError,
            r"shape \(..., 5\), with the features of fit, got \(40, 2\)",
        ),
        (
            lambda s: s.fit(X).transform(X[0, 0, ...]),
            ShapeError,
            r"shape \(..., 5\), with the features of fit, got \(\)",
        ),
        (lambda s: s.fit(X).transform([1.0]), TypeError, r"\.transform: expected x to be an array, got list"),
        (lambda s: s.load_state_dict(3), TypeError, "expected arrays by name, as state_dict.. returns them, got int"),
        (
            lambda s: s.load_state_dict({"mean": X[0]}),
            WeightsError,
            r"expected \w+ and \w+, got mean; pass what state_d",
        ),
        (lambda s: s.load_state_dict({}), WeightsError, r"expected \w+ and \w+, got none; pass what state_dict"),
    ],
)
def test_bad_arguments(make, call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(make())
    assert str(caught.value).startswith(make.__name__)


def test_a_failed_load_changes_nothing():
    scaler = StandardScaler().fit(X)
    before = scaler.transform(NEW)
    with pytest.raises(
        WeightsError, match=r"expected mean and scale of one shape \(features,\), got \(5,\) and \(4,\)"
    ):
        scaler.load_state_dict({"mean": X[0], "scale": X[0, :4]})
    assert_close(scaler.transform(NEW), before)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: MinMaxScaler((1.0, 0.0)),
            ValueError,
            r"two finite numbers, the smaller first, got \(1.0, 0.0\); pass s",
        ),
        (lambda: MinMaxScaler((0.0, 0.0)), ValueError, "two finite numbers, the smaller first"),
        (lambda: MinMaxScaler((0.0, float("inf"))), ValueError, "two finite numbers, the smaller first"),
        (lambda: MinMaxScaler((0.0, float("nan"))), ValueError, "two finite numbers, the smaller first"),
        (lambda: MinMaxScaler((0.0,)), TypeError, "MinMaxScaler: expected feature_range as two finite numbers"),
        (lambda: MinMaxScaler(1.0), TypeError, "MinMaxScaler: expected feature_range as two finite numbers"),
        (lambda: MinMaxScaler("ab"), TypeError, "MinMaxScaler: expected feature_range as two finite numbers"),
        (lambda: MinMaxScaler(clip=1), TypeError, "MinMaxScaler: expected clip to be True or False, got 1"),
        (
            lambda: StandardScaler(with_mean=0),
            TypeError,
            "StandardScaler: expected with_mean to be True or False, got 0",
        ),
        (lambda: StandardScaler(with_std="y"), TypeError, "StandardScaler: expected with_std to be True or False, got"),
    ],
)
def test_bad_options(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_representations():
    assert repr(StandardScaler(with_mean=False)) == "StandardScaler(with_mean=False, with_std=True)"
    assert repr(MinMaxScaler((-1, 1))) == "MinMaxScaler(feature_range=(-1.0, 1.0), clip=False)"
