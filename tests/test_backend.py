"""The ground floor: which backend is chosen, which one an array has, how many threads it uses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import backend as nnx_backend
from nnx import registry
from nnx.backend import Backend, backend_class, load_backend
from nnx.checks import non_negative_integer, positive_integer
from nnx.errors import BackendError, MixedBackendsError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts without a chosen backend and leaves the choice as it found it."""
    monkeypatch.setattr(nnx_backend, "_default", None)
    monkeypatch.delenv("NNX_BACKEND", raising=False)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# ------------------------------------------------------------------ choosing


def test_numpy_is_the_default() -> None:
    assert nnx.get_backend().name == "numpy"
    assert type(nnx.asarray([1.0])) is np.ndarray


def test_set_backend_decides_where_arrays_are_born() -> None:
    x = nnx.asarray([1.0])
    nnx.set_backend("strict")
    assert nnx.get_backend().name == "strict"
    assert nnx.get_backend(nnx.asarray([1.0])).name == "strict"
    assert nnx.get_backend(x).name == "numpy"


def test_use_backend_ends_with_its_block() -> None:
    nnx.set_backend("numpy")
    with nnx.use_backend("strict") as outer:
        assert nnx.get_backend() is outer
        with nnx.use_backend("numpy"):
            assert nnx.get_backend().name == "numpy"
        nnx.set_backend("numpy")
        assert nnx.get_backend() is outer
        with pytest.raises(RuntimeError, match="leave"), nnx.use_backend("numpy"):
            raise RuntimeError("leave")
        assert nnx.get_backend() is outer
    assert nnx.get_backend().name == "numpy"


def test_set_backend_is_of_the_whole_process() -> None:
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(nnx.get_backend().name))
    nnx.set_backend("strict")
    with nnx.use_backend("numpy"):
        thread.start()
        thread.join()
    assert seen == ["strict"]


def test_use_backend_is_of_one_thread() -> None:
    inside, seen = threading.Barrier(2, timeout=10), {}

    def work(name: str) -> None:
        with nnx.use_backend(name):
            inside.wait()
            seen[name] = nnx.get_backend(nnx.asarray([1.0])).name
            inside.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("numpy", "strict")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"numpy": "numpy", "strict": "strict"}
    assert nnx.get_backend().name == "numpy"


