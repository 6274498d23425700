"""Every optimizer with values for every argument: what the generated tests run over. A new one needs one entry."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import nnx
from tests.optim.references import LionReference, Reference
from tests.optim.references_trust import LambReference, LarsReference

SHAPES = ((3, 4), (5,), (), (2, 1, 3))
COMBINATIONS = 12  # of values of all arguments, drawn at random, beside those that differ in one argument


@dataclass(frozen=True)
class Entry:
    """An optimizer, and how to test it."""

    name: str
    """Its class in `nnx.optim`."""
    values: Mapping[str, Sequence[Any]]
    """For each argument after the parameters, values to try; the first is the one that all others are tried with."""
    every_state: Mapping[str, Any] = field(default_factory=dict)
    """Options with which it has all its states, and which let all others have any value."""
    valid: Callable[[Mapping[str, Any]], bool] = lambda options: True
    """Whether options may go together."""
    reference: type[Reference] | None = None
    """The rule written out, where PyTorch has none of its name."""
    shapes: Sequence[tuple[int, ...]] = SHAPES
    """Shapes of parameters that it takes."""
    not_by_group: frozenset[str] = frozenset()
    """Options that PyTorch has, but does not read from groups."""
    at_once: frozenset[str] = frozenset()
    """Options whose change PyTorch notices a step late."""
    checked_elsewhere: frozenset[str] = frozenset()
    """Options whose values are not all numbers or all numbers from 0 on; their errors have tests of their own."""
    long: Sequence[Any] = (40_000, 1, 30_001, 7)
    """Shapes of parameters that are more than one block of a flat vector."""

    @property
    def cls(self) -> type[nnx.optim.Optimizer]:
        return getattr(nnx.optim, self.name)

    def cases(self) -> list[dict[str, Any]]:
        """Options: the first values, each other value with them, and combinations."""
        first = {name: values[0] for name, values in self.values.items()}
        singles = [{**first, name: v} for name, values in self.values.items() for v in values[1:]]
        every = [dict(zip(self.values, v, strict=True)) for v in itertools.product(*self.values.values())]
        allowed = [options for options in every if self.valid(options)]
        drawn = random.Random(self.name).sample(allowed, min(COMBINATIONS, len(allowed)))
        return [options for options in [first, *singles, *drawn] if self.valid(options)]

    refuses_groups: bool = False
    """Whether all its parameters have to be in one group."""
    by_closure: bool = False
    """Whether a step needs a closure."""

    def step(self, optimizer: Any, gradient: Any) -> None:
        optimizer.step((lambda: 0.0) if self.by_closure else [gradient])


FLAG = (False, True)
ENTRIES = [
    Entry(
        "SGD",
        {
            "lr": (0.1, 0.02),
            "momentum": (0.0, 0.9, 0.5),
            "dampening": (0.0, 0.3),
            "weight_decay": (0.0, 0.2),
            "nesterov": FLAG,
            "maximize": FLAG,
        },
        every_state={"momentum": 0.9},
        valid=lambda o: not o["nesterov"] or bool(o["momentum"] and not o["dampening"]),
    ),
    Entry(
        "Adam",
        {
            "lr": (0.05, 1e-3),
            "betas": ((0.9, 0.999), (0.5, 0.9), (0.0, 0.0), (0.9, 0.5)),
            "eps": (1e-8, 0.1),
            "weight_decay": (0.0, 0.2),
            "amsgrad": FLAG,
            "maximize": FLAG,
            "decoupled_weight_decay": FLAG,
        },
        every_state={"amsgrad": True},
    ),
    Entry(
        "AdamW",
        {
            "lr": (0.05, 1e-3),
            "betas": ((0.9, 0.999), (0.5, 0.9), (0.0, 0.5)),
            "eps": (1e-8, 0.1),
            "weight_decay": (0.01, 0.0, 0.5),
            "amsgrad": FLAG,
            "maximize": FLAG,
        },
        every_state={"amsgrad": True},
    ),
    Entry(
        "Adamax",
        {
            "lr": (0.05, 2e-3),
            "betas": ((0.9, 0.999), (0.5, 0.9), (0.0, 0.0), (0.9, 0.3)),
            "eps": (1e-8, 0.1),
            "weight_decay": (0.0, 0.2),
            "maximize": FLAG,
        },
    ),
    Entry(
        "NAdam",
        {
            "lr": (0.05, 2e-3),
            "betas": ((0.9, 0.999), (0.5, 0.9), (0.0, 0.0)),
            "eps": (1e-8, 0.1),
            "weight_decay": (0.0, 0.2),
            "momentum_decay": (4e-3, 0.0, 0.5),
            "decoupled_weight_decay": FLAG,
            "maximize": FLAG,
        },
    ),
    Entry(
        "RAdam",
        {
            "lr": (0.05, 1e-3),
            "betas": ((0.9, 0.999), (0.5, 0.9), (0.0, 0.0), (0.8, 0.6)),  # with the last two, never rectified
            "eps": (1e-8, 0.1),
            "weight_decay": (0.0, 0.2),
            "decoupled_weight_decay": FLAG,
            "maximize": FLAG,
        },
    ),
    Entry(
        "Adagrad",
        {
            "lr": (0.1, 0.01),
            "lr_decay": (0.0, 0.5),
            "weight_decay": (0.0, 0.2),
            "initial_accumulator_value": (0.0, 0.7),
            "eps": (1e-10, 0.1, 0.0),
            "maximize": FLAG,
        },
        valid=lambda o: bool(o["eps"] or o["initial_accumulator_value"]),
        every_state={"initial_accumulator_value": 0.7},
        not_by_group=frozenset({"initial_accumulator_value"}),
    ),
    Entry(
        "Adadelta",
        {
            "lr": (1.0, 0.3),
            "rho": (0.9, 0.0, 0.5),
            "eps": (1e-6, 0.1),
            "weight_decay": (0.0, 0.2),
            "maximize": FLAG,
        },
    ),
    Entry(
        "RMSprop",
        {
            "lr": (0.05, 0.01),
            "alpha": (0.99, 0.5, 0.9),
            "eps": (1e-8, 0.1),
            "weight_decay": (0.0, 0.2),
            "momentum": (0.0, 0.9, 0.5),
            "centered": FLAG,
            "maximize": FLAG,
        },
        every_state={"momentum": 0.9, "centered": True},
    ),
    Entry(
        "Rprop",
        {
            "lr": (0.1, 1e-3),
            "etas": ((0.5, 1.2), (0.3, 2.0)),
            "step_sizes": ((1e-6, 50.0), (0.05, 0.12), (0.2, 0.2)),
            "maximize": FLAG,
        },
    ),
    Entry(
        "ASGD",
        {
            "lr": (0.1, 0.01),
            "lambd": (1e-4, 0.0, 0.5),
            "alpha": (0.75, 0.0, 2.0),
            "t0": (1e6, 0.0, 5.0, 2.5),
            "weight_decay": (0.0, 0.2),
            "maximize": FLAG,
        },
        at_once=frozenset({"t0"}),
    ),
    Entry(
        "Lion",
        {
            "lr": (0.05, 1e-4),
            "betas": ((0.9, 0.99), (0.5, 0.9), (0.0, 0.0), (0.95, 0.3)),
            "weight_decay": (0.0, 0.5),
            "maximize": FLAG,
        },
        reference=LionReference,
    ),
    Entry(
        "Adafactor",
        {
            "lr": (0.1, 0.01),
            "beta2_decay": (-0.8, -0.3, 0.0),
            "eps": ((None, 1e-3), (0.5, 2.0), (1e-30, 1e-5)),  # with the second, both bounds hold for some
            "d": (1.0, 1.5),
            "weight_decay": (0.0, 0.3),
            "maximize": FLAG,
        },
        shapes=((3, 4), (5,), (), (2, 3, 4, 2)),
        checked_elsewhere=frozenset({"beta2_decay", "eps"}),
    ),
    Entry(
        "LAMB",
        {
            "lr": (0.05, 1e-3),
            "betas": ((0.9, 0.999), (0.5, 0.9), (0.0, 0.0)),
            "eps": (1e-6, 0.1),
            "weight_decay": (0.0, 0.3),
            "bias_correction": FLAG[::-1],
            "trust_clip": (math.inf, 1.0, 0.3),
            "adapt": FLAG[::-1],
            "maximize": FLAG,
        },
        reference=LambReference,
    ),
    Entry(
        "LARS",
        {
            "lr": (0.5, 0.1),
            "momentum": (0.9, 0.0, 0.5),
            "weight_decay": (0.0, 0.3),
            "trust_coefficient": (1e-3, 0.05),
            "eps": (1e-8, 0.5),
            "adapt": FLAG[::-1],
            "maximize": FLAG,
        },
        reference=LarsReference,
    ),
]
OWN_TESTS = [  # of what they compute: `test_per_tensor` and `test_lbfgs`; here are the arguments that both refuse alike
    Entry(
        "Muon",
        {
            "lr": (0.05, 1e-3),
            "weight_decay": (0.1, 0.0),
            "momentum": (0.95, 0.0),
            "nesterov": FLAG[::-1],
            "ns_coefficients": ((3.4445, -4.7750, 2.0315),),
            "eps": (1e-7,),
            "ns_steps": (5,),
            "adjust_lr_fn": (None,),
        },
        checked_elsewhere=frozenset({"ns_coefficients", "ns_steps", "adjust_lr_fn"}),
    ),
    Entry(
        "LBFGS",
        {
            "lr": (1.0,),
            "max_iter": (20,),
            "max_eval": (None,),
            "tolerance_grad": (1e-7,),
            "tolerance_change": (1e-9,),
            "history_size": (100,),
            "line_search_fn": (None,),
        },
        checked_elsewhere=frozenset({"max_iter", "max_eval", "history_size", "line_search_fn"}),
        refuses_groups=True,
        by_closure=True,
    ),
]
WRAPPERS = {"Lookahead"}  # whose arguments are another optimizer: `test_lookahead`
