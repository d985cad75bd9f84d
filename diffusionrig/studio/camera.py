"""The panel of the camera: a page's frames come through its socket, and go back drawn in the chosen person, the latest first."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute

from diffusionrig.editing.composites import Pairs
from diffusionrig.editing.presets import KIND, preset_from
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.images import decode_image
from diffusionrig.studio.camera_face import CameraFace
from diffusionrig.studio.outbox import Outbox, framed, unframed
from diffusionrig.studio.session import Session
from diffusionrig.studio.sitting import Sitting

MOST_MEGAPIXELS = 2.0
"""Of a camera's frame: no more is seen of larger ones."""

KNOWN = 64
"""Frames whose numbers are remembered until they are drawn; at most a few wait."""


class Camera:
    """See ``panels.Receiver``. One page's camera at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._taken: Pairs = (("pose", 1.0), ("exp", 1.0))
        self._page: Outbox | None = None
        self._face: CameraFace | None = None
        self._numbers: dict[int, int] = {}
        self._ending: asyncio.Task[None] | None = None

    def routes(self, most_upload: int) -> Sequence[BaseRoute]:
        return []

    def whole(self) -> Sequence[dict[str, Any]]:
        return [self._state()]

    async def obey(self, message: dict[str, Any]) -> bool:
        if message.get("type") != "camera":
            return False
        match message.get("do"):
            case "wish":
                self._taken = preset_from({"kind": KIND, "take": message.get("take")}, "the camera").taken
            case "rest":
                if self._face is not None:
                    self._face.rest()
            case "stop":
                await self._stop()
            case other:
                raise UsageError(f"The camera cannot be asked to {str(other)[:40]!r}.")
        return True

    async def receive(self, page: Outbox, data: bytes) -> None:
        """A frame of the ``page``'s camera: a message of ``outbox.framed`` with its number ``n`` and one JPEG. It is answered when
        the next may come, and drawn later, or never when newer ones come."""
        number, jpeg = _frame(data)
        if self._page not in (None, page):
            raise UsageError("The camera of another page is being drawn; stop it there first.")
        sitting = self._session.seated()
        began, self._page = self._page is None, page
        if began:
            self._tell()
        try:
            image = await asyncio.to_thread(decode_image, jpeg, "The camera's frame", MOST_MEGAPIXELS)
            if self._face is None or not self._face.serves(sitting, self._taken):
                await self._end()
                self._face = await self._made(sitting, page)
            if self._page is not page:  # it was stopped meanwhile
                await self._stop()
                return
            self._face.ask(dataclasses.replace(self._session.state.preset, taken=self._taken).edit(True))
            place = self._face.offer(image)
        except RigError:
            await self._stop()
            raise
        except Exception as error:  # a fault of ours must not end the page's socket, nor be hidden
            print(f"diffusionrig studio: {type(error).__name__}: {error}", file=sys.stderr)
            await self._stop()
            raise RigError(f"This failed ({type(error).__name__}: {error}).") from error
        self._numbers[place] = number
        while len(self._numbers) > KNOWN:
            self._numbers.pop(next(iter(self._numbers)))
        page.tell({"type": "camera_taken", "n": number, "unseen": self._face.unseen})

    def left(self, page: Outbox) -> None:
        """A page has gone, and its camera with it."""
        if self._page is page:
            # A task of its own: that of the page's socket may be cancelled while the last picture is being drawn.
            self._ending = asyncio.get_running_loop().create_task(self._stop())

    async def shut(self) -> None:
        await self._stop()

    async def _made(self, sitting: Sitting, page: Outbox) -> CameraFace:
        """Another face; one that nobody waits for any more, since the page has gone, is ended at once."""
        loop = asyncio.get_running_loop()
        making = asyncio.ensure_future(asyncio.to_thread(CameraFace, self._session.rig, sitting, self._taken,
                                                         self._session.state.seed, self._sender(page)))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(lambda made: made.exception() or loop.run_in_executor(None, made.result().end))
            raise

    def _sender(self, page: Outbox) -> Any:
        """What takes pictures in the drawing's thread and hands them to the ``page``."""
        loop = asyncio.get_running_loop()

        def send(place: int, picture: bytes, doubt: str) -> None:
            loop.call_soon_threadsafe(self._send, page, place, picture, doubt)

        return send

    def _send(self, page: Outbox, place: int, picture: bytes, doubt: str) -> None:
        if self._page is page:
            page.show("camera", framed({"kind": "camera", "n": self._numbers.get(place, -1), "doubt": doubt}, [picture]))

    async def _stop(self) -> None:
        """Draw no camera any more."""
        running, self._page = self._page is not None, None
        await self._end()
        if running:
            self._tell()

    async def _end(self) -> None:
        face, self._face = self._face, None
        self._numbers.clear()
        if face is not None:
            await asyncio.to_thread(face.end)

    def _state(self) -> dict[str, Any]:
        return {"type": "camera", "take": dict(self._taken), "running": self._page is not None}

    def _tell(self) -> None:
        self._session.tell(self._state())


def _frame(data: bytes) -> tuple[int, bytes]:
    """Number and JPEG of a message; UsageError when it is none of a camera's."""
    try:
        header, parts = unframed(data)
        number = header["n"]
        if header["kind"] != "camera" or len(parts) != 1 or isinstance(number, bool) or not 0 <= number < 2**53:
            raise ValueError(header)
        return int(number), parts[0]
    except Exception as error:  # whatever a stranger's bytes break
        raise UsageError("A binary message was no frame of a camera.") from error
