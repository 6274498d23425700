"""Batch normalisation, with a residual and ReLU in the same pass, by the statistics of the batch or by given ones."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..compiler import Kernel
from ..launch import Machine, blocks_for, launch, too_large
from .elements import ELEMENTS, contiguous

# What arrays hold -> what is computed with; coefficients, weight and bias have that type in the kernels.
SUMS = {"float32": "float32", "float64": "float64", "float16": "float32", "bfloat16": "float32"}


def _width(dtype: str) -> int:
    """How many neighbours a thread loads at once: 16 bytes."""
    return {"float32": 4, "float64": 2}.get(dtype, 8)


def _each(name: str) -> dict[tuple[str, int], Kernel]:
    return {
        (dtype, width): Kernel(
            "norm_batch.cu", name, (("REAL", ELEMENTS[dtype]), ("SUM", ELEMENTS[sums]), ("WIDTH", str(width)))
        )
        for dtype, sums in SUMS.items()
        for width in (_width(dtype), 1)  # 1 for a number of channels or for memory that the other does not fit
    }


def _once(name: str) -> dict[str, Kernel]:
    return {dtype: kernel for (dtype, width), kernel in _each(name).items() if width > 1}


COLUMN_MOMENTS, NORMALISE = _each("column_moments"), _each("normalise")
COLUMN_SUMS, INPUT_GRADIENT = _each("column_sums"), _each("input_gradient")
FINISH_MOMENTS, FINISH_SUMS, COEFFICIENTS_OF = _once("finish_moments"), _once("finish_sums"), _once("coefficients_of")
MOMENTS_OF_SUMS = _once("moments_of_sums")["float32"]
KERNELS = (
    *[kernel for family in (COLUMN_MOMENTS, NORMALISE, COLUMN_SUMS, INPUT_GRADIENT) for kernel in family.values()],
    *[kernel for family in (FINISH_MOMENTS, FINISH_SUMS, COEFFICIENTS_OF) for kernel in family.values()],
    MOMENTS_OF_SUMS,
)

# Fixed, and not by the device, so that every device adds up in the same order. A reduction leaves few partial sums
# behind, with as many blocks as fit on a large device at once; a plain pass has some waves of blocks.
_REDUCING, _STREAMING = 512, 2048
_THREADS, _AHEAD = 256, 2  # of a block; rows that a thread has under way
_FINISHING = 8  # columns of a block that finishes sums
_ALL, _BY_INPUT, _BY_OUTPUT = 0, 1, 2  # where a gradient passes ReLU
_COEFFICIENTS, _RESULTS = 5, 4


class Layout(NamedTuple):
    """How blocks share the rows and columns of a matrix."""

    width: int
    lanes: int
    tiles: int
    slab: int
    slabs: int

    @property
    def grid(self) -> tuple[int, int]:
        return self.tiles, self.slabs


def layout(rows: int, channels: int, width: int, blocks: int) -> Layout:
    """Return the layout of about so many blocks at most; a thread has `width` neighbouring columns."""
    loads = channels // width  # of a row
    # Eight lanes read 128 bytes, a line of the cache: no fewer where a row has as many, and then as few idle as can be.
    lanes = min((32, 16, 8), key=lambda n: -(-loads // n) * n) if loads >= 8 else 1 << (loads - 1).bit_length()
    tiles = -(-loads // lanes)
    step = _THREADS // lanes * _AHEAD
    slab = -(-rows // max(1, blocks // tiles))
    slab = -(-slab // step) * step
    return Layout(width, lanes, tiles, slab, -(-rows // slab))


class _Saved(NamedTuple):
    """What the gradient needs: contiguous arrays, and where it passes ReLU."""

    input: Any
    output: Any  # where the gradient passes by it
    coefficients: Any
    dtypes: tuple[Any, ...]  # of the arguments that are vectors
    passing: int
    by_input: bool


class _Normalising:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _refusal(self, input: Any, residual: Any, *vectors: Any) -> str | None:
        name = str(input.dtype)
        if name not in SUMS:
            return f"it takes arrays of {', '.join(SUMS)}"
        if input.size == 0:
            return "it takes arrays that are not empty"
        given = [vector for vector in vectors if vector is not None]
        if any(str(vector.dtype) not in (name, SUMS[name]) for vector in given):
            return f"with an input of {name} it takes vectors of {' or '.join(dict.fromkeys((name, SUMS[name])))}"
        if any(vector.shape != input.shape[-1:] for vector in given):
            return "it takes vectors of one number for each channel"
        if residual is not None and (residual.dtype != input.dtype or residual.shape != input.shape):
            return "it takes a residual of the shape and dtype of the input"
        others = given if residual is None else [*given, residual]
        return too_large(input.shape[-1]) or self._machine.refusal(input, *others)

    def _by_statistics(
        self, input: Any, weight: Any, bias: Any, residual: Any, eps: float, is_relu: bool, statistics: list
    ) -> tuple[Any, _Saved]:
        input = contiguous(input)
        name, rows, channels = _sizes(input)
        plan = layout(rows, channels, self._width(channels, input), _REDUCING)
        partials = self._empty((plan.slabs, 2, channels), "float64", input)
        self._run(COLUMN_MOMENTS, plan, (input, partials))
        mean, variance = (self._empty((channels,), SUMS[name], input) for _ in range(2))
        coefficients = self._empty((_COEFFICIENTS, channels), SUMS[name], input)
        affine = (*_vector(weight, SUMS[name], mean), *_vector(bias, SUMS[name], mean))
        arguments = (partials, *affine, float(eps), mean, variance, coefficients, rows, channels, plan.slab, plan.slabs)
        launch(self._machine, FINISH_MOMENTS[name], -(-channels // _FINISHING), arguments)
        statistics.append((mean, variance))
        return self._output(input, coefficients, residual, is_relu, (weight, bias), by_input=True)

    def _by_constants(
        self, input: Any, weight: Any, bias: Any, residual: Any, mean: Any, variance: Any, eps: float, is_relu: bool
    ) -> tuple[Any, _Saved]:
        input = contiguous(input)
        name, _, channels = _sizes(input)
        kernel = COEFFICIENTS_OF[name]
        coefficients = self._empty((_COEFFICIENTS, channels), SUMS[name], input)
        given = [_vector(vector, SUMS[name], None)[0] for vector in (mean, variance)]
        affine = (*_vector(weight, SUMS[name], given[0]), *_vector(bias, SUMS[name], given[0]))
        arguments = (*given, *affine, float(eps), coefficients, channels)
        launch(self._machine, kernel, blocks_for(channels, kernel), arguments)
        return self._output(input, coefficients, residual, is_relu, (weight, bias, mean, variance), by_input=False)

    def _output(
        self, input: Any, coefficients: Any, residual: Any, is_relu: bool, vectors: tuple, by_input: bool
    ) -> tuple[Any, _Saved]:
        name, rows, channels = _sizes(input)
        output = self._empty(input.shape, name, input)
        added = input if residual is None else contiguous(residual)
        plan = layout(rows, channels, self._width(channels, input, added), _STREAMING)
        self._run(NORMALISE, plan, (input, coefficients, added, residual is not None, is_relu, output))
        # Without a residual the sign of the output comes from the input, which the gradient reads anyway.
        passing = _ALL if not is_relu else _BY_INPUT if residual is None else _BY_OUTPUT
        dtypes = tuple([None if vector is None else vector.dtype for vector in vectors])
        kept = output if passing == _BY_OUTPUT else None
        return output, _Saved(input, kept, coefficients, dtypes, passing, by_input)

    def _gradients(self, grad: Any, saved: _Saved, of_input: bool, of_residual: bool, of_vectors: list) -> tuple:
        """Return the gradients of the input, of the residual, and a list of those of the vectors."""
        input, passing, results = saved.input, saved.passing, saved.coefficients
        grad = contiguous(grad)
        name, rows, channels = _sizes(input)
        vectors: list[Any] = [None] * len(of_vectors)
        if any(of_vectors) or passing == _BY_OUTPUT or (of_input and saved.by_input):
            by_output = passing == _BY_OUTPUT  # nothing else reads the output, or writes down what has passed
            output = saved.output if by_output else input
            passed = self._empty(input.shape if by_output else (0,), name, input)
            results = self._empty((_RESULTS, channels), SUMS[name], input)
            plan = layout(rows, channels, self._width(channels, grad, input, output), _REDUCING)
            partials = self._empty((plan.slabs, 2, channels), "float64", input)
            self._run(COLUMN_SUMS, plan, (grad, input, output, saved.coefficients, passing, passed, partials))
            arguments = (partials, saved.coefficients, saved.by_input, results, rows, channels, plan.slabs)
            launch(self._machine, FINISH_SUMS[name], -(-channels // _FINISHING), arguments)
            if by_output:
                grad, passing = passed, _ALL
            vectors = [
                results[i, :].astype(dtype, copy=False) if wanted else None
                for i, (wanted, dtype) in enumerate(zip(of_vectors, saved.dtypes, strict=True))
            ]
        out = None
        if of_input:
            out = self._empty(input.shape, name, input)
            plan = layout(rows, channels, self._width(channels, grad, input), _STREAMING)
            self._run(INPUT_GRADIENT, plan, (grad, input, saved.coefficients, results, passing, saved.by_input, out))
        return out, grad if of_residual else None, vectors

    def _empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        return self._machine.empty(shape, dtype, like)

    def _width(self, channels: int, *arrays: Any) -> int:
        """How many neighbours a thread can load at once of each of these arrays."""
        width = _width(str(arrays[0].dtype))
        aligned = channels % width == 0 and all(self._machine.address(array) % 16 == 0 for array in arrays)
        return width if aligned else 1

    def _run(self, family: dict[tuple[str, int], Kernel], plan: Layout, arguments: tuple) -> None:
        """Launch a kernel whose first argument is an array of the input's shape."""
        name, rows, channels = _sizes(arguments[0])
        kernel = family[name, plan.width]
        launch(self._machine, kernel, plan.grid, (*arguments, rows, channels, plan.lanes, plan.slab))


