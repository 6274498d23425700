"""Discrete Fourier transforms.

They are linear, and the matrix of `fft` and `ifft` is symmetric: such a transform is its own plain transpose,
and the padding or trimming to `n` elements is transposed by trimming or padding. The transforms of real
signals keep half of a spectrum whose other half is its mirror image: every bin but the first and the middle
one stands for two.
"""

from typing import Any

from ...backend import device
from ...dtypes import real_dtype
from ..rule import composite, constant, rule
from ..tape import conj
from .reductions import part

_INVERSE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _resize(xp: Any, x: Any, n: int, axis: int) -> Any:
    """Trim the end of an axis, or pad it with zeros, to `n` elements."""
    size = x.shape[axis]
    if size > n:
        return x[part(axis, x.ndim, slice(0, n))]
    if size == n:
        return x
    axis %= x.ndim
    zeros = xp.zeros((*x.shape[:axis], n - size, *x.shape[axis + 1 :]), dtype=x.dtype, device=device(x))
    return xp.concat([x, zeros], axis=axis)


def _axes(ndim: int, s: Any, axes: Any) -> tuple[int, ...]:
    """The axes of a transform in several dimensions, not negative."""
    if axes is not None:
        return tuple(a % ndim for a in axes)
    return tuple(range(ndim)) if s is None else tuple(range(ndim - len(s), ndim))


# ------------------------------------------------------------------ complex to complex


def _fft(xp: Any, g: Any, x_shape: Any, axis: Any, norm: Any) -> Any:
    return _resize(xp, xp.fft.fft(g, axis=axis, norm=norm), x_shape[axis], axis)


def _ifft(xp: Any, g: Any, x_shape: Any, axis: Any, norm: Any) -> Any:
    return _resize(xp, xp.fft.ifft(g, axis=axis, norm=norm), x_shape[axis], axis)


def _fftn(xp: Any, g: Any, x_shape: Any, s: Any, axes: Any, norm: Any) -> Any:
    axes = _axes(len(x_shape), s, axes)
    return _resize_all(xp, xp.fft.fftn(g, axes=axes, norm=norm), x_shape, axes)


def _ifftn(xp: Any, g: Any, x_shape: Any, s: Any, axes: Any, norm: Any) -> Any:
    axes = _axes(len(x_shape), s, axes)
    return _resize_all(xp, xp.fft.ifftn(g, axes=axes, norm=norm), x_shape, axes)


def _resize_all(xp: Any, x: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    for axis in axes:
        x = _resize(xp, x, shape[axis], axis)
    return x


rule("fft.fft(x, /, *, n=None, axis=-1, norm='backward')", x=_fft)
rule("fft.ifft(x, /, *, n=None, axis=-1, norm='backward')", x=_ifft)
rule("fft.fftn(x, /, *, s=None, axes=None, norm='backward')", x=_fftn)
rule("fft.ifftn(x, /, *, s=None, axes=None, norm='backward')", x=_ifftn)

# ------------------------------------------------------------------ real to half a spectrum and back


def _multiplicity(xp: Any, spectrum: Any, n: int, axis: int) -> Any:
    """How many bins of a full spectrum a bin of its half stands for: first and middle for 1, others for 2."""
    bins = xp.arange(n // 2 + 1, device=device(spectrum))
    twice = xp.astype((bins > 0) & (2 * bins < n), real_dtype(xp, spectrum.dtype)) + 1.0
    return xp.reshape(twice, tuple(-1 if i == axis % spectrum.ndim else 1 for i in range(spectrum.ndim)))


def _rfft(xp: Any, g: Any, x_shape: Any, n: Any, axis: Any, norm: Any) -> Any:
    size = x_shape[axis] if n is None else n
    half = g / _multiplicity(xp, g, size, axis)
    return _resize(xp, xp.fft.irfft(half, n=size, axis=axis, norm=_INVERSE[norm]), x_shape[axis], axis)


def _irfft(xp: Any, g: Any, x_shape: Any, axis: Any, norm: Any) -> Any:
    half = xp.fft.rfft(g, axis=axis, norm=_INVERSE[norm])
    return _resize(xp, half * _multiplicity(xp, half, g.shape[axis], axis), x_shape[axis], axis)


rule("fft.rfft(x, /, *, n=None, axis=-1, norm='backward')", holomorphic=False, x=_rfft)
rule("fft.irfft(x, /, *, n=None, axis=-1, norm='backward')", holomorphic=False, x=_irfft)


def _sizes(s: Any, axes: tuple[int, ...]) -> list[int | None]:
    """The lengths along the axes, None where the whole axis is used."""
    return [None] * len(axes) if s is None else [None if n == -1 else n for n in s]


def _rfftn(xp: Any, x: Any, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
    axes = _axes(x.ndim, s, axes)
    *sizes, last = _sizes(s, axes)
    x = xp.fft.rfft(x, n=last, axis=axes[-1], norm=norm)
    for n, axis in zip(sizes, axes[:-1], strict=True):
        x = xp.fft.fft(x, n=n, axis=axis, norm=norm)
    return x


def _irfftn(xp: Any, x: Any, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
    axes = _axes(x.ndim, s, axes)
    *sizes, last = _sizes(s, axes)
    for n, axis in zip(sizes, axes[:-1], strict=True):
        x = xp.fft.ifft(x, n=n, axis=axis, norm=norm)
    return xp.fft.irfft(x, n=last, axis=axes[-1], norm=norm)


def _hfft(xp: Any, x: Any, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    return xp.fft.irfft(conj(xp, x), n=n, axis=axis, norm=_INVERSE[norm])


def _ihfft(xp: Any, x: Any, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    return xp.conj(xp.fft.rfft(x, n=n, axis=axis, norm=_INVERSE[norm]))


composite("fft.rfftn(x, /, *, s=None, axes=None, norm='backward')", _rfftn)
composite("fft.irfftn(x, /, *, s=None, axes=None, norm='backward')", _irfftn)
composite("fft.hfft(x, /, *, n=None, axis=-1, norm='backward')", _hfft)
composite("fft.ihfft(x, /, *, n=None, axis=-1, norm='backward')", _ihfft)

# ------------------------------------------------------------------ order and frequencies

rule("fft.fftshift(x, /, *, axes=None)", x=lambda xp, g, axes: xp.fft.ifftshift(g, axes=axes))
rule("fft.ifftshift(x, /, *, axes=None)", x=lambda xp, g, axes: xp.fft.fftshift(g, axes=axes))
constant("fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)")
constant("fft.rfftfreq(n, /, *, d=1.0, dtype=None, device=None)")
