"""Run the official conformance suite over ``nnx.differentiable`` and report the failures that are nnx's own.

A script, not a test that pytest collects: it needs a checkout of the suite, which is not copied here::

    git clone https://github.com/data-apis/array-api-tests
    cd array-api-tests
    git checkout 55fcc60179efa2680ddd6cd926ddf17b83530e2b
    git submodule update --init
    cd ..
    python tests/conformance.py --suite array-api-tests --tracked

No library passes the whole suite: NumPy itself fails some two dozen tests. So the suite runs over the bare
namespace and over ``nnx.differentiable`` of it, and what counts is the difference. Nothing is stored: the
failures to compare with are those of the same run, on the same machine, with the same versions. Hypothesis
finds some of the library's own failures only with some examples; before a test is held against nnx, the bare
namespace gets more examples and several seeds to fail it as well. A test that the bare namespace passes and
that is skipped or missing over nnx counts as a failure: a namespace must not conform by hiding a function.

Exit status: 0 without failures of nnx's own, 1 with some, 2 when the suite could not be run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SUITE_COMMIT = "55fcc60179efa2680ddd6cd926ddf17b83530e2b"
STUBS_COMMIT = "5f847a3858875c682ae901aa22b0413bf24be9da"  # the submodule `array-api`: text and stubs
STANDARD = "2025.12"

# How each library's namespace is had. array_api_strict follows an older version unless it is told.
NAMESPACES = {
    "numpy": "import array_api_compat.numpy as xp",
    "strict": f"import array_api_strict as xp\nxp.set_array_api_strict_flags(api_version='{STANDARD}')",
    "torch": "import array_api_compat.torch as xp",
    "cupy": "import array_api_compat.cupy as xp",
}
# Exporting a tracked array through DLPack raises on purpose: its consumer would drop the gradient in silence.
EXEMPT_WHEN_TRACKED = {
    "array_api_tests/test_dlpack.py::test_dunder_dlpack",
    "array_api_tests/test_dlpack.py::test_from_dlpack",
}
# What the bare namespace gets before nnx is blamed. The suite runs its element-wise tests, the special cases
# among them, on a tenth of the examples asked for: fewer would hardly look further than the first run.
# Some special cases draw one number per run (the imaginary part in tanh(inf + iy)), so that only seeds vary them.
RETRY_SEEDS = tuple(range(1, 25))
RETRY_EXAMPLES = 500


class SuiteError(Exception):
    """The suite could not be run to its end."""


@dataclass
class Outcome:
    """What became of each test: ``states`` by test id, and the first line of each failure's message."""

    states: dict[str, str]
    messages: dict[str, str] = field(default_factory=dict)

    def failed(self) -> set[str]:
        return {test for test, state in self.states.items() if state in ("failed", "error")}

    def count(self, state: str) -> int:
        return sum(s == state for s in self.states.values())


def check_checkout(suite: Path) -> None:
    """Refuse a checkout whose suite or stubs stand at another commit: results would not be comparable."""
    for folder, wanted in ((suite, SUITE_COMMIT), (suite / "array-api", STUBS_COMMIT)):
        found = _head(folder)
        if found != wanted:
            raise SuiteError(
                f"{folder} is at {found or 'no commit'}, expected {wanted}; run "
                f"`git checkout {SUITE_COMMIT} && git submodule update --init` in {suite}"
            )


def _head(folder: Path) -> str | None:
    # A submodule never initialised is an empty folder, in which git would answer for the outer repository.
    if not (folder / ".git").exists():
        return None
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def write_modules(folder: Path, library: str) -> tuple[str, str]:
    """Write the two modules that the suite is pointed at, and return their names: the bare one, nnx's."""
    bare, ours = f"bare_{library}", f"nnx_over_{library}"
    replace = "sys.modules[__name__] = {}\n"
    get = f"import sys\n{NAMESPACES[library]}\n"
    (folder / f"{bare}.py").write_text(get + replace.format("xp"))
    (folder / f"{ours}.py").write_text(get + "import nnx\n" + replace.format("nnx.differentiable(xp)"))
    return bare, ours


