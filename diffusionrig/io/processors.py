"""What Linux says about the processors that this process may run on: how long they idled, their cores, the quota of its cgroups."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath

PROC, CGROUPS, CPUS = Path("/proc"), Path("/sys/fs/cgroup"), Path("/sys/devices/system/cpu")
_IDLE = (3, 4)  # columns of /proc/stat: idle, and idle while a disk is waited for


def allowed_processors() -> frozenset[int] | None:
    """Numbers of the processors that this process may run on; None where the system does not say (macOS, Windows)."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def idle_seconds(processors: Collection[int], proc: Path = PROC) -> tuple[float, float] | None:
    """Seconds since the start of the machine that ``processors`` idled, and that they were counted at all, both summed over them.

    Counted in ticks (10 ms as a rule). None where there is no /proc/stat or it leaves out one of them.
    """
    lines = _text(proc / "stat").splitlines()
    wanted = {f"cpu{number}" for number in processors}
    rows = [[int(word) for word in line.split()[1:9]] for line in lines if line.split(" ", 1)[0] in wanted]
    if len(rows) != len(wanted) or any(len(row) <= max(_IDLE) for row in rows):
        return None
    tick = os.sysconf("SC_CLK_TCK")
    return sum(row[column] for row in rows for column in _IDLE) / tick, sum(map(sum, rows)) / tick


def cores_of(processors: Collection[int], cpus: Path = CPUS) -> int:
    """How many cores ``processors`` are: two threads of one core count once. Where it is not said, each counts."""
    return len({_text(cpus / f"cpu{number}" / "topology" / "thread_siblings_list").strip() or str(number) for number in processors})


def processor_quota(proc: Path = PROC, cgroups: Path = CGROUPS) -> float | None:
    """Processors' worth of time that the cgroups of this process grant it (cpu.max, or cpu.cfs_quota_us of the first version of
    cgroups); the least of its own and those around it. None where nothing is limited or said."""
    granted: list[float] = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",") if controllers else []
        if names and "cpu" not in names:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for folder in (inside, *inside.parents):
            granted += _granted(cgroups.joinpath(*(["cpu"] if names else []), *folder.parts))
    return min(granted, default=None)


def _granted(folder: Path) -> list[float]:
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()]
    if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
        return [int(words[0]) / int(words[1])]
    return []  # "max" and -1 limit nothing


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
