"""Noticing that a process of the job is gone, and saying so even when this process is killed as well."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable

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


class LastWord:
    """Prints a sentence when this process dies without a chance to speak (SIGKILL by the system or by mpiexec).

    A shell outside the process group holds the reading end of a pipe: it ends quietly on a line, and prints the sentence
    when the pipe closes without one.
    """

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        self._shell: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._shell = subprocess.Popen(["/bin/sh", "-c", 'read -r line || echo "$0" >&2', sentence],
                                           stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)

    def speak(self) -> None:
        """Say it now; the shell stays quiet afterwards."""
        self.withdraw()
        print(self.sentence, file=sys.stderr, flush=True)

    def withdraw(self) -> None:
        """This process can speak for itself from here on."""
        shell, self._shell = self._shell, None
        if shell is None or shell.stdin is None:
            return
        with contextlib.suppress(OSError):
            shell.stdin.write(b"done\n")
            shell.stdin.close()
        shell.wait()
