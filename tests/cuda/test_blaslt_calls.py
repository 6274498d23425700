"""How cuBLASLt is called: planned once, in the caller's stream, refusals and failures told, and where it is found."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnx.backend import to_numpy
from nnx.errors import BackendError, DTypeError, ShapeError
from tests.cuda.blaslt_standin import BLAS, LIBRARY, Refused, StandIn, aligned, blas_on
from tests.cuda.own_kernels import array, machine, module

PLAN, LAYOUT = module("cupy.blaslt_plan"), module("cupy.blaslt_layout")


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with blas_on(machine()) as found:
        assert found is not None
        yield found


def ones(*shape: int, dtype: str = "f4") -> Any:
    return aligned(np.ones(shape, dtype))


def matmul(*arrays: Any, **options: Any) -> np.ndarray:
    return to_numpy(machine().blas.matmul(*arrays, **options))


# ------------------------------------------------------------------ plans


def test_a_plan_is_made_once_for_each_kind_of_call(standin: StandIn) -> None:
    a, b, bias = ones(4, 8), ones(8, 16), ones(16)
    kinds: list[dict[str, Any]] = [
        {},
        {"bias": bias},
        {"bias": bias, "epilogue": "relu"},
        {"precision": "high"},
    ]
    for repeat in range(3):
        for options in kinds:
            assert np.all(matmul(a, b, **options) == 8 + ("bias" in options))
        assert len(standin.choices) == len(kinds)
        assert len(standin.calls) == len(kinds) * (repeat + 1)
    matmul(ones(5, 8), b)
    matmul(ones(4, 16)[:, :8], b)  # rows farther apart
    matmul(ones(4, 8, dtype="f8"), ones(8, 16, dtype="f8"))
    assert len(standin.choices) == len(kinds) + 3


def test_another_alignment_is_another_plan(standin: StandIn) -> None:
    memory, b = ones(100), ones(8, 16)
    for start in (0, 1, 2, 3, 1, 2, 3):
        matmul(memory[start : start + 32].reshape((4, 8)), b)
    promised = [choice["aligned"][1] for choice in standin.choices]
    assert len(promised) == 3
    assert promised == [256, 4, 8]


def test_there_are_not_more_and_more_plans(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BLAS, "_MAX_KNOWN", 5)
    for m in range(1, 30):
        assert np.all(matmul(ones(m, 8), ones(8, 16)) == 8)
    assert len(machine().blas._ways) == 5
    gc.collect()
    kinds = [kind for kind, _ in standin.live.values()]
    assert (kinds.count("MatmulDesc"), kinds.count("MatrixLayout"), kinds.count("MatmulPreference")) == (5, 15, 0)


def test_threads_share_plans(standin: StandIn) -> None:
    a, b = ones(4, 8), ones(8, 16)
    wrong = []

    def work(number: int) -> None:
        bias = array(np.full(16, number), "f4")
        for _ in range(30):
            found = matmul(a, b, bias=bias)
            if not np.all(found == 8 + number):
                wrong.append((number, found))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(standin.calls) == 120


# ------------------------------------------------------------------ what a CUDA graph can capture


def test_a_call_allocates_its_result_and_nothing_else(standin: StandIn) -> None:
    a, b, bias, out = ones(4, 8), ones(8, 16), ones(16), ones(4, 16)
    aux = machine().blas.aux_for("gelu", (4, 16), "float32", a)
    options = {"bias": bias, "epilogue": "gelu", "aux": aux}
    matmul(a, b, **options)
    made, live, choices = standin.place.made, len(standin.live), len(standin.choices)
    matmul(a, b, **options)
    assert standin.place.made == made + 1
    matmul(a, b, out=out, **options)
    assert (standin.place.made, len(standin.live)) == (made + 1, live)
    assert len(standin.choices) == choices
    assert not [name for name in LIBRARY.PROTOTYPES if "Sync" in name or "Alloc" in name]


def test_each_stream_has_one_workspace(standin: StandIn) -> None:
    a, b = ones(4, 8), ones(8, 16)
    for stream in (0, 0xABC0, 0, 0xABC0):
        standin.place.number_of_stream = stream
        matmul(a, b)
    assert [call["stream"] for call in standin.calls] == [0, 0xABC0] * 2
    places = [call["workspace"] for call in standin.calls]
    assert places[0] == places[2] != places[1] == places[3]
    assert len(standin.place.workspaces) == 2
    assert len(standin.choices) == 1


# ------------------------------------------------------------------ what the library does not do


def is_fused(product: dict[str, Any], when: str) -> bool:
    return product["epilogue"] != 1


@pytest.mark.parametrize("at", ["choice", "run"])
@pytest.mark.parametrize("epilogue", [None, "relu"])
@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_what_cannot_be_fused_is_done_in_steps(standin: StandIn, at: str, epilogue: Any, beta: float) -> None:
    standin.refuses = lambda product, when: is_fused(product, when) and when == at
    a, b, bias = (aligned(np.array(x, "f4")) for x in ([[1, -2]], [[1, 2], [3, 1]], [1, -9]))
    for _ in range(2):
        out = aligned(np.ones((1, 2), "f4"))
        wanted = np.array([[-4.0, -9.0]]) + beta
        np.testing.assert_array_equal(
            matmul(a, b, bias=bias, epilogue=epilogue, out=out, beta=beta),
            np.maximum(wanted, 0) if epilogue else wanted,
        )
    assert [call["epilogue"] for call in standin.calls] == [1, 1]
    assert sum(product["epilogue"] != 1 for product in standin.choices) == 1  # it is not asked again


def test_the_next_algorithm_is_tried_and_kept(standin: StandIn) -> None:
    standin.refuses = lambda product, when: when == "run" and product["algorithm"] == 0
    for _ in range(2):
        assert np.all(matmul(ones(4, 8), ones(8, 16)) == 8)
    assert [call["algorithm"] for call in standin.calls] == [1, 1]
    assert len(standin.refusals) == 1


def test_no_algorithm_at_all(standin: StandIn) -> None:
    standin.refuses = lambda product, when: when == "choice"
    text = r"no algorithm for 4 x 8 by 8 x 16 \(NN, float32 to float32, FLOAT32\)"
    for _ in range(2):
        with pytest.raises(PLAN.Unsupported, match=text):
            matmul(ones(4, 8), ones(8, 16))
    assert len(standin.choices) == 1
    assert [kind for kind, _ in standin.live.values()] == ["handle"]  # nothing is left behind
    standin.refuses = lambda product, when: when == "run"
    text = r"algorithms for 3 x 8 by 8 x 16 \(NT, float16 to float16, FLOAT32, 2 times, epilogue 32\), but runs none"
    with pytest.raises(PLAN.Unsupported, match=text):
        matmul(ones(2, 3, 8, dtype="f2"), ones(2, 16, 8, dtype="f2"), transpose_b=True, epilogue="gelu")


def test_a_failure_names_the_product_and_the_status(standin: StandIn) -> None:
    def fails(product: dict[str, Any], when: str) -> bool:
        if when == "run":
            raise Refused("broken", status=13)
        return False

    standin.refuses = fails
    text = r"cublasLtMatmul failed for 4 x 8 by 8 x 16 \(.*\): CUBLAS_STATUS_EXECUTION_FAILED\."
    with pytest.raises(LIBRARY.BlasError, match=text) as caught:
        matmul(ones(4, 8), ones(8, 16), bias=ones(16))
    assert caught.value.status == 13
    assert LIBRARY.status_name(99) == "status 99"


def test_a_function_that_fails_is_named(standin: StandIn) -> None:
    library = machine().blas.library
    with pytest.raises(LIBRARY.BlasError, match=r"cublasLtMatmulDescSetAttribute failed: CUBLAS_STATUS_INVALID_VALUE"):
        library.set("MatmulDesc", 0, LIBRARY.Matmul.EPILOGUE, 1)


# ------------------------------------------------------------------ what does not fit


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"b": ones(7, 16)}, ShapeError, r"\(..., m, k\) and \(..., k, n\), got \(4, 8\) and \(7, 16\)"),
        ({"b": ones(8)}, ShapeError, r"got \(4, 8\) and \(8,\)"),
        ({"a": ones(2, 4, 8), "b": ones(3, 8, 16)}, ShapeError, r"got \(2, 4, 8\) and \(3, 8, 16\)"),
        ({"transpose_a": True}, ShapeError, r"got \(8, 4\) and \(8, 16\)"),
        ({"b": ones(8, 16, dtype="f8")}, DTypeError, "two arrays of one of float32, .* got float32 and float64"),
        ({"a": ones(4, 8, dtype="i4"), "b": ones(8, 16, dtype="i4")}, DTypeError, "got int32 and int32"),
        ({"out": ones(4, 15)}, ShapeError, r"out of shape \(4, 16\), got \(4, 15\)"),
        ({"out": ones(4, 16, dtype="f2")}, DTypeError, "out of float32 or float32, got float16"),
        ({"out": ones(4, 32)[:, ::2]}, ShapeError, r"out as rows or columns without gaps, got strides \(128, 8\)"),
        ({"out": ones(16, 4).mT, "bias": ones(16)}, ShapeError, "out as rows without gaps"),
        ({"bias": ones(4)}, ShapeError, r"bias as a contiguous vector of 16 float32, got float32 of shape \(4,\)"),
        ({"bias": ones(32)[::2]}, ShapeError, "bias as a contiguous vector"),
        ({"bias": ones(16, dtype="f8")}, ShapeError, "got float64 of shape"),
        ({"epilogue": "drelu"}, BackendError, "epilogue 'drelu' does not go with bias, aux and bias_gradient as they"),
        ({"epilogue": "silu"}, BackendError, "epilogue 'silu' does not go"),
        ({"epilogue": "bgrada"}, BackendError, "'bgrada' and 'bgradb' need it"),
        ({"epilogue": "relu", "bias_gradient": ones(16)}, BackendError, "does not go"),
        ({"aux": ones(4, 16)}, BackendError, "epilogue None does not go"),
        ({"epilogue": "gelu", "aux": ones(4, 15)}, ShapeError, r"aux of \(4, 16\), made by aux_for, got \(4, 15\)"),
        ({"epilogue": "relu", "aux": ones(4, 16)}, ShapeError, "made by aux_for, got .* of float32"),
        ({"precision": "low"}, BackendError, "precision 'highest' or 'high', got 'low'"),
    ],
)
def test_what_does_not_fit(standin: StandIn, options: dict[str, Any], error: type, text: str) -> None:
    given = {"a": ones(4, 8), "b": ones(8, 16), **options}
    with pytest.raises(error, match=text):
        matmul(given.pop("a"), given.pop("b"), **given)
    assert standin.calls == []


def test_read_only_arrays_are_read_and_not_written(standin: StandIn) -> None:
    a, b, bias, out = ones(4, 8), ones(8, 16), ones(16), ones(4, 16)
    aux = machine().blas.aux_for("relu", (4, 16), "float32", a)
    for x in (a, b, bias, out, aux):
        x.flags.writeable = False
    assert np.all(matmul(a, b, bias=bias) == 9)
    with pytest.raises(BackendError, match="got a read-only array; copy it"):
        matmul(a, b, out=out)
    with pytest.raises(BackendError, match="got a read-only array; copy it"):
        matmul(a, b, epilogue="relu", aux=aux)


# ------------------------------------------------------------------ the stand-in can tell


def moved(**changes: Callable) -> Callable:
    """`arrange`, with something of each problem changed."""
    right = LAYOUT.arrange

    def wrong(*given: Any, **options: Any) -> Any:
        groups = right(*given, **options)
        return [
            group._replace(
                problem=group.problem._replace(**{k: f(getattr(group.problem, k)) for k, f in changes.items()})
            )
            for group in groups
        ]

    return wrong


@pytest.mark.parametrize(
    "wrong",
    [
        moved(leading=lambda x: (x[0] + 1, *x[1:])),
        moved(leading=lambda x: (x[0], x[1] + 1, *x[2:])),
        moved(leading=lambda x: (*x[:2], x[2] + 1, *x[3:])),
        moved(leading=lambda x: (x[0] - 1, *x[1:])),
        moved(strides=lambda x: (x[0] + 1, *x[1:])),
        moved(strides=lambda x: (x[0], 0, *x[2:])),
        moved(batch=lambda x: x + 1),
        moved(transpose_a=lambda x: not x),
        moved(transpose_b=lambda x: not x),
        moved(m=lambda x: x - 1),
        moved(k=lambda x: x - 1),
    ],
)
def test_a_wrong_description_is_noticed(standin: StandIn, monkeypatch: pytest.MonkeyPatch, wrong: Callable) -> None:
    a, b = (np.random.default_rng(i).standard_normal(s).astype("f4") for i, s in enumerate(((3, 5, 5), (3, 5, 5))))
    monkeypatch.setattr(BLAS, "arrange", wrong)
    try:
        good = np.allclose(matmul(array(a), array(b)), a @ b, atol=1e-5)
    except BackendError:
        good = False
    standin.failures.clear()
    assert not good


# ------------------------------------------------------------------ the library


def test_it_is_found_or_the_reason_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried = []

    def load(path: str, mode: int = 0) -> Any:
        tried.append(path)
        raise OSError(f"{path}: cannot open")

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setenv("CUDA_PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    (tmp_path / "lib64").mkdir()
    for name in ("libcublasLt.so.12", "libcublasLt.so.12.9.1.4", "libcublasLt.so.13", "libcublasLt_static.a"):
        (tmp_path / "lib64" / name).touch()
    find = LIBRARY.load_library.__wrapped__
    with pytest.raises(BackendError) as caught:
        find(12)
    text = str(caught.value)
    assert text.startswith("cuBLASLt, NVIDIA's matrix products, was not found. What was found does not load: /")
    assert text.endswith('Install it: `pip install "nvidia-cublas-cu12==12.*"`.')
    inside = [Path(path).name for path in tried if str(tmp_path) in path]
    assert inside == ["libcublasLt.so.12", "libcublasLt.so.12.9.1.4"]
    with pytest.raises(BackendError, match=r'pip install "nvidia-cublas==13\.\*"'):
        find(14)
    assert [path for path in tried if path == "libcublasLt.so.13"]


def test_its_version_and_the_report(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    library = machine().blas.library
    assert library.version == (13, 0, 2)
    monkeypatch.setattr(LIBRARY, "load_library", lambda newest: library)
    assert LIBRARY.report() == {"version": "13.0.2", "path": "a stand-in", "problem": None}

    def missing(newest: int) -> Any:
        raise BackendError("cuBLASLt was not found.")

    monkeypatch.setattr(LIBRARY, "load_library", missing)
    assert LIBRARY.report() == {"version": None, "path": None, "problem": "cuBLASLt was not found."}


def test_the_struct_of_the_heuristic_is_that_of_the_header() -> None:
    fields = {name: getattr(LIBRARY.Heuristic, name).offset for name, _ in LIBRARY.Heuristic._fields_}
    assert fields == {"algorithm": 0, "workspace": 64, "state": 72, "waves": 76, "reserved": 80}
    assert LIBRARY.Heuristic.workspace.size == 8
    assert ctypes.sizeof(LIBRARY.Heuristic) == 96


def test_the_real_library_takes_the_descriptors() -> None:
    """What needs no device: every attribute is one of its own, and has the size that it expects."""
    try:
        library = LIBRARY.load_library()
    except BackendError as error:
        pytest.skip(str(error))
    made = {
        "MatmulDesc": (library.create("cublasLtMatmulDescCreate", 68, 0), LIBRARY.Matmul),
        "MatrixLayout": (library.create("cublasLtMatrixLayoutCreate", 14, 3, 5, 8), LIBRARY.Layout),
        "MatmulPreference": (library.create("cublasLtMatmulPreferenceCreate"), LIBRARY.Preference),
    }
    for kind, (descriptor, attributes) in made.items():
        listed = [value for value in vars(attributes).values() if isinstance(value, LIBRARY.Attribute)]
        assert listed
        for attribute in listed:
            library.set(kind, descriptor, attribute, 16)
            wrong = attribute._replace(type=ctypes.c_int16)
            with pytest.raises(LIBRARY.BlasError, match="INVALID_VALUE"):
                library.set(kind, descriptor, wrong, 16)
        library.call(f"cublasLt{kind}Destroy", descriptor)
    assert library.version >= (12, 0, 0)
