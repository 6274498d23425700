"""Random numbers: one seed, a stream each for weights, data and dropout, the same bits on every backend.

The generator is Philox4x64-10 [1]_, a pure function from (key, counter) to four 64-bit words; the key is
(seed, purpose). Weights and data are drawn on the host, by `init_generator` and `data_generator`, and copied
to the device. Dropout is defined in integers: `Stream.reserve` hands out counters, from which NumPy (here)
and a device kernel compute the same masks. ``docs/random.md`` is the definition, for authors of kernels.

.. [1] Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405
"""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

_Shape = int | Sequence[int]

__all__ = ["seed", "init_generator", "data_generator", "get_state", "set_state"]
__all__ += ["Stream", "dropout_stream", "use_dropout_stream"]
__all__ += ["random_words", "uniform", "bernoulli_mask", "keep_threshold"]

# Second word of the Philox key. These numbers are part of the definition of the streams and never change.
_PURPOSES = {"init": 1, "data": 2, "dropout": 3}
_MAX_WORD = 2**64 - 1
_MAX_COUNTER = 2**256 - 1
_WORDS_PER_BLOCK = 8
# Large draws are made in pieces of 64 KiB, which stay in a core's cache: a third faster than one pass.
_WORDS_PER_PIECE = 16384
# A host state is a list: NumPy's counter (4 words), its buffer (4), place in the buffer, spare half word (2).
_FRESH_HOST_STATE = (*[0] * 8, 4, 0, 0)
_MAX_HOST_STATE = (*[_MAX_WORD] * 8, 4, 1, 2**32 - 1)
_MAX_STATE = {"seed": [_MAX_WORD], "dropout": [_MAX_WORD], "init": _MAX_HOST_STATE, "data": _MAX_HOST_STATE}
_SEED_FIX = "seed % 2**64 fits"
_STATE_FIX = "pass what get_state() returned"


