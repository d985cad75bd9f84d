"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import TextIO, TypeVar

from diffusionrig.shown import bare, one_line

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 15.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


class Progress:
    """Counts finished items. ``update`` may add a short text (a loss, a file name) that is shown beside the rate.

    Use as a context manager. Writes to standard error, so that standard output stays for results.
    """

    def __init__(self, total: int | None, description: str, unit: str = "image", initial: int = 0,
                 enabled: bool = True, stream: TextIO | None = None) -> None:
        self.total, self.description, self.unit = total, description, unit
        self.count = self.initial = initial
        self.enabled = enabled
        self.stream = stream if stream is not None else sys.stderr
        self.started = self.last_line = time.monotonic()
        self._bar = None
        if enabled and self.stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=description, unit=unit, initial=initial, file=bare(self.stream),
                             dynamic_ncols=True)

    def update(self, amount: int = 1, note: str = "") -> None:
        self.count += amount
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(one_line(note), refresh=False)
            self._bar.update(amount)
        elif self.enabled and time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self._line(note)

    def write(self, text: str) -> None:
        """Print one line without tearing the bar."""
        if self._bar is not None:
            self._bar.write(one_line(text), file=bare(self.stream))
        else:
            print(one_line(text), file=self.stream, flush=True)

    def _line(self, note: str) -> None:
        self.last_line = time.monotonic()
        elapsed = self.last_line - self.started
        rate = (self.count - self.initial) / max(elapsed, 1e-9)
        left = f", {_clock((self.total - self.count) / rate)} left" if self.total and rate > 0 else ""
        share = f"{self.count}/{self.total}" if self.total else f"{self.count}"
        rated = f"{rate:.2f} {self.unit}/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.2f} s/{self.unit}"
        print(f"{self.description}: {share}, {rated}, {_clock(elapsed)} elapsed{left}{', ' + one_line(note) if note else ''}",
              file=self.stream, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self.enabled and kind is None and self.count > self.initial:
            self._line("done")


def track(items: Iterable[Item], description: str, total: int | None = None, unit: str = "image") -> Iterator[Item]:
    """Iterate over ``items`` while showing progress."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(total, description, unit) as progress:
        for item in items:
            yield item
            progress.update()
