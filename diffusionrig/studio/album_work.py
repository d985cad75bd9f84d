"""What goes on in the background of an album: one command at a time, of those that the command line has."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from diffusionrig.editing.pretrained import checkpoint_path, describe_prior
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import sha256_of
from diffusionrig.studio.album_folder import AlbumFolder
from diffusionrig.studio.album_training import Teacher, Words, looking, storing, training
from diffusionrig.studio.attending import Attended
from diffusionrig.studio.session import Session

BEAT = 1.0
"""Seconds between two looks at what a command has done."""

PATIENCE = 60.0
"""Seconds that a training has to save when the studio ends; then it ends at its last save."""

LOOK, STORE, TRAIN = "curate", "create-data", "train"


class AlbumWork:
    """``changed`` is called now and then while something runs, and when it has ended. ``problem`` is why the last one failed."""

    def __init__(self, teacher: Teacher, changed: Callable[[], None]) -> None:
        self._teacher, self._changed = teacher, changed
        self.problem = ""
        self._command: Attended | None = None
        self._job: asyncio.Task[None] | None = None
        self._ended = self.stopping = False

    @property
    def running(self) -> str:
        """The command that runs, "begin" before the first one does, "" when none is to."""
        if self._job is None:
            return ""
        return self._command.command if self._command else "begin"

    def idle(self, what: str) -> None:
        """UsageError, that one cannot do ``what`` now, while something runs."""
        if self._job is not None:
            raise UsageError(f"You can {what} when {self._doing()} has ended; wait, or stop it.")

    def look(self, album: AlbumFolder) -> None:
        """Let ``curate`` judge the photographs."""
        self._begin(self._look(album))

    def train(self, album: AlbumFolder) -> None:
        """Train a personal model as the album's note says, or go on with it."""
        self._begin(self._train(album))

    def stop(self) -> None:
        """Ask what runs to stop; a training saves first."""
        self.stopping = self._job is not None
        if self._command is not None:
            self._command.stop()

    async def shut(self) -> None:
        """Stop what runs, cleanly, so that it can go on when the studio is opened again."""
        job = self._job
        self._ended = True
        if job is None:
            return
        if self.running == TRAIN:
            print("diffusionrig studio: the training is being saved; it can go on when the studio is opened again.",
                  file=sys.stderr, flush=True)
        self.stop()
        done, _ = await asyncio.wait([job], timeout=PATIENCE)
        if not done and self._command is not None:
            self._command.kill()
            await asyncio.wait([job], timeout=PATIENCE)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self.problem, self.stopping = "", False
        self._job = asyncio.get_running_loop().create_task(self._working(work))

    async def _working(self, work: Coroutine[Any, Any, None]) -> None:
        beats = asyncio.get_running_loop().create_task(self._beat())
        try:
            await work
        except RigError as error:
            self.problem = str(error)
        except Exception as error:  # a fault of ours must not end the studio, nor be hidden
            print(f"diffusionrig studio: {type(error).__name__}: {error}", file=sys.stderr)
            self.problem = f"This failed ({type(error).__name__}: {error})."
        finally:
            beats.cancel()
            self._command, self._job, self.stopping = None, None, False
            self._changed()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self._changed()

    async def _look(self, album: AlbumFolder) -> None:
        await asyncio.to_thread(album.forget_strange_look)
        await self._run(LOOK, looking(album, self._teacher))

    async def _train(self, album: AlbumFolder) -> None:
        if not self._teacher.hash:
            self._teacher = dataclasses.replace(self._teacher, hash=await asyncio.to_thread(sha256_of, self._teacher.model))
        key = await asyncio.to_thread(album.key, self._teacher.hash)
        album.note = note = dataclasses.replace(album.note, key=key)
        if not any(album.run(key).glob("state*.pt")):
            await self._run(STORE, storing(album, self._teacher, key))
        await self._run(TRAIN, training(album, self._teacher, note))

    async def _run(self, command: str, words: Words) -> None:
        """Run a command to its end; RigError with its own sentence when it fails, nothing when it was stopped."""
        if self._ended or self.stopping:
            return
        self._command = Attended(command, words)
        self._changed()
        status = await self._command.run()
        if status != 0 and not self._command.stopped:
            raise RigError(self._command.sentence)

    def _doing(self) -> str:
        return {LOOK: "the look at the photographs", TRAIN: "the training"}.get(self.running, "the preparation")


def teacher_of(session: Session) -> Teacher:
    """What personal models of this studio start from: the model it was opened with, or the shipped one where that is personal."""
    rig, origin = session.rig, session.origin
    path = checkpoint_path(origin.model_path or "default")
    size, head = rig.size, rig.head.name
    if rig.consent is not None:
        path = checkpoint_path("default")
        about = describe_prior(path)
        size, head = about["image_size"], about["head"]
    return Teacher(str(path), "", head, size, str(rig.device), origin.use_model, session.max_megapixels)
