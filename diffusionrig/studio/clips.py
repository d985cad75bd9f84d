"""The panels of clips: what drives the face, and the speaker whom it listens to. Addresses and messages of both."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from diffusionrig.errors import UsageError
from diffusionrig.studio.answering import as_file, file_name, told
from diffusionrig.studio.clips_desk import Desk, Workshop
from diffusionrig.studio.clips_driven import Driver, DriveWish, Setting, drive_wish
from diffusionrig.studio.clips_file import Limits
from diffusionrig.studio.clips_listener import FPS, Listening, ListenWish, listen_wish
from diffusionrig.studio.session import Session


class Clips:
    """See ``panels.Panel``."""

    def __init__(self, session: Session, listener: str = "") -> None:
        """``listener`` is a model or run of a generator of reactions, "" for the shipped one."""
        self._session, self._shop = session, Workshop()
        limits = Limits(megapixels=session.max_megapixels)
        self._driver, self._listening = Driver(), Listening(listener)
        self.desks = {"clip": Desk("clip", session, self._shop, limits, DriveWish()),
                      "listener": Desk("listener", session, self._shop, limits, ListenWish(), FPS)}

    def routes(self, most_upload: int) -> Sequence[BaseRoute]:
        place = "/api/desk/{kind}"
        return [Route(place, told(self._take), methods=["POST"]), Route(f"{place}/first.jpg", told(self._first)),
                Route(f"{place}/video.mp4", told(self._video)), Route(f"{place}/beside", told(self._beside))]

    def whole(self) -> Sequence[dict[str, Any]]:
        return [desk.to_json() for desk in self.desks.values()]

    async def obey(self, message: dict[str, Any]) -> bool:
        if message.get("type") != "desk":
            return False
        desk = self._desk(str(message.get("kind")))
        match message.get("do"):
            case "draw":
                self._begin(desk, message.get("wish"))
            case "cancel":
                desk.cancel()
            case "remove":
                desk.remove()
            case other:
                raise UsageError(f"A clip cannot be asked to {str(other)[:40]!r}.")
        return True

    async def shut(self) -> None:
        self._shop.shut()

    def _begin(self, desk: Desk, value: Any) -> None:
        if not isinstance(value, dict):
            raise UsageError("A clip is drawn by a wish, which is a JSON object.")
        session, state = self._session, self._session.state
        setting = Setting(session.rig, session.origin, state.preset, state.seed)
        if desk.kind == "listener":
            heard = listen_wish(value)
            desk.begin(heard, functools.partial(self._listening, wish=heard, setting=setting))
            return
        wish = drive_wish(value)
        wish.edit(state.preset)  # what makes no sense is said before anything begins
        desk.begin(wish, functools.partial(self._driver, wish=wish, setting=setting))

    def _desk(self, kind: str) -> Desk:
        if kind not in self.desks:
            raise UsageError(f"There is no desk {kind[:40]!r}.")
        return self.desks[kind]

    async def _take(self, request: Request) -> Response:
        """A clip, as the body."""
        said = request.headers.get("content-length", "0")
        length = int(said[:15]) if said.isdecimal() else 0
        await self._desk(request.path_params["kind"]).take(file_name(request), request.stream(), length)
        return JSONResponse({})

    async def _first(self, request: Request) -> Response:
        """The clip's first picture."""
        file = self._desk(request.path_params["kind"]).file
        if file is None:
            raise UsageError("There is no clip.")
        return Response(file.first, media_type="image/jpeg")

    async def _video(self, request: Request) -> Response:
        """The video that was drawn, to be played or, with ``keep``, to be taken away."""
        made = self._desk(request.path_params["kind"]).required()
        headers = as_file(made.path.name) if "keep" in request.query_params else {}
        return FileResponse(made.path, media_type="video/mp4", headers=headers)

    async def _beside(self, request: Request) -> Response:
        """A further file of that ``name``."""
        made, name = self._desk(request.path_params["kind"]).required(), request.query_params.get("name", "")
        path = next((path for path in made.beside if path.name == name), None)
        if path is None:
            raise UsageError(f"There is no file {name[:40]!r}.")
        return FileResponse(path, headers=as_file(path.name))
