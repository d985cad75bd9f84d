"""Noticing that a process of the job is gone, and saying so even when this process is killed as well."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist

BEAT = 2.0  # seconds between signs of life
PATIENCE = 20.0  # seconds without one after which a process counts as lost


class Heartbeat(threading.Thread):
    """Writes a sign of life of this rank to the store and calls ``on_loss`` once when another rank has stopped writing.

    Rank 0 watches every rank, the others watch rank 0 (and lose the store itself when it dies).
    """

    def __init__(self, store: dist.Store, rank: int, size: int, on_loss: Callable[[], None],
                 beat: float = BEAT, patience: float = PATIENCE) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.store, self.rank, self.on_loss, self.beat, self.patience = store, rank, on_loss, beat, patience
        self.watched = [other for other in range(size) if other != rank] if rank == 0 else [0]
        self._ended = threading.Event()
        self._beat(0)
        self.start()

    def _beat(self, count: int) -> None:
        self.store.set(f"beat/{self.rank}", str(count))

    def run(self) -> None:
        seen: dict[int, tuple[bytes, float]] = {}
        count = 0
        while not self._ended.wait(self.beat):
            count += 1
            beats = self._exchange(count)
            now = time.monotonic()
            for other, value in zip(self.watched, beats):
                if other not in seen or seen[other][0] != value:
                    seen[other] = (value, now)
            if not beats or any(now - since > self.patience for _, since in seen.values()):
                self._lose()
                return

    def _exchange(self, count: int) -> list[bytes]:
        """Write our sign of life, read the others'; empty when the store is gone."""
        # A store whose process is frozen answers neither with a value nor with an error.
        alarm = threading.Timer(self.patience, self._lose)
        alarm.daemon = True
        alarm.start()
        try:
            self._beat(count)
            return self.store.multi_get([f"beat/{other}" for other in self.watched])
        except (RuntimeError, ValueError):
            return []
        finally:
            alarm.cancel()

    def _lose(self) -> None:
        if not self._ended.is_set():
            self.on_loss()

    def stop(self) -> None:
        """No more watching; called before the processes part."""
        self._ended.set()


# Reads lines until the pipe closes: "done" means that nothing is to be said, any other line names a log file. Standard
# error comes first: under mpiexec it is a pipe that soon breaks, which must not end the shell before the log is written.
_WATCH = """trap '' PIPE
while IFS= read -r line; do [ "$line" = done ] && exit; log=$line; done
echo "$0" >&2
[ -n "$log" ] && echo "$0" >> "$log"
"""


class LastWord:
    """Says a sentence, on standard error and in a log, when this process dies without a chance to speak (SIGKILL by the
    system or by mpiexec). A shell outside the process group waits for the closing of a pipe that this process holds.
    """

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        self._shell: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._shell = subprocess.Popen(["/bin/sh", "-c", _WATCH, sentence], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, start_new_session=True)

    def write_to(self, log: Path) -> None:
        """Also append the sentence to ``log`` when the time comes."""
        self._tell(str(log.resolve()))

    def _tell(self, line: str) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with contextlib.suppress(OSError):
                self._shell.stdin.write(line.encode() + b"\n")
                self._shell.stdin.flush()

    def speak(self) -> None:
        """Have it said now, in both places."""
        shell, self._shell = self._shell, None
        if shell is None or shell.stdin is None:
            print(self.sentence, file=sys.stderr, flush=True)
            return
        shell.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.wait(timeout=5)

    def withdraw(self) -> None:
        """This process can speak for itself from here on."""
        self._tell("done")
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.wait()
            if shell.stdin is not None:
                shell.stdin.close()
