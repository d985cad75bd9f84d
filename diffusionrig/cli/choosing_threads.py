"""How many threads a command computes with: what ``--threads`` says, or as many as there are idle processors when it starts.

The threads of OpenMP wait for each other after every operation, and spin while they wait. Beside another busy program one of them
is always late, and two are slower than one. So the processors are watched for a moment before PyTorch is loaded, which reads these
settings once. Only commands choose: a program that uses the package has settings of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # PyTorch takes its number of threads from either
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY")
OPENCV = "OPENCV_FOR_THREADS_NUM"
LAUNCHED = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")

SHORT_SPIN = "1000"  # turns before a waiting thread sleeps: a tenth slower on an idle machine, many times faster on a busy one
ENOUGH = 0.6  # a processor that idles this share of the time is worth a thread: two threads then draw about level with one
GLANCE, LOOK = 0.05, 0.2  # seconds
# What PyTorch imports anyway, and what reads none of the settings: the time that the glance takes is not lost.
_IMPORTS = ("inspect", "ctypes", "asyncio", "multiprocessing", "tempfile", "importlib.metadata", "unittest.mock", "tarfile")


@dataclass(frozen=True)
class Processors:
    """What was seen when the command started."""

    count: int  # processors that this process may run on
    cores: int  # cores that they are
    idle: float  # how many of them were idle, or busy with this process, on average: 0..count
    quota: float | None = None  # processors' worth of time that is granted; None: no limit


def settings_for(seen: Processors | None, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to set so that OpenMP fits what was seen; nothing where all are idle, or where the user has set it.

    One thread per idle processor, at least one. Two threads of one core count as one core when any is busy. Several processes under
    torchrun or mpiexec share the cores in their own way (``training.launch``).
    """
    if seen is None or user_chose(environment):
        return {}
    allowed = seen.count if seen.quota is None else min(seen.count, max(1, math.ceil(seen.quota)))
    if seen.idle + 1 - ENOUGH >= allowed:
        return count_settings(allowed, environment) if allowed < seen.count else {}
    threads = max(1, min(math.floor(seen.idle + 1 - ENOUGH), seen.cores))
    spin = {} if threads == 1 or any(map(environment.get, WAITING)) else {"GOMP_SPINCOUNT": SHORT_SPIN}
    return {**count_settings(threads, environment), **spin}


def user_chose(environment: Mapping[str, str]) -> bool:
    """Whether the number of threads is somebody else's business: the user's, or that of the launcher of several processes."""
    several = any(int(size) > 1 for name in LAUNCHED if (size := environment.get(name, "")).isdigit())
    return several or any(map(environment.get, COUNTS))


def count_settings(threads: int, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that make PyTorch and OpenCV compute with ``threads``."""
    opencv = {} if environment.get(OPENCV) else {OPENCV: str(threads)}
    return {**{name: str(threads) for name in COUNTS}, **opencv}


def look() -> Processors | None:
    """Watch the processors: for a moment, and when they were not all idle, again for longer. None where the system does not say."""
    from diffusionrig.io.processors import allowed_processors, cores_of, processor_quota

    processors = allowed_processors()
    if not processors:
        return None
    idle = _watch(processors, GLANCE, _IMPORTS)
    if idle is not None and idle + 1 - ENOUGH < len(processors):
        # The glance may have caught the end of the program before this one, and ticks are coarse beside it.
        idle = _watch(processors, LOOK)
    return None if idle is None else Processors(len(processors), cores_of(processors), idle, processor_quota())


def _watch(processors: frozenset[int], seconds: float, imports: tuple[str, ...] = ()) -> float | None:
    """How many ``processors`` idled or served this process, on average, over ``seconds`` or as long as ``imports`` take."""
    from diffusionrig.io.processors import idle_seconds

    began, own, before = time.perf_counter(), time.process_time(), idle_seconds(processors)
    if before is None:
        return None
    for name in imports:
        importlib.import_module(name)
    time.sleep(max(0.0, seconds - (time.perf_counter() - began)))
    after = idle_seconds(processors)
    passed, own = time.perf_counter() - began, time.process_time() - own
    # Some sandboxes show a /proc/stat that stands still.
    if after is None or after[1] - before[1] < 0.5 * passed * len(processors):
        return None
    return min(float(len(processors)), (after[0] - before[0] + own) / passed)


@contextlib.contextmanager
def computing_threads(threads: int) -> Iterator[None]:
    """The command within computes with ``threads``, 0 for auto; afterwards the settings are what they were.

    Where PyTorch is loaded already, auto leaves everything alone: the process is a program's, or a command of another command.
    """
    loaded = "torch" in sys.modules
    if threads:
        chosen = count_settings(threads, {})
    else:
        chosen = {} if loaded or user_chose(os.environ) else settings_for(look(), os.environ)
    before = {name: os.environ.get(name) for name in chosen}
    os.environ.update(chosen)
    try:
        with _threads_within(threads) if loaded and threads else contextlib.nullcontext():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _threads_within(threads: int) -> contextlib.AbstractContextManager[None]:
    from diffusionrig.threads import threads_within

    return threads_within(threads)
