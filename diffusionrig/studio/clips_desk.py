"""A desk of the studio: one clip lies on it, is drawn in the background, and its video waits to be looked at and taken away."""

from __future__ import annotations

import asyncio
import functools
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.scratch import Scratch, growing_file
from diffusionrig.io.temporary_files import fitting
from diffusionrig.studio.clips_driven import Made
from diffusionrig.studio.clips_file import LONGEST_NAME, ClipFile, Limits, open_clip, shortened
from diffusionrig.studio.clips_job import Job
from diffusionrig.studio.drawing import Cancelled
from diffusionrig.studio.outbox import framed
from diffusionrig.studio.sitting import Sitting


class Wish(Protocol):
    """What is to be made of a clip."""

    def to_json(self) -> dict[str, Any]: ...


Draw = Callable[[Sitting, ClipFile, Path, Job], Made]
"""Makes a video of a sitting and a clip, in a folder, telling a job."""


class Room(Protocol):
    """The studio that a desk stands in."""

    def tell(self, message: dict[str, Any]) -> None: ...

    def show(self, kind: str, frame: bytes) -> None: ...

    def seated(self) -> Sitting:
        """The face that is drawn; UsageError without one."""
        ...


class Workshop:
    """What the desks of a studio share: one thread, of which one clip at a time is drawn, and a place for files."""

    def __init__(self) -> None:
        self.hand = ThreadPoolExecutor(1, "studio-clip")
        self.running: Job | None = None
        self.taking = False
        self._scratch: Scratch | None = None
        self._count = 0

    def number(self) -> int:
        """A number of its own for every job and file."""
        self._count += 1
        return self._count

    def folder(self) -> Path:
        """A new folder."""
        if self._scratch is None:
            self._scratch = Scratch("diffusionrig-studio")
        return self._scratch.folder(str(self.number()))

    async def do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Work in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self.hand, functools.partial(work, *arguments))

    def shut(self) -> None:
        """End what runs, and delete every file."""
        if self.running is not None:
            self.running.cancel()
        self.hand.shutdown(wait=False, cancel_futures=True)
        if self._scratch is not None:
            self._scratch.remove()


class Desk:
    """All of it happens within the event loop, but the drawing itself."""

    def __init__(self, kind: str, room: Room, workshop: Workshop, limits: Limits, wish: Wish, fps: float | None = None) -> None:
        """Clips are taken at ``fps`` frames a second, or at their own rate."""
        self.kind, self.limits, self.wish = kind, limits, wish
        self.file: ClipFile | None = None
        self.job: Job | None = None
        self.made: Made | None = None
        self._room, self._shop, self._fps = room, workshop, fps
        self._task: asyncio.Task[None] | None = None

    def to_json(self) -> dict[str, Any]:
        """All that a page needs to show it."""
        parts = {"file": self.file, "wish": self.wish, "job": self.job, "made": self.made}
        return {"type": "desk", "kind": self.kind, "limits": self.limits.sentence(),
                **{name: None if part is None else part.to_json() for name, part in parts.items()}}

    async def take(self, name: str, parts: AsyncIterator[bytes], length: int = 0) -> None:
        """Lay a clip on the desk instead of the one there: the ``parts`` of the file ``name``, said to have ``length`` bytes.
        RigError when it cannot be used, and all stays as it was."""
        self._require_idle()
        if self._shop.taking:
            raise UsageError("A clip is being opened already; wait for it.")
        self._shop.taking = True
        folder = self._shop.folder()
        try:
            path = folder / fitting(Path(name).stem, Path(name).suffix, LONGEST_NAME)
            size = 0
            self._require_small(name, length)
            with growing_file(path) as write:
                async for part in parts:
                    size += len(part)
                    self._require_small(name, size)
                    write(part)
            file = await asyncio.to_thread(open_clip, path, self.limits, self._fps)
            self._require_idle()
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, RigError):
                raise type(error)(shortened(error, folder)) from error
            raise
        finally:
            self._shop.taking = False
        self._clear()
        self.file = file
        self._changed()

    def remove(self) -> None:
        """Take the clip off the desk, and its video."""
        self._require_idle()
        self._clear()
        self._changed()

    def begin(self, wish: Wish, draw: Draw) -> None:
        """Draw the clip in the background as the ``wish``, which pages are shown, says; UsageError when there is none, nobody to
        draw, or another is being drawn."""
        if self.file is None:
            raise UsageError("No clip is open yet; drop one into the page.")
        sitting = self._room.seated()
        if self._shop.running is not None:
            raise UsageError("A clip is being drawn already; wait for it, or cancel it.")
        loop = asyncio.get_running_loop()
        number = self._shop.number()

        def changed() -> None:
            loop.call_soon_threadsafe(self._changed)

        def shown(pictures: Sequence[bytes]) -> None:
            loop.call_soon_threadsafe(self._room.show, self.kind, framed({"kind": self.kind, "job": number}, pictures))

        self.wish = wish
        self.job = self._shop.running = Job(number, sitting.photograph.name, changed, shown)
        self._task = loop.create_task(self._run(self.job, sitting, self.file, draw))
        self._changed()

    def cancel(self) -> None:
        """Let the job end, if there is one."""
        if self.job is not None:
            self.job.cancel()

    def required(self) -> Made:
        """The video; UsageError when there is none."""
        if self.made is None or not self.made.path.is_file():
            raise UsageError("No video has been drawn yet.")
        return self.made

    async def settled(self) -> None:
        """Returns when nothing is drawn any more."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _run(self, job: Job, sitting: Sitting, file: ClipFile, draw: Draw) -> None:
        folder, made = self._shop.folder(), None
        try:
            made = await self._shop.do(draw, sitting, file, folder, job)
            job.end("done")
        except Cancelled:
            job.end("cancelled")
        except RigError as error:
            job.end("failed", shortened(error, file.path.parent))
        except Exception as error:  # a fault of ours must not end the studio, nor be hidden
            print(f"diffusionrig studio: {type(error).__name__}: {error}", file=sys.stderr)
            job.end("failed", f"This failed ({type(error).__name__}: {error}).")
        finally:
            self._shop.running = None
            old, self.made = (self.made, made) if made is not None else (None, self.made)
            for place in [folder] if made is None else [] if old is None else [old.path.parent]:
                shutil.rmtree(place, ignore_errors=True)
        self._changed()

    def _require_small(self, name: str, size: int) -> None:
        if size > self.limits.upload:
            raise UsageError(f"{name} is too large. {self.limits.sentence()}")

    def _require_idle(self) -> None:
        if self.job is not None and self.job.running:
            raise UsageError("The clip is being drawn; cancel it first.")

    def _clear(self) -> None:
        for path in (None if self.file is None else self.file.path, None if self.made is None else self.made.path):
            if path is not None:
                shutil.rmtree(path.parent, ignore_errors=True)
        self.file = self.job = self.made = None

    def _changed(self) -> None:
        self._room.tell(self.to_json())
