"""Processes of their own that start in a moment: forked from one that has loaded PyTorch and this package and never computed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "torch._dynamo", "cv2", "diffusionrig.data.creation", "diffusionrig.training.loop",
                                "diffusionrig.training.distributed", "diffusionrig.reactions.frames.render"])


class Warm:
    """``python -c code *words`` with ``environment`` beside what the tests have, on one thread; used as ``subprocess.Popen`` is."""

    def __init__(self, code: str, words: Sequence[object], environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm")
        pipes = [Path(self._folder.name) / name for name in ("out", "err")]
        for pipe in pipes:
            os.mkfifo(pipe)
        self._said: dict[str, str] = {}
        self._readers = [threading.Thread(target=self._read, args=(pipe,), daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()
        self._process = CONTEXT.Process(target=_run, args=(code, list(map(str, words)), {**os.environ, **(environment or {})},
                                                           os.getcwd(), *map(str, pipes)))
        self._process.start()

    def _read(self, pipe: Path) -> None:
        with open(pipe, errors="replace") as stream:
            self._said[pipe.name] = stream.read()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Standard output and error once the process and all that it started have closed them."""
        for wait in (self._process, *self._readers):
            wait.join(timeout)
            if self._process.exitcode is None or any(reader.is_alive() for reader in self._readers if reader is wait):
                raise subprocess.TimeoutExpired("a warm process", timeout or 0)
        self._folder.cleanup()
        return self._said["out"], self._said["err"]


def _run(code: str, words: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    for number, pipe in ((1, out), (2, err)):
        os.dup2(os.open(pipe, os.O_WRONLY), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["-c", *words]
    status: object = 0
    try:
        import torch

        torch.set_num_threads(1)
        exec(code, {"__name__": "__main__"})
    except SystemExit as leaving:
        status = leaving.code
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)