class Stream:
    """A sequence of Philox blocks from which each draw reserves a range.

    It is two integers from 0 to 2**64 - 1, ``seed`` and ``counter`` (the next unused block), and holds no
    random numbers. ``Stream(n)`` repeats the global dropout stream after ``seed(n)``; choose another seed for
    independent numbers. Threads may share a stream; ``copy.copy(stream)`` repeats what it gives next.

    Examples
    --------
    >>> from nnx.random import Stream, bernoulli_mask
    >>> stream = Stream(7)
    >>> key, counter = stream.reserve(4)
    >>> bernoulli_mask(key, counter, (2, 2), keep_probability=0.5)
    array([[ True, False],
           [ True,  True]])
    """

    __slots__ = ("counter", "seed")

    def __init__(self, seed: int, counter: int = 0) -> None:
        self.seed = _integer(seed, "Stream", "seed", _MAX_WORD, _SEED_FIX)
        self.counter = _integer(counter, "Stream", "counter", _MAX_WORD)

    def __repr__(self) -> str:
        return f"Stream(seed={self.seed}, counter={self.counter})"

    @property
    def key(self) -> tuple[int, int]:
        """The Philox key: (seed, 3)."""
        return (self.seed, _PURPOSES["dropout"])

    def reserve(self, n: int) -> tuple[tuple[int, int], int]:
        """Take the blocks for one draw of n elements and return (key, number of the first block).

        Element i of the draw uses 32-bit word i, counted from that block. A block has 8, so ``ceil(n / 8)``
        blocks are taken and the next draw starts with a block of its own. No draw reaches block 2**64 - 1: a
        kernel needs only the lowest of the four counter words.

        Examples
        --------
        >>> from nnx.random import Stream
        >>> stream = Stream(7)
        >>> stream.reserve(9), stream.reserve(1)
        (((7, 3), 0), ((7, 3), 2))
        """
        blocks = -(-_integer(n, "Stream.reserve", "n") // _WORDS_PER_BLOCK)
        with _lock:
            start = self.counter
            if start + blocks > _MAX_WORD:
                wanted = f"expected blocks below 2**64 - 1, got {blocks} more from {start} on"
                raise OverflowError(f"Stream.reserve: {wanted}; continue on a stream with another seed.")
            self.counter = start + blocks
            return self.key, start


def dropout_stream() -> Stream:
    """Return the stream that dropout draws from: the global one, or that of `use_dropout_stream`."""
    return _chosen_stream.get() or _dropout


@contextmanager
def use_dropout_stream(stream: Stream) -> Iterator[Stream]:
    """Let dropout draw from another stream inside a ``with`` block, in this thread or async task only.

    Checkpointing runs a forward pass again on a copy of the stream, and so gets the same masks again.

    Examples
    --------
    >>> from nnx.random import Stream, dropout_stream, use_dropout_stream
    >>> with use_dropout_stream(Stream(5)):
    ...     dropout_stream().key
    (5, 3)
    """
    token = _chosen_stream.set(stream)
    try:
        yield stream
    finally:
        _chosen_stream.reset(token)


def random_words(key: Sequence[int], counter: int, n: int) -> np.ndarray:
    """Compute n words of 32 random bits: the halves of the Philox4x64-10 words in turn, low half first.

    Parameters
    ----------
    key : two ints
        Each from 0 to 2**64 - 1.
    counter : int
        Number of the first block, from 0 to 2**256 - 1; block 0 follows the last one.
    n : int
        Number of words.

    Returns
    -------
    ndarray of uint32, shape (n,)

    Examples
    --------
    >>> from nnx.random import random_words
    >>> [hex(word) for word in random_words((0, 3), 0, 4)]
    ['0x2f7a0a7f', '0x5b133998', '0xa5b363c2', '0xa3dbb55f']
    """
    size = _integer(n, "random_words", "n")
    bits = _philox_at(key, counter, "random_words")
    words = _next_words(bits, size)
    _idle.append(bits)
    return words


def uniform(key: Sequence[int], counter: int, shape: _Shape) -> np.ndarray:
    """Draw float32 numbers from [0, 1): ``(word >> 8) * 2**-24``, which float32 holds exactly.

    Parameters
    ----------
    key, counter
        Those of `random_words`, usually from `Stream.reserve`.
    shape : int or sequence of ints
        Elements use the words in row-major (C) order.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> from nnx.random import uniform
    >>> uniform((0, 3), 0, 3)
    array([0.18545592, 0.35576206, 0.6472685 ], dtype=float32)
    """
    shape, size = _shape(shape, "uniform")
    out = np.empty(size, dtype=np.float32)
    bits = _philox_at(key, counter, "uniform")
    for start in range(0, size, _WORDS_PER_PIECE):
        piece = out[start : start + _WORDS_PER_PIECE]
        words = _next_words(bits, piece.size)
        words >>= 8
        # 24 bits fit int32 as well, which processors convert to float faster than uint32.
        piece[...] = words.view(np.int32)
        piece *= 2.0**-24
    _idle.append(bits)
    return out.reshape(shape)


def bernoulli_mask(key: Sequence[int], counter: int, shape: _Shape, keep_probability: float) -> np.ndarray:
    """Draw a mask that is True ("keep") with the given probability: ``word < keep_threshold(probability)``.

    Parameters
    ----------
    key, counter, shape
        Those of `uniform`.
    keep_probability : float
        From 0 (all False) to 1 (all True); one minus the dropout rate.

    Returns
    -------
    ndarray of bool

    Examples
    --------
    >>> from nnx.random import bernoulli_mask
    >>> bernoulli_mask((0, 3), 0, (2, 3), keep_probability=0.5)
    array([[ True,  True, False],
           [False, False, False]])
    """
    shape, size = _shape(shape, "bernoulli_mask")
    threshold = keep_threshold(keep_probability)
    if threshold in (0, 2**32):  # no word can change the answer, and 2**32 would not fit their type
        return np.full(shape, threshold > 0)
    out = np.empty(size, dtype=np.bool_)
    bits = _philox_at(key, counter, "bernoulli_mask")
    for start in range(0, size, _WORDS_PER_PIECE):
        piece = out[start : start + _WORDS_PER_PIECE]
        np.less(_next_words(bits, piece.size), threshold, out=piece)
    _idle.append(bits)
    return out.reshape(shape)


def keep_threshold(keep_probability: float) -> int:
    """Return ``floor(keep_probability * 2**32)``; an element is kept if its 32-bit word is smaller.

    Probability 1 gives 2**32, so kernels take the threshold as a 64-bit integer and compare in 64 bits; then
    1 keeps everything without being a special case.

    Examples
    --------
    >>> from nnx.random import keep_threshold
    >>> keep_threshold(0.5), keep_threshold(1)
    (2147483648, 4294967296)
    """
    wanted, value = "expected keep_probability to be a number from 0 to 1", keep_probability
    if not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{wanted}, got {value!r}; pass a Python float.")
    if not 0 <= value <= 1:  # written so that NaN fails
        raise ValueError(f"{wanted}, got {value}; it is one minus the dropout rate.")
    # Multiplying by a power of two is exact, so this is the floor of the true product.
    return math.floor(float(value) * 2.0**32)


def seed(n: int) -> None:
    """Restart everything that nnx draws: weights, data and dropout. Generators handed out before follow.

    n is an integer from 0 to 2**64 - 1. Without this call the seed comes from the operating system and
    ``get_state()["seed"]`` tells which it was.

    Examples
    --------
    >>> import nnx.random
    >>> nnx.random.seed(0)
    >>> nnx.random.init_generator().integers(100, size=4)
    array([97, 81, 29, 75])
    """
    _restore(_integer(n, "seed", "n", _MAX_WORD, _SEED_FIX), 0, _FRESH_HOST_STATE, _FRESH_HOST_STATE)


def init_generator() -> np.random.Generator:
    """Return the global generator for weights, always the same object.

    After ``seed(n)`` it gives what ``numpy.random.Generator(numpy.random.Philox(key=n + 1 * 2**64))`` gives.
    """
    return _host("init")


def data_generator() -> np.random.Generator:
    """Return the global generator for shuffles, splits and augmentation, always the same object.

    After ``seed(n)`` it gives what ``numpy.random.Generator(numpy.random.Philox(key=n + 2 * 2**64))`` gives.
    """
    return _host("data")


def get_state() -> dict[str, Any]:
    """Return where the generators and the global dropout stream stand, in plain integers that JSON can hold.

    Examples
    --------
    >>> import nnx.random
    >>> nnx.random.seed(0)
    >>> state = nnx.random.get_state()
    >>> first = nnx.random.data_generator().random()
    >>> nnx.random.set_state(state)
    >>> first == nnx.random.data_generator().random()
    True
    """
    with _lock:
        hosts = {purpose: _host_state(purpose) for purpose in ("init", "data")}
        return {"seed": _dropout.seed, **hosts, "dropout": _dropout.counter}


def set_state(state: Mapping[str, Any]) -> None:
    """Go back to a state that `get_state` returned, here or in another process.

    Raises
    ------
    ValueError, TypeError
        If an entry is missing, unknown or of a wrong type or range. Nothing has changed then.
    """
    if set(state) != set(_MAX_STATE):
        wanted, got = ", ".join(_MAX_STATE), ", ".join(map(str, state)) or "none"
        raise ValueError(f"set_state: expected the entries {wanted}, got {got}; {_STATE_FIX}.")
    checked: list[list[int]] = []
    for name, limits in _MAX_STATE.items():
        values = state[name] if isinstance(state[name], Sequence) else [state[name]]
        if len(values) != len(limits):
            wanted = f"{name} to have {len(limits)} values"
            raise ValueError(f"set_state: expected {wanted}, got {len(values)}; {_STATE_FIX}.")
        pairs = zip(values, limits, strict=True)
        checked.append([_integer(value, "set_state", name, top, _STATE_FIX) for value, top in pairs])
    (seed,), (dropout,), init, data = checked
    _restore(seed, dropout, init, data)


def _host(purpose: str) -> np.random.Generator:
    with _lock:
        if purpose not in _hosts:
            key = _dropout.seed + (_PURPOSES[purpose] << 64)
            _hosts[purpose] = np.random.Generator(np.random.Philox(key=key))
        return _hosts[purpose]


def _restore(seed: int, dropout: int, init: Sequence[int], data: Sequence[int]) -> None:
    with _lock:
        _dropout.seed, _dropout.counter = seed, dropout
        for purpose, state in (("init", init), ("data", data)):
            bits = _host(purpose).bit_generator
            with bits.lock:
                bits.state = _numpy_state((seed, _PURPOSES[purpose]), *state)


def _host_state(purpose: str) -> list[int]:
    bits: Any = _host(purpose).bit_generator
    with bits.lock:
        state = bits.state
    rest = (state["buffer_pos"], state["has_uint32"], state["uinteger"])
    return [int(value) for value in (*state["state"]["counter"], *state["buffer"], *rest)]


def _numpy_state(key: Sequence[int], *state: int) -> Any:
    rest = {"buffer_pos": state[8], "has_uint32": state[9], "uinteger": state[10]}
    words = {"counter": state[:4], "key": key}
    return {"bit_generator": "Philox", "state": words, "buffer": state[4:8], **rest}


def _philox_at(key: Sequence[int], counter: int, where: str) -> np.random.Philox:
    """A bit generator whose next word is the first of the block; the caller puts it back in `_idle`."""
    if not isinstance(key, Sequence) or len(key) != 2:
        raise TypeError(f"{where}: expected key to be two ints, got {key!r}; take it from Stream.reserve().")
    words = [_integer(word, where, f"key[{i}]", _MAX_WORD) for i, word in enumerate(key)]
    # NumPy adds one to its counter before it makes a block.
    previous = (_integer(counter, where, "counter", _MAX_COUNTER) - 1) & _MAX_COUNTER
    counters = [previous >> shift & _MAX_WORD for shift in (0, 64, 128, 192)]
    try:
        bits = _idle.pop()
    except IndexError:
        bits = np.random.Philox(0)
    bits.state = _numpy_state(words, *counters, *_FRESH_HOST_STATE[4:])
    return bits


def _next_words(bits: np.random.Philox, n: int) -> np.ndarray:
    """The next n 32-bit words, low halves first on any machine, without a copy on a little-endian one."""
    raw = bits.random_raw((n + 1) // 2)
    return raw.astype("<u8", copy=False).view("<u4").astype(np.uint32, copy=False)[:n]


def _shape(shape: _Shape, where: str) -> tuple[tuple[int, ...], int]:
    """The shape as a tuple, and its number of elements."""
    lengths = shape if isinstance(shape, Sequence) else (shape,)
    checked = tuple([_integer(length, where, "every length in shape") for length in lengths])
    return checked, math.prod(checked)


def _integer(value: Any, where: str, name: str, largest: int | None = None, fix: str = "") -> int:
    """`value` as an int from 0 to `largest`."""
    error: type[Exception] = ValueError
    try:
        number = operator.index(value)
        if number >= 0 and (largest is None or number <= largest):
            return number
    except TypeError:
        error = TypeError
    # Nobody recognises 18446744073709551615.
    top = f"2**{largest.bit_length()} - 1" if largest and largest > 2**31 else largest
    wanted = "an int >= 0" if largest is None else f"an int from 0 to {top}"
    raise error(f"{where}: expected {name} to be {wanted}, got {value!r}; {fix or 'pass one in that range'}.")


# The global state; last, because a Stream checks its arguments. One lock serves all streams, since a lock in
# a Stream would keep it from being copied along with its layer.
_lock = threading.RLock()
_dropout = Stream(int.from_bytes(os.urandom(8), "little"))
_chosen_stream: ContextVar[Stream | None] = ContextVar("nnx_dropout_stream", default=None)
# Filled at first use, since importing numpy.random would be felt in the time that `import nnx` takes.
_hosts: dict[str, np.random.Generator] = {}
# Moving a bit generator is ten times faster than making one. Whoever pops one owns it until it is put back.
_idle: list[np.random.Philox] = []
