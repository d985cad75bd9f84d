"""Killing writers, filling disks, reading from other processes, and pickles that run code, for tests."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Touch:
    """Creates a file when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


def run_and_kill(seconds: float, work: Callable[..., None], *args: object) -> None:
    """Run ``work(*args, announce)`` in a forked process and kill it, with SIGKILL, ``seconds`` after it announced."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            import torch  # which those who only read from other processes do not wait for

            # The threads of PyTorch's pool do not survive a fork; work on them would wait for ever.
            torch.set_num_threads(1)
            work(*args, lambda: os.write(write, b"."))
        finally:
            os._exit(0)
    os.close(write)
    os.read(read, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)


@contextlib.contextmanager
def small_files_only(size: int) -> Iterator[None]:
    """A limit on the size of files, which stands in for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def checksum_of_store(store: Any) -> int:
    """One number over all pictures; importable, so that spawned processes find it."""
    checksum = 0
    for i in range(len(store)):
        checksum = zlib.crc32(store.record(i).image, checksum)
    return checksum
