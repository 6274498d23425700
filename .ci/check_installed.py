"""Check an environment that holds only nnx and its runtime dependencies: their origin and their size."""

import importlib.util
import sys
import sysconfig
from pathlib import Path

import nnx
import nnx.backends

limit_mb = float(sys.argv[1])
site = Path(sysconfig.get_path("purelib"))
problems = []
for module in (nnx, nnx.backends):
    if site not in Path(module.__file__).resolve().parents:
        problems.append(f"{module.__name__} came from {module.__file__}, expected {site}")
if importlib.util.find_spec("backends") is not None:
    problems.append("the wheel installs a top-level package `backends`")
if not (site / "nnx" / "py.typed").exists():
    problems.append("nnx/py.typed is not installed")

# The limit is on what the wheels hold. The bytecode beside it, a fifth as much again, is pip's choice and
# goes with `--no-compile`; it is reported, not counted.
sizes = {entry.name: 0 for entry in site.iterdir()}
bytecode = 0
for path in site.rglob("*"):
    if path.suffix == ".pyc":
        bytecode += path.stat().st_size
    elif path.is_file():
        sizes[path.relative_to(site).parts[0]] += path.stat().st_size
total = sum(sizes.values()) / 1e6
largest = sorted(sizes.items(), key=lambda item: -item[1])[:6]
print(
    f"installed: {total:.1f} MB, and {bytecode / 1e6:.1f} MB of bytecode;",
    ", ".join(f"{name} {size / 1e6:.1f}" for name, size in largest),
)
if total > limit_mb:
    problems.append(f"nnx and its runtime dependencies take {total:.1f} MB, more than {limit_mb:.0f} MB")
if problems:
    sys.exit("\n".join(problems))
