"""Random numbers: one seed, a stream each for weights, data and dropout, and the same bits on every backend.

The generator is Philox4x64-10 [1]_, a pure function from (key, counter) to four 64-bit words. The key is
(seed, purpose). Weights and data are drawn on the host, by `init_generator` and `data_generator`, and copied to the
device. Dropout is defined in integers: `Stream.reserve` hands out counters, from which NumPy (here) and a device
kernel compute the same masks. ``docs/random.md`` is the definition, for authors of kernels.

.. [1] Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405
"""

from __future__ import annotations

import math
import numbers
import operator
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

__all__ = ["seed", "init_generator", "data_generator", "get_state", "set_state"]
__all__ += ["Stream", "dropout_stream", "use_dropout_stream"]
__all__ += ["random_words", "uniform", "bernoulli_mask", "keep_threshold"]

# Second word of the Philox key. These numbers are part of the definition of the streams and never change.
_PURPOSES = {"init": 1, "data": 2, "dropout": 3}
_MAX_WORD = 2**64 - 1
_MAX_COUNTER = 2**256 - 1
_WORDS_PER_BLOCK = 8
# Large draws go through buffers that stay in a core's cache (64 KiB), a third faster than one pass over memory.
_WORDS_PER_PIECE = 16384
_STATE_ENTRIES = ("version", "seed", "init", "data", "dropout")
_STATE_VERSION = 1
# A host state in a list: NumPy's counter (4 words), its buffer (4), position in the buffer, spare 32-bit half (2).
_MAX_HOST_STATE = (*[_MAX_WORD] * 8, 4, 1, 2**32 - 1)
_FRESH_HOST_STATE = (*[0] * 8, 4, 0, 0)
_SEED_FIX = "seed % 2**64 fits"
_STATE_FIX = "pass what get_state() returned"


