"""Writing: what becomes of each result of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.editing.contact_sheets import ContactSheets
from diffusionrig.editing.controls import RECONSTRUCTION
from diffusionrig.editing.order import Order
from diffusionrig.editing.photographs import Cut, in_photograph
from diffusionrig.editing.planning import Planned
from diffusionrig.editing.provenance import write_edited
from diffusionrig.editing.request import Result
from diffusionrig.editing.sides import Side
from diffusionrig.errors import RigError
from diffusionrig.io.files import make_folder
from diffusionrig.io.images import read_image, write_png
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import to_uint8

BUFFERS, PASTED = "buffers", "pasted"
COLUMNS = ("source", "target", "rendered", "normal", "albedo", "result")
BLANK = 245


class Outputs:
    """The output folder of a run: pictures, whole photographs, buffers, contact sheets. Nothing of a picture is held beyond its
    contact sheet; ``entries`` is what the report says about each."""

    def __init__(self, order: Order, model_hash: str, target: Side | None) -> None:
        self.order, self.model_hash, self.target = order, model_hash, target
        self.folder = Path(order.output_dir)
        self.entries: list[dict[str, Any]] = []
        self.sheets = ContactSheets(self.folder, COLUMNS)
        self._aim: tuple[int, np.ndarray] | None = None

    @property
    def edits(self) -> int:
        """How many edits were written."""
        return sum(entry["mode"] != RECONSTRUCTION for entry in self.entries)

    def add(self, planned: Planned, result: Result, source: Side) -> None:
        """Write one result, whose source is a row of ``source``."""
        edit, row = planned.request.edit, planned.request.source
        details = {"seed": self.order.sampling.seed, "strength": edit.strength, "sliders": dict(edit.sliders)}
        assert source.faces is not None
        shown = to_uint8(source.faces.images[row].cpu().numpy(), -1, 1)
        entry = self._entry(planned, source)
        write_edited(self.folder / planned.file, result.image, model_hash=self.model_hash, mode=edit.name, **details)
        if self.order.paste_back is not None and edit.name != RECONSTRUCTION:
            entry["pasted"] = self._write_pasted(planned, result.image, shown, source.cuts[row], details)
        if result.lenders:
            entry["lenders"] = result.lenders
        buffers = _buffer_images(result)
        if self.order.save_buffers:
            entry["buffers"] = self._write_buffers(planned.file, buffers)
        self.entries.append(entry)
        self.sheets.add([shown, self._target_picture(planned.request.target, result.image), *buffers.values(), result.image],
                        planned.file.removesuffix(".png"))

    def _entry(self, planned: Planned, source: Side) -> dict[str, Any]:
        request = planned.request
        entry: dict[str, Any] = {"file": planned.file, "mode": request.edit.name}
        for word, side, row in (("source", source, request.source), ("target", self.target, request.target)):
            known = None if side is None or row is None else side.face(row)
            entry[word], entry[f"{word}_confidence"] = (None, None) if known is None else known
        return entry

    def _write_pasted(self, planned: Planned, image: np.ndarray, source: np.ndarray, cut: Cut, details: dict[str, Any]) -> str:
        """The whole photograph with the result in it, beside the aligned results; its name within the output folder."""
        whole = in_photograph(cut, image, source, self.order.max_megapixels)
        write_edited(make_folder(self.folder / PASTED) / planned.file, whole, model_hash=self.model_hash,
                     mode=planned.request.edit.name, **details, photo=cut.photo.name)
        return f"{PASTED}/{planned.file}"

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
                picture = resize_square(read_image(self.target.paths[row], self.order.max_megapixels), like.shape[0])
            except RigError:  # gone since it was captured, which is no reason to end the run
                picture = blank
            self._aim = row, picture
        return self._aim[1]


def _buffer_images(result: Result) -> dict[str, np.ndarray]:
    """Buffers as pictures: rendered and albedo clipped to 0..1, normals from -1..1."""
    ranges = {"rendered": (0, 1), "normal": (-1, 1), "albedo": (0, 1)}
    return {name: to_uint8(getattr(result.buffers, name)[0].cpu().numpy(), *bounds) for name, bounds in ranges.items()}
