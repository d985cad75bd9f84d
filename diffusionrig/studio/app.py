"""The addresses of the studio: the page and its files, photographs in, pictures out, and the socket in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from pathlib import Path, PurePosixPath
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from diffusionrig.editing.presets import MOST_BYTES, preset_from
from diffusionrig.errors import UsageError
from diffusionrig.io.assets import asset_path
from diffusionrig.io.files import read_bytes
from diffusionrig.io.jpeg import jpeg_bytes
from diffusionrig.studio.answering import as_file, body_of, file_name, told
from diffusionrig.studio.drawing import QUALITY
from diffusionrig.studio.guard import Guard
from diffusionrig.studio.messages import obey, receive
from diffusionrig.studio.outbox import Outbox
from diffusionrig.studio.recipes import command_line, python_lines
from diffusionrig.studio.session import INSETS, Session
from diffusionrig.studio.sliders import sliders

STATIC = Path(__file__).with_name("static")
EXAMPLE = "portrait.jpg"
MOST_UPLOAD = 80_000_000
"""Bytes of a photograph that is handed over."""


def make_app(session: Session, token: str, port: int, most_upload: int = MOST_UPLOAD) -> Starlette:
    """The studio as an ASGI application that answers below ``/TOKEN/`` to requests for this machine's ``port``."""
    answers = Answers(session, most_upload)
    routes: list[BaseRoute] = [
        Route("/", page), Mount("/static", StaticFiles(directory=STATIC)), WebSocketRoute("/socket", answers.socket),
        Route("/api/about", answers.about), Route("/api/photo", told(answers.photo), methods=["POST"]),
        Route("/api/second", told(answers.second), methods=["POST"]),
        Route("/api/example", told(answers.example), methods=["POST"]),
        Route("/api/preset", told(answers.load_preset), methods=["POST"]), Route("/api/preset.json", told(answers.save_preset)),
        Route("/api/photo.jpg", told(answers.screen)), Route("/api/second.jpg", told(answers.second_screen)),
        Route("/api/face.jpg", told(answers.face)), Route("/api/step.jpg", told(answers.step)),
        Route("/api/picture.png", told(answers.picture)),
        Route("/api/recipe", told(answers.recipe))]
    for panel in session.panels:
        routes.extend(panel.routes(most_upload))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        yield
        await session.shut()

    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token, port=port)], lifespan=lifespan)


async def page(request: Request) -> Response:
    """The page itself."""
    return FileResponse(STATIC / "index.html")


class Answers:
    """What each address answers."""

    def __init__(self, session: Session, most_upload: int) -> None:
        self.session, self.most_upload = session, most_upload

    async def about(self, request: Request) -> Response:
        """What a page needs to know before all else: sliders, buffers, the model."""
        return JSONResponse({"sliders": sliders(), "insets": INSETS, "model": self.session.model(),
                             "most_upload": self.most_upload})

    async def photo(self, request: Request) -> Response:
        """A photograph, as the body."""
        await self.session.photograph(await body_of(request, self.most_upload), file_name(request))
        return JSONResponse({})

    async def second(self, request: Request) -> Response:
        """A second photograph, as the body."""
        await self.session.second(await body_of(request, self.most_upload), file_name(request))
        return JSONResponse({})

    async def example(self, request: Request) -> Response:
        """Open the portrait that comes with the package."""
        await self.session.photograph(read_bytes(asset_path(EXAMPLE)), EXAMPLE)
        return JSONResponse({})

    async def load_preset(self, request: Request) -> Response:
        """Take over a preset, as the body."""
        body = await body_of(request, MOST_BYTES)
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file_name(request)} is not valid JSON ({error}); save the preset again.") from error
        self.session.load(preset_from(value, file_name(request)))
        return JSONResponse({})

    async def save_preset(self, request: Request) -> Response:
        """What is asked for, as a file that ``edit --set @FILE`` takes."""
        text = json.dumps(self.session.state.preset.to_json(), indent=2) + "\n"
        return Response(text, media_type="application/json", headers=as_file("preset.json"))

    async def screen(self, request: Request) -> Response:
        """The photograph as the screen shows it."""
        return await self._jpeg(self.session.asked().sitting.screen)

    async def second_screen(self, request: Request) -> Response:
        """The second photograph."""
        target = self.session.state.target
        if target is None:
            raise UsageError("There is no second photograph.")
        return await self._jpeg(target.screen)

    async def face(self, request: Request) -> Response:
        """One of the photograph's faces, small, by its ``number`` from 1."""
        faces = await asyncio.to_thread(self.session.thumbnails)
        word = request.query_params.get("number", "1")
        if not word.isdecimal() or not 1 <= int(word[:9]) <= len(faces):
            raise UsageError(f"There is no face {word[:20]!r}.")
        return Response(faces[int(word) - 1], media_type="image/jpeg")

    async def step(self, request: Request) -> Response:
        """What a step of the history looked like, small, by its ``number``."""
        word = request.query_params.get("number", "")
        picture = self.session.state.history.step(int(word[:9]) if word.isdecimal() else -1).picture
        if picture is None:
            raise UsageError(f"Step {word[:20]!r} has not been seen yet.")
        return Response(picture, media_type="image/jpeg")

    async def picture(self, request: Request) -> Response:
        """The edited photograph in its own resolution."""
        name = PurePosixPath(self.session.asked().sitting.photograph.name).stem
        return Response(await self.session.picture(), media_type="image/png", headers=as_file(f"{name}-edited.png"))

    async def recipe(self, request: Request) -> Response:
        """How to make the same picture without the page."""
        asked = self.session.asked()
        words = asked.sitting, asked.target, asked.edit, asked.seed, self.session.origin
        return JSONResponse({"command": command_line(*words), "python": python_lines(*words)})

    async def socket(self, socket: WebSocket) -> None:
        """An open page: its messages in, everything it is to show out."""
        await socket.accept()
        outbox = Outbox(socket)

        async def until_gone(work: Awaitable[None]) -> None:
            # A page that has gone cannot be told so.
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await work
            both.cancel_scope.cancel()

        self.session.open(outbox)
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(until_gone, outbox.deliver())
                both.start_soon(until_gone, self._listen(socket, outbox))
        finally:
            self.session.close(outbox)
            if self.session.receiver is not None:
                self.session.receiver.left(outbox)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()

    async def _listen(self, socket: WebSocket, outbox: Outbox) -> None:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            data = message.get("bytes")
            if data is None:
                await obey(self.session, outbox, message.get("text") or "")
            else:
                await receive(self.session, outbox, data)

    @staticmethod
    async def _jpeg(image: Any) -> Response:
        return Response(await asyncio.to_thread(jpeg_bytes, image, QUALITY), media_type="image/jpeg")

