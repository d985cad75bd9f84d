"""One studio: its state, the pages that show it, and the work that they ask for."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from diffusionrig.editing.controls import edited_code
from diffusionrig.editing.presets import Preset
from diffusionrig.editing.request import Result
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.backends import FaceFinder, make_finder
from diffusionrig.io.jpeg import jpeg_bytes
from diffusionrig.studio.drawing import QUALITY, Asked, Cancelled, draw, on_screen, preview, to_take_away
from diffusionrig.studio.latest import Latest
from diffusionrig.studio.outbox import Outbox, framed
from diffusionrig.studio.panels import Panel, Receiver
from diffusionrig.studio.recipes import Origin
from diffusionrig.studio.sitting import Photograph, Sitting, open_photograph, sit, small, thumbnails
from diffusionrig.studio.state import State

Made = TypeVar("Made")

MOST_WAITING = 4
"""Photographs that may wait to be captured; further ones are refused."""

STEP = 96
"""Pixels of the picture of a step of the history."""

INSETS = ("rendered", "normal", "albedo", "confidence", "carried")


class Session:
    """All of it happens in the event loop but the work itself: pictures are made in one thread, previews in another, so that a
    slider does not wait for the network."""

    def __init__(self, rig: Rig, max_megapixels: float = 100.0, origin: Origin | None = None) -> None:
        self.rig, self.max_megapixels, self.origin = rig, max_megapixels, origin or Origin()
        self._called = Path(self.origin.model_path).name or "default"
        self.state = State()
        self.inset = INSETS[0]
        self._pages: list[Outbox] = []
        self._hand = ThreadPoolExecutor(1, "studio-draw")
        self._quick = ThreadPoolExecutor(1, "studio-preview")
        self._capturing, self._waiting = asyncio.Lock(), 0
        self._finder: FaceFinder | None = None
        self.previews: Latest[int] = Latest(self._preview)
        self.drawings: Latest[int] = Latest(self._draw)
        self._cancelled = threading.Event()
        self._drawn: tuple[Asked, Result] | None = None
        self._seen: tuple[Preset, np.ndarray] | None = None
        self._frames: dict[str, bytes] = {}
        self.panels: list[Panel] = []
        self.receiver: Receiver | None = None

    # Pages.

    def open(self, page: Outbox) -> None:
        """A page comes, or comes back: it is told everything."""
        self._pages.append(page)
        page.tell(self._whole())
        page.tell(self._past())
        for panel in self.panels:
            for message in panel.whole():
                page.tell(message)
        for kind, frame in self._frames.items():
            page.show(kind, frame)

    def close(self, page: Outbox) -> None:
        """A page has gone; what it asked for goes on, for when it is loaded again."""
        self._pages.remove(page)

    def tell(self, message: dict[str, Any]) -> None:
        """Tell every page."""
        for page in self._pages:
            page.tell(message)

    def show(self, kind: str, frame: bytes) -> None:
        """Hand a framed picture to every page, and to those that come before there is another of its kind."""
        self._frames[kind] = frame
        for page in self._pages:
            page.show(kind, frame)

    def _whole(self) -> dict[str, Any]:
        return {"type": "state", "inset": self.inset, **self.state.to_json()}

    def _past(self) -> dict[str, Any]:
        return {"type": "history", "photo": self.state.photo_number, **self.state.history.to_json()}

    def _tell_all(self) -> None:
        self.tell(self._whole())
        self.tell(self._past())

    def _show(self, kind: str, number: int, revision: int, nothing: bool, parts: list[bytes]) -> None:
        """Hand a picture to every page; where ``nothing`` was asked for, they have the photograph itself, which is finer."""
        header = {"kind": kind, "n": number, "revision": revision, "photo": self.state.photo_number, "nothing": nothing}
        self.show(kind, framed(header, parts))

    # Photographs.

    async def photograph(self, data: bytes, name: str) -> None:
        """Open the photograph in ``data`` and capture its largest face; RigError when that is not possible."""
        await self._capture(lambda: sit(self.rig, self._open(data, name)), self._seat)

    async def face(self, number: int) -> None:
        """Go over to another face of the photograph."""
        sitting = self.seated()
        await self._capture(lambda: sit(self.rig, sitting.photograph, number), self._seat)

    async def second(self, data: bytes, name: str) -> None:
        """Open a second photograph, to take from."""
        await self._capture(lambda: sit(self.rig, self._open(data, name), profiles=True), self._seat_target)

    def no_second(self) -> None:
        """Take from no second photograph any more."""
        self._seat_target(None)

    def thumbnails(self) -> list[bytes]:
        """JPEGs of the photograph's faces."""
        return [jpeg_bytes(image, QUALITY) for image in thumbnails(self.seated().photograph)]

    def _open(self, data: bytes, name: str) -> Photograph:
        if self._finder is None:
            self._finder = make_finder()
        return open_photograph(data, name, self._finder, self.max_megapixels)

    async def _capture(self, work: Callable[[], Sitting], then: Callable[[Sitting], None]) -> None:
        if self._waiting >= MOST_WAITING:
            raise UsageError("Several photographs are being opened already; wait for these.")
        self._waiting += 1
        try:
            async with self._capturing:
                then(await self._in(self._hand, work))
        finally:
            self._waiting -= 1

    def _seat(self, sitting: Sitting) -> None:
        self.cancel()
        self.previews.forget()
        self._frames.clear()
        self._drawn = self._seen = None
        self.state.seat(sitting)
        self._tell_all()
        self.previews.offer(0)

    def _seat_target(self, sitting: Sitting | None) -> None:
        self.state.seat_target(sitting)
        self.tell(self._whole())
        self.redraw()

    # Models.

    async def use(self, load: Callable[[], tuple[Rig, Origin, str]]) -> None:
        """Draw with another model, called as ``load`` says last, from here on. The photographs sit for it anew, and the edits stay.
        RigError, and the model stays, when that is not possible."""
        def seated() -> tuple[Rig, Origin, str, Sitting | None, Sitting | None]:
            rig, origin, called = load()
            sitting, target = (before and sit(rig, before.photograph, before.number, profiles)
                               for before, profiles in ((self.state.sitting, False), (self.state.target, True)))
            return rig, origin, called, sitting, target

        async with self._capturing:
            self.cancel()
            self.rig, self.origin, self._called, sitting, target = await self._in(self._hand, seated)
            self._drawn = self._seen = None
            self._frames.clear()
            self.state.reseat(sitting, target)
            self.tell({"type": "model", **self.model()})
            self.tell(self._whole())
            if self.state.sitting is not None:
                self.redraw()

    def model(self) -> dict[str, Any]:
        """What the page says of the model."""
        rig = self.rig
        return {"name": self._called, "size": rig.size, "consent": rig.consent,
                "hash": rig.pretrained.hash}

    # Edits.

    def edit(self, preset: Preset, number: int) -> None:
        """Show what ``preset`` asks for; ``number`` comes back with the picture."""
        self.cancel()
        self.state.ask(preset)
        self.previews.offer(number)

    def settle(self) -> None:
        """Keep what is asked for now as a step of the history."""
        self.state.history.commit(self.state.preset)
        self._depict()
        self._tell_all()

    def step(self, by: int) -> None:
        """Undo (-1) or redo (1)."""
        self._return_to(self.state.history.move(by))

    def go_to(self, number: int) -> None:
        """Go to a step of the history; UsageError when there is none of that number."""
        self._return_to(self.state.history.go_to(number))

    def _return_to(self, preset: Preset) -> None:
        self.state.ask(preset)
        self._tell_all()
        self.redraw()

    def _depict(self) -> bool:
        """Give the step that is shown its small picture, once it has been seen; whether that was now."""
        step = self.state.history.now
        if step.picture is not None or self._seen is None or self._seen[0] != step.preset:
            return False
        step.picture = jpeg_bytes(small(self._seen[1], STEP), QUALITY)
        return True

    def load(self, preset: Preset) -> None:
        """Take over a preset; UsageError when this face cannot be edited so."""
        sitting, target = self.seated(), self.state.target
        tried = dataclasses.replace(self.state, preset=preset).edit()
        edited_code(sitting.prepared.faces.code, None if target is None else target.prepared.faces.code, tried, self.rig.head)
        self.state.ask(preset)
        self.settle()
        self.redraw()

    def reseed(self, seed: int) -> None:
        """Draw from another seed."""
        self.state.seed, self.state.revision = seed, self.state.revision + 1
        self.tell(self._whole())
        self.redraw()

    def look(self, inset: str) -> None:
        """Show another buffer beside the picture."""
        if inset not in INSETS:
            raise UsageError(f"There is no buffer {inset[:40]!r}; choose from {', '.join(INSETS)}.")
        self.inset = inset
        self.previews.offer(0)

    def redraw(self) -> None:
        """Preview and picture anew, as after a slider rests."""
        self.cancel()
        self.previews.offer(0)
        self.drawings.offer(0)

    def cancel(self) -> None:
        """Stop drawing what is being drawn, and drop what waits."""
        self.drawings.forget()
        self._cancelled.set()

    # Files to take away.

    def asked(self) -> Asked:
        """What is asked for now; UsageError without a photograph."""
        return Asked(self.seated(), self.state.target, self.state.edit(), self.state.seed)

    async def picture(self) -> bytes:
        """PNG of the photograph with the edit in it, in its own resolution."""
        asked, rig = self.asked(), self.rig
        drawn = self._drawn
        if drawn is None or drawn[0] != asked:
            drawn = asked, await self._in(self._hand, draw, rig, asked, threading.Event(), lambda: None)
            if rig is self.rig:
                self._drawn = drawn
        return await self._in(self._hand, to_take_away, rig, *drawn)

    async def shut(self) -> None:
        """Let the panels and the threads end."""
        self.cancel()
        for panel in self.panels:
            await panel.shut()
        self._hand.shutdown(wait=False, cancel_futures=True)
        self._quick.shutdown(wait=False, cancel_futures=True)

    # Work.

    def seated(self) -> Sitting:
        """The face that is edited; UsageError without a photograph."""
        if self.state.sitting is None:
            raise UsageError("No photograph is open yet; drop one into the page.")
        return self.state.sitting

    async def _preview(self, number: int) -> None:
        async def work() -> None:
            asked, photo, revision = self.asked(), self.state.photo_number, self.state.revision
            preset, rig = self.state.preset, self.rig
            image, *parts = await self._in(self._quick, preview, rig, asked, self.inset)
            if photo == self.state.photo_number and rig is self.rig:
                self._seen = preset, image
                self._show("preview", number, revision, asked.edit.nothing, parts)
                if self._depict():
                    self.tell(self._past())

        await self._reporting("edit", work)

    async def _draw(self, number: int) -> None:
        async def work() -> None:
            asked, photo, revision = self.asked(), self.state.photo_number, self.state.revision
            cancelled, rig = threading.Event(), self.rig
            self._cancelled = cancelled
            total, done, loop = rig.calls(Sampling(seed=asked.seed)), 0, asyncio.get_running_loop()

            def called() -> None:
                nonlocal done
                done += 1
                loop.call_soon_threadsafe(self.tell, {"type": "progress", "done": done, "total": total})

            self.tell({"type": "progress", "done": 0, "total": total})
            try:
                result = await self._in(self._hand, draw, rig, asked, cancelled, called)
                shown = await self._in(self._hand, on_screen, asked, result)
                if photo == self.state.photo_number and rig is self.rig and not cancelled.is_set():
                    self._drawn = asked, result
                    self._show("result", number, revision, asked.edit.nothing, [shown])
            except Cancelled:
                pass
            finally:
                self.tell({"type": "progress", "done": total, "total": total, "ended": True})

        await self._reporting("draw", work)

    async def _reporting(self, where: str, work: Callable[[], Awaitable[None]]) -> None:
        """Errors become a sentence beside what caused them."""
        try:
            await work()
        except RigError as error:
            self.tell({"type": "error", "where": where, "text": str(error)})
        except Exception as error:  # a fault of ours must not end the studio, nor be hidden
            print(f"diffusionrig studio: {type(error).__name__}: {error}", file=sys.stderr)
            self.tell({"type": "error", "where": where, "text": f"This failed ({type(error).__name__}: {error})."})

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[..., Made], *arguments: Any) -> Made:
        return await asyncio.get_running_loop().run_in_executor(pool, functools.partial(work, *arguments))
