"""Kernels: who decides whether one runs, what `explain` says of it, and whose derivatives are used."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import kernels
from nnx.autodiff.primitive import primitive
from nnx.backend import load_backend
from nnx.errors import BackendError
from nnx.kernels import choose_kernel

ROOT = Path(__file__).resolve().parent.parent


class Cube:
    """A kernel of ``scale * x**3 + y`` that counts its calls, and refuses integers and large arrays."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def supports(self, x: Any, y: Any, scale: float) -> str | None:
        self.calls["supports"] += 1
        if x.size > 4:
            return f"size {x.size} > 4"
        return None if x.dtype.kind == "f" else f"dtype {x.dtype}"

    def forward(self, x: Any, y: Any, scale: float) -> tuple[Any, Any]:
        self.calls["forward"] += 1
        assert type(x) is np.ndarray
        out = scale * x**3
        return (out if y is None else out + y), (x, scale)

    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple:
        self.calls["backward"] += 1
        assert type(grad) is np.ndarray
        x, scale = residuals
        return (
            None if needs[0] is None else grad * 3 * scale * x**2,
            None if needs[1] is None else grad * 1.0,
        )


class Setting:
    """A primitive with a kernel on NumPy, and the calls of its reference."""

    def __init__(self) -> None:
        self.kernel = Cube()
        self.reference = 0

        @primitive("test_cube", arrays=2)
        def cube(x: Any, y: Any = None, scale: float = 1.0) -> Any:
            """The reference."""
            self.reference += 1
            out = scale * x * x * x
            return out if y is None else out + y

        self.cube: Callable = cube


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    setting = Setting()
    backend = load_backend("numpy")
    monkeypatch.setattr(backend, "kernels", {**backend.kernels, "test_cube": setting.kernel})
    monkeypatch.setattr(kernels, "_decisions", {})
    return setting


def explained() -> str:
    lines = [line for line in nnx.explain().splitlines() if line.startswith("test_")]
    assert len(lines) == 1
    return " ".join(lines[0].split())


X = np.asarray([1.0, 2.0])
Y = np.asarray([10.0, 20.0])

# ------------------------------------------------------------------ who decides


def test_auto_runs_a_kernel_that_supports_the_call(setting: Setting) -> None:
    assert setting.cube(X, Y, scale=2.0).tolist() == [12.0, 36.0]
    assert setting.kernel.calls == {"supports": 1, "forward": 1}
    assert setting.reference == 0
    assert explained() == "test_cube numpy kernel"


@pytest.mark.parametrize(("x", "reason"), [(np.arange(3), "dtype int64"), (np.ones(5), "size 5 > 4")])
def test_auto_takes_the_reference_for_what_it_does_not_support(setting: Setting, x: Any, reason: str) -> None:
    assert setting.cube(x).tolist() == (x**3).tolist()
    assert (setting.kernel.calls["forward"], setting.reference) == (0, 1)
    assert explained() == f"test_cube numpy reference: {reason}"


def test_off_does_not_even_ask(setting: Setting) -> None:
    with nnx.use_kernels("off"):
        assert setting.cube(X).tolist() == [1.0, 8.0]
    assert (setting.kernel.calls, setting.reference) == ({}, 1)
    assert explained() == "test_cube numpy reference: kernels are switched off"
    setting.cube(X)
    assert explained() == "test_cube numpy kernel"


def test_require_raises_with_the_reason(setting: Setting) -> None:
    with nnx.use_kernels("require"):
        assert setting.cube(X).tolist() == [1.0, 8.0]
        with pytest.raises(BackendError) as caught:
            setting.cube(np.ones(5))
    assert str(caught.value) == (
        "test_cube: no kernel can run: size 5 > 4. Use NNX_KERNELS=auto to allow the reference."
    )
    assert setting.reference == 0


def test_a_backend_without_a_kernel_takes_the_reference(setting: Setting) -> None:
    x = nnx.asarray(X, backend="strict")
    assert nnx.to_numpy(setting.cube(x)).tolist() == [1.0, 8.0]
    assert explained() == "test_cube strict reference: backend 'strict' has no kernel for it"
    with (
        nnx.use_kernels("require"),
        pytest.raises(BackendError, match="no kernel can run: backend 'strict' has no kernel for it"),
    ):
        setting.cube(x)


def test_choose_kernel_returns_the_kernel_or_none(setting: Setting) -> None:
    backend = load_backend("numpy")
    assert choose_kernel("test_cube", backend, (X, None, 1.0)) is setting.kernel
    assert choose_kernel("test_cube", backend, (np.ones(9), None, 1.0)) is None
    assert choose_kernel("test_nothing", backend, ()) is None


