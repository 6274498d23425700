"""Scaling: features of like size, by numbers that are learned from the training data."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from nnx.autodiff import stop_gradient
from nnx.backend import device, get_backend, to_numpy
from nnx.checks import boolean, is_number
from nnx.dtypes import dtype_name, is_complex, is_floating
from nnx.errors import DTypeError, ShapeError, WeightsError
from nnx.functional.checks import namespace_of

_NARROW = ("float16", "bfloat16")  # computed with in float32: squares of such numbers leave their range


class _Scaler:
    """Learns a few numbers for each feature, the last axis, and keeps them on the host in float64."""

    state_names: tuple[str, ...] = ()

    def fit(self, x: Any) -> Self:
        """Learn from training data; return self.

        Parameters
        ----------
        x
            Array of shape (N, ..., features), of any backend. Statistics are over all axes but the last.

        Raises
        ------
        ValueError
            If there are no samples, or a feature has a NaN or an infinity; the text tells which.
        TypeError, DTypeError, ShapeError
            If `x` is no array of real numbers, or has a single axis.
        """
        where = f"{type(self).__name__}.fit"
        namespace_of(where, x=x)
        raw = _wide(where, stop_gradient(x))
        shape = tuple(raw.shape)
        if len(shape) < 2:
            raise ShapeError(
                f"{where}: expected x of shape (N, ..., features), got {shape}. For a single feature use "
                "xp.expand_dims(x, axis=-1)."
            )
        if raw.size == 0:
            raise ValueError(f"{where}: expected at least one sample and one feature, got shape {shape}.")
        for name, values in zip(self.state_names, self._statistics(raw, tuple(range(len(shape) - 1))), strict=True):
            setattr(self, name, values)
        return self

    def transform(self, x: Any) -> Any:
        """Return `x` scaled, as an array of the same kind; NaN stays NaN, and gradients flow through.

        Parameters
        ----------
        x
            Array of shape (..., features). Floating-point arrays keep their dtype; integers and booleans become
            float32.

        Raises
        ------
        RuntimeError
            If nothing was learned yet.
        ShapeError
            If the number of features is not that of `fit`.
        """
        return self._changed("transform", x)

    def inverse_transform(self, x: Any) -> Any:
        """Return scaled values, such as predictions, in the original units; arguments and errors as in `transform`."""
        return self._changed("inverse_transform", x)

    def fit_transform(self, x: Any) -> Any:
        """Learn from `x` and return it scaled."""
        return self.fit(x).transform(x)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return what was learned, as NumPy arrays of float64 by name: ``numpy.savez(path, **state)`` keeps them."""
        self._require_fit("state_dict")
        return {name: getattr(self, name).copy() for name in self.state_names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. A failed load changes nothing.

        Raises
        ------
        TypeError
            If `state` is no mapping.
        WeightsError
            If names are missing or unexpected, or their arrays do not fit together.
        """
        where, names = f"{type(self).__name__}.load_state_dict", self.state_names
        if not hasattr(state, "keys"):
            raise TypeError(
                f"{where}: expected arrays by name, as state_dict() returns them, got {type(state).__name__}."
            )
        if set(state.keys()) != set(names):
            got = ", ".join(sorted(state.keys())) or "none"
            raise WeightsError(f"{where}: expected {' and '.join(names)}, got {got}; pass what state_dict() returned.")
        arrays = [to_numpy(state[name]).astype(np.float64) for name in names]
        if any(array.ndim != 1 or array.shape != arrays[0].shape for array in arrays):
            shapes = " and ".join(str(array.shape) for array in arrays)
            raise WeightsError(f"{where}: expected {' and '.join(names)} of one shape (features,), got {shapes}.")
        for name, array in zip(names, arrays, strict=True):
            setattr(self, name, array)

    def _changed(self, method: str, x: Any) -> Any:
        where = f"{type(self).__name__}.{method}"
        self._require_fit(method)
        xp = namespace_of(where, x=x)
        wide = _wide(where, x)
        features, shape = len(getattr(self, self.state_names[0])), tuple(x.shape)
        if not shape or shape[-1] != features:
            raise ShapeError(
                f"{where}: expected x of shape (..., {features}), with the features of fit, got {shape}. Fit another "
                f"{type(self).__name__} for other features."
            )
        result = self._apply(xp, wide, inverse=method == "inverse_transform")
        return xp.astype(result, x.dtype, copy=False) if dtype_name(x.dtype) in _NARROW else result

    def _require_fit(self, method: str) -> None:
        if getattr(self, self.state_names[0]) is None:
            raise RuntimeError(f"{type(self).__name__}.{method}: nothing was learned yet; call fit(x) first.")

    def _statistics(self, x: Any, axes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        """What to learn of a raw array, in the order of the names."""
        raise NotImplementedError

    def _apply(self, xp: Any, x: Any, inverse: bool) -> Any:
        raise NotImplementedError


class StandardScaler(_Scaler):
    """Features of mean 0 and variance 1: ``(x - mean) / scale``. That of scikit-learn, for more axes too.

    Features are the last axis. Those that are constant get the scale 1, so that they become 0.

    Parameters
    ----------
    with_mean
        Whether to subtract the mean.
    with_std
        Whether to divide by the standard deviation.

    Attributes
    ----------
    mean, scale
        NumPy arrays of float64 and shape (features,): the mean, and the standard deviation (of the population, not
        corrected for its size), 1 where it is 0. None before `fit`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> scaler = nnx.data.StandardScaler()
    >>> scaler.fit_transform(np.asarray([[1.0, 5.0], [3.0, 5.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> scaler.mean, scaler.scale
    (array([2., 5.]), array([1., 1.]))
    """

    state_names = ("mean", "scale")

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = boolean("StandardScaler", "with_mean", with_mean)
        self.with_std = boolean("StandardScaler", "with_std", with_std)
        self.mean: Any = None
        self.scale: Any = None

    def _statistics(self, x: Any, axes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        xp = namespace_of("StandardScaler.fit", x=x)
        count = x.size // x.shape[-1]
        with np.errstate(invalid="ignore"):  # of infinities with both signs
            total = to_numpy(xp.sum(x, axis=axes, dtype=xp.float64))
        # In two passes: what is left around the first mean corrects it, so that a constant has exactly itself for mean.
        center = _like(_finite("StandardScaler.fit", total) / count, x)
        off = x - center
        rest = to_numpy(xp.sum(off, axis=axes, dtype=xp.float64)) / count
        squares = to_numpy(xp.sum(off * off, axis=axes, dtype=xp.float64)) / count
        mean = to_numpy(center).astype(np.float64) + rest
        variance = np.maximum(squares - rest**2, 0.0)
        # What rounding alone makes of a constant, as scikit-learn has it.
        epsilon = float(np.finfo(np.float64).eps)
        constant = variance <= count * epsilon * variance + (count * mean * epsilon) ** 2
        return mean, np.where(constant, 1.0, np.sqrt(variance))

    def _apply(self, xp: Any, x: Any, inverse: bool) -> Any:
        if inverse:
            x = x * _like(self.scale, x) if self.with_std else x
            return x + _like(self.mean, x) if self.with_mean else x
        x = x - _like(self.mean, x) if self.with_mean else x
        return x / _like(self.scale, x) if self.with_std else x

    def __repr__(self) -> str:
        return f"StandardScaler(with_mean={self.with_mean}, with_std={self.with_std})"


class MinMaxScaler(_Scaler):
    """Features from 0 to 1, or of another range. That of scikit-learn, for more axes too.

    Features are the last axis. Those that are constant become the lower end of the range. New data may lie outside.

    Parameters
    ----------
    feature_range
        The values that the smallest and the largest number of each feature become.
    clip
        Whether to cut new data off at the ends of the range.

    Attributes
    ----------
    data_min, data_max
        NumPy arrays of float64 and shape (features,): the smallest and largest numbers. None before `fit`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> scaler = nnx.data.MinMaxScaler()
    >>> scaler.fit_transform(np.asarray([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]]))
    array([[0. , 0. ],
           [1. , 0. ],
           [0.5, 0. ]])
    """

    state_names = ("data_min", "data_max")

    def __init__(self, feature_range: tuple[float, float] = (0.0, 1.0), *, clip: bool = False) -> None:
        self.feature_range = _checked_range(feature_range)
        self.clip = boolean("MinMaxScaler", "clip", clip)
        self.data_min: Any = None
        self.data_max: Any = None

    def _statistics(self, x: Any, axes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        xp = namespace_of("MinMaxScaler.fit", x=x)
        ends = (to_numpy(end(x, axis=axes)).astype(np.float64) for end in (xp.min, xp.max))
        return tuple(_finite("MinMaxScaler.fit", end) for end in ends)

    def _apply(self, xp: Any, x: Any, inverse: bool) -> Any:
        span = self.data_max - self.data_min
        start, length = _like(self.data_min, x), _like(np.where(span > 0, span, 1.0), x)
        low, high = self.feature_range
        # Not one product and one sum: where a feature is far from 0 for its range, that loses digits.
        if inverse:
            return (x - low) / (high - low) * length + start
        x = (x - start) / length * (high - low) + low
        return xp.clip(x, low, high) if self.clip else x

    def __repr__(self) -> str:
        return f"MinMaxScaler(feature_range={self.feature_range}, clip={self.clip})"


def _wide(where: str, x: Any) -> Any:
    """An array of real numbers in a floating-point dtype to compute with."""
    if is_complex(x.dtype):
        raise DTypeError(f"{where}: expected real numbers, got dtype {dtype_name(x.dtype)}. Pass xp.abs(x) or parts.")
    if is_floating(x.dtype) and dtype_name(x.dtype) not in _NARROW:
        return x
    xp = namespace_of(where, x=x)
    return xp.astype(x, xp.float32)


def _like(values: Any, x: Any) -> Any:
    """Numbers from the host as a raw array of the backend, device and dtype of `x`."""
    return get_backend(x).asarray(values, dtype=x.dtype, device=device(x))


def _finite(where: str, values: np.ndarray) -> np.ndarray:
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        listed = ", ".join(map(str, wrong[:5].tolist())) + (", ..." if len(wrong) > 5 else "")
        raise ValueError(
            f"{where}: expected finite numbers, got NaN or infinity in feature {listed} of {len(values)}. Leave those "
            "samples out, or fill them, e.g. xp.where(xp.isfinite(x), x, 0.0)."
        )
    return values


def _checked_range(feature_range: Any) -> tuple[float, float]:
    wanted = "MinMaxScaler: expected feature_range as two finite numbers, the smaller first"
    if not isinstance(feature_range, Sequence) or len(feature_range) != 2:
        raise TypeError(f"{wanted}, got {feature_range!r}; pass such as (0.0, 1.0).")
    low, high = feature_range
    if not is_number(low) or not is_number(high):
        raise TypeError(f"{wanted}, got {feature_range!r}; pass such as (0.0, 1.0).")
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"{wanted}, got {feature_range!r}; pass such as (0.0, 1.0).")
    return float(low), float(high)