def run_suite(
    suite: Path,
    folder: Path,
    module: str,
    max_examples: int,
    *,
    tracked: bool = False,
    seed: int | None = None,
    tests: Sequence[str] = (),
) -> Outcome:
    """Run the suite, or some of its tests, over one module in a process of its own."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=short",
        "--disable-warnings",
    ]
    # A namespace that lacks a function may break the import of a whole file of tests: those count as missing.
    command += ["--continue-on-collection-errors"]
    command += ["--derandomize"] if seed is None else [f"--hypothesis-seed={seed}"]
    command += ["--disable-deadline", "--max-examples", str(max_examples)]
    command += ["--json-report", f"--json-report-file={report}"]
    command += ["--json-report-omit", "keywords", "streams", "log", "warnings", "--"]
    done = subprocess.run(
        command + list(tests or ["array_api_tests"]),
        cwd=suite,
        env=_environment(folder, module, tracked),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # pytest: 0 all passed, 1 some failed; anything else means that the run itself broke.
    if done.returncode not in (0, 1) or not report.exists():
        tail = (done.stdout + done.stderr)[-3000:]
        raise SuiteError(f"the suite broke over {module} (pytest exit status {done.returncode}):\n{tail}")
    return _read_report(json.loads(report.read_text()))


def _environment(folder: Path, module: str, tracked: bool) -> dict[str, str]:
    environment = dict(os.environ)
    paths = [str(folder), os.environ.get("PYTHONPATH", ""), str(REPOSITORY)]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["ARRAY_API_TESTS_MODULE"] = module
    environment["ARRAY_API_TESTS_VERSION"] = STANDARD
    # Leave nothing in the suite's checkout: an example found in one run must not steer the next.
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment.pop("NNX_TRACK_ALL", None)
    if tracked:
        environment["NNX_TRACK_ALL"] = "1"
    return environment


def _read_report(report: dict) -> Outcome:
    outcome = Outcome({test["nodeid"]: test["outcome"] for test in report["tests"]})
    for test in report["tests"]:
        for stage in ("setup", "call", "teardown"):
            crash = test.get(stage, {}).get("crash")
            if crash:
                outcome.messages[test["nodeid"]] = crash["message"].strip().split("\n")[0][:160]
    return outcome


def differences(bare: Outcome, ours: Outcome) -> dict[str, str]:
    """The tests that are worse over nnx than over the bare namespace, with what happened to each over nnx."""
    worse = {test: ours.messages.get(test, "failed") for test in ours.failed() - bare.failed()}
    for test, state in bare.states.items():
        if state == "passed" and ours.states.get(test, "missing") not in ("passed", "failed", "error"):
            worse[test] = f"{ours.states.get(test, 'missing')}, though the bare namespace passes it"
    return worse


def also_fails_bare(suite: Path, folder: Path, module: str, tests: set[str]) -> dict[str, int]:
    """The tests that the bare namespace fails too, once given more examples; with the seed that showed it."""
    excused: dict[str, int] = {}
    for seed in RETRY_SEEDS:
        left = sorted(tests - excused.keys())
        if not left:
            break
        outcome = run_suite(suite, folder, module, RETRY_EXAMPLES, seed=seed, tests=left)
        excused.update(dict.fromkeys(outcome.failed(), seed))
    return excused


def compare(suite: Path, folder: Path, library: str, tracked_too: bool, max_examples: int) -> int:
    """Run one library bare and through nnx, print what differs, return the number of nnx's own failures."""
    bare_module, our_module = write_modules(folder, library)
    bare = _timed(library, "bare", lambda: run_suite(suite, folder, bare_module, max_examples))
    own = 0
    for tracked in (False, True) if tracked_too else (False,):
        mode = "tracked" if tracked else "untracked"
        ours = _timed(
            library,
            f"nnx {mode}",
            lambda tracked=tracked: run_suite(suite, folder, our_module, max_examples, tracked=tracked),
        )
        worse = differences(bare, ours)
        exempt = EXEMPT_WHEN_TRACKED & worse.keys() if tracked else set()
        # Only a failing example can be missed for lack of luck; a skipped or missing test cannot.
        candidates = (ours.failed() & worse.keys()) - exempt
        excused = also_fails_bare(suite, folder, bare_module, candidates)
        blamed = sorted(worse.keys() - exempt - excused.keys())
        for test in sorted(exempt):
            print(f"    exempt: {test}: {worse[test]}")
        for test, seed in sorted(excused.items()):
            print(f"    {library}'s own, found with seed {seed}: {test}")
        for test in blamed:
            print(f"    NNX: {test}: {worse[test]}")
        print(f"  {library}, nnx {mode}: {len(blamed)} failures of nnx's own", flush=True)
        own += len(blamed)
    return own


def _timed(library: str, what: str, run) -> Outcome:
    start = time.perf_counter()
    outcome = run()
    counts = ", ".join(
        f"{outcome.count(state)} {state}" for state in ("passed", "failed", "error", "skipped") if outcome.count(state)
    )
    seconds = time.perf_counter() - start
    print(f"  {library}, {what}: {counts} of {len(outcome.states)} ({seconds:.0f} s)", flush=True)
    return outcome


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--suite", type=Path, required=True, help="checkout of data-apis/array-api-tests")
    parser.add_argument(
        "--over", default="numpy,strict", help=f"libraries, comma-separated, out of {', '.join(NAMESPACES)}"
    )
    parser.add_argument("--tracked", action="store_true", help="run once more with every float array tracked")
    parser.add_argument("--max-examples", type=int, default=20, help="Hypothesis examples per test (20)")
    options = parser.parse_args(arguments)
    options.over = [name.strip() for name in options.over.split(",")]
    unknown = [name for name in options.over if name not in NAMESPACES]
    if unknown:
        parser.error(f"--over: unknown {', '.join(unknown)}; choose from {', '.join(NAMESPACES)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    suite = options.suite.resolve()
    print(f"array-api-tests {SUITE_COMMIT[:12]}, {options.max_examples} examples per test")
    own = 0
    try:
        check_checkout(suite)
        for library in options.over:
            with tempfile.TemporaryDirectory(prefix="nnx-conformance-") as folder:
                own += compare(suite, Path(folder), library, options.tracked, options.max_examples)
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{own} failures of nnx's own" if own else "no failures of nnx's own")
    return 1 if own else 0


if __name__ == "__main__":
    sys.exit(main())
