"""The simulator catches bugs: each is put into a kernel, one at a time, and has to be seen.

A kernel that computes something else, and one that the checks refuse, both count as caught. Without the checks that the
compiler inserts, some bugs show in some schedules only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.cuda import own_kernels
from tests.cuda.own_kernels import machine, module, own, text_of

SimulationError = module("simt.machine").SimulationError
ALL = set(range(8))
BF16 = (("PRODUCT", "mma_bf16"),)
TILED = ("tiled.cu", "tiled", (), own_kernels.run_tiled, (65, 70, 37))
SOFTMAX = ("warps.cu", "softmax", (), own_kernels.run_softmax, (5, 33))
SUM = ("warps.cu", "running_sum", (), own_kernels.run_sum, (70,))
COUNT = ("warps.cu", "count_positive", (), own_kernels.run_count, (200,))
PIPELINE = ("pipeline.cu", "pipeline", BF16, own_kernels.run_pipeline, (70, 65, 104))
WARPGROUP = ("warpgroup.cu", "warpgroup", (), own_kernels.run_warpgroup, (64, 64, 320))

# What is changed, into what (the n-th occurrence), what the checks say, and the schedules that see it without them.
BUGS: dict[str, tuple[tuple, str, str, int, str, set[int] | None]] = {
    "no barrier after the loads": (
        (*TILED,),
        "        __syncthreads();\n",
        "",
        1,
        r"tiled.cu:\d+: tiled: race: a (read|write)|nothing has written",
        ALL,
    ),
    "no barrier before the tile is overwritten": (
        (*TILED,),
        "        __syncthreads();\n    }",
        "    }",
        1,
        r"tiled.cu:\d+: tiled: race: a (read|write)",
        None,
    ),
    "a read behind the last row": (
        (*TILED,),
        "first_row + row < m && k0",
        "k0",
        1,
        r"tiled.cu:1\d: tiled: out of bounds: read of 4 bytes at offset \d+ of a, which has 9620 bytes",
        None,
    ),
    "a write behind the last column": (
        (*TILED,),
        "row < m && column < n) c",
        "row < m) c",
        1,
        r"tiled.cu:3\d: tiled: out of bounds: write of 4 bytes at offset 18\d\d\d of c, which has 18200 bytes",
        None,
    ),
    "a shared array that is too small": (
        (*TILED,),
        "rows[16][68]",
        "rows[15][68]",
        1,
        r"tiled.cu:\d+: tiled: out of bounds: an index is outside of its array",
        None,
    ),
    "a shuffle from the wrong lane": (SOFTMAX, "total, offset)", "total, offset / 2)", 1, "", ALL),
    "a lane that leaves before a shuffle": (
        (*SOFTMAX[:4], (5, 20)),
        "if (row >= rows) return;",
        "if (row >= rows || lane >= columns) return;",
        1,
        r"warps.cu:12: softmax: divergence: lane \d+ waits at __shfl_xor_sync for lane \d+, which has ended",
        ALL,
    ),
    "a divergent shuffle": (
        SOFTMAX,
        "for (int offset = 16; offset; offset /= 2) total +=",
        "if (lane < 16) for (int offset = 16; offset; offset /= 2) total +=",
        1,
        r"warps.cu:1\d: softmax: divergence: lane \d+ waits at __shfl_xor_sync for lane \d+, which has ended",
        ALL,
    ),
    "a sum without an atomic": (SOFTMAX, "atomicAdd(sums + j, y[j])", "sums[j] = y[j]", 1, "", ALL),
    "no barrier between warps": (
        SUM,
        "    __syncthreads();\n",
        "",
        1,
        "running_sum: a read of shared memory that nothing has written|running_sum: race",
        {1, 3, 5, 7},
    ),
    "a barrier that some threads skip": (
        SUM,
        "    __syncthreads();\n",
        "    if (thread >= n) return;\n    __syncthreads();\n",
        1,
        r"warps.cu:3\d: running_sum: divergence: 70 threads wait at __syncthreads, but 186 have ended",
        ALL,
    ),
    "an array in too little dynamic memory": (
        COUNT,
        "shared[thread / 32] =",
        "shared[thread / 32 + 1] =",
        1,
        r"count_positive: out of bounds: 4 bytes at offset 32 of the 32 bytes of dynamic shared memory",
        ALL,
    ),
    "no wait for the copies": (
        PIPELINE,
        "copy_wait<1>();",
        "",
        1,
        "a read of shared memory to which an asynchronous copy is under way",
        ALL,
    ),
    "a wait for one group too few": (PIPELINE, "copy_wait<1>()", "copy_wait<2>()", 1, "copy is under way", ALL),
    "no barrier after the wait": (
        PIPELINE,
        "        __syncthreads();\n        const",
        "        const",
        1,
        "race: a read of shared memory that thread|nothing has written",
        ALL,
    ),
    "no barrier before the next copies": (
        PIPELINE,
        "        __syncthreads();  // before",
        "        // before",
        1,
        "race: a write to shared memory that (other threads|thread .*) reads",
        ALL,
    ),
    "a stage that is overwritten early": (
        PIPELINE,
        "step % 2 * 2 * TILE * PITCH;\n        u16* to_b",
        "0;\n        u16* to_b",
        1,
        "under way|nothing has written",
        ALL,
    ),
    "copies beyond the last row": (
        PIPELINE,
        "first_row + row < m && depth < k",
        "depth < k",
        1,
        r"pipeline.cu:19: .*: out of bounds: read of 16 bytes at offset \d+ of a, which has 14560 bytes",
        None,
    ),
    "the wrong lanes give the rows": (PIPELINE, "lane % 16) * PITCH", "lane % 8) * PITCH", 1, "", ALL),
    "no wait for a tile": (
        WARPGROUP,
        "barrier_wait(full + stage, step / STAGES & 1);",
        "",
        1,
        "a read of shared memory (to which an asynchronous copy is under way|that nothing has written)",
        None,
    ),
    "no wait for an empty stage": (
        WARPGROUP,
        "if (step >= STAGES) barrier_wait(empty + stage, (step / STAGES - 1) & 1);",
        "",
        1,
        "warpgroup: more threads arrive at a barrier than it was set up for",
        None,
    ),
    "no barrier after the set-up": (
        WARPGROUP,
        "    __syncthreads();\n",
        "",
        1,
        r"warpgroup.cu:\d+: warpgroup: (race: thread 0 has set up this barrier|a barrier .* that has not been set up)",
        ALL,
    ),
    "a wrong parity": (
        WARPGROUP,
        "step / STAGES & 1",
        "(step / STAGES + 1) & 1",
        1,
        "under way|nothing|deadlock",
        None,
    ),
    "too many bytes expected": (
        WARPGROUP,
        "2 * TILE * 2);",
        "2 * TILE * 2 + 16);",
        1,
        r"warpgroup.cu:\d+: warpgroup: deadlock: \d+ threads wait at barrier_wait for what never comes",
        ALL,
    ),
    "a stage that is never given back": (WARPGROUP, "        barrier_arrive(empty + stage);\n", "", 1, "deadlock", ALL),
    "an arrival too few": (
        WARPGROUP,
        "barrier_init(empty + stage, 128)",
        "barrier_init(empty + stage, 129)",
        1,
        r"warpgroup.cu:\d+: warpgroup: deadlock: \d+ threads wait at barrier_wait",
        ALL,
    ),
    "a copy that nobody waits for": (
        WARPGROUP,
        "    if (warp == 4) {\n",
        "    if (threadIdx.x == 0) copy_tile(shared + 2 * STAGES * TILE - TILE, a, full, 0, 0);\n    if (warp == 4) {\n"
        "        if (lane == 0 && k < 0) barrier_wait(full, 0);\n",
        1,
        "deadlock|nobody has waited|under way",
        None,
    ),
    "no wait for the products": (WARPGROUP, "        products_wait<0>();\n", "", 1, "products", None),
    "the tile of another step": (WARPGROUP, "depth < 64; depth += 16", "depth < 48; depth += 16", 1, "", ALL),
    "a misaligned row": (
        PIPELINE,
        "PITCH = DEPTH + 8",
        "PITCH = DEPTH + 4",
        1,
        "misaligned: cp.async to an address",
        ALL,
    ),
}


def mutant(file: str, name: str, defines: tuple, before: str, after: str, occurrence: int) -> Any:
    parts = text_of(file).split(before)
    assert len(parts) > occurrence, f"{file} has no {before!r} any more"
    text = before.join(parts[:occurrence]) + after + before.join(parts[occurrence:])
    return own(file, name, *defines, text=text)


def outcome(run: Callable, kernel: Any, size: tuple[int, ...]) -> str:
    """ "" if the kernel gives the reference, else what is wrong."""
    try:
        found, wanted = run(kernel, *size)
    except SimulationError as error:
        return str(error)
    good = np.allclose(found, wanted, rtol=1e-5, atol=1e-5 * float(np.abs(wanted).max()))
    return "" if good else "another result"


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_caught(bug: str) -> None:
    (file, name, defines, run, size), before, after, occurrence, message, without_checks = BUGS[bug]
    kernel = mutant(file, name, defines, before, after, occurrence)
    told = []
    for schedule in (0, 7):
        with machine().running(schedule, checked=True):
            told.append(outcome(run, kernel, size))
    assert any(told)
    assert any(re.search(message, text) for text in told), told
    if without_checks is None:
        return  # out of bounds: nobody knows what happens without the checks
    seen = set()
    for schedule in ALL:
        with machine().running(schedule, checked=False):
            if outcome(run, kernel, size):
                seen.add(schedule)
    assert seen == without_checks


@pytest.mark.parametrize("setting", [TILED, SOFTMAX, SUM, COUNT, PIPELINE, WARPGROUP], ids=lambda setting: setting[1])
def test_the_kernels_themselves_are_clean(setting: tuple) -> None:
    file, name, defines, run, size = setting
    for schedule in ALL:
        with machine().running(schedule, checked=True):
            assert outcome(run, own(file, name, *defines), size) == ""


@pytest.mark.parametrize("schedule", sorted(ALL))
def test_a_stage_that_is_given_back_before_it_is_used_is_a_race(schedule: int) -> None:
    """The result is wrong in some schedules only; the clocks of the barriers tell in all of them."""
    given_back = "        barrier_arrive(empty + stage);\n"
    text = text_of("warpgroup.cu")
    assert text.count(given_back) == text.count("        products_fence();\n") == 1
    text = text.replace(given_back, "").replace(
        "        products_fence();\n", f"{given_back}        products_fence();\n"
    )
    with machine().running(schedule):
        told = outcome(own_kernels.run_warpgroup, own("warpgroup.cu", "warpgroup", text=text), (64, 64, 320))
    assert re.search("race: a write to shared memory that thread .* reads|under way", told), told
