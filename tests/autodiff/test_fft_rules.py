"""Derivatives of the Fourier transforms: two orders against finite differences, the first against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx
from tests.tolerances import assert_close

NORMS = ("backward", "ortho", "forward")
ONE_AXIS = ("fft", "ifft", "irfft", "hfft", "rfft", "ihfft")
SEVERAL_AXES = ("fftn", "ifftn", "irfftn", "rfftn")
OF_REAL_SIGNALS = ("rfft", "ihfft", "rfftn")
COVERED = {f"fft.{n}" for n in (*ONE_AXIS, *SEVERAL_AXES, "fftshift", "ifftshift", "fftfreq", "rfftfreq")}
SHAPES_AND_AXES = [
    (None, None),
    (None, (0, 2)),
    ((3, 6), (2, 0)),
    ((4, 5, 2), (0, 1, 2)),
    (None, (1,)),
    ((5, 3), (-1, -3)),
    ((-1, 3), (1, 2)),
]


def draw(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if kind == "complex" else x


def signal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return draw(shape, "real" if name in OF_REAL_SIGNALS else "complex")


# ------------------------------------------------------------------ finite differences


@pytest.mark.parametrize("name", ONE_AXIS)
@pytest.mark.parametrize("n", [None, 1, 2, 3, 4, 7, 8])
def test_one_axis(xp_backend, name, n):
    """Shorter and longer than the data, odd and even: the middle bin of an even spectrum stands for itself only."""
    x = xp_backend.array(signal(name, (4, 5)))
    for norm, axis in zip(NORMS, (-1, 0, 1), strict=True):
        nnx.check_grads(
            lambda x, k=(norm, axis): getattr(nnx.namespace(x).fft, name)(x, n=n, norm=k[0], axis=k[1]), (x,)
        )


@pytest.mark.parametrize("name", SEVERAL_AXES)
@pytest.mark.parametrize(("s", "axes"), SHAPES_AND_AXES, ids=str)
def test_several_axes(xp_backend, name, s, axes):
    x = xp_backend.array(signal(name, (3, 4, 3)))
    for norm in NORMS:
        nnx.check_grads(lambda x, norm=norm: getattr(nnx.namespace(x).fft, name)(x, s=s, axes=axes, norm=norm), (x,))


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
@pytest.mark.parametrize("axes", [None, 0, (0, 1)], ids=str)
def test_shifts(xp_backend, name, axes):
    x = xp_backend.array(draw((3, 4), "complex"))
    nnx.check_grads(lambda x: getattr(nnx.namespace(x).fft, name)(x, axes=axes), (x,))


def test_batch_of_none(xp_backend):
    x = nnx.variable(xp_backend.array(np.zeros((0, 4))))
    ns = xp_backend.ns
    ns.sum(ns.fft.irfft(ns.fft.rfft(x))).backward()
    assert x.grad.shape == (0, 4)


# ------------------------------------------------------------------ PyTorch


def compare_with_torch(name: str, x: np.ndarray, *, of_torch: dict[str, Any], **options: Any) -> None:
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.fft, name)(leaf, **of_torch)
    cotangent = draw(tuple(expected.shape), "complex" if expected.is_complex() else "real", seed=9)
    (wanted,) = torch.autograd.grad(expected, leaf, torch.tensor(cotangent))
    found, pullback = nnx.vjp(lambda x: getattr(nnx.namespace(x).fft, name)(x, **options), x)
    assert_close(found, expected.detach().resolve_conj().numpy())
    assert_close(pullback(cotangent)[0], wanted.resolve_conj().numpy())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_torch_agrees_on_one_axis(name, norm):
    for n in (None, 1, 2, 3, 4, 5, 6, 7):
        for axis in (-1, 0):
            of_torch = {"n": n, "dim": axis, "norm": norm}
            compare_with_torch(name, signal(name, (5, 4)), of_torch=of_torch, n=n, axis=axis, norm=norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", SEVERAL_AXES)
def test_torch_agrees_on_several_axes(name, norm):
    for s, axes in SHAPES_AND_AXES:
        of_torch = {"s": s, "dim": axes, "norm": norm}
        compare_with_torch(name, signal(name, (3, 4, 3)), of_torch=of_torch, s=s, axes=axes, norm=norm)


@pytest.mark.parametrize("name", ["fft", "ifft"])
def test_torch_agrees_on_real_signals(name):
    compare_with_torch(name, draw((3, 4), "real"), of_torch={"n": 6}, n=6)


@pytest.mark.filterwarnings("ignore:.*axes:DeprecationWarning")
def test_torch_agrees_on_the_last_axes():
    """Without `axes` the sizes belong to the last axes; NumPy warns about it, since its own default will change."""
    for name in SEVERAL_AXES:
        compare_with_torch(name, signal(name, (3, 4, 3)), of_torch={"s": (3, 5)}, s=(3, 5))


# ------------------------------------------------------------------ dtypes and constants


@pytest.mark.parametrize(("dtype", "spectrum"), [("float32", "complex64"), ("float64", "complex128")])
def test_dtypes(xp_backend, dtype, spectrum):
    ns = xp_backend.ns
    x = nnx.variable(xp_backend.array(draw((3, 4), "real"), dtype))
    y = ns.fft.rfftn(x)
    assert y.dtype == getattr(ns, spectrum)
    for z in (ns.fft.irfftn(y), ns.fft.hfft(y), ns.real(ns.fft.ifftn(y)), ns.real(ns.fft.ihfft(x))):
        assert z.dtype == x.dtype
        ns.sum(z).backward(retain_graph=True)
    assert x.grad.dtype == x.dtype


def test_frequencies_are_constants(xp_backend):
    fft = xp_backend.ns.fft
    for found, expected in ((fft.fftfreq(4, d=0.5), np.fft.fftfreq(4, 0.5)), (fft.rfftfreq(5), np.fft.rfftfreq(5))):
        assert not found.tracked
        np.testing.assert_allclose(nnx.to_numpy(found), expected)
