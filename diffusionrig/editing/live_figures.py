"""How a live run did: how many frames came, were drawn and dropped, and how long pictures took. Of the same size after any time."""

from __future__ import annotations

import dataclasses
import math
import threading

import numpy as np

FINEST, LONGEST, STEP = 1e-4, 1e3, 1.02
"""Seconds: times outside count as these; within, they are told apart by this factor."""

_BINS = math.ceil(math.log(LONGEST / FINEST) / math.log(STEP)) + 1


class Times:
    """Times in seconds, counted in bins of which each is a fiftieth longer than the one before."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(self, seconds: float) -> None:
        place = math.log(min(max(seconds, FINEST), LONGEST) / FINEST) / math.log(STEP)
        self._counts[round(place)] += 1

    def share(self, part: float) -> float:
        """The time in seconds that ``part`` (0..1) of them do not exceed, to one in a hundred; nan without any."""
        total = len(self)
        if not total:
            return math.nan
        place = int(np.searchsorted(np.cumsum(self._counts), max(1, math.ceil(part * total - 1e-9))))
        return FINEST * STEP**place


@dataclasses.dataclass(frozen=True)
class Summary:
    """offered   frames that came
    drawn     of them, those that became pictures
    dropped   those that were passed over, since newer ones had come
    unseen    those in which the person was not seen
    first     seconds from the first frame to the first picture; None before it
    median    seconds from the arrival of a frame to its picture, and ``late``, which one in twenty exceeds; None without pictures
    """

    offered: int
    drawn: int
    dropped: int
    unseen: int
    first: float | None
    median: float | None
    late: float | None

    def sentence(self) -> str:
        """What is printed at the end."""
        if self.first is None or self.median is None or self.late is None:
            return (f"{self.offered} frames came, none was drawn, {self.dropped} were dropped, {self.unseen} did not show the "
                    "person.")
        unseen = f", {self.unseen} did not show the person" if self.unseen else ""
        return (f"{self.offered} frames came, {self.drawn} were drawn, {self.dropped} dropped{unseen}; the first picture was there "
                f"{self.first:.2f} s after the first frame; latency {1000 * self.median:.0f} ms (median), "
                f"{1000 * self.late:.0f} ms (95th percentile).")


class LiveFigures:
    """Counts for a ``Summary``; from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offered = self._drawn = self._dropped = self._unseen = 0
        self._first: float | None = None
        self._times = Times()

    def came(self) -> None:
        with self._lock:
            self._offered += 1

    def missed(self, dropped: int = 0, unseen: int = 0) -> None:
        with self._lock:
            self._dropped += dropped
            self._unseen += unseen

    def made(self, latency: float, since_first: float) -> None:
        with self._lock:
            self._drawn += 1
            self._first = since_first if self._first is None else self._first
            self._times.add(latency)

    def summary(self) -> Summary:
        with self._lock:
            some = len(self._times) > 0
            return Summary(self._offered, self._drawn, self._dropped, self._unseen, self._first,
                           self._times.share(0.5) if some else None, self._times.share(0.95) if some else None)
