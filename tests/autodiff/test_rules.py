"""Every rule against finite differences, first and second order, on every backend, and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import nnx
from nnx.autodiff import tape
from nnx.autodiff.codegen import differentiable_parameters
from nnx.autodiff.rule import RULES
from nnx.autodiff.rules import load_all
from tests.autodiff import array_cases, op_cases
from tests.autodiff.constants import CONSTANTS
from tests.autodiff.op_cases import Case
from tests.tolerances import assert_close

CASES = [*op_cases.CASES, *array_cases.REDUCTIONS, *array_cases.SHAPES, *array_cases.INDEXING]
ZERO = op_cases.ZERO_AT_THE_ORIGIN


def _ids(cases):
    seen: dict[str, int] = {}
    for case in cases:
        seen[case.rule] = seen.get(case.rule, 0) + 1
        yield f"{case.rule}-{seen[case.rule]}"


def skip_unless_defined(case: Case, xp_backend) -> None:
    if case.raw_left and xp_backend.label == "strict":
        pytest.skip("array_api_strict does not let the right operand answer")


def function_of(case: Case, arrays: list):
    """The case as a function of its differentiated arguments."""

    def f(*given):
        full = list(arrays)
        for i, x in zip(case.differentiated, given, strict=True):
            full[i] = x
        return case.f(nnx.namespace(*full), *full)

    return f


def gradients(case: Case, arrays: list):
    """The result of a case, a cotangent for it, and the gradients."""
    f = function_of(case, arrays)
    out, pullback = nnx.vjp(f, *[arrays[i] for i in case.differentiated])
    xp = nnx.namespace(out)
    values = np.random.default_rng(3).uniform(0.5, 1.5, (2, *out.shape))
    complex_ = "complex" in str(out.dtype)
    cotangent = nnx.get_backend(out).asarray(values[0] + 1j * values[1] if complex_ else values[0])
    cotangent = xp.astype(cotangent, out.dtype)
    return out, cotangent, pullback(cotangent)


@pytest.mark.parametrize("case", [c for c in CASES if c.smooth], ids=_ids(c for c in CASES if c.smooth))
def test_derivatives_match_finite_differences(case, xp_backend):
    skip_unless_defined(case, xp_backend)
    arrays = [xp_backend.array(a) for a in case.values()]
    nnx.check_grads(function_of(case, arrays), [arrays[i] for i in case.differentiated], order=2, directions=1)


@pytest.mark.parametrize("case", array_cases.NUMPY_ONLY, ids=_ids(array_cases.NUMPY_ONLY))
def test_indexing_that_only_numpy_knows(case):
    arrays = [np.array(a) for a in case.values()]
    nnx.check_grads(function_of(case, arrays), arrays)


@pytest.mark.parametrize("case", CASES, ids=_ids(CASES))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_gradients_have_the_shape_and_dtype_of_their_arguments(case, xp_backend):
    single = {"f": "float32", "c": "complex64"}
    skip_unless_defined(case, xp_backend)
    narrow = [a.astype(single.get(a.dtype.kind, a.dtype)) for a in case.values()]
    mixed = [
        b if k in case.differentiated[1:] else a for k, (a, b) in enumerate(zip(case.values(), narrow, strict=True))
    ]
    for values in (narrow, mixed):
        arrays = [xp_backend.array(a) for a in values]
        grads = gradients(case, arrays)[2]
        for i, g in zip(case.differentiated, grads, strict=True):
            assert g.dtype == arrays[i].dtype
            assert g.shape == arrays[i].shape
            assert nnx.get_backend(g) is xp_backend.backend
            assert nnx.backend.device(g) == nnx.backend.device(arrays[i])


@pytest.mark.parametrize("case", [c for c in CASES if c.torch], ids=_ids(c for c in CASES if c.torch))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_and_gradients_are_those_of_torch(case):
    torch = pytest.importorskip("torch")
    import array_api_compat.torch as xt

    arrays = [np.array(a) for a in case.values()]
    out, cotangent, grads = gradients(case, arrays)
    tensors = [torch.asarray(a).requires_grad_(i in case.differentiated) for i, a in enumerate(arrays)]
    expected = case.f(xt, *tensors)
    assert_close(out, expected.detach().resolve_conj().numpy())
    inputs = [tensors[i] for i in case.differentiated]
    if expected.requires_grad:
        wanted = torch.autograd.grad(expected, inputs, torch.asarray(cotangent), allow_unused=True)
    else:
        wanted = [None] * len(inputs)
    for g, w, x in zip(grads, wanted, inputs, strict=True):
        assert_close(g, (torch.zeros_like(x) if w is None else w).resolve_conj().numpy())


@pytest.mark.parametrize("case", CASES, ids=_ids(CASES))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_rule_computes_in_another_precision(case, monkeypatch):
    """In float32 everything stays float32, without the engine's casts: float64 would cost twice the time."""
    arrays = [a.astype({"f": "float32", "c": "complex64"}.get(a.dtype.kind, a.dtype)) for a in case.values()]

    def fit(xp, grad, node):
        names = {str(grad.dtype), str(node.dtype)}
        assert not names & {"float64", "complex128"}, names
        return tape_fit(xp, grad, node)

    tape_fit = tape.fit
    monkeypatch.setattr(tape, "fit", fit)
    f = function_of(case, arrays)
    if str(f(*[arrays[i] for i in case.differentiated]).dtype) in (
        "float32",
        "complex64",
    ):  # others ask for more
        gradients(case, arrays)


