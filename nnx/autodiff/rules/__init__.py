"""The rules: for every function of the standard, its signature and its derivative side by side."""

from importlib import import_module

_FILES = ("elementwise", "reductions", "shape", "indexing", "creation", "linalg", "decompositions", "fft", "special")


def load_all() -> None:
    """Import every file of rules, which declares them."""
    for name in _FILES:
        import_module(f"{__name__}.{name}")
