"""Check a wheel against the checkout that it was built from: all of the library, and nothing else."""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = {".py", ".typed", ".cu", ".cuh", ".cpp", ".hpp", ".npz", ".gz"}


def expected() -> set[str]:
    """The files of the library, named as they must stand in the wheel."""
    wanted = set()
    for folder, package in ((ROOT / "nnx", "nnx"), (ROOT / "backends", "nnx/backends")):
        for path in folder.rglob("*"):
            if path.suffix in SHIPPED:
                wanted.add(f"{package}/{path.relative_to(folder).as_posix()}")
    return wanted


def main(wheel: str) -> int:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
        texts = {name.rpartition("/")[2]: archive.read(name).decode() for name in metadata}
    problems = [f"missing: {name}" for name in sorted(expected() - names)]
    problems += [f"not of the library: {name}" for name in sorted(names - metadata - expected())]
    problems += [f"missing: {name}" for name in ("LICENSE", "entry_points.txt") if name not in texts]
    if "[nnx.backends]" not in texts.get("entry_points.txt", ""):
        problems.append("the entry-point group nnx.backends is missing")
    if not Path(wheel).name.endswith("-py3-none-any.whl"):
        problems.append(f"expected a pure Python wheel, got {Path(wheel).name}")
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"{Path(wheel).name}: {len(names)} files, {Path(wheel).stat().st_size / 1e6:.1f} MB")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
