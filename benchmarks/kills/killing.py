"""Commands in forked processes, killed with SIGKILL at a moment that is drawn beforehand."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import pickle
import pkgutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import diffusionrig
from diffusionrig.cli import main

Value = TypeVar("Value")

PATIENCE = 240.0
"""Seconds after which a run that was not killed counts as hanging."""

SURVIVOR = 90.0
"""Seconds in which the other ranks of a job that lost one must have ended."""


def load_everything() -> None:
    """Import what commands import, which takes longer than most of what they do here, so that forked ones have it."""
    for module in pkgutil.walk_packages(diffusionrig.__path__, "diffusionrig."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # of an extra that is not installed
                importlib.import_module(module.name)
    # The optimisers of PyTorch load it at their first update.
    importlib.import_module("torch._dynamo")


@dataclasses.dataclass(frozen=True)
class Moment:
    """When to kill: ``seconds`` after the start, or, where ``write`` is above 0, ``seconds`` after so many temporary files were
    seen in the folder of results. ``victim`` is the rank that is killed; -1 for all of them."""

    seconds: float
    write: int = 0
    victim: int = -1


class Running:
    """``words`` of the command line in one forked process for each of ``ranks``; what they print goes to ``log``."""

    def __init__(self, words: Sequence[str], ranks: int, log: Path) -> None:
        self.began = time.monotonic()
        port = _free_port() if ranks > 1 else 0
        self.processes = {rank: self._fork(words, rank, ranks, port, log) for rank in range(ranks)}
        self.ended: dict[int, int] = {}

    @staticmethod
    def _fork(words: Sequence[str], rank: int, ranks: int, port: int, log: Path) -> int:
        child = os.fork()
        if child:
            return child
        status = 70
        try:
            os.setsid()
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            if ranks > 1:
                os.environ.update(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(ranks),
                                  MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            status = main(list(words))
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException as error:
            print(f"TRACEBACK {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def over(self) -> bool:
        """Whether all processes have ended."""
        for rank, process in self.processes.items():
            if rank not in self.ended:
                done, status = os.waitpid(process, os.WNOHANG)
                if done:
                    self.ended[rank] = os.waitstatus_to_exitcode(status)
        return len(self.ended) == len(self.processes)

    def wait(self, seconds: float) -> bool:
        """Wait until all have ended; False when that takes longer."""
        deadline = time.monotonic() + seconds
        while not self.over():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def kill(self, victim: int = -1) -> None:
        """SIGKILL to a rank and what it started, or to all."""
        for rank, process in self.processes.items():
            if rank not in self.ended and victim in (-1, rank):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)

    def kill_at(self, moment: Moment, folder: Path) -> bool:
        """Kill at ``moment``; False when the command ended before it."""
        seen: set[str] = set()
        until = None if moment.write else self.began + moment.seconds
        while True:
            if self.over():
                return False
            now = time.monotonic()
            if until is not None and now >= until:
                break
            if until is None:
                seen |= {file.name for file in folder.rglob(".*.tmp")} if folder.is_dir() else set()
                if len(seen) >= moment.write:
                    until = now + moment.seconds
                elif now - self.began > PATIENCE:
                    return False
            time.sleep(0.002)
        self.kill(moment.victim)
        return True


def apart(work: Callable[..., Value], *words: object) -> Value:
    """``work(*words)`` in a forked process: what it opens and loads must not be inherited by commands that are killed later."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                try:
                    found: tuple[bool, Any] = (True, work(*words))
                except Exception as error:
                    found = (False, f"{type(error).__name__}: {error}")
                pickle.dump(found, answer)
                answer.flush()
                status = 0
            finally:
                os._exit(status)
        status = os.waitpid(child, 0)[1]
        answer.seek(0)
        good, value = pickle.load(answer) if status == 0 else (False, f"ended with {status}")
    if not good:
        raise RuntimeError(value)
    return value


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
