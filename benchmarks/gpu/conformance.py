"""The official Array API suite over CuPy and over ``nnx.differentiable(cupy)``, where a checkout of it is brought.

Its own script, ``tests/conformance.py``, tells its findings at the end. Here both runs are slices that keep every
outcome as it comes and share the device among several processes, so that what the time allowed can be compared.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import ours, suites
from .session import CutOff, NotHere, Session

BARE, OURS = "array-api-tests, the bare library", "array-api-tests, nnx"
COMPARED = "array-api-tests, compared"
_EXAMPLES = 3
_PLUGINS = ("_hypothesis_pytestplugin", "pytest_metadata.plugin", "pytest_jsonreport.plugin")  # the suite needs them
# Before nnx is blamed the bare library gets fewer examples to fail with than on a CPU: time on a GPU is short.
_RETRY_SEEDS, _RETRY_EXAMPLES, _RETRY_SECONDS = (1, 2), 60, 40.0


def run(session: Session) -> None:
    """Run it bare and over nnx, untracked, and compare."""
    given = session.options.get("suite") or os.environ.get("NNX_ARRAY_API_TESTS")
    try:
        suite = checkout(given, session.rehearse)
        script = ours.tests("conformance")
    except Exception as error:
        session.measure("array-api-tests", lambda error=error: _raise(error), expected=0)
        return
    library = "numpy" if session.rehearse else "cupy"
    with tempfile.TemporaryDirectory(prefix="nnx-conformance-") as folder:
        modules = script.write_modules(Path(folder), library)
        bare, nnx = (_environment(script, folder, module) for module in modules)
        tests = ["array_api_tests/test_constants.py"] if session.rehearse else ["array_api_tests"]
        options = ["--derandomize", *_examples(_EXAMPLES)]
        workers = suites.workers(session.rehearse)
        for name, environment, share in ((BARE, bare, 0.45), (OURS, nnx, 0.8)):
            seconds = share * session.left()
            suites.measure(session, name, tests, options, seconds, environment=environment, workers=workers, cwd=suite)
        session.measure(
            COMPARED,
            lambda: compared(session, script, suite, bare),
            expected=2,
            limit=_RETRY_SECONDS * len(_RETRY_SEEDS) + 40,
        )


def checkout(given: str | None, rehearse: bool = False) -> Path:
    """Return the folder of the suite; refuse one at another commit, where git can tell."""
    if not given or not Path(given).is_dir():
        raise NotHere("no checkout of array-api-tests: pass --suite, see tests/conformance.py for the commit")
    if not rehearse and shutil.which("git") is not None:
        ours.tests("conformance").check_checkout(Path(given))
    return Path(given).resolve()


def _raise(error: Exception) -> None:
    raise error


def _examples(number: int) -> list[str]:
    there = [name for name in _PLUGINS if find_spec(name.partition(".")[0])]
    plugins = [option for name in there for option in ("-p", name)]
    return [*plugins, "--disable-warnings", "--disable-deadline", "--max-examples", str(number)]


def _environment(script: Any, folder: str, module: str) -> dict[str, str]:
    paths = [folder, os.environ.get("PYTHONPATH", ""), str(suites.ROOT)]
    return {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "ARRAY_API_TESTS_MODULE": module,
        "ARRAY_API_TESTS_VERSION": script.STANDARD,
        # Nothing is left in the checkout: an example found in one run must not steer the next.
        "HYPOTHESIS_STORAGE_DIRECTORY": str(Path(folder, "hypothesis")),
    }


def compared(session: Session, script: Any, suite: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Tell the tests that are worse over nnx than over the bare library, of those that both have an outcome of."""
    bare, nnx = (_outcome(script, session, name) for name in (BARE, OURS))
    if "passed" not in bare.states.values():
        told = "; ".join(sorted(set(bare.messages.values()))[:3])
        raise RuntimeError(f"no test passes over the bare library: {told}")
    whole = all(session.known(session.part, name) for name in (BARE, OURS))
    if not whole:  # a test that the time did not reach is not missing
        both = bare.states.keys() & nnx.states.keys()
        for outcome in (bare, nnx):
            outcome.states = {test: state for test, state in outcome.states.items() if test in both}
    worse = script.differences(bare, nnx)
    excused = _also_fails(suite, sorted(nnx.failed() & worse.keys()), environment)
    found = {
        "compared": len(bare.states),
        "of nnx alone": {test: told for test, told in worse.items() if test not in excused},
        "of the library, too, with other examples": excused,
    }
    if not whole:
        raise CutOff(f"{found['compared']} tests were compared; --resume goes on", found)
    return found


def _outcome(script: Any, session: Session, name: str) -> Any:
    entries = [entry for path in suites.files(session, name) for entry in suites.entries_of(path)]
    known = suites.states(entries)
    if not known:
        raise NotHere(f"{name}: no outcome is known")
    states = {test: "failed" if e["outcome"] == "crashed" else e["outcome"] for test, e in known.items()}
    return script.Outcome(states, {test: suites.told(entry["reason"]) for test, entry in known.items()})


def _also_fails(suite: Path, tests: list[str], environment: dict[str, str]) -> dict[str, int]:
    """The tests that the bare library fails too, once given more examples; with the seed that showed it."""
    excused: dict[str, int] = {}
    for seed in _RETRY_SEEDS:
        left = [test for test in tests if test not in excused]
        if not left:
            break
        options = [*_examples(_RETRY_EXAMPLES), f"--hypothesis-seed={seed}"]
        with tempfile.TemporaryDirectory(prefix="nnx-conformance-") as folder:
            kept = Path(folder, "outcomes.jsonl")
            suites.run_slice(left, options, _RETRY_SECONDS, environment=environment, cwd=suite, kept=kept)
            known = suites.states(suites.entries_of(kept))
        excused |= {test: seed for test, e in known.items() if e["outcome"] in ("failed", "error", "crashed")}
    return excused