class Stream:
    """A sequence of Philox blocks from which each draw reserves a range.

    It is two integers, seed and counter, and holds no random numbers. ``Stream(n)`` repeats the global dropout stream
    after ``seed(n)``; for numbers independent of those, choose another seed. `reserve` may be called from several
    threads. Streams can be copied and pickled.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.
    counter : int
        The first block to hand out, from 0 to 2**64.

    Examples
    --------
    >>> from nnx.random import Stream, bernoulli_mask
    >>> stream = Stream(7)
    >>> key, counter = stream.reserve(4)
    >>> bernoulli_mask(key, counter, (2, 2), keep_probability=0.5)
    array([])
    >>> stream
    Stream(seed=7, counter=1)
    """

    __slots__ = ("_counter", "_seed")

    def __init__(self, seed: int, counter: int = 0) -> None:
        self._seed = _integer(seed, "Stream", "seed", _MAX_WORD, _SEED_FIX)
        self._counter = _integer(counter, "Stream", "counter", 2**64)

    def __repr__(self) -> str:
        return f"Stream(seed={self._seed}, counter={self._counter})"

    @property
    def key(self) -> tuple[int, int]:
        """The Philox key: (seed, 3)."""
        return (self._seed, _PURPOSES["dropout"])

    @property
    def counter(self) -> int:
        """Number of the next unused block."""
        return self._counter

    def reserve(self, n: int) -> tuple[tuple[int, int], int]:
        """Take the blocks for one draw of n elements and move on.

        Element i of the draw uses 32-bit word i, counted from the first block. A block has 8 of them, so ``ceil(n / 8)``
        blocks are taken, and the next draw starts with a block of its own.

        Returns
        -------
        key : tuple of two ints
        counter : int
            Number of the first block. No draw passes block 2**64 - 1, so kernels need only the lowest counter word.

        Examples
        --------
        >>> from nnx.random import Stream
        >>> stream = Stream(7)
        >>> stream.reserve(9), stream.reserve(1)
        (((7, 3), 0), ((7, 3), 2))
        """
        blocks = -(-_integer(n, "Stream.reserve", "n") // _WORDS_PER_BLOCK)
        with _lock:
            start = self._counter
            if start + blocks > 2**64:
                raise OverflowError(
                    f"Stream.reserve: expected to stay within 2**64 blocks, got {blocks} more after {start}; "
                    f"continue on a stream with another seed."
                )
            self._counter = start + blocks
            return self.key, start

    def copy(self) -> Stream:
        """Return a stream at the same place, which will repeat what this one gives from here on."""
        with _lock:
            return Stream(self._seed, self._counter)


def dropout_stream() -> Stream:
    """Return the stream that dropout draws from: the global one, or that of `use_dropout_stream`.

    Examples
    --------
    >>> import nnx.random
    >>> nnx.random.seed(0)
    >>> nnx.random.dropout_stream().reserve(100)
    ((0, 3), 0)
    """
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
    if not isinstance(stream, Stream):
        got = type(stream).__name__
        raise TypeError(
            f"use_dropout_stream: expected a Stream, got {got}; make one with nnx.random.Stream(seed)."
        )
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
    >>> from nnx.random import Stream, random_words
    >>> key, counter = Stream(0).reserve(2)
    >>> [hex(word) for word in random_words(key, counter, 2)]
    []
    """
    size = _integer(n, "random_words", "n")
    bits = _philox_at(key, counter, "random_words")
    words = _next_words(bits, size)
    _idle.append(bits)
    return words


def uniform(key: Sequence[int], counter: int, shape: int | Sequence[int]) -> np.ndarray:
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
    >>> from nnx.random import Stream, uniform
    >>> key, counter = Stream(0).reserve(3)
    >>> uniform(key, counter, 3)
    array([])
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


def bernoulli_mask(
    key: Sequence[int], counter: int, shape: int | Sequence[int], keep_probability: float
) -> np.ndarray:
    """Draw a mask that is True ("keep") with the given probability: ``word < keep_threshold(keep_probability)``.

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
    >>> from nnx.random import Stream, bernoulli_mask
    >>> key, counter = Stream(0).reserve(6)
    >>> bernoulli_mask(key, counter, (2, 3), keep_probability=0.5)
    array([])
    """
    shape, size = _shape(shape, "bernoulli_mask")
    threshold = keep_threshold(keep_probability)
    out = np.empty(size, dtype=np.bool_)
    bits = _philox_at(key, counter, "bernoulli_mask")
    if threshold in (0, 2**32):
        # No word can change the answer, and 2**32 would not fit their type.
        out.fill(threshold > 0)
    else:
        for start in range(0, size, _WORDS_PER_PIECE):
            piece = out[start : start + _WORDS_PER_PIECE]
            np.less(_next_words(bits, piece.size), threshold, out=piece)
    _idle.append(bits)
    return out.reshape(shape)


def keep_threshold(keep_probability: float) -> int:
    """Return ``floor(keep_probability * 2**32)``; an element is kept if its 32-bit word is smaller.

    Probability 1 gives 2**32, so kernels take the threshold as a 64-bit integer and compare in 64 bits: then 1 keeps
    everything without being a special case.

    Examples
    --------
    >>> from nnx.random import keep_threshold
    >>> keep_threshold(0.5), keep_threshold(1)
    (2147483648, 4294967296)
    """
    wanted = "expected keep_probability to be a number from 0 to 1"
    if not isinstance(keep_probability, numbers.Real):
        raise TypeError(f"{wanted}, got {type(keep_probability).__name__}; pass a Python float.")
    probability = float(keep_probability)
    if not 0.0 <= probability <= 1.0:  # written so that NaN fails
        raise ValueError(f"{wanted}, got {probability}; it is one minus the dropout rate.")
    # Multiplying by a power of two is exact, so this is the floor of the true product.
    return math.floor(probability * 2.0**32)


def seed(n: int) -> None:
    """Restart everything that nnx draws: weights, data and dropout. Generators handed out before follow.

    Without this call the seed comes from the operating system; ``get_state()["seed"]`` tells which it was.

    Parameters
    ----------
    n : int
        From 0 to 2**64 - 1.

    Examples
    --------
    >>> import nnx.random
    >>> nnx.random.seed(0)
    >>> nnx.random.init_generator().integers(100, size=4)
    array([])
    """
    _restore(_integer(n, "seed", "n", _MAX_WORD, _SEED_FIX), _FRESH_HOST_STATE, _FRESH_HOST_STATE, 0)


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
    """Return where the two generators and the global dropout stream stand, in plain integers that JSON can hold.

    Examples
    --------
    >>> import nnx.random
    >>> nnx.random.seed(0)
    >>> state = nnx.random.get_state()
    >>> nnx.random.data_generator().permutation(5)
    array([])
    >>> nnx.random.set_state(state)
    >>> nnx.random.data_generator().permutation(5)
    array([])
    """
    with _lock:
        init, data = (_host_state(_host(purpose)) for purpose in ("init", "data"))
        values = (_STATE_VERSION, _dropout.key[0], init, data, _dropout.counter)
    return dict(zip(_STATE_ENTRIES, values, strict=True))


def set_state(state: Mapping[str, Any]) -> None:
    """Go back to a state that `get_state` returned, here or in another process.

    Raises
    ------
    ValueError, TypeError
        If an entry is missing, unknown or of a wrong type or range. Nothing has changed then.
    """
    if not isinstance(state, Mapping) or set(state) != set(_STATE_ENTRIES):
        wanted = f"set_state: expected a mapping with the entries {', '.join(_STATE_ENTRIES)}"
        got = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(f"{wanted}, got {got or 'an empty one'}; {_STATE_FIX}.")
    if state["version"] != _STATE_VERSION:
        wanted = f"set_state: expected version {_STATE_VERSION}, got {state['version']!r}"
        raise ValueError(f"{wanted}; load it with the release of nnx that wrote it.")
    hosts = []
    for purpose in ("init", "data"):
        values = state[purpose]
        if not isinstance(values, Sequence) or len(values) != len(_MAX_HOST_STATE):
            wanted = f"set_state: expected {purpose} to be a list of {len(_MAX_HOST_STATE)} integers"
            raise ValueError(f"{wanted}, got {values!r}; {_STATE_FIX}.")
        limited = enumerate(zip(values, _MAX_HOST_STATE, strict=True))
        hosts.append(
            [_integer(v, "set_state", f"{purpose}[{i}]", top, _STATE_FIX) for i, (v, top) in limited]
        )
    new_seed = _integer(state["seed"], "set_state", "seed", _MAX_WORD, _STATE_FIX)
    _restore(new_seed, *hosts, _integer(state["dropout"], "set_state", "dropout", 2**64, _STATE_FIX))


def _host(purpose: str) -> np.random.Generator:
    with _lock:
        if purpose not in _hosts:
            key = _dropout.key[0] + (_PURPOSES[purpose] << 64)
            _hosts[purpose] = np.random.Generator(np.random.Philox(key=key))
        return _hosts[purpose]


def _restore(seed: int, init: Sequence[int], data: Sequence[int], dropout: int) -> None:
    with _lock:
        _dropout._seed, _dropout._counter = seed, dropout
        for purpose, state in (("init", init), ("data", data)):
            bits = _host(purpose).bit_generator
            with bits.lock:
                bits.state = _numpy_state((seed, _PURPOSES[purpose]), *state)


def _host_state(generator: np.random.Generator) -> list[int]:
    bits: Any = generator.bit_generator
    with bits.lock:
        state = bits.state
    spare = (state["buffer_pos"], state["has_uint32"], state["uinteger"])
    return [int(value) for value in (*state["state"]["counter"], *state["buffer"], *spare)]


def _numpy_state(key: Sequence[int], *state: int) -> Any:
    names = ("buffer_pos", "has_uint32", "uinteger")
    tail = dict(zip(names, state[8:], strict=True))
    words = {"counter": state[:4], "key": key}
    return {"bit_generator": "Philox", "state": words, "buffer": state[4:8], **tail}


def _philox_at(key: Sequence[int], counter: int, where: str) -> np.random.Philox:
    """A bit generator of the caller's own, to be put back into `_idle`, whose next word is the first of the block."""
    if not isinstance(key, Sequence) or len(key) != 2:
        raise TypeError(
            f"{where}: expected key to be two integers, got {key!r}; take it from Stream.reserve()."
        )
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
    """The next n 32-bit words, low halves first in any machine's byte order, without a copy where it is little."""
    raw = bits.random_raw((n + 1) // 2)
    return raw.astype("<u8", copy=False).view("<u4").astype(np.uint32, copy=False)[:n]


def _shape(shape: int | Sequence[int], where: str) -> tuple[tuple[int, ...], int]:
    """The shape as a tuple, and its number of elements."""
    lengths: Iterable[Any] = shape if isinstance(shape, Sequence) else (shape,)
    checked = tuple([_integer(length, where, "every length in shape") for length in lengths])
    return checked, math.prod(checked)


def _integer(value: Any, where: str, name: str, largest: int | None = None, fix: str = "") -> int:
    """`value` as an int from 0 to `largest`."""
    error: type[Exception] = TypeError
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        number = operator.index(value)
        if number >= 0 and (largest is None or number <= largest):
            return number
        error = ValueError
    wanted = "an int >= 0" if largest is None else f"an int from 0 to {_readable(largest)}"
    raise error(f"{where}: expected {name} to be {wanted}, got {value!r}; {fix or 'pass one in that range'}.")


def _readable(n: int) -> str:
    """Large limits as powers of two: nobody recognises 18446744073709551615."""
    power = (n + 1).bit_length() - 1
    return str(n) if n < 2**31 else f"2**{power}" + (" - 1" if n + 1 == 2**power else "")


# The global state; last, because a Stream checks its arguments. One lock serves all streams: a lock inside a Stream
# would keep it from being copied along with its layer.
_lock = threading.RLock()
_dropout = Stream(int.from_bytes(os.urandom(8), "little"))
_chosen_stream: ContextVar[Stream | None] = ContextVar("nnx_dropout_stream", default=None)
# Filled at first use, since importing numpy.random would be felt in the time that `import nnx` takes.
_hosts: dict[str, np.random.Generator] = {}
# Moving a bit generator is ten times faster than making one. Whoever pops one owns it until it is put back.
_idle: list[np.random.Philox] = []
