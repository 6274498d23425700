"""Namespaces: which one an array gets, what they hold, and what meets at their borders."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback

import array_api_compat
import array_api_compat.numpy as compat
import numpy as np
import pytest

import nnx
from nnx.autodiff.rule import RULES
from nnx.errors import MixedBackendsError
from tests.tolerances import assert_close

ns = nnx.differentiable(np)


# ------------------------------------------------------------------ lookup


def test_one_namespace_per_library(xp_backend):
    assert nnx.differentiable(compat) is nnx.differentiable(np)
    assert nnx.differentiable(xp_backend.backend.xp) is xp_backend.ns
    assert nnx.differentiable(xp_backend.ns) is xp_backend.ns
    assert nnx.differentiable(xp_backend.xp) is xp_backend.ns


def test_arrays_name_their_namespace(xp_backend):
    x = xp_backend.array([1.0, 2.0])
    t = nnx.variable(x)
    assert t.__array_namespace__() is xp_backend.ns
    assert t.__array_namespace__(api_version="2023.12") is xp_backend.ns
    assert array_api_compat.array_namespace(t) is xp_backend.ns
    with pytest.raises(ValueError, match=r"implements the Array API .*, not 2999.12"):
        t.__array_namespace__(api_version="2999.12")
    assert type(t).__module__ == xp_backend.ns.__name__


def test_namespace_of_raw_and_tracked(xp_backend):
    x = xp_backend.array([1.0, 2.0])
    t = nnx.variable(x)
    assert nnx.namespace(x) is xp_backend.xp
    assert nnx.namespace(x, None, 2.0, x) is xp_backend.xp
    for arrays in ((t,), (x, t), (t, x), (x, t, x), (None, t, 1)):
        assert nnx.namespace(*arrays) is xp_backend.ns


@pytest.mark.parametrize("name", ["vecdot", "linalg.cross", "linalg.outer", "tensordot"])
@pytest.mark.parametrize("first", [False, True])
def test_functions_of_two_arrays_take_a_raw_one(name, first, xp_backend):
    values = np.asarray([1.0, 2.0, 3.0]), np.asarray([-1.0, 0.5, 2.0])
    raw = [xp_backend.array(v) for v in values]
    mixed = [nnx.variable(raw[0]), raw[1]] if first else [raw[0], nnx.variable(raw[1])]

    def of(namespace):
        for part in name.split("."):
            namespace = getattr(namespace, part)
        return namespace

    options = {"axes": 1} if name == "tensordot" else {}
    out = of(xp_backend.ns)(*mixed, **options)
    xp_backend.ns.sum(out).backward()
    assert_close(nnx.stop_gradient(out), of(np)(*values, **options))
    assert mixed[0 if first else 1].grad is not None


def test_namespace_needs_an_array():
    with pytest.raises(TypeError, match=r"expected at least one array, got float, NoneType; use nnx.asarray"):
        nnx.namespace(1.0, None)
    with pytest.raises(TypeError, match="got nothing"):
        nnx.namespace()
    for unknown in ([1.0], "text", {1: 2}):
        with pytest.raises(
            TypeError, match=rf"expected an array, got builtins.{type(unknown).__name__}; use nnx.asarray"
        ):
            nnx.namespace(unknown)


def test_scalars_of_numpy_belong_to_numpy():
    for scalar in (np.float64(1.0), np.float32(1.0), np.int64(2), np.bool_(True), np.complex64(1j)):
        assert nnx.namespace(scalar) is ns.raw
        assert nnx.get_backend(scalar).name == "numpy"
    x = nnx.variable(np.asarray([1.0, 2.0]))
    for y in (
        x * np.float64(2.0),
        np.float64(2.0) * x,
        ns.multiply(x, np.float64(2.0)),
        ns.multiply(np.float64(2.0), x),
    ):
        assert y.tracked
        assert_close(nnx.stop_gradient(y), np.asarray([2.0, 4.0]))
    t = nnx.variable(np.float64(3.0))
    (t * t).backward()
    assert_close(t.grad, np.asarray(6.0))


def test_subclasses_of_ndarray_belong_to_numpy(tmp_path):
    class Sub(np.ndarray):
        pass

    sub = np.asarray([1.0, 2.0]).view(Sub)
    assert nnx.namespace(sub) is ns.raw
    x = nnx.variable(np.asarray([3.0, 4.0]))
    assert (x * sub).tracked
    assert (sub * x).tracked
    mapped = np.memmap(tmp_path / "numbers", dtype=np.float64, mode="w+", shape=(2,))
    mapped[:] = [5.0, 6.0]
    assert nnx.namespace(mapped) is ns.raw
    assert_close(nnx.grad(lambda x: ns.sum(x * mapped))(np.ones(2)), np.asarray([5.0, 6.0]))


def test_unknown_operands_are_left_to_python():
    class Length:
        def __rmul__(self, other):
            return "length"

    x = nnx.variable(np.ones(2))
    assert x * Length() == "length"
    with pytest.raises(TypeError, match="unsupported operand"):
        x + "text"
    with pytest.raises(TypeError, match="unsupported operand"):
        x + None
    with pytest.raises(TypeError, match="unsupported operand"):
        [1.0, 2.0] - x


# ------------------------------------------------------------------ two backends in one call


def test_two_backends_raise(xp_backend):
    other = nnx.asarray(np.ones(2), backend="strict" if xp_backend.backend.name != "strict" else "numpy")
    x = xp_backend.array([1.0, 2.0])
    name, stranger = xp_backend.backend.name, nnx.get_backend(other).name
    match = rf"expected arrays of one backend, got {name} .* and {stranger} .*nnx.asarray\(x, backend='{name}'\)"
    t = nnx.variable(x)
    for call in (
        lambda: nnx.namespace(x, other),
        lambda: nnx.namespace(t, nnx.variable(other)),
        lambda: xp_backend.ns.multiply(t, other),
        lambda: xp_backend.ns.multiply(t, nnx.variable(other)),
        lambda: xp_backend.ns.concat([t, other]),
        lambda: xp_backend.ns.where(t > 0, t, other),
        lambda: xp_backend.ns.clip(t, other),
        lambda: t * other,
        lambda: t @ nnx.variable(other),
        lambda: t > other,
    ):
        with pytest.raises(MixedBackendsError, match=match):
            call()


# ------------------------------------------------------------------ what namespaces hold


def test_every_function_of_the_standard_is_there(xp_backend):
    wanted = {n for n in dir(compat) if not n.startswith("_") and n in set(RULES)} | {"asarray", "from_dlpack", "finfo"}
    wanted |= {
        "can_cast",
        "result_type",
        "isdtype",
        "float32",
        "pi",
        "inf",
        "e",
        "nan",
        "newaxis",
        "__array_api_version__",
    }
    assert [n for n in sorted(wanted) if not hasattr(xp_backend.ns, n)] == []
    for module in ("linalg", "fft", "special", "indexing"):
        assert hasattr(xp_backend.ns, module)
        assert hasattr(xp_backend.xp, module)


def test_inspection(xp_backend):
    x = nnx.variable(xp_backend.array([1.0], "float32"))
    y = xp_backend.array([1.0], "float64")
    assert xp_backend.ns.result_type(x, y) == xp_backend.xp.float64
    assert xp_backend.ns.finfo(x).eps == xp_backend.xp.finfo(xp_backend.xp.float32).eps
    assert xp_backend.ns.can_cast(x, xp_backend.xp.float64)
    assert xp_backend.ns.isdtype(x.dtype, "real floating")
    assert xp_backend.ns.__array_namespace_info__().dtypes()


def test_a_function_without_a_rule_raises_only_if_tracked(monkeypatch):
    from nnx.autodiff import codegen, rule

    namespace = sys.modules["nnx.autodiff.namespace"]  # nnx.autodiff.namespace is the function of this name
    monkeypatch.setattr(rule, "RULES", dict(RULES))
    rule.undifferentiable("i0(x, /)")
    names = namespace._names(ns, ns.Array, ns.raw, ns.accepted, ns.backend)
    source = codegen.other_source(rule.RULES["i0"])
    i0 = codegen.compile_function(source, "i0", "i0", {**names, "forward": np.i0})
    assert_close(i0(np.ones(1))._data, np.i0(np.ones(1)))
    with pytest.raises(NotImplementedError, match=r"i0 has no derivative rule. Use nnx.stop_gradient\(x\)"):
        i0(nnx.variable(np.ones(1)))


# ------------------------------------------------------------------ the array object


def test_attributes(xp_backend):
    raw = xp_backend.array([[1.0, 2.0, 3.0]], "float32")
    t = nnx.variable(raw)
    assert (t.shape, t.ndim, t.size, len(t)) == ((1, 3), 2, 3, 1)
    assert t.dtype == raw.dtype
    assert t.device == nnx.backend.device(raw)
    assert t.T.shape == (3, 1)
    assert [row.shape for row in t] == [(3,)]
    assert float(t[0, 1]) == 2.0
    assert t[0, 1].item() == 2.0
    assert bool(t[0, 0] > 0.5)
    assert hash(t) != hash(nnx.variable(raw))
    assert f"{t[0, 1]:.2f}" == "2.00"
    assert "tracked" in f"{t}"
    with pytest.raises(TypeError, match="format"):
        format(t, ".2f")
    assert "tracked" in repr(t)
    assert "tracked" not in repr(xp_backend.ns.asarray(raw))
    with pytest.raises(ValueError, match=r"T: expected an array with 2 axes, got 1; use .mT"):
        _ = t[0, :].T
    with pytest.raises(TypeError, match="without axes"):
        len(t[0, 0])
    with pytest.raises(TypeError, match="without axes"):
        iter(t[0, 0])


def test_tracked_arrays_are_not_exported(xp_backend):
    t = nnx.variable(xp_backend.array([1.0, 2.0])) * 2.0
    message = r"a tracked array cannot be exported: the copy would lose its gradient. Use nnx.stop_gradient\(x\)"
    for export in (
        t.__dlpack__,
        t.__array__,
        lambda: np.asarray(t),
        lambda: np.from_dlpack(t),
        lambda: nnx.to_numpy(t),
    ):
        with pytest.raises(BufferError, match=message):
            export()
    with pytest.raises(BufferError, match=message):
        nnx.Parameter(t)


def test_untracked_arrays_are_exported():
    t = ns.asarray(np.asarray([1.0, 2.0]))
    assert_close(np.asarray(t), np.asarray([1.0, 2.0]))
    assert_close(np.from_dlpack(t), np.asarray([1.0, 2.0]))
    assert_close(np.asarray(t, dtype=np.float32), np.asarray([1.0, 2.0], "float32"))
    assert_close(nnx.to_numpy(t), np.asarray([1.0, 2.0]))


def test_asarray(xp_backend):
    xp = xp_backend.ns
    x = nnx.variable(xp_backend.array([1.0, 2.0]))
    assert xp.asarray(x) is x
    copied = xp.asarray(x, copy=True)
    assert copied is not x
    stacked = xp.asarray([[x[0], 3.0], [x[1] * 2.0, x[0]]])
    (xp.sum(copied) + xp.sum(stacked) + xp.sum(xp.asarray(x, dtype=xp_backend.xp.float32))).backward()
    assert_close(x.grad, np.asarray([4.0, 4.0]))
    with pytest.raises(ValueError, match="copy=False"):
        xp.asarray(x, dtype=xp_backend.xp.float32, copy=False)


def test_tracebacks_show_the_generated_text():
    with pytest.raises(ValueError, match=r"shape|operands") as caught:
        ns.add(nnx.variable(np.ones(2)), np.ones(3))
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "<nnx add>"' in text
    assert "out = forward(x1, x2)" in text


def test_tracking_everything():
    """Under NNX_TRACK_ALL=1, which the conformance run uses, creation functions return tracked arrays, no leaves."""
    code = """
