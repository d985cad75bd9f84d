"""A video of live pictures: at a constant rate, each shown from its time on until the next, written while they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from diffusionrig.editing.live import Drawn
from diffusionrig.io.movies import write_movie
from diffusionrig.io.resize import resize_square

LEAST_SIDE = 256
"""Smaller pictures are enlarged: players blur them otherwise, each in its own way."""

WAITING = 8
_LOOK = 0.1
"""Seconds after which a full queue looks whether anybody still writes."""


class LiveClip:
    """``path``, an MP4 of ``fps`` frames a second that begins with the first picture. Complete, and only then there, after
    ``close``; what cannot be written is raised by it or by ``add``."""

    def __init__(self, path: str | Path, fps: float, comment: str = "") -> None:
        self.path, self._fps = Path(path), fps
        self._waiting: queue.Queue[np.ndarray | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._last: np.ndarray | None = None
        self._start, self._written = 0.0, 0
        self._thread = threading.Thread(target=self._write, args=(comment,), daemon=True)
        self._thread.start()

    def add(self, drawn: Drawn) -> None:
        """The next picture; times do not fall."""
        if self._last is None:
            self._start = drawn.at
        else:
            self._hold_until(drawn.at)
        self._last = resize_square(drawn.picture, max(drawn.picture.shape[0], LEAST_SIDE))

    def close(self) -> int:
        """The clip is over; returns how many frames it has, 0 when no picture came and nothing was written."""
        if self._last is not None:
            self._put(self._last)
            self._written += 1
        self._put(None)
        self._thread.join()
        self._complain()
        return self._written

    def _hold_until(self, at: float) -> None:
        wanted = round((at - self._start) * self._fps)
        assert self._last is not None
        while self._written < wanted:
            self._put(self._last)
            self._written += 1

    def _put(self, picture: np.ndarray | None) -> None:
        while self._thread.is_alive():
            try:
                self._waiting.put(picture, timeout=_LOOK)
                return
            except queue.Full:
                continue
        self._complain()

    def _complain(self) -> None:
        if self._error is not None:
            raise self._error

    def _pictures(self, first: np.ndarray) -> Iterator[np.ndarray]:
        picture: np.ndarray | None = first
        while picture is not None:
            yield picture
            picture = self._waiting.get()

    def _write(self, comment: str) -> None:
        try:
            first = self._waiting.get()
            if first is not None:
                write_movie(self.path, self._pictures(first), self._fps, None, comment)
        except BaseException as error:  # it belongs to whoever adds
            self._error = error
