"""Commands of ours in processes of their own, which stop when the studio asks them to, ends, or is killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

BEGINNING = ("-m", "diffusionrig.cli.attended")
KEPT = 8000
"""Letters of what a command says that are kept, the last ones."""


class Attended:
    """``diffusionrig COMMAND WORDS``, to be run once."""

    def __init__(self, command: str, words: Sequence[str]) -> None:
        self.command, self.words = command, list(words)
        self.said = ""
        self.stopped = False
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Run it to its end; its exit status, negative where a signal ended it."""
        if self.stopped:
            return 0
        # A session of its own: Ctrl-C in the terminal is the studio's alone, which then asks for the rest.
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, *BEGINNING, self.command, *self.words, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True)
        assert process.stdout is not None
        try:
            if self.stopped:
                self.stop()
            while part := await process.stdout.read(4096):
                self.said = (self.said + part.decode("utf-8", "replace"))[-KEPT:]
            return await process.wait()
        except asyncio.CancelledError:
            self.stop()
            raise

    def stop(self) -> None:
        """Ask it to stop; ``run`` returns when it has."""
        self.stopped = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once: what it has saved stays."""
        self.stopped = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    @property
    def sentence(self) -> str:
        """The last line that it said, without the name of the command."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return lines[-1].removeprefix(f"diffusionrig {self.command}: ") if lines else f"diffusionrig {self.command} said nothing."
