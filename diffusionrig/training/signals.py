"""SIGTERM and SIGINT become a wish that the loop reads between two updates."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

_CAUGHT = (signal.SIGTERM, signal.SIGINT)
_APART = 2.0  # seconds; launchers and `timeout` deliver one wish to stop twice, a person who means it waits longer


class StopSignals:
    """While entered, ``received`` is the first signal that asked to stop, or None. A second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._when = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        # Python lets only the main thread set handlers; a run started from another one simply has none.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _CAUGHT}
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._when = signal.Signals(number), time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._when > _APART:
            raise KeyboardInterrupt

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