def test_a_backend_that_two_threads_load_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setattr(registry, "_by_type", {})
    cls, inside, found = backend_class("numpy"), threading.Barrier(2, timeout=10), []

    class Slow(cls):  # type: ignore[valid-type,misc]
        def __init__(self) -> None:
            inside.wait()

    monkeypatch.setattr(registry, "backend_class", lambda name: Slow)
    threads = [threading.Thread(target=lambda: found.append(load_backend("numpy"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] is found[1]


def test_the_environment_chooses_first() -> None:
    code = "import nnx; print(nnx.get_backend().name); nnx.set_backend('numpy'); print(nnx.get_backend().name)"
    assert run(code, NNX_BACKEND="strict").stdout.split() == ["strict", "numpy"]
    assert run(code, NNX_BACKEND="").stdout.split() == ["numpy", "numpy"]


def test_an_unknown_backend_in_the_environment_is_traced_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNX_BACKEND", "cuda")
    with pytest.raises(BackendError, match=r"^NNX_BACKEND=cuda: unknown backend 'cuda': expected one of"):
        nnx.get_backend()


@pytest.mark.parametrize("choose", [nnx.set_backend, lambda name: nnx.use_backend(name).__enter__(), load_backend])
def test_an_unknown_backend_names_those_there_are(choose: Callable) -> None:
    with pytest.raises(BackendError, match=r"^unknown backend 'cuda': expected one of 'cupy', 'numpy'") as caught:
        choose("cuda")
    assert "strict" not in str(caught.value)
    assert nnx.get_backend().name == "numpy"


def test_available_backends_hides_the_test_only_one() -> None:
    found = nnx.available_backends()
    assert found["numpy"] is None
    assert "cupy" in found
    assert "strict" not in found


def test_the_plug_ins_do_not_import_under_another_name() -> None:
    done = run("import backends.numpy")
    assert done.returncode == 1
    assert "expected these modules under the name nnx.backends" in done.stderr


# ------------------------------------------------------------------ the protocol


def members() -> set[str]:
    return {name for name in (*vars(Backend), *Backend.__annotations__) if not name.startswith("_")}


def test_the_protocol_stays_small() -> None:
    assert len(members()) <= 12


@pytest.mark.parametrize("name", ["numpy", "strict"])
def test_backends_follow_the_protocol(name: str) -> None:
    backend = load_backend(name)
    assert isinstance(backend, Backend)
    assert backend.name == name
    assert all(hasattr(backend, member) for member in members())
    assert backend.unavailable() is None
    x = backend.asarray([1.0, 2.0], dtype=backend.xp.float64)
    assert isinstance(x, backend.array_types)
    assert backend.to_numpy(x).tolist() == [1.0, 2.0]
    assert isinstance(backend.writable, bool)
    assert isinstance(backend.on_host, bool)
    assert repr(backend) == f"{type(backend).__name__}()"
    backend.synchronize()
    assert load_backend(name) is backend


def test_the_cupy_backend_says_what_it_is() -> None:
    assert repr(object.__new__(backend_class("cupy"))) == "CupyBackend()"


def test_guests_follow_the_protocol() -> None:
    torch = pytest.importorskip("torch")
    guest = nnx.get_backend(torch.ones(2))
    assert isinstance(guest, Backend)
    assert guest.name == "torch"
    assert guest.unavailable() is None
    assert nnx.get_backend(torch.nn.Parameter(torch.ones(2))) is guest
    assert load_backend("torch") is guest
    guest.synchronize()


# ------------------------------------------------------------------ the backend of an array


@pytest.mark.parametrize(
    "x", [np.zeros(2), np.float32(1), np.bool_(True), np.ma.zeros(2), np.zeros(()).view(np.matrix)]
)
def test_numpy_scalars_and_subclasses_are_numpys(x: Any) -> None:
    assert nnx.get_backend(x).name == "numpy"


def test_tracked_arrays_have_the_backend_of_their_data() -> None:
    assert nnx.get_backend(nnx.variable(np.ones(2))).name == "numpy"
    assert nnx.get_backend(nnx.variable(nnx.asarray([1.0], backend="strict"))).name == "strict"


@pytest.mark.parametrize(
    ("x", "name"), [([1.0], "builtins.list"), (1.0, "builtins.float"), ("a", "builtins.str"), (Path(), "pathlib")]
)
def test_what_is_no_array_is_refused(x: Any, name: str) -> None:
    with pytest.raises(TypeError, match=rf"expected an array, got {name}.*; use nnx.asarray\(x\)\."):
        nnx.get_backend(x)


def test_device() -> None:
    assert nnx_backend.device(np.zeros(2)) == "cpu"
    assert nnx_backend.device(np.float32(1)) == "cpu"
    assert nnx_backend.device(nnx.variable(np.ones(2))) == "cpu"
    assert str(nnx_backend.device(nnx.asarray([1.0], backend="strict"))).endswith("Device('device1')")
    with pytest.raises(TypeError, match=r"device: expected an array, got builtins.list\."):
        nnx_backend.device([1.0])


def test_mixing_names_the_operation_both_types_and_the_fix() -> None:
    with pytest.raises(MixedBackendsError) as caught:
        nnx.namespace(np.ones(2), nnx.asarray([1.0], backend="strict"))
    text = str(caught.value)
    assert text.startswith("namespace: expected arrays of one backend, got numpy (numpy.ndarray) and strict (")
    assert text.endswith("Move one of them, e.g. nnx.asarray(x, backend='numpy').")


def test_the_fix_for_mixing_works_for_guests_too() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(MixedBackendsError, match=r"nnx\.asarray\(x, backend='torch'\)"):
        nnx.namespace(torch.ones(2), np.ones(2))
    assert torch.equal(nnx.asarray(np.ones(2, "float32"), backend="torch"), torch.ones(2))


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize("variable", ["NNX_NUM_THREADS", "NNX_KERNELS"])
@pytest.mark.parametrize("use", ["nnx.asarray([1.0])", "nnx.get_backend(np.ones(2))", "nnx.Linear(2, 2)"])
def test_a_wrong_setting_raises_at_the_first_use_not_at_import(variable: str, use: str) -> None:
    done = run(f"import nnx, numpy as np; print('imported'); {use}", **{variable: "x"})
    assert done.returncode == 1
    assert done.stdout == "imported\n"
    assert f"ValueError: {variable}: expected" in done.stderr
    assert "got 'x'. Correct it or unset it." in done.stderr


# ------------------------------------------------------------------ checks of arguments


@pytest.mark.parametrize("check", [positive_integer, non_negative_integer])
def test_integers_are_told_from_what_only_looks_like_one(check: Callable) -> None:
    wanted = check.__name__.replace("_", " ").replace("non ", "non-")
    assert [check("f", "n", value) for value in (3, np.int64(3), np.asarray(3))] == [3, 3, 3]
    assert type(check("f", "n", np.int8(3))) is int
    for value in (True, np.True_, 3.0, "3", None, [3], np.ones(2, int)):
        with pytest.raises(TypeError) as caught:
            check("f", "n", value)
        assert str(caught.value) == f"f: expected n to be a {wanted}, got {value!r}."
    with pytest.raises(ValueError, match=f"f: expected n to be a {wanted}, got -1"):
        check("f", "n", -1)


def test_zero_is_not_positive() -> None:
    assert non_negative_integer("f", "n", 0) == 0
    with pytest.raises(ValueError, match="got 0"):
        positive_integer("f", "n", 0)
