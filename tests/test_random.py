"""Random numbers: the stream against an independent Philox, its edges, the seed, the state, threads."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nnx import random as rng
from nnx.random import Stream

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "random.md"
ONES = 2**64 - 1
KEY = (0, 3)  # dropout after seed(0)

# Random123, tests/kat_vectors, "philox4x64 10": counter and key on one line, the output on the next.
KNOWN_ANSWERS = """
0 0 0 0  0 0
16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b
ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff  ffffffffffffffff ffffffffffffffff
87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0
243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89  452821e638d01377 be5466cf34e90c6c
a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6
"""
GOLDEN = [0x2F7A0A7F, 0x5B133998, 0xA5B363C2, 0xA3DBB55F, 0xD8F23572, 0xB0174615, 0x98B76190, 0x825569D2]


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Philox4x64-10 from the paper, in Python integers; shares nothing with the code under test."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % 2**64, (k1 + 0xBB67AE8584CAA73B) % 2**64
    return c0, c1, c2, c3


def reference_words(key: tuple[int, int], counter: int, n: int) -> list[int]:
    words: list[int] = []
    for block in range(counter, counter + -(-n // 8)):
        parts = tuple(block % 2**256 // 2**shift % 2**64 for shift in (0, 64, 128, 192))
        for word in philox(parts, key):
            words += [word % 2**32, word // 2**32]
    return words[:n]


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(autouse=True)
def own_state() -> Iterator[None]:
    """Every test starts from seed 0 and leaves the global state as it found it."""
    state = rng.get_state()
    rng.seed(0)
    yield
    rng.set_state(state)


def test_known_answers() -> None:
    lines = [[int(word, 16) for word in line.split()] for line in KNOWN_ANSWERS.strip().splitlines()]
    for (*counter, k0, k1), expected in zip(lines[::2], lines[1::2], strict=True):
        assert philox(tuple(counter), (k0, k1)) == tuple(expected)
        number = sum(word << 64 * i for i, word in enumerate(counter))
        words = rng.random_words((k0, k1), number, 8).tolist()
        assert [low | high << 32 for low, high in zip(words[::2], words[1::2], strict=True)] == expected


def test_the_stream_never_changes() -> None:
    """Hard-coded: if this fails, saved experiments no longer repeat. The fix is in the code, not here."""
    assert rng.random_words(*rng.dropout_stream().reserve(8), 8).tolist() == GOLDEN
    second = rng.random_words(*rng.dropout_stream().reserve(2), 2).tolist()
    assert second == [0x1ED21B93, 0x79A407DE]
    assert rng.uniform(KEY, 0, 2).tolist() == [0x2F7A0A / 2**24, 0x5B1339 / 2**24]
    assert rng.bernoulli_mask(KEY, 0, 8, 0.5).tolist() == [w < 2**31 for w in GOLDEN]
    init, data = (host.bit_generator.random_raw(2) for host in (rng.init_generator(), rng.data_generator()))
    assert init.tolist() == [0xD037F8C3F9A1D176, 0xC057419B4C210765]
    assert data.tolist() == [0xD07EB80C9FFC0C00, 0x708EEBD5FE6D0226]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 100, 257])
@pytest.mark.parametrize("key", [(0, 3), (ONES, ONES), (12345, 2**63)])
@pytest.mark.parametrize(
    "counter", [0, 1, 5, 2**32 - 1, 2**63, 2**64 - 2, 2**64 - 1, 2**64, 2**128 - 1, 2**192 - 1, 2**256 - 1]
)
def test_words_are_those_of_the_reference(key: tuple[int, int], counter: int, n: int) -> None:
    words = rng.random_words(key, counter, n)
    assert words.dtype == np.uint32
    assert words.shape == (n,)
    assert words.tolist() == reference_words(key, counter, n)


@pytest.mark.parametrize("n", [16383, 16384, 16385, 3 * 16384 + 5])
def test_values_are_made_of_the_words_over_every_piece(n: int) -> None:
    key, counter = (9, 3), 2**64 - 100
    words = rng.random_words(key, counter, n)
    tail = n - n % 8 - 8
    assert words[tail:].tolist() == reference_words(key, counter + tail // 8, n - tail)
    expected = ((words >> 8).astype(np.float64) * 2.0**-24).astype(np.float32)
    uniform = rng.uniform(key, counter, n)
    assert uniform.dtype == np.float32
    assert np.array_equal(uniform, expected)
    mask = rng.bernoulli_mask(key, counter, n, 0.3)
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, words.astype(np.uint64) < math.floor(0.3 * 2**32))


def test_elements_take_their_words_in_row_major_order() -> None:
    flat = rng.uniform((1, 3), 2, 24)
    assert np.array_equal(rng.uniform((1, 3), 2, (2, 3, 4)), flat.reshape(2, 3, 4))
    assert np.array_equal(rng.uniform((1, 3), 2, [6, 4]), flat.reshape(6, 4))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 5)])
def test_scalars_and_empty_arrays(shape: tuple[int, ...]) -> None:
    assert np.array_equal(rng.uniform(KEY, 0, shape), np.full(shape, GOLDEN[0] // 256 / 2**24))
    for probability in (0.0, 0.5, 1.0):
        assert rng.bernoulli_mask(KEY, 0, shape, probability).shape == shape


def test_keep_all_and_none() -> None:
    assert rng.bernoulli_mask(KEY, 0, (100, 1000), 1).all()
    assert not rng.bernoulli_mask(KEY, 0, (100, 1000), 0.0).any()


def test_threshold_is_the_exact_floor() -> None:
    assert rng.keep_threshold(0) == 0
    assert rng.keep_threshold(1) == 2**32
    assert rng.keep_threshold(math.nextafter(1, 0)) == 2**32 - 1
    assert rng.keep_threshold(2.0**-32) == 1
    assert rng.keep_threshold(math.nextafter(2.0**-32, 0)) == 0
    assert rng.keep_threshold(0.9) == 3865470566
    assert rng.keep_threshold(np.float32(0.9)) == 3865470464  # the float32 next to 0.9 is another number


def test_a_word_equal_to_the_threshold_is_dropped() -> None:
    assert not rng.bernoulli_mask(KEY, 0, 1, GOLDEN[0] / 2**32)[0]
    assert rng.bernoulli_mask(KEY, 0, 1, (GOLDEN[0] + 1) / 2**32)[0]


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.9])
def test_masks_have_the_right_mean_and_no_correlation(probability: float) -> None:
    n = 1_000_000
    mask = rng.bernoulli_mask((4, 3), 0, n, probability).astype(np.float64)
    variance = probability * (1 - probability)
    assert abs(mask.mean() - probability) < 5 * math.sqrt(variance / n)
    for lag in (1, 2, 8, 512):
        covariance = ((mask[:-lag] - probability) * (mask[lag:] - probability)).mean()
        assert abs(covariance) < 5 * variance / math.sqrt(n - lag)


def test_uniform_is_flat_and_below_one() -> None:
    values = rng.uniform((4, 3), 0, 640_000)
    assert 0 <= values.min() < 1e-4 < 1 - 1e-4 < values.max() < 1
    counts = np.bincount((values * 64).astype(int), minlength=64)
    chi_squared = ((counts - 10_000) ** 2 / 10_000).sum()
    assert 20 < chi_squared < 130  # 63 degrees of freedom: six standard deviations


def test_reserve_takes_whole_blocks() -> None:
    stream = Stream(7)
    starts = [stream.reserve(n) for n in (1, 8, 9, 0, 16, 0, 17)]
    assert starts == [((7, 3), start) for start in (0, 1, 2, 4, 4, 6, 6)]
    assert stream.counter == 9
    rng.seed(7)
    draws = [rng.random_words(*rng.dropout_stream().reserve(n), n) for n in (8, 24, 16)]
    assert np.concatenate(draws).tolist() == reference_words(Stream(7).key, 0, 48)


def test_the_end_of_a_stream() -> None:
    stream = Stream(0, 2**64 - 3)
    assert stream.reserve(16) == ((0, 3), 2**64 - 3)
    with pytest.raises(OverflowError, match=r"got 1 more from 18446744073709551615 on; continue on a stream"):
        stream.reserve(1)
    assert stream.counter == 2**64 - 1
    assert stream.reserve(0)[1] == 2**64 - 1


def test_streams_can_be_copied() -> None:
    stream = Stream(3, 5)
    for twin in (copy.copy(stream), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))):
        assert repr(twin) == "Stream(seed=3, counter=5)"
        twin.reserve(80)
    assert stream.counter == 5


def test_use_dropout_stream_holds_for_this_thread_only() -> None:
    seen: list[tuple[int, int]] = []
    with rng.use_dropout_stream(Stream(5)) as stream:
        assert rng.dropout_stream() is stream
        with rng.use_dropout_stream(Stream(6)):
            assert rng.dropout_stream().key == (6, 3)
        thread = threading.Thread(target=lambda: seen.append(rng.dropout_stream().key))
        thread.start()
        thread.join()
    assert seen == [(0, 3)]
    with pytest.raises(KeyError), rng.use_dropout_stream(Stream(5)):
        raise KeyError
    assert rng.dropout_stream().key == (0, 3)


def draw_everything() -> list[object]:
    return [
        rng.init_generator().standard_normal(5).tolist(),
        rng.data_generator().permutation(50).tolist(),
        rng.random_words(*rng.dropout_stream().reserve(9), 9).tolist(),
    ]


@pytest.mark.parametrize("seed", [0, 1, 2**63, ONES])
def test_a_seed_repeats(seed: int) -> None:
    rng.seed(seed)
    first = draw_everything()
    assert draw_everything() != first
    rng.seed(seed)
    assert draw_everything() == first
    rng.seed(seed ^ 1)
    assert all(a != b for a, b in zip(draw_everything(), first, strict=True))


def test_seed_moves_generators_handed_out_before() -> None:
    init, data, dropout = rng.init_generator(), rng.data_generator(), rng.dropout_stream()
    before = init.random(), data.random(), dropout.reserve(9)
    rng.seed(0)
    assert (init.random(), data.random(), dropout.reserve(9)) == before


def test_purposes_are_independent() -> None:
    rng.init_generator().random(1000)
    rng.dropout_stream().reserve(1000)
    data = rng.data_generator().random(3).tolist()
    rng.seed(0)
    assert rng.data_generator().random(3).tolist() == data
    rng.seed(0)
    hosts = [host.bit_generator.random_raw(1000) for host in (rng.init_generator(), rng.data_generator())]
    words = np.concatenate([*hosts, rng.random_words(KEY, 0, 2000).view(np.uint64)])
    assert len(set(words.tolist())) == 3000


def test_host_generators_are_plain_numpy() -> None:
    rng.seed(2**64 - 5)
    for number, generator in ((1, rng.init_generator()), (2, rng.data_generator())):
        plain = np.random.Generator(np.random.Philox(key=2**64 - 5 + number * 2**64))
        assert generator.random(10).tolist() == plain.random(10).tolist()


def test_state_survives_json_in_the_middle_of_a_block() -> None:
    rng.seed(2**64 - 1)
    rng.init_generator().bit_generator.random_raw(3)
    rng.data_generator().integers(2**32, size=3, dtype=np.uint32)  # leaves half a word behind
    rng.dropout_stream().reserve(100)
    state = json.loads(json.dumps(rng.get_state()))
    assert state["data"][9] == 1
    first = draw_everything()
    rng.seed(5)
    draw_everything()
    rng.set_state(state)
    assert rng.get_state() == state
    assert draw_everything() == first


def test_state_holds_in_another_process() -> None:
    rng.seed(77)
    draw_everything()
    code = (
        "import json, sys; from nnx import random as rng; rng.set_state(json.loads(sys.argv[1]));"
        "print(rng.init_generator().random(), rng.dropout_stream())"
    )
    printed = run(sys.executable, "-c", code, json.dumps(rng.get_state()))
    assert printed == f"{rng.init_generator().random()} {rng.dropout_stream()}\n"


def test_unseeded_processes_differ_and_tell_their_seed() -> None:
    code = "from nnx import random as rng; print(rng.get_state()['seed'], rng.init_generator().random())"
    runs = [run(sys.executable, "-c", code).split() for _ in range(2)]
    assert runs[0][0] != runs[1][0]
    rng.seed(int(runs[0][0]))
    assert rng.init_generator().random() == float(runs[0][1])


def test_a_refused_state_changes_nothing() -> None:
    good = rng.get_state()
    draw_everything()
    here = rng.get_state()
    host = list(good["init"])
    broken: list[tuple[dict[str, object], type[Exception], str]] = [
        ({}, ValueError, "expected the entries seed, dropout, init, data, got none; pass what get_state"),
        ({**good, "more": 1}, ValueError, "got seed, init, data, dropout, more"),
        ({**good, "seed": 2**64}, ValueError, "expected seed to be an int from 0 to 2**64 - 1, got 18446744"),
        ({**good, "seed": "0"}, TypeError, "expected seed to be an int from 0 to 2**64 - 1, got '0'"),
        ({**good, "dropout": -1}, ValueError, "expected dropout to be an int from 0 to 2**64 - 1, got -1"),
        ({**good, "data": host[:-1]}, ValueError, "expected data to have 11 values, got 10"),
        ({**good, "data": 5}, ValueError, "expected data to have 11 values, got 1"),
        ({**good, "data": [*host[:8], 5, 0, 0]}, ValueError, "expected data to be an int from 0 to 4, got 5"),
        ({**good, "init": [*host[:8], 0.5, 0, 0]}, TypeError, "init to be an int from 0 to 4, got 0.5"),
    ]
    for state, error, message in broken:
        with pytest.raises(error, match=re.escape(message)):
            rng.set_state(state)
        assert rng.get_state() == here


SEED_RANGE = "expected n to be an int from 0 to 2**64 - 1"
REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: rng.seed(-1), ValueError, f"seed: {SEED_RANGE}, got -1; seed % 2**64 fits."),
    (lambda: rng.seed(2**64), ValueError, "got 18446744073709551616; seed % 2**64 fits."),
    (lambda: rng.seed(1.0), TypeError, f"seed: {SEED_RANGE}, got 1.0"),
    (lambda: rng.seed(None), TypeError, "got None"),
    (lambda: rng.seed(np.zeros(3, dtype=int)), TypeError, "got array([0, 0, 0])"),
    (lambda: Stream(-1), ValueError, "Stream: expected seed to be an int from 0 to 2**64 - 1, got -1"),
    (lambda: Stream(0, 2**64), ValueError, "Stream: expected counter to be an int from 0 to 2**64 - 1"),
    (lambda: Stream(0).reserve(-1), ValueError, "Stream.reserve: expected n to be an int >= 0, got -1"),
    (lambda: Stream(0).reserve(2.5), TypeError, "Stream.reserve: expected n to be an int >= 0, got 2.5"),
    (lambda: rng.random_words(KEY, 0, -1), ValueError, "random_words: expected n to be an int >= 0, got -1"),
    (lambda: rng.random_words(KEY, 2**256, 1), ValueError, "counter to be an int from 0 to 2**256 - 1"),
    (lambda: rng.random_words(5, 0, 1), TypeError, "expected key to be two ints, got 5; take it from Stream"),
    (lambda: rng.random_words((0, 1, 2), 0, 1), TypeError, "expected key to be two ints, got (0, 1, 2)"),
    (lambda: rng.random_words((0, 2**64), 0, 1), ValueError, "expected key[1] to be an int from 0 to 2**64"),
    (lambda: rng.uniform(KEY, 0, (2, -3)), ValueError, "uniform: expected every length in shape to be"),
    (lambda: rng.uniform(KEY, 0, (2, 3.0)), TypeError, "an int >= 0, got 3.0; pass one in that range."),
    (lambda: rng.bernoulli_mask(KEY, 0, -2, 0.5), ValueError, "bernoulli_mask: expected every length"),
    (lambda: rng.keep_threshold(1.5), ValueError, "from 0 to 1, got 1.5; it is one minus the dropout rate."),
    (lambda: rng.bernoulli_mask(KEY, 0, 2, -0.1), ValueError, "expected keep_probability to be a number"),
    (lambda: rng.keep_threshold(math.nan), ValueError, "from 0 to 1, got nan"),
    (lambda: rng.keep_threshold("0.5"), TypeError, "from 0 to 1, got '0.5'; pass a Python float."),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_errors_say_what_to_do(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_numpy_integers_are_integers() -> None:
    rng.seed(np.uint64(ONES))
    assert rng.dropout_stream().key == (ONES, 3)
    words = rng.random_words((np.uint64(1), np.int32(3)), np.int64(0), np.int64(3))
    assert words.tolist() == reference_words((1, 3), 0, 3)


def test_threads_share_streams_and_draw_at_once() -> None:
    stream, workers, draws, n = Stream(8), 8, 320, 20_001
    barrier = threading.Barrier(workers)

    def draw(i: int) -> tuple[int, bytes]:
        if i < workers:
            barrier.wait()
        key, counter = stream.reserve(n)
        return counter, rng.bernoulli_mask(key, counter, n, 0.5).tobytes()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(workers) as pool:
            drawn = dict(pool.map(draw, range(draws)))
    finally:
        sys.setswitchinterval(interval)
    assert sorted(drawn) == [-(-n // 8) * i for i in range(draws)]
    for counter, mask in drawn.items():
        assert rng.bernoulli_mask((8, 3), counter, n, 0.5).tobytes() == mask


def test_the_page_shows_the_golden_words() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert " ".join(f"{word:08x}" for word in GOLDEN) in text
    assert all(output in text for output in KNOWN_ANSWERS.splitlines()[2::2])


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_code_on_the_page_gives_the_same_words(tmp_path: Path) -> None:
    found = re.search(r"```c\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    main = """
    #include <cstdio>
    int main() {
        for (uint64_t i = 0; i < 1000; ++i) std::printf("%u\\n", nnx_word(77, 3, 0xFFFFFFFFFULL, i));
    }
    """
    source, program = tmp_path / "page.cpp", tmp_path / "page"
    source.write_text(found[1] + main, encoding="utf-8")
    run("g++", "-Wall", "-Werror", "-o", str(program), str(source))
    words = rng.random_words((77, 3), 0xFFFFFFFFF, 1000).tolist()
    assert [int(line) for line in run(str(program)).split()] == words
