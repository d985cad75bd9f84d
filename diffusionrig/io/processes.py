"""Which process this is, on which machine, and whether another one still works: what files left behind by a kill are judged by."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from pathlib import Path

_PROC = Path("/proc")


@functools.lru_cache(maxsize=1)
def machine() -> str:
    """Where process numbers mean the same: the name of the machine, its present uptime, and the container within it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink(_PROC / "self/ns/pid"))
    return " ".join(parts)


def start_of(process: int) -> str:
    """When a process of this machine began, in ticks of its clock, as text; "" where that cannot be known."""
    fields = _status(process)
    return fields[19] if len(fields) > 19 else ""


def works(process: int, start: str = "") -> bool:
    """Whether a process of this machine is there, is no zombie, and, where its ``start`` is known, is not another one that was
    given the same number."""
    if process < 1:  # a group, or everyone
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # someone else's, which is there
        pass
    fields = _status(process)
    if fields and fields[0] in "ZX":
        return False
    return not (start and fields) or fields[19] == start


def _status(process: int) -> list[str]:
    """The fields of ``/proc/N/stat`` behind the name, which may hold anything; none where the system has no such file."""
    try:
        text = (_PROC / str(process) / "stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