class BatchNorm(_Normalising):
    """Override of ``batch_norm`` in `nnx.functional.norm_batch`: by the statistics of the batch."""

    def supports(self, input: Any, weight: Any, bias: Any, eps: float, statistics: list) -> str | None:
        return self._refusal(input, None, weight, bias)

    def forward(self, input: Any, weight: Any, bias: Any, eps: float, statistics: list) -> tuple[Any, _Saved]:
        return self._by_statistics(input, weight, bias, None, eps, False, statistics)

    def backward(self, grad: Any, residuals: _Saved, needs: tuple) -> tuple:
        of_input, *of_vectors = [need is not None for need in needs]
        out, _, vectors = self._gradients(grad, residuals, of_input, False, of_vectors)
        return (out, *vectors)


class BatchNormReLU(_Normalising):
    """Override of ``batch_norm_relu``: the same plus a residual, and what is negative becomes 0."""

    def supports(self, input: Any, weight: Any, bias: Any, residual: Any, eps: float, statistics: list) -> str | None:
        return self._refusal(input, residual, weight, bias)

    def forward(
        self, input: Any, weight: Any, bias: Any, residual: Any, eps: float, statistics: list
    ) -> tuple[Any, _Saved]:
        return self._by_statistics(input, weight, bias, residual, eps, True, statistics)

    def backward(self, grad: Any, residuals: _Saved, needs: tuple) -> tuple:
        of_input, of_weight, of_bias, of_residual = [need is not None for need in needs]
        out, passed, vectors = self._gradients(grad, residuals, of_input, of_residual, [of_weight, of_bias])
        return (out, *vectors, passed)


