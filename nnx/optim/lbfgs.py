"""L-BFGS: steps of a quasi-Newton method that remembers the last changes of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..autodiff import Array, Parameter
from ..backend import device, get_backend
from ..checks import check_choice, check_range, is_number, positive_integer
from ..dtypes import dtype_name
from ..errors import WeightsError
from .arguments import describe, plain_options
from .copies import at_home
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer
from .state import checked_state, is_count

_CURVATURE = 1e-10  # below it a change of the gradient tells nothing about the curvature, and is not remembered
_COUNTS = ("n_iter", "func_evals")
_NUMBERS = ("t", "H_diag", "prev_loss")
_VECTORS = ("d", "prev_flat_grad", "old_dirs", "old_stps")


class LBFGS(Optimizer):
    """L-BFGS [1]_, with or without a line search; arguments and defaults are PyTorch's.

    A step needs the loss and its gradient many times, so it takes a closure. All parameters make up one long vector:
    there is one group, and they share backend, device and dtype. The decisions are made on the host, so every
    evaluation waits for the device.

    Parameters
    ----------
    parameters
        A module or parameters; see `Optimizer`. They must be real.
    lr
        The length of a step, in lengths of the quasi-Newton direction, or where the line search begins: a number, or a
        function of the step.
    max_iter
        How many iterations a step makes, at most.
    max_eval
        How many times a step calls the closure, at most; None for 1.25 times `max_iter`.
    tolerance_grad
        A step ends when no element of the gradient is larger.
    tolerance_change
        A step ends when no parameter moves by more, or the loss changes by less.
    history_size
        How many changes of the gradient to remember, each with as many numbers as there are parameters, twice.
    line_search_fn
        None for steps of fixed length, or ``"strong_wolfe"``.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical optimization", 2nd edition, chapter 7.2

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.asarray([-1.0, 2.0]))
    >>> optimizer = nnx.optim.LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     with nnx.record():
    ...         x = p.read()
    ...         loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(3):
    ...     loss = optimizer.step(closure)
    >>> p.value.round(3)
    array([1., 1.])
    """

    elementwise = False
    allows_complex = False

    def __init__(
        self,
        parameters: Any,
        lr: float | Callable[[int], float] = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            max_iter=max_iter,
            max_eval=max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )
        if len(self.groups) > 1:
            raise ValueError(
                f"LBFGS: expected one group of parameters, got {len(self.groups)}; a step moves all of them together: "
                "pass one list."
            )
        self._state = _fresh()

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        positive_integer("LBFGS", "max_iter", options["max_iter"])
        if options["max_eval"] is not None:
            positive_integer("LBFGS", "max_eval", options["max_eval"])
        check_range("LBFGS", "tolerance_grad", options["tolerance_grad"], 0.0)
        check_range("LBFGS", "tolerance_change", options["tolerance_change"], 0.0)
        positive_integer("LBFGS", "history_size", options["history_size"])
        check_choice("LBFGS", "line_search_fn", options["line_search_fn"], (None, "strong_wolfe"))

    def step(self, grads: Any = None) -> Any:
        """Change the parameters by up to `max_iter` iterations.

        Parameters
        ----------
        grads
            A closure: it forgets the gradients (``zero_grad()``), computes the loss, calls ``backward()`` on it, and
            returns it.

        Returns
        -------
        What the closure returned first.
        """
        closure = grads
        if not callable(closure):
            raise TypeError(
                "LBFGS.step: expected a closure that computes the loss, calls backward() and returns the loss, got "
                f"{type(closure).__name__}; a step evaluates it many times. Model.fit has none: write the loop by hand."
            )
        self._require_one_kind()
        options = self.groups[0].options = plain_options(self.groups[0].options)
        self.check_options(options)
        result, loss, gradient = self._evaluate(closure)
        self._bring_home(gradient)
        self._state["func_evals"] += 1
        xp = get_backend(gradient).xp
        if float(xp.max(xp.abs(gradient))) > options["tolerance_grad"]:
            self._iterate(closure, xp, loss, gradient, self._lr(self.groups[0]), options)
        self.steps += 1
        return result

    # ---- the iterations of a step

    def _iterate(
        self, closure: Callable, xp: Any, loss: float, gradient: Any, lr: float, options: Mapping[str, Any]
    ) -> None:
        state, change = self._state, options["tolerance_change"]
        max_iter, max_eval = options["max_iter"], options["max_eval"]
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        evaluations = 1
        for n in range(1, max_iter + 1):
            state["n_iter"] += 1
            first = state["n_iter"] == 1
            d = state["d"] = -gradient if first else self._direction(xp, gradient, options["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            t = state["t"] = min(1.0, 1.0 / float(xp.sum(xp.abs(gradient)))) * lr if first else lr
            slope = float(xp.vecdot(gradient, d))
            if slope > -change:
                break
            longest = float(xp.max(xp.abs(d)))
            before, origin = loss, xp.concat([xp.reshape(p.value, (-1,)) for p in self._parameters()])

            def evaluate(t: float, origin: Any = origin, d: Any = d) -> Point:
                self._move_to(origin + t * d)
                _, loss, gradient = self._evaluate(closure)
                return Point(t, loss, float(xp.vecdot(gradient, d)), gradient)

            used = 0
            if options["line_search_fn"] is not None:
                start = Point(0.0, loss, slope, gradient)
                point, used = strong_wolfe(evaluate, start, t, longest, max_eval - evaluations)
                _, loss, _, gradient = point
                t = state["t"] = point.t
                self._move_to(origin + t * d)
            elif n < max_iter:
                _, loss, _, gradient = evaluate(t)
                used = 1
            else:
                self._move_to(origin + t * d)  # what is there shows in the next step
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= max_eval
                or float(xp.max(xp.abs(gradient))) <= options["tolerance_grad"]
                or longest * abs(t) <= change
                or abs(loss - before) < change
            ):
                break

    def _direction(self, xp: Any, gradient: Any, history_size: int) -> Any:
        """Return minus the gradient times the approximate inverse Hessian, by the two-loop recursion."""
        state = self._state
        changes, moves, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = float(xp.vecdot(y, s))
        if curvature > _CURVATURE:
            for memory, new in ((changes, y), (moves, s), (inverses, 1.0 / curvature)):
                memory.append(new)
                del memory[:-history_size]
            state["H_diag"] = curvature / float(xp.vecdot(y, y))
        direction = -gradient
        shares = []
        for y, s, inverse in zip(reversed(changes), reversed(moves), reversed(inverses), strict=True):
            shares.append(xp.vecdot(s, direction) * inverse)
            direction -= shares[-1] * y
        direction *= state["H_diag"]
        for y, s, inverse, share in zip(changes, moves, inverses, reversed(shares), strict=True):
            direction += (share - xp.vecdot(y, direction) * inverse) * s
        return direction

    # ---- one long vector

    def _parameters(self) -> list[Parameter]:
        return self.groups[0].parameters

    def _require_one_kind(self) -> None:
        kinds = {
            f"{get_backend(p.value).name} {device(p.value)} {dtype_name(p.dtype)}": None for p in self._parameters()
        }
        if len(kinds) > 1:
            raise TypeError(
                f"LBFGS.step: expected parameters of one backend, device and dtype, got {', '.join(kinds)}; bring them "
                "together, e.g. with net.to('float32')."
            )

    def _evaluate(self, closure: Callable) -> tuple[Any, float, Any]:
        result = closure()
        try:
            loss = float(result._data if isinstance(result, Array) else result)
        except (TypeError, ValueError):
            raise TypeError(
                "LBFGS.step: expected the closure to return the loss, one number, got "
                f"{describe(result)}; end it with: return loss."
            ) from None
        if all(p.raw_grad is None for p in self._parameters()):
            raise ValueError("LBFGS.step: the closure left no gradients; call loss.backward() in it.")
        xp = get_backend(self._parameters()[0].value).xp
        pieces = [xp.zeros_like(p.value) if p.raw_grad is None else p.raw_grad for p in self._parameters()]
        # a copy even of a single gradient: it has to last longer than the next backward pass
        return result, loss, xp.concat([xp.reshape(piece, (-1,)) for piece in pieces])

    def _move_to(self, vector: Any) -> None:
        for parameter, piece in self._pieces(vector):
            if parameter.trainable:
                parameter.value = piece

    def _pieces(self, vector: Any) -> Iterator[tuple[Parameter, Any]]:
        """Yield each parameter with its piece, in its shape, of the last axis of an array."""
        xp, offset = get_backend(vector).xp, 0
        for parameter in self._parameters():
            piece = vector[..., offset : offset + parameter.size]
            yield parameter, xp.reshape(piece, (*vector.shape[:-1], *parameter.shape))
            offset += parameter.size

    def _bring_home(self, own: Any) -> None:
        """Let the remembered vectors follow parameters that have moved to another backend or dtype."""
        for key in _VECTORS if self._state["n_iter"] else ():
            kept = self._state[key]
            self._state[key] = [at_home(a, own) for a in kept] if isinstance(kept, list) else at_home(kept, own)

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Return the state: numbers by name, ``"history"`` (how many changes are remembered), and
        ``"parameters": {name: {"step": int, "d": array, "prev_flat_grad": array, "old_dirs": array, "old_stps":
        array}}``, the last two with an axis of length ``history`` first."""
        state, first = self._state, self._parameters()[0].value
        xp, size = get_backend(first).xp, sum(p.size for p in self._parameters())
        count = len(state["ro"])
        entries: dict[str, Any] = {name: {"step": self.steps} for name in self.groups[0].names}
        for key in _VECTORS:
            memory = isinstance(state[key], list)
            if state["n_iter"] and (count or not memory):
                vector = xp.stack(state[key]) if memory else xp.asarray(state[key], copy=True)
            else:
                shape = (0, size) if memory else (size,)
                vector = xp.zeros(shape, dtype=first.dtype, device=device(first))
            for entry, (_, piece) in zip(entries.values(), self._pieces(vector), strict=True):
                entry[key] = piece
        return {
            "steps": self.steps,
            "history": count,
            **{n: state[n] for n in (*_COUNTS, *_NUMBERS)},
            "parameters": entries,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `state_dict` returned. A failed load changes nothing.

        Raises
        ------
        WeightsError
            Listing every missing, unexpected or misshapen entry, and every other problem.
        """
        numbers = _checked_numbers(state)
        count = int(numbers.pop("history"))
        own = {}
        for name, p in zip(self.groups[0].names, self._parameters(), strict=True):
            shapes = [p.shape, p.shape, (count, *p.shape), (count, *p.shape)]
            own[name] = [
                get_backend(p.value).xp.zeros(shape, dtype=p.dtype, device=device(p.value)) for shape in shapes
            ]
        steps, entries = checked_state("LBFGS", own, _VECTORS, (), state)
        new, xp = {**_fresh(), **numbers}, get_backend(self._parameters()[0].value).xp
        for k, key in enumerate(_VECTORS if numbers["n_iter"] else ()):
            lead = (count,) if isinstance(new[key], list) else ()
            arrays = [entries[name][2][k] for name in own]
            sizes = [p.size for p in self._parameters()]
            flat = [xp.reshape(a, (*lead, size)) for a, size in zip(arrays, sizes, strict=True)]
            vector = xp.concat(flat, axis=-1)
            new[key] = [vector[i, ...] for i in range(count)] if lead else vector
        new["ro"] = [1.0 / float(xp.vecdot(y, s)) for y, s in zip(new["old_dirs"], new["old_stps"], strict=True)]
        self.steps, self._state = steps, new


def _fresh() -> dict[str, Any]:
    """The state before the first step, under PyTorch's names."""
    numbers = {"n_iter": 0, "func_evals": 0, "t": 0.0, "H_diag": 1.0, "prev_loss": 0.0}
    return {**numbers, "d": None, "prev_flat_grad": None, "old_dirs": [], "old_stps": [], "ro": []}


def _checked_numbers(state: Any) -> dict[str, float]:
    """Return the numbers of a saved state, or raise."""
    if not isinstance(state, Mapping):
        raise WeightsError("LBFGS: expected what state_dict() returned, with steps and parameters.")
    problems = [
        f"{name}: expected a finite number, got {state.get(name)!r}"
        for name in _NUMBERS
        if not is_number(state.get(name)) or not math.isfinite(state[name])
    ]
    counts = [name for name in ("history", *_COUNTS) if not is_count(state.get(name))]
    problems += [f"{name}: expected a non-negative integer, got {state.get(name)!r}" for name in counts]
    if problems:
        raise WeightsError(
            f"the state does not fit LBFGS ({len(problems)} problems, nothing was loaded):\n  " + "\n  ".join(problems)
        )
    whole = {name: int(state[name]) for name in ("history", *_COUNTS)}
    return {**whole, **{name: float(state[name]) for name in _NUMBERS}}
