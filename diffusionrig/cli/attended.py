"""``python -m diffusionrig.cli.attended COMMAND ...``: a command that stops, as by SIGTERM, once its standard input ends.

Whoever starts it holds the other end of that pipe: closing it asks the command to stop, and a process that is killed closes it too,
so that nothing goes on that nobody attends to. It runs at a low priority, beside a page that people look at.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from diffusionrig.cli import main

KINDNESS = 10
"""Steps of the system's niceness."""


def attended(argv: Sequence[str]) -> int:
    """Run ``diffusionrig ARGV`` until it ends or nobody attends to it any more; returns its exit status."""
    with contextlib.suppress(OSError, AttributeError):  # Windows has no such thing
        os.nice(KINDNESS)
    threading.Thread(target=_watch, name="attendance", daemon=True).start()
    return main(argv)


def _watch() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(attended(sys.argv[1:]))
