"""What `fit` shows while it runs: a line per epoch, and a bar within it where somebody is watching."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .history import format_value

_SECONDS_BETWEEN_LOOKS = 0.5


class Progress:
    """Reports on a run: silent for ``verbose=0``; otherwise a line per epoch, and a bar in a terminal or notebook."""

    def __init__(self, verbose: int, epochs: int) -> None:
        self.verbose = verbose
        self.epochs = epochs
        self._bar = _bar_class() if verbose else None

    def batches(self, loader: Iterable[Any], epoch: int, status: Callable[[], str]) -> Iterable[Any]:
        """Return the batches of an epoch; those who iterate over them move the bar, if there is one."""
        if self._bar is None:
            return loader  # nothing is put between the loader and the training loop
        title = f"epoch {epoch}/{self.epochs}"
        return _watched(self._bar(loader, desc=title, file=sys.stdout, leave=False, dynamic_ncols=True), status)

    def end_epoch(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Print the line of a finished epoch."""
        if self.verbose:
            shown = "".join(f"  {name} {format_value(value)}" for name, value in values.items())
            print(f"epoch {epoch}/{self.epochs}{shown}  {seconds:.1f} s", flush=True)


def _watched(bar: Any, status: Callable[[], str]) -> Iterator[Any]:
    """Yield what a bar iterates over, and show the status beside it from time to time."""
    with bar:
        looked = time.perf_counter()
        for batch in bar:
            yield batch
            now = time.perf_counter()
            if now - looked > _SECONDS_BETWEEN_LOOKS:  # reading the loss waits for the device
                looked = now
                bar.set_postfix_str(status(), refresh=False)


def _bar_class() -> Any:
    """Return the class of bars for where stdout goes, or None where a bar would only fill a log."""
    if "ipykernel" in sys.modules:
        if importlib.util.find_spec("ipywidgets") is None:
            return None
        from tqdm.notebook import tqdm as notebook_bar

        return notebook_bar
    if sys.stdout is not None and sys.stdout.isatty():
        from tqdm.std import tqdm as terminal_bar

        return terminal_bar
    return None
