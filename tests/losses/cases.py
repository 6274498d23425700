"""The losses that PyTorch has too, each with arguments of every kind, as one table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

REDUCTIONS = ("mean", "sum", "none")


@dataclass(frozen=True)
class Case:
    """A call of a loss.

    `arrays` are the positional arguments, of which the first `differentiated` have gradients; `extra` are arrays given
    by name, `options` plain values.
    """

    name: str
    arrays: tuple
    differentiated: int = 1
    options: dict = field(default_factory=dict)
    extra: dict = field(default_factory=dict)

    @property
    def id(self) -> str:
        options = [f"{k}={v}" for k, v in self.options.items()] + [f"{k}{v.shape}" for k, v in self.extra.items()]
        return "-".join([self.name, "x".join(map(str, self.arrays[0].shape)) or "scalar", *options])


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape) * 2.0)


def probabilities(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.asarray(rng.uniform(0.02, 0.98, shape))


def signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.asarray(rng.choice([-1.0, 1.0], shape))


def log_probabilities(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.log(rng.dirichlet(np.ones(shape[-1]), shape[:-1]))


def grid(**choices: tuple) -> list[dict]:
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


SHAPES: list[tuple[int, ...]] = [(), (7,), (4, 3), (2, 1, 3)]
WITH_AXIS = SHAPES[1:]


def regression(rng: np.random.Generator) -> Iterator[Case]:
    tables: dict[str, list[dict]] = {
        "mse_loss": [{}],
        "l1_loss": [{}],
        "smooth_l1_loss": grid(beta=(0.0, 0.3, 1.0, 2.5)),
        "huber_loss": grid(delta=(0.3, 1.0, 2.5)),
    }
    for name, options in tables.items():
        for shape, option in itertools.product(SHAPES, options):
            pair = (normal(rng, *shape), normal(rng, *shape))
            yield Case(name, pair, 2, option)
            if name != "smooth_l1_loss":
                yield Case(name, pair, 2, option, {"weight": probabilities(rng, *shape)})


def binary(rng: np.random.Generator) -> Iterator[Case]:
    for shape in SHAPES:
        weights = [{}, {"weight": probabilities(rng, *shape)}]
        if shape:
            weights.append({"weight": probabilities(rng, shape[-1])})
        for extra in weights:
            yield Case("binary_cross_entropy", (probabilities(rng, *shape), probabilities(rng, *shape)), 2, extra=extra)
            for more in ({}, {"pos_weight": probabilities(rng, *shape[-1:]) * 3}):
                pair = (normal(rng, *shape) * 3, probabilities(rng, *shape))
                yield Case("binary_cross_entropy_with_logits", pair, 2, extra={**extra, **more})
            if shape:
                pair = (normal(rng, *shape) * 3, probabilities(rng, *shape))
                yield Case("multilabel_soft_margin_loss", pair, 2, extra=extra)
    certain = (np.asarray([0.0, 0.0, 1.0, 1.0, 1e-13, 1e-60]), np.asarray([0.0, 1.0, 0.0, 1.0, 1.0, 0.25]))
    yield Case("binary_cross_entropy", certain)
    yield Case("binary_cross_entropy_with_logits", (np.asarray([1e4, -1e4, 800.0]), np.asarray([0.0, 1.0, 1.0])))


def probability(rng: np.random.Generator) -> Iterator[Case]:
    for shape in WITH_AXIS:
        logp, q = log_probabilities(rng, *shape), np.exp(log_probabilities(rng, *shape))
        yield Case("kl_div", (logp, q), 2)
        yield Case("kl_div", (logp, np.log(q)), 2, {"log_target": True})
        yield Case("kl_div", (logp, np.where(q < 0.3, 0.0, q)))
    for shape in SHAPES:
        counts = np.asarray(rng.poisson(2.0, shape), dtype="float64")
        for full in (False, True):
            yield Case("poisson_nll_loss", (normal(rng, *shape), counts), options={"full": full})
            for eps in (1e-8, 0.1):
                options = {"log_input": False, "full": full, "eps": eps}
                yield Case("poisson_nll_loss", (probabilities(rng, *shape) * 5, counts + 0.5), 2, options)
    for shape in WITH_AXIS:
        x, y, var = normal(rng, *shape), normal(rng, *shape), probabilities(rng, *shape)
        for options in grid(full=(False, True), eps=(1e-6, 0.4)):
            yield Case("gaussian_nll_loss", (x, y, var), 3, options)
        yield Case("gaussian_nll_loss", (x, y, np.where(var < 0.5, 0.0, var)), 3)
        yield Case("gaussian_nll_loss", (x, y), 2, {"var": 0.7})
        if len(shape) == 2:
            yield Case("gaussian_nll_loss", (x, y, var[:, 0]), 3)
            yield Case("gaussian_nll_loss", (x, y, var[:, :1]), 3)


def margin(rng: np.random.Generator) -> Iterator[Case]:
    for shape in SHAPES:
        yield Case("soft_margin_loss", (normal(rng, *shape), signs(rng, *shape)))
        for m in (0.0, 1.0, 1.7):
            yield Case("hinge_embedding_loss", (normal(rng, *shape), signs(rng, *shape)), options={"margin": m})
            triple = (normal(rng, *shape), normal(rng, *shape), signs(rng, *shape))
            yield Case("margin_ranking_loss", triple, 2, {"margin": m})
    yield Case("margin_ranking_loss", (np.ones(2), np.ones(2), np.asarray([1.0, -1.0])), 2)  # ties
    for shape in [(3,), (6, 3), (5, 1)]:
        x, y = normal(rng, *shape), np.asarray(rng.integers(0, shape[-1], shape[:-1]))
        for options in grid(p=(1, 2), margin=(0.5, 1.0)):
            yield Case("multi_margin_loss", (x, y), 1, options)
            yield Case("multi_margin_loss", (x, y), 1, options, {"weight": probabilities(rng, shape[-1])})
    for target in ([0, 2, -1, 1, 3], [-1, 0, 1, 2, 3], [4, 3, 2, 1, 0], [1, 1, -1, 4, -1]):
        yield Case("multilabel_margin_loss", (normal(rng, 5), np.asarray(target)))
        yield Case("multilabel_margin_loss", (normal(rng, 2, 5), np.asarray([target, [2, 0, 4, -1, -1]])))


def distance(rng: np.random.Generator) -> Iterator[Case]:
    for shape, m in itertools.product([(3,), (6, 3), (4, 1)], (-0.5, 0.0, 0.4)):
        triple = (normal(rng, *shape), normal(rng, *shape), signs(rng, *shape[:-1]))
        yield Case("cosine_embedding_loss", triple, 2, {"margin": m})
    yield Case("cosine_embedding_loss", (np.zeros((2, 3)), normal(rng, 2, 3), np.asarray([1.0, -1.0])), 2)
    for shape in WITH_AXIS:
        three = tuple(normal(rng, *shape) for _ in range(3))
        for options in grid(margin=(0.5, 2.0), p=(1.0, 2.0, 3.5), eps=(1e-6, 0.1), swap=(False, True)):
            yield Case("triplet_margin_loss", three, 3, options)
        for options in grid(margin=(0.5, 2.0), swap=(False, True)):
            yield Case("triplet_margin_with_distance_loss", three, 3, options)


def classes(rng: np.random.Generator) -> Iterator[Case]:
    for shape in [(4,), (6, 4), (3, 5, 4), (2, 3, 2, 4)]:
        logp, y = log_probabilities(rng, *shape), np.asarray(rng.integers(0, 4, shape[:-1]))
        for ignored in (-100, 2):
            if y.ndim:
                y = np.where(np.arange(y.size).reshape(y.shape) == 0, 0, y)  # one at least counts
            elif ignored == 2:
                y = np.asarray(1)
            options = {"ignore_index": ignored}
            yield Case("nll_loss", (logp, y), 1, options)
            yield Case("nll_loss", (logp, y), 1, options, {"weight": probabilities(rng, 4)})


FAMILIES: tuple[Callable[[np.random.Generator], Iterator[Case]], ...] = (
    regression,
    binary,
    probability,
    margin,
    distance,
    classes,
)


def all_cases() -> list[Case]:
    """Every case, each time the same."""
    rng = np.random.default_rng(0)
    return [case for family in FAMILIES for case in family(rng)]


def reductions_of(case: Case) -> tuple[str, ...]:
    return ("batchmean", *REDUCTIONS) if case.name == "kl_div" else REDUCTIONS


def torch_call(torch: Any, case: Case, arrays: list, extra: dict, reduction: str) -> Any:
    """PyTorch's loss of a case; it wants the classes of `nll_loss` in the second axis."""
    if case.name == "nll_loss" and arrays[0].ndim > 2:
        arrays = [torch.movedim(arrays[0], -1, 1).contiguous(), arrays[1]]
    return getattr(torch.nn.functional, case.name)(*arrays, **case.options, **extra, reduction=reduction)