import numpy as np, nnx
xp = nnx.differentiable(np)
for x in (xp.ones(3), xp.asarray([1.0, 2.0]), xp.zeros_like(xp.ones(2)), xp.linspace(0, 1, 3)):
    assert x.tracked
    x[0] = 5.0
    x += 1.0
    assert x.tracked and float(x[0]) == 6.0
    nnx.grad(lambda y: xp.sum(y * x))(np.ones(x.shape))
assert not xp.arange(3).tracked and not xp.asarray([True]).tracked
"""
    environment = {**os.environ, "NNX_TRACK_ALL": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------ threads


def test_two_threads_may_build_one_namespace():
    code = """
import sys, threading
sys.setswitchinterval(1e-6)
import numpy as np, nnx
barrier = threading.Barrier(4)
found, errors = [], []
def work():
    try:
        barrier.wait()
        x = np.ones(3)
        found.append((id(nnx.namespace(x)), id(nnx.differentiable(np)), type(nnx.variable(x))))
        assert nnx.grad(lambda x: np.sum(x * x))(x).tolist() == [2.0, 2.0, 2.0]
    except BaseException as error:
        errors.append(repr(error))
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(errors, len(set(found)))
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["[]", "1"], done.stdout + done.stderr


def test_threads_share_the_rules():
    results = []

    def work(k):
        results.append(float(nnx.grad(lambda x: x**k)(np.asarray(2.0))))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 9)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == [k * 2.0 ** (k - 1) for k in range(1, 9)]


