"""Every loss that PyTorch has: its values and gradients over every argument, and what holds for all of them."""

from __future__ import annotations

import inspect
import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.dtypes import dtype_name
from tests.losses.cases import Case, all_cases, reductions_of, torch_call

CASES = all_cases()
BY_NAME = {
    name: list(cases) for name, cases in itertools.groupby(sorted(CASES, key=lambda c: c.name), lambda c: c.name)
}
CLASSES = {
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "cosine_embedding_loss": "CosineEmbeddingLoss",
    "gaussian_nll_loss": "GaussianNLLLoss",
    "hinge_embedding_loss": "HingeEmbeddingLoss",
    "huber_loss": "HuberLoss",
    "kl_div": "KLDivLoss",
    "l1_loss": "L1Loss",
    "margin_ranking_loss": "MarginRankingLoss",
    "mse_loss": "MSELoss",
    "multi_margin_loss": "MultiMarginLoss",
    "multilabel_margin_loss": "MultiLabelMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
    "nll_loss": "NLLLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "smooth_l1_loss": "SmoothL1Loss",
    "soft_margin_loss": "SoftMarginLoss",
    "triplet_margin_loss": "TripletMarginLoss",
    "triplet_margin_with_distance_loss": "TripletMarginWithDistanceLoss",
}
LEGACY = {"size_average", "reduce"}


def close(actual: Any, expected: Any, what: str) -> None:
    assert dtype_name(actual.dtype) == "float64"
    np.testing.assert_allclose(nnx.to_numpy(actual), expected, rtol=1e-9, atol=1e-12, err_msg=what)


def against_torch(torch: Any, xp_backend: Any, case: Case, reduction: str) -> None:
    theirs = [
        torch.tensor(a, requires_grad=True) if i < case.differentiated else torch.tensor(a)
        for i, a in enumerate(case.arrays)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kl_div's advice on reductions
        extra = {name: torch.tensor(a) for name, a in case.extra.items()}
        expected = torch_call(torch, case, theirs, extra, reduction)
    cotangent = np.asarray(np.random.default_rng(1).uniform(0.5, 1.5, tuple(expected.shape)))
    expected.backward(torch.tensor(cotangent))

    ours = [xp_backend.array(a) for a in case.arrays]
    fixed, extra = ours[case.differentiated :], {name: xp_backend.array(a) for name, a in case.extra.items()}
    function = getattr(nnx.functional, case.name)

    def f(*arrays: Any) -> Any:
        return function(*arrays, *fixed, **case.options, **extra, reduction=reduction)

    out, pullback = nnx.vjp(f, *ours[: case.differentiated])
    grads = pullback(xp_backend.array(cotangent))
    what = f"{case.id}, {reduction}"
    close(out, expected.detach().numpy(), what)
    close(f(*ours[: case.differentiated]), expected.detach().numpy(), f"{what}, untracked")
    for i, grad in enumerate(grads):
        close(grad, theirs[i].grad.numpy(), f"{what}, gradient {i}")


@pytest.mark.parametrize("name", BY_NAME)
def test_values_and_gradients_are_those_of_torch(xp_backend: Any, name: str) -> None:
    torch = pytest.importorskip("torch")
    for case in BY_NAME[name]:
        for reduction in reductions_of(case):
            against_torch(torch, xp_backend, case, reduction)


def parameters(f: Any, *left_out: str) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(f).parameters.items() if name not in {*LEGACY, *left_out}}


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_and_defaults_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = getattr(torch.nn.functional, name), getattr(nnx.functional, name)
    assert parameters(ours) == parameters(theirs)
    order = list(parameters(theirs))
    assert list(parameters(ours)) == order
    theirs, ours = getattr(torch.nn, CLASSES[name]), getattr(nnx, CLASSES[name])
    assert parameters(ours.__init__) == parameters(theirs.__init__)
    assert list(parameters(ours.__init__)) == list(parameters(theirs.__init__))
    assert list(parameters(ours.forward)) == list(parameters(theirs.forward))


@pytest.mark.parametrize("name", CLASSES)
def test_the_table_tries_every_argument(name: str) -> None:
    seen = {key for case in BY_NAME[name] for key in (*case.options, *case.extra)}
    keywords = set(list(parameters(getattr(nnx.functional, name)))[len(BY_NAME[name][0].arrays) :])
    assert keywords - {"reduction", "distance_function"} <= seen


@pytest.mark.parametrize("name", CLASSES)
def test_the_class_passes_everything_on(xp_backend: Any, name: str) -> None:
    made = getattr(nnx, CLASSES[name])
    known = parameters(made.__init__)
    tried = 0
    for case in BY_NAME[name]:
        if not {*case.options, *case.extra} <= known.keys():
            continue  # PyTorch's classes do not take the weights of single elements
        tried += 1
        arrays = [xp_backend.array(a) for a in case.arrays]
        extra = {key: xp_backend.array(a) for key, a in case.extra.items()}
        for reduction in reductions_of(case):
            loss = made(**case.options, **extra, reduction=reduction)
            expected = getattr(nnx.functional, name)(*arrays, **case.options, **extra, reduction=reduction)
            np.testing.assert_array_equal(nnx.to_numpy(loss(*arrays)), nnx.to_numpy(expected))
            assert set(loss.state_dict()) == set(extra)
            assert f"reduction={reduction!r}" in repr(loss)
    assert tried


@pytest.mark.parametrize("name", CLASSES)
def test_float32_stays_float32(xp_backend: Any, name: str) -> None:
    for case in BY_NAME[name]:
        arrays = [xp_backend.array(a, "float32" if a.dtype == np.float64 else None) for a in case.arrays]
        extra = {key: xp_backend.array(a, "float32") for key, a in case.extra.items()}
        function = getattr(nnx.functional, name)
        out, pullback = nnx.vjp(
            lambda *a, f=function, e=extra, c=case, r=arrays: f(*a, *r[c.differentiated :], **c.options, **e),
            *arrays[: case.differentiated],
        )
        assert {dtype_name(a.dtype) for a in (out, *pullback(out * 0 + 1))} == {"float32"}, case.id
        assert np.all(np.isfinite(nnx.to_numpy(out))), case.id


@pytest.mark.parametrize("name", CLASSES)
def test_second_derivatives(xp_backend: Any, name: str) -> None:
    """Away from kinks, which the checker would tell; each argument alone and all of them together."""
    case = next(c for c in BY_NAME[name] if c.arrays[0].ndim == 2)
    arrays = [xp_backend.array(a) for a in case.arrays]
    fixed = arrays[case.differentiated :]
    for reduction in reductions_of(case):
        options = {**case.options, "reduction": reduction}

        def f(*a: Any, o: dict = options) -> Any:
            return getattr(nnx.functional, name)(*a, *fixed, **o)

        nnx.check_grads(f, arrays[: case.differentiated], rtol=1e-5)
    for i in range(case.differentiated):

        def alone(x: Any, i: int = i) -> Any:
            return getattr(nnx.functional, name)(*arrays[:i], x, *arrays[i + 1 :], **case.options)

        nnx.check_grads(alone, (arrays[i],), rtol=1e-5)