def test_explain_lists_the_last_call_of_every_primitive(setting: Setting) -> None:
    assert nnx.explain() == "no primitive has been called yet"
    backend = load_backend("numpy")
    choose_kernel("test_nothing", backend, ())
    choose_kernel("test_cube", backend, (X, None, 1.0))
    first, second = nnx.explain().splitlines()
    assert first.split() == ["test_cube", "numpy", "kernel"]
    assert second.split()[:3] == ["test_nothing", "numpy", "reference:"]
    assert first.index("numpy") == second.index("numpy")


@pytest.mark.parametrize("mode", ["on", "", "OFF", None])
def test_an_unknown_mode_is_refused(mode: Any) -> None:
    with (
        pytest.raises(ValueError, match="use_kernels: expected one of 'off', 'auto', 'require', got"),
        nnx.use_kernels(mode),
    ):
        pass


def test_the_mode_ends_with_its_block_and_is_of_one_thread(setting: Setting) -> None:
    with nnx.use_kernels("off"):
        with nnx.use_kernels("auto"):
            setting.cube(X)
            assert setting.kernel.calls["forward"] == 1
        thread = threading.Thread(target=setting.cube, args=(X,))
        thread.start()
        thread.join()
        assert setting.kernel.calls["forward"] == 2
        setting.cube(X)
        assert setting.kernel.calls["forward"] == 2


@pytest.mark.parametrize(("mode", "code"), [("off", 0), ("auto", 0), ("require", 0), ("fast", 1)])
def test_the_environment_sets_the_mode(mode: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import nnx.kernels; print(nnx.kernels._read_initial_mode())"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NNX_KERNELS": mode},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    if code:
        assert (
            "ValueError: NNX_KERNELS: expected one of 'off', 'auto', 'require', got 'fast'. Correct it or unset it."
            in done.stderr
        )
    else:
        assert done.stdout.strip() == mode


# ------------------------------------------------------------------ whose derivatives


def test_first_derivatives_are_the_kernels(setting: Setting) -> None:
    x, y = nnx.variable(X), nnx.variable(Y)
    out = setting.cube(x, y, scale=2.0)
    assert isinstance(out, nnx.Array)
    nnx.differentiable(np).sum(out).backward()
    assert x.grad.tolist() == [6.0, 24.0]
    assert y.grad.tolist() == [1.0, 1.0]
    assert setting.kernel.calls == {"supports": 1, "forward": 1, "backward": 1}
    assert setting.reference == 0


@pytest.mark.parametrize("tracked", [0, 1])
def test_a_kernel_hears_which_gradients_are_wanted(setting: Setting, tracked: int) -> None:
    args = [X, Y]
    args[tracked] = nnx.variable(args[tracked])
    nnx.differentiable(np).sum(setting.cube(*args)).backward()
    assert args[tracked].grad.tolist() == ([3.0, 12.0], [1.0, 1.0])[tracked]


def test_second_derivatives_are_the_references(setting: Setting) -> None:
    xp = nnx.differentiable(np)
    gradient = nnx.grad(lambda x: xp.sum(setting.cube(x, Y, scale=2.0)))
    second = nnx.grad(lambda x: xp.sum(gradient(x)))(X)
    assert second.tolist() == [12.0, 24.0]
    assert setting.kernel.calls["forward"] >= 1
    assert setting.kernel.calls["backward"] == 0
    assert setting.reference == 1


def test_second_derivatives_agree_with_kernels_off(setting: Setting) -> None:
    xp = nnx.differentiable(np)

    def loss(x: Any, y: Any) -> Any:
        return xp.sum(xp.sin(setting.cube(x, y, 0.5)) * y)

    direction = np.asarray([0.3, -0.7])
    with_kernel = nnx.hvp(lambda x: loss(x, Y), (X,), (direction,))
    assert setting.kernel.calls["forward"] >= 1
    with nnx.use_kernels("off"):
        without = nnx.hvp(lambda x: loss(x, Y), (X,), (direction,))
    np.testing.assert_allclose(np.asarray(with_kernel), np.asarray(without), rtol=1e-12)
    nnx.check_grads(loss, (X, Y), order=2)


def test_the_reference_has_derivatives_of_its_own(setting: Setting) -> None:
    with nnx.use_kernels("off"):
        x = nnx.variable(X)
        nnx.differentiable(np).sum(setting.cube(x)).backward()
    assert x.grad.tolist() == [3.0, 12.0]
    assert setting.kernel.calls == {}


def test_a_primitive_looks_like_its_reference(setting: Setting) -> None:
    assert setting.cube.__name__ == "cube"
    assert setting.cube.__doc__ == "The reference."
    with pytest.raises(TypeError, match="unexpected keyword argument 'scales'"):
        setting.cube(X, scales=2.0)


def test_a_name_that_the_generated_code_uses_is_refused() -> None:
    with pytest.raises(ValueError, match="primitive 'blur': rename kernel; the generated code uses that name"):

        @primitive("blur", arrays=1)
        def blur(x: Any, kernel: Any) -> Any:
            return x * kernel
