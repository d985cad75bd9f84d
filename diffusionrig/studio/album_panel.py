"""The album panel: photographs of one person, what ``curate`` says of them, and a personal model trained in the background."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from diffusionrig.editing.conditions import REFERENCE
from diffusionrig.editing.rig import Rig
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import make_folder
from diffusionrig.io.jpeg import jpeg_bytes
from diffusionrig.studio.album_folder import MOST_CONSENT, MOST_UPDATES, AlbumFolder, albums_in, plain_name
from diffusionrig.studio.album_training import progress, store_of
from diffusionrig.studio.album_work import LOOK, TRAIN, AlbumWork, teacher_of
from diffusionrig.studio.answering import body_of, file_name, told
from diffusionrig.studio.drawing import QUALITY
from diffusionrig.studio.recipes import Origin
from diffusionrig.studio.session import Session
from diffusionrig.studio.sitting import small

ALBUMS = "albums"
THUMBNAIL = 200
"""Pixels of the longer side."""

MOST_REFUSED = 60
"""Refused photographs that are remembered, the last ones."""


class AlbumPanel:
    """``folder`` keeps the albums. ``session`` draws with their models when it is asked to, and with its first one again."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session, self.folder = session, folder / ALBUMS
        self.first = session.origin
        self.work = AlbumWork(teacher_of(session), self._tell)
        self.album: AlbumFolder | None = next(iter(albums_in(self.folder)), None)
        self.refused: list[dict[str, str]] = []
        self._receiving = asyncio.Lock()
        self._thumbnails: dict[tuple[str, str], bytes] = {}
        self._told: dict[str, Any] = {}

    # As a panel.

    def routes(self, most_upload: int) -> Sequence[BaseRoute]:
        """Photographs in, thumbnails out."""
        async def photograph(request: Request) -> Response:
            name = file_name(request)
            self.work.idle("add photographs")
            try:
                data = await body_of(request, most_upload)
                return JSONResponse({"new": await self.add(data, name)})
            except RigError as error:
                self._refuse(name, str(error))
                raise

        async def thumbnail(request: Request) -> Response:
            return Response(await self.thumbnail(request.query_params.get("file", "")), media_type="image/jpeg")

        async def use(request: Request) -> Response:
            await self.use(request.query_params.get("model", ""))
            return JSONResponse({})

        return [Route("/api/album/photo", told(photograph), methods=["POST"]), Route("/api/album/photo.jpg", told(thumbnail)),
                Route("/api/album/use", told(use), methods=["POST"])]

    def whole(self) -> Sequence[dict[str, Any]]:
        """The album as it is."""
        return [self._as_json()]

    async def obey(self, message: dict[str, Any]) -> bool:
        """new, open, look, remove, forget_refused, note, train and stop, each with ``album_`` before it."""
        acts: dict[str, Callable[[dict[str, Any]], None]] = {
            "album_new": self._new, "album_open": self._open, "album_look": self._look, "album_remove": self._remove,
            "album_forget_refused": self._forget_refused, "album_note": self._note, "album_train": self._train,
            "album_stop": self._stop}
        act = acts.get(str(message.get("type")))
        if act is None:
            return False
        act(message)
        self._tell()
        return True

    async def shut(self) -> None:
        """Stop what runs, cleanly."""
        await self.work.shut()

    # Photographs.

    async def add(self, data: bytes, name: str) -> bool:
        """Put a photograph into the album, or into a new one where there is none; False when it was there. RigError when it cannot
        be used."""
        async with self._receiving:
            if self.album is None:
                self._make(self._unused("My album"))
            assert self.album is not None
            new = await asyncio.to_thread(self.album.add, data, name, self.session.max_megapixels)
        self._tell()
        return new

    async def thumbnail(self, file: str) -> bytes:
        """JPEG of a photograph of the album, small."""
        album = self._required()
        key = (album.name, file)
        album.photograph(file)
        if key not in self._thumbnails:
            self._thumbnails[key] = await asyncio.to_thread(self._small, album, file)
        return self._thumbnails[key]

    def _small(self, album: AlbumFolder, file: str) -> bytes:
        return jpeg_bytes(small(album.picture(file, self.session.max_megapixels), THUMBNAIL), QUALITY)

    def _refuse(self, name: str, why: str) -> None:
        self.refused = [*(entry for entry in self.refused if entry["name"] != name), {"name": name, "why": why}][-MOST_REFUSED:]
        self._tell()

    def _forget_refused(self, message: dict[str, Any]) -> None:
        self.refused = []

    def _remove(self, message: dict[str, Any]) -> None:
        self.work.idle("take photographs out")
        album, file = self._required(), str(message.get("file"))
        album.remove(file)
        self._thumbnails.pop((album.name, file), None)

    # Albums.

    def _new(self, message: dict[str, Any]) -> None:
        self.work.idle("begin another album")
        name = plain_name(str(message.get("name", "")))
        if not name:
            raise UsageError("An album needs a name, such as that of the person.")
        if name.lower() in {album.name.lower() for album in albums_in(self.folder)}:
            raise UsageError(f"There is an album {name} already; choose it in the list, or choose another name.")
        self._make(name)

    def _make(self, name: str) -> None:
        album = AlbumFolder(make_folder(self.folder) / name)
        album.note = album.note
        self._go_to(album)

    def _open(self, message: dict[str, Any]) -> None:
        self.work.idle("open another album")
        name = str(message.get("name", ""))
        found = {album.name: album for album in albums_in(self.folder)}
        if name not in found:
            raise UsageError(f"There is no album {name[:60]!r} in {self.folder}.")
        self._go_to(found[name])

    def _go_to(self, album: AlbumFolder) -> None:
        self.album, self.refused, self.work.problem = album, [], ""
        self._thumbnails.clear()

    def _unused(self, name: str) -> str:
        taken = {album.name.lower() for album in albums_in(self.folder)}
        names = (name, *(f"{name} {number}" for number in range(2, len(taken) + 3)))
        return next(free for free in names if free.lower() not in taken)

    # Work.

    def _look(self, message: dict[str, Any]) -> None:
        self.work.idle("look at the album again")
        album = self._required()
        if not album.files():
            raise UsageError("This album has no photographs yet; drop some onto the page.")
        self.work.look(album)

    def _note(self, message: dict[str, Any]) -> None:
        album = self._required()
        if self.work.running in {"", LOOK}:
            album.note = dataclasses.replace(album.note, consent=_consent(message), updates=_updates(message))

    def _train(self, message: dict[str, Any]) -> None:
        self.work.idle("train")
        album, consent, updates = self._required(), _consent(message), _updates(message)
        if not consent:
            raise UsageError("Say first in what words the person in the photographs agreed to this; the model records it.")
        if not album.looked_at():
            raise UsageError("Not all photographs have been looked at; let the studio look at them first.")
        if not album.kept():
            raise UsageError("No photograph of this album can stay; add others.")
        album.note = dataclasses.replace(album.note, consent=consent, updates=updates)
        self.work.train(album)

    def _stop(self, message: dict[str, Any]) -> None:
        self.work.stop()

    async def use(self, model: str) -> None:
        """Let the page draw with a personal ``model``, which takes from its album as ``edit --album`` does, or with the first one
        ("")."""
        if model and model not in {str(path) for album in albums_in(self.folder) for path, _ in album.trained()}:
            raise UsageError(f"There is no model {model[-120:]!r} in {self.folder}.")
        await self.session.use(lambda: self._load(model))
        self._tell()

    def _load(self, model: str) -> tuple[Rig, Origin, str]:
        before, first = self.session.rig, self.first
        rig = Rig.from_pretrained(model or first.model_path or "default", device=str(before.device),
                                  encoder=first.use_model or None, base="" if model else first.base,
                                  precision=first.precision or "auto", compiled=before.compiled)
        if not model:
            return rig, first, Path(first.model_path).name or "default"
        store = store_of(Path(model))
        lends = rig.pretrained.condition == REFERENCE and store.is_dir()
        if lends:
            rig.use_album(store)
        origin = dataclasses.replace(first, model_path=model, base="", album=str(store) if lends else "")
        return rig, origin, Path(model).relative_to(self.folder).parts[0]

    # What is told.

    def _required(self) -> AlbumFolder:
        if self.album is None:
            raise UsageError("There is no album yet; drop photographs onto the page.")
        return self.album

    def _tell(self) -> None:
        value = self._as_json()
        if value != self._told:
            self._told = value
            self.session.tell(value)

    def _as_json(self) -> dict[str, Any]:
        albums, work = albums_in(self.folder), self.work
        value: dict[str, Any] = {
            "type": "album", "folder": str(self.folder), "albums": sorted(album.name for album in albums),
            "name": None if self.album is None else self.album.name, "refused": self.refused, "problem": work.problem,
            "running": work.running, "stopping": work.stopping, "using": self.session.origin.model_path,
            "first": self.first.model_path,
            "models": [{"path": str(path), "album": album.name, "updates": step, "store": str(store_of(path))}
                       for album in albums for path, step in album.trained()]}
        if self.album is not None:
            (verdicts, notes), note = self.album.verdicts(), self.album.note
            photographs = [(file, *verdicts.get(file, ("", ""))) for file in self.album.files()]
            value |= {"photographs": [{"file": file, "verdict": verdict, "why": why} for file, verdict, why in photographs],
                      "notes": notes, "consent": note.consent, "updates": note.updates, "looked": self.album.looked_at(),
                      "training": progress(self.album, note, work.running == TRAIN)}
        return value


def _consent(message: dict[str, Any]) -> str:
    """What is recorded about consent: one line."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(message.get("consent", "")))
    text = " ".join(words.split())
    if len(text) > MOST_CONSENT:
        raise UsageError(f"The statement of consent may have {MOST_CONSENT} letters, and has {len(text)}; shorten it.")
    return text


def _updates(message: dict[str, Any]) -> int:
    value = message.get("updates")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_UPDATES:
        raise UsageError(f"The number of updates must be a whole number from 1 to {MOST_UPDATES}.")
    return value
