"""Writing: what becomes of each result of a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.editing import conditions
from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.contact_sheets import ContactSheets
from diffusionrig.editing.controls import RECONSTRUCTION
from diffusionrig.editing.order import Order
from diffusionrig.editing.photographs import Cut, whole_picture
from diffusionrig.editing.planning import Planned
from diffusionrig.editing.pretrained import Pretrained
from diffusionrig.editing.provenance import write_edited
from diffusionrig.editing.request import Result
from diffusionrig.editing.sides import Read, Side
from diffusionrig.errors import RigError
from diffusionrig.io.files import make_folder
from diffusionrig.io.images import read_image, write_png
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import to_uint8

BUFFERS, PASTED = "buffers", "pasted"
COLUMNS = {conditions.BUFFERS: ("source", "target", "rendered", "normal", "albedo", "result"),
           conditions.REFERENCE: ("source", "target", "carried", "confidence", "rendered", "result")}
"""Of the contact sheets, by the condition of the model."""
BLANK = 245

_RANGES = {"rendered": (0, 1), "normal": (-1, 1), "albedo": (0, 1)}
PICTURES = (*_RANGES, "carried", "confidence")
"""Of what a result was drawn from, by name."""


class Outputs:
    """The output folder of a run: pictures, whole photographs, buffers, contact sheets. Nothing of a picture is held beyond its
    contact sheet; ``entries`` is what the report says about each."""

    def __init__(self, order: Order, model: Pretrained, target: Side | None, read_target: Read) -> None:
        self.order, self.model_hash, self.target, self._read_target = order, model.hash, target, read_target
        self.folder = Path(order.output_dir)
        self.entries: list[dict[str, Any]] = []
        self.sheets = ContactSheets(self.folder, COLUMNS[model.condition])
        self._aim: tuple[int, np.ndarray] | None = None
        self._photo: tuple[Path, np.ndarray] | None = None

    @property
    def edits(self) -> int:
        """How many edits were written."""
        return sum(entry["mode"] != RECONSTRUCTION for entry in self.entries)

    def written(self, cut: Cut) -> str:
        """A word of ``order.OUTPUTS``: what is written of a source that lies there."""
        if self.order.paste_back is not None:
            return "both"
        return self.order.output or ("photo" if cut.whole else "aligned")

    def add(self, planned: Planned, result: Result, source: Side) -> None:
        """Write one result, whose source is a row of ``source``."""
        edit, row = planned.request.edit, planned.request.source
        details: dict[str, Any] = {"seed": self.order.sampling.seed, **edit.record()}
        assert source.faces is not None
        shown = to_uint8(source.faces.images[row].cpu().numpy(), -1, 1)
        entry, cut = self._entry(planned, source), source.cuts[row]
        kind = self.written(cut)
        if kind != "photo":
            write_edited(self.folder / planned.file, result.image, model_hash=self.model_hash, mode=edit.name, **details)
        if kind != "aligned" and edit.name != RECONSTRUCTION:
            name = planned.file if kind == "photo" else f"{PASTED}/{planned.file}"
            self._write_whole(name, planned, result, source.faces[row], cut, details)
            entry.update({"photo": str(cut.photo)} if kind == "photo" else {"pasted": name})
        if result.lenders:
            entry["lenders"] = result.lenders
        pictures = buffer_pictures(result)
        if self.order.save_buffers:
            entry["buffers"] = self._write_buffers(planned.file, pictures)
        self.entries.append(entry)
        pictures.update(source=shown, target=self._target_picture(planned.request.target, result.image), result=result.image)
        self.sheets.add([pictures[name] for name in self.sheets.columns], planned.file.removesuffix(".png"))

    def _entry(self, planned: Planned, source: Side) -> dict[str, Any]:
        request = planned.request
        entry: dict[str, Any] = {"file": planned.file, "mode": request.edit.name}
        for word, side, row in (("source", source, request.source), ("target", self.target, request.target)):
            known = None if side is None or row is None else side.face(row)
            entry[word], entry[f"{word}_confidence"] = (None, None) if known is None else known
        return entry

    def _write_whole(self, name: str, planned: Planned, result: Result, source: Analysis, cut: Cut,
                     details: dict[str, Any]) -> None:
        """The whole photograph with the result in it, as ``name`` within the output folder."""
        if self._photo is None or self._photo[0] != cut.photo:
            self._photo = cut.photo, read_image(cut.photo, self.order.max_megapixels)
        path = self.folder / name
        make_folder(path.parent)
        write_edited(path, whole_picture(cut, self._photo[1], result, source), model_hash=self.model_hash,
                     mode=planned.request.edit.name, **details, photo=cut.photo.name)

    def _write_buffers(self, name: str, buffers: dict[str, np.ndarray]) -> dict[str, str]:
        place = make_folder(self.folder / BUFFERS)
        files = {}
        for kind, image in buffers.items():
            files[kind] = f"{BUFFERS}/{name.removesuffix('.png')}_{kind}.png"
            write_png(place.parent / files[kind], image)
        return files

    def _target_picture(self, row: int | None, like: np.ndarray) -> np.ndarray:
        """A target in the size of ``like``, read again where it is needed: held, 10,000 of them would fill the memory."""
        blank = np.full_like(like, BLANK)
        if self.target is None or row is None:
            return blank
        if self._aim is None or self._aim[0] != row:
            try:
                picture = resize_square(self._read_target(self.target.paths[row])[0], like.shape[0])
            except RigError:  # gone since it was captured, which is no reason to end the run
                picture = blank
            self._aim = row, picture
        return self._aim[1]


def buffer_pictures(result: Result, names: Collection[str] = PICTURES) -> dict[str, np.ndarray]:
    """What a result was drawn from, as pictures, those of ``names`` that there are: rendered and albedo clipped to 0..1, normals
    from -1..1; the carried photograph and its confidence, white where it is full, where there are any."""
    found = {name: (getattr(result.buffers, name)[0], bounds) for name, bounds in _RANGES.items()}
    if result.carried is not None:
        found["carried"] = result.carried.picture[0], (-1, 1)
        found["confidence"] = result.carried.confidence[0].expand(3, -1, -1), (0, 1)
    return {name: to_uint8(tensor.cpu().numpy(), *bounds) for name, (tensor, bounds) in found.items() if name in names}