class BatchNormInference(_Normalising):
    """Override of ``batch_norm_inference``: by given statistics; a residual and ReLU as they are wanted.

    Its arguments: input, weight, bias, residual, mean, variance, eps, is_relu.
    """

    def supports(
        self, input: Any, weight: Any, bias: Any, residual: Any, mean: Any, variance: Any, *_: Any
    ) -> str | None:
        return self._refusal(input, residual, weight, bias, mean, variance)

    def forward(self, *arguments: Any) -> tuple[Any, _Saved]:
        return self._by_constants(*arguments)

    def backward(self, grad: Any, residuals: _Saved, needs: tuple) -> tuple:
        of_input, of_weight, of_bias, of_residual, *of_statistics = [need is not None for need in needs]
        of_vectors = [of_weight, of_bias, *of_statistics]
        out, passed, vectors = self._gradients(grad, residuals, of_input, of_residual, of_vectors)
        return (out, *vectors[:2], passed, *vectors[2:])


def statistics_of_partials(machine: Machine, partials: Any, rows: int) -> tuple[Any, Any]:
    """Return mean and (biased) variance of channels, from sums and sums of squares of parts of their rows.

    Parameters
    ----------
    machine
        Where.
    partials
        Of float32 and shape (parts, 2, channels): the sums and the sums of squares.
    rows
        How many numbers of a channel went into all of them.
    """
    partials = contiguous(partials)
    parts, _, channels = partials.shape
    mean, variance = (machine.empty((channels,), "float32", partials) for _ in range(2))
    arguments = (partials, mean, variance, rows, channels, parts)
    launch(machine, MOMENTS_OF_SUMS, -(-channels // _FINISHING), arguments)
    return mean, variance


def _sizes(array: Any) -> tuple[str, int, int]:
    """Return the dtype of an array, and the rows and columns of the matrix that it is."""
    channels = array.shape[-1]
    return str(array.dtype), array.size // channels, channels


def _vector(vector: Any, dtype: str, other: Any) -> tuple[Any, bool]:
    """Return a vector as kernels take it, or another array in its place, and whether it is there."""
    return (other, False) if vector is None else (contiguous(vector.astype(dtype, copy=False)), True)
