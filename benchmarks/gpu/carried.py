"""Whether the compiled kernels that were carried along are those of this checkout and this machine's NVRTC.

``python -m benchmarks.gpu.carried`` looks each kernel up in the cache as nnx would, and compiles none; `first_light`
asks it before it starts, `bring` behind its work. What is missing is compiled when it is needed, in the time of a part.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from . import ours, processes


class _Missing(Exception):
    """The cache does not have it."""


def look_up(architectures: Sequence[str] | None = None, most: int | None = None) -> dict[str, Any]:
    """Return the files of kernels that the cache has and those that it lacks, for some architectures.

    Parameters
    ----------
    architectures
        Such as ``["90a"]``; by default those of the devices here.
    most
        How many kernels to look at; all by default.
    """
    compiling, nvrtc = ours.module("cupy.compiler"), ours.module("cupy.nvrtc")
    driver = ours.module("cupy.diagnosis").driver()
    chosen = ours.module("cupy.precompiling").present(driver) if architectures is None else architectures
    newest = nvrtc.MAJORS[0] if driver is None or driver.error else driver.cuda[0]
    hits: set[str] = set()
    missing: set[str] = set()

    def refuse(*arguments: Any) -> None:
        raise _Missing

    compile_it, nvrtc.Compiler.compile = nvrtc.Compiler.compile, refuse
    try:
        for kernel in ours.module("cupy.launchers").EVERY[:most]:
            for architecture in chosen:
                if architecture not in kernel.architectures:
                    continue
                defines = "".join(f" {key}={value}" for key, value in kernel.defines)
                name = f"{kernel.file}{defines} sm_{architecture}"
                try:
                    compiling.compile_kernel(kernel, architecture, newest)
                    hits.add(name)
                except _Missing:
                    missing.add(name)
    finally:
        nvrtc.Compiler.compile = compile_it
    return {
        "architectures": list(chosen),
        "hits": len(hits),
        "misses": len(missing),
        "missing": sorted(missing),
        "nvrtc": ".".join(map(str, nvrtc.load_compiler(newest).version)),
        "folder": ours.module("cupy.cache").folder_text(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", action="append", help="such as 90a; by default those of the devices here")
    parser.add_argument("--most", type=int, help="look at so many kernels only")
    options = parser.parse_args()
    print(processes.ANSWER + json.dumps(look_up(options.architecture, options.most)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