@pytest.mark.parametrize("case", ZERO, ids=_ids(ZERO))
def test_gradient_is_zero_at_the_origin(case, xp_backend):
    arrays = [xp_backend.array(a) for a in case.values()]
    for x, g in zip(arrays, gradients(case, arrays)[2], strict=True):
        assert_close(g, np.zeros(x.shape, nnx.to_numpy(x).dtype))


def test_nextafter_moves_with_its_first_argument(xp_backend):
    x, y = (nnx.variable(xp_backend.array(v)) for v in ([1.0, -2.0], [2.0, 5.0]))
    xp_backend.ns.nextafter(x, y).backward(xp_backend.array([3.0, 0.5]))
    assert_close(x.grad, np.asarray([3.0, 0.5]))
    assert y.grad is None


def test_logaddexp_of_infinities(xp_backend):
    x, y = (xp_backend.array(v) for v in ([-np.inf, -np.inf, 0.0, 1e3], [0.0, -np.inf, -np.inf, -1e3]))
    case = Case("logaddexp", lambda xp, x, y: xp.logaddexp(x, y), (nnx.to_numpy(x), nnx.to_numpy(y)))
    f = function_of(case, [x, y])
    _, pullback = nnx.vjp(f, x, y)
    left, right = pullback(xp_backend.array(np.ones(4)))
    assert_close(left, np.asarray([0.0, 0.0, 1.0, 1.0]))
    assert_close(right, np.asarray([1.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_not_tracked(name, xp_backend):
    call = CONSTANTS[name]
    values = xp_backend.array([[0.3, -1.2, 2.0], [0.3, 4.5, -0.1]])
    tracked = call(xp_backend.ns, nnx.variable(values))
    raw = call(xp_backend.xp, values)
    tracked, raw = (t if isinstance(t, (tuple, list)) else [t] for t in (tracked, raw))
    for t, r in zip(tracked, raw, strict=True):
        assert isinstance(t, nnx.Array)
        assert not t.tracked
        if name not in ("empty", "empty_like"):
            assert_close(t, r)


@pytest.mark.parametrize("extension", ["", "linalg", "fft", "special"])
def test_every_rule_has_a_case(extension):
    load_all()
    if not extension:
        covered = {c.rule for c in [*CASES, *ZERO]} | set(CONSTANTS)
    else:
        covered = set(pytest.importorskip(f"tests.autodiff.test_{extension}_rules").COVERED)
    wanted = {name for name in RULES if name.removeprefix("indexing.").rpartition(".")[0] == extension}
    assert wanted - covered == set()
    assert covered - wanted == set()


# ------------------------------------------------------------------ do the cases test anything?


def _mutants():
    load_all()
    for name, rule in RULES.items():
        if rule.kind == "op" and name.partition(".")[0] not in ("linalg", "fft", "special", "nextafter"):
            yield from ((name, k) for k in range(len(differentiable_parameters(rule))))


@pytest.mark.parametrize(("name", "argument"), list(_mutants()))
def test_a_rule_wrong_by_a_thousandth_is_caught(name, argument, monkeypatch):
    extension, _, function = name.rpartition(".")
    ns = nnx.differentiable(np)
    operation = getattr(getattr(ns, extension) if extension else ns, function).__globals__["OP"]
    vjp = operation.vjp

    def wrong(xp, g, saved, needs):
        return [d * 1.001 if k == argument and d is not None else d for k, d in enumerate(vjp(xp, g, saved, needs))]

    monkeypatch.setattr(operation, "vjp", wrong)
    for case in (c for c in CASES if c.rule == name and c.smooth):
        arrays = case.values()
        try:
            nnx.check_grads(function_of(case, arrays), [arrays[i] for i in case.differentiated], order=1, directions=1)
        except AssertionError as error:
            if "is wrong" not in str(error):
                raise
            return
    pytest.fail(f"no case notices that the derivative of {name} by argument {argument} is wrong")
