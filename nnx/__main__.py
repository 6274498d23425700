"""The command line: ``python -m nnx doctor``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_USAGE = """\
usage: python -m nnx COMMAND

commands:
  doctor   tell what nnx finds on this machine, and how to repair what is missing
"""


def main(arguments: Sequence[str]) -> int:
    """Run a command; return the exit code: that of the command, or 2 if there is no such command."""
    if list(arguments) == ["doctor"]:
        from .doctor import main as doctor

        return doctor()
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(_USAGE, end="")
        return 0
    if arguments and arguments[0] != "doctor":
        print(f"python -m nnx: expected a command, got {arguments[0]!r}.", file=sys.stderr)
    elif arguments:
        print(f"python -m nnx doctor: expected no arguments, got {' '.join(arguments[1:])!r}.", file=sys.stderr)
    print(_USAGE, end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