# ------------------------------------------------------------------ creation from tracked numbers


def test_creation_functions_keep_the_gradient(xp_backend):
    xp, x = xp_backend.ns, xp_backend.array([0.5, 2.0])
    weights = xp_backend.array([1.0, 2.0, 4.0])
    float32 = xp_backend.xp.float32
    functions = (
        lambda xp, x, w: xp.full((2, 3), x[0] ** 2) * w,
        lambda xp, x, w: xp.full_like(w, x[1] ** 2),
        lambda xp, x, w: xp.full_like(x, x[1]) * x,
        lambda xp, x, w: xp.full_like(x, 3.0) * x,
        lambda xp, x, w: xp.linspace(x[0], x[1], 3) ** 2,
        lambda xp, x, w: xp.linspace(x[0], x[1] ** 2, 3, endpoint=False) * w,
        lambda xp, x, w: xp.linspace(1.0, x[1], 3) * w,
        lambda xp, x, w: xp.linspace(x[0], 7, 1),
    )
    plain = nnx.differentiable(np), nnx.to_numpy(x), nnx.to_numpy(weights)
    for f in functions:  # a library may want numbers where nothing is tracked, so NumPy is the measure
        nnx.check_grads(lambda x, f=f: f(plain[0], x, plain[2]), (plain[1],))
        found = nnx.grad(lambda x, f=f: xp.sum(f(xp, x, weights)))(x)
        assert_close(found, nnx.grad(lambda x, f=f: np.sum(f(plain[0], x, plain[2])))(plain[1]))
    v = nnx.variable(x)
    assert xp.full((2,), v[0], dtype=float32).dtype == float32
    assert xp.linspace(v[0], v[1], 3, dtype=float32).dtype == float32
    assert not xp.full_like(v, 1.0).tracked
    for start, stop, num, endpoint in (
        (0.1, 0.7, 7, True),
        (-1.0, 3.0, 5, False),
        (0.3, 0.9, 2, True),
        (0.1, 1.0, 0, True),
    ):
        ends = nnx.variable(xp_backend.array([start, stop]))
        values = xp.linspace(ends[0], ends[1], num, endpoint=endpoint)
        assert values.tracked
        assert_close(nnx.stop_gradient(values), np.linspace(start, stop, num, endpoint=endpoint))
        if endpoint and num > 1:
            assert float(values[num - 1]) == stop
    with pytest.raises(NotImplementedError, match="arange has no derivative rule"):
        xp.arange(v[0], v[1])
    assert_close(nnx.stop_gradient(xp.arange(2.0, 5.0)), np.arange(2.0, 5.0))
