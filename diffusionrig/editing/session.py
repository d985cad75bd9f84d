"""A whole editing run: sources x targets x modes in, pictures, contact sheets and a report out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig import __version__
from diffusionrig.editing.controls import RECONSTRUCTION, Edit
from diffusionrig.editing.photographs import Cut, cut_face, find_cuts, in_photograph
from diffusionrig.editing.provenance import write_edited
from diffusionrig.editing.rig import Analysis, Request, Result, Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.backends import make_finder
from diffusionrig.io.files import make_folder, read_json, write_json
from diffusionrig.io.images import find_images, read_image, write_png
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.progress import Progress, track

ROWS_PER_SHEET = 16
ALIGNED_SIZE = 256
PASTED = "pasted"
REPORT = "report.json"


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Photographs of one side of an edit, those that could be read, and what was wrong with the others.

    cuts  where each lies in a whole photograph; empty unless results are to go back there
    """

    paths: list[Path]
    arrays: list[np.ndarray]
    problems: list[dict[str, str]]
    cuts: list[Cut] = dataclasses.field(default_factory=list)


def list_pictures(path: str, what: str) -> list[Path]:
    """A file, or the sorted images of a folder; UsageError when there is none."""
    if not path:
        raise UsageError(f"No {what} was given; name a picture or a folder with --{what}.")
    place = Path(path)
    if place.is_dir():
        found = find_images(place, recursive=False)
        if not found:
            raise UsageError(f"The {what} folder {place} holds no images; align photographs into it first.")
        return found
    if not place.exists():
        raise UsageError(f"The {what} {place} does not exist; check --{what}.")
    return [place]


def read_pictures(paths: Sequence[Path], max_megapixels: float) -> Pictures:
    """Read what can be read; a damaged file is reported, not fatal."""
    kept, arrays, problems = [], [], []
    for path in paths:
        try:
            arrays.append(read_image(path, max_megapixels))
            kept.append(path)
        except RigError as error:
            problems.append({"file": str(path), "problem": str(error)})
    return Pictures(kept, arrays, problems)


def cut_faces(pictures: Pictures, size: int) -> Pictures:
    """The aligned face of every photograph; one without a face is reported, not fatal."""
    finder = make_finder()
    kept, arrays, cuts, problems = [], [], [], list(pictures.problems)
    for path, array in zip(pictures.paths, pictures.arrays):
        try:
            face, cut = cut_face(array, path, finder, size)
        except RigError as error:
            problems.append({"file": str(path), "problem": str(error)})
            continue
        kept.append(path)
        arrays.append(face)
        cuts.append(cut)
    return Pictures(kept, arrays, problems, cuts)


def analyse(rig: Rig, pictures: Pictures, encoder: str | None, batch_size: int, what: str) -> Analysis | None:
    """Capture pictures in batches; None when there are none."""
    parts = [rig.capture(pictures.arrays[start:start + batch_size], encoder)
             for start in track(range(0, len(pictures.arrays), batch_size), f"capture {what}", unit="batch")]
    return Analysis.concatenate(parts) if parts else None


def plan(sources: Analysis, targets: Analysis | None, edits: Sequence[Edit]) -> list[Request]:
    """Every source with every target in every mode, in the published order of outputs; faceless pictures are left out."""
    usable = [i for i in range(len(sources)) if bool(sources.found[i])]
    aims: list[int | None] = [None]
    if targets is not None:
        aims = [j for j in range(len(targets)) if bool(targets.found[j])]
    return [Request(i, j, edit) for i in usable for j in aims for edit in edits]


def _guard(folder: Path, request: dict[str, Any], overwrite: bool) -> None:
    """Refuse a folder that holds the results of another request."""
    if overwrite or not any(folder.glob("[0-9]*_*.png")):
        return
    if (folder / REPORT).is_file() and read_json(folder / REPORT).get("request") == request:
        return
    raise UsageError(f"{folder} already holds results of another edit; choose another --output_dir or --overwrite True.")


@dataclasses.dataclass(frozen=True)
class Order:
    """What an editing run is asked to do.

    ``source`` and ``target`` are a picture or a folder ("" for no target); ``limit`` caps the outputs; ``save_buffers``
    writes what each output was drawn from; ``notes`` is recorded in the report and is part of the request's identity.
    ``align_source`` says that sources are whole photographs, whose best face is cut out first. ``paste_back`` asks for results
    in the whole photographs too: the photograph or folder that the sources were cut from, "" for the sources themselves.
    """

    source: str
    target: str
    edits: Sequence[Edit]
    output_dir: str
    sampling: Sampling
    batch_size: int = 4
    source_model: str | None = None
    target_model: str | None = None
    max_megapixels: float = 100.0
    limit: int | None = None
    overwrite: bool = False
    save_buffers: bool = False
    align_source: bool = False
    paste_back: str | None = None
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def request(self, model_hash: str) -> dict[str, Any]:
        """What decides the pictures, as plain JSON values: equal requests give equal results."""
        whole = {"align_source": self.align_source, "paste_back": self.paste_back}
        asked = self.align_source or self.paste_back is not None
        return _plain({**self.notes, **(whole if asked else {}),
                       "model": model_hash, "source": self.source, "target": self.target,
                       "encoders": [self.source_model, self.target_model], "limit": self.limit,
                       "edits": [dataclasses.asdict(edit) for edit in self.edits],
                       "sampling": dataclasses.asdict(self.sampling.resolved())})


@dataclasses.dataclass(frozen=True)
class Side:
    """The pictures of one side and what was found in them."""

    pictures: Pictures
    faces: Analysis | None

    @property
    def problems(self) -> list[dict[str, str]]:
        missed = [] if self.faces is None else [
            {"file": str(path), "problem": self.faces.notes[i]} for i, path in enumerate(self.pictures.paths)
            if not bool(self.faces.found[i])]
        return self.pictures.problems + missed

    def require_face(self, what: str) -> Analysis:
        if self.faces is None or not bool(self.faces.found.any()):
            first = f" {self.problems[0]['file']}: {self.problems[0]['problem']}" if self.problems else ""
            raise RigError(f"None of the {what} pictures can be used.{first}")
        return self.faces


def run_session(rig: Rig, order: Order) -> dict[str, Any]:
    """Edit every source with every target and write the results; returns the report.

    Outputs are ``{index}_{mode}.png`` counted over all of them as in the published script, ``reconstruction_{i}.png`` per
    source, contact sheets and ``report.json``. Raises RigError when no picture could be edited.
    """
    source_paths = list_pictures(order.source, "source")
    target_paths = list_pictures(order.target, "target") if order.target else []
    folder = make_folder(order.output_dir)
    request = order.request(rig.pretrained.hash)
    _guard(folder, request, order.overwrite)
    began = time.monotonic()
    source, target = (_side(rig, pictures, model, order, what) for pictures, model, what in (
        (_source_pictures(source_paths, order, rig.size), order.source_model, "sources"),
        (read_pictures(target_paths, order.max_megapixels), order.target_model, "targets")))
    sources = source.require_face("source")
    targets = target.require_face("target") if target_paths else None
    edits = plan(sources, targets, order.edits)[:order.limit]
    used = sorted({item.source for item in edits})
    requests = [Request(i, None, Edit(RECONSTRUCTION)) for i in used] + edits
    entries: list[dict[str, Any]] = []
    rows: list[list[np.ndarray]] = []
    calls = len(requests) * rig.calls(order.sampling) + len(used) * rig.inversion_calls(order.sampling)
    with Progress(calls, "draw", "call") as progress:
        for result in rig.edit_many(sources, targets, requests, batch_size=order.batch_size, sampling=order.sampling,
                                    on_call=progress.update):
            entry = _entry(result.request, len(entries) - len(used), source, target)
            write_edited(folder / entry["file"], result.image, model_hash=rig.pretrained.hash, mode=entry["mode"],
                         **_details(result, order))
            if order.paste_back is not None and entry["mode"] != RECONSTRUCTION:
                entry["pasted"] = _write_pasted(rig, order, result, entry, sources, source.pictures.cuts[result.request.source])
            if order.save_buffers:
                entry["buffers"] = _write_buffers(folder, result, entry["file"])
            entries.append(entry)
            rows.append(_row(result, sources, targets))
    sheets = _write_sheets(folder, rows, [entry["file"].removesuffix(".png") for entry in entries])
    report = {"request": request, "software": f"diffusionrig {__version__}", "torch": torch.__version__,
              "model": {"hash": rig.pretrained.hash, "config": rig.pretrained.model.to_dict(),
                        "diffusion": rig.pretrained.diffusion.to_dict(), "head": rig.pretrained.head,
                        "consent": rig.pretrained.meta.get("consent")},
              "outputs": entries, "sheets": sheets, "problems": source.problems + target.problems,
              "seconds": round(time.monotonic() - began, 2)}
    write_json(folder / REPORT, report)
    return report


def _source_pictures(paths: Sequence[Path], order: Order, size: int) -> Pictures:
    if order.paste_back == "" and not order.align_source:
        raise UsageError("--paste_back needs the photograph or folder that the sources were cut from; with --align_source True the "
                         "sources are photographs themselves.")
    if order.paste_back and order.align_source:
        raise UsageError("--paste_back takes no value beside --align_source True, as results go back into the sources; leave "
                         "one of them out.")
    pictures = read_pictures(paths, order.max_megapixels)
    if order.align_source:
        return cut_faces(pictures, max(ALIGNED_SIZE, size))
    return dataclasses.replace(pictures, cuts=find_cuts(pictures.paths, Path(order.paste_back))) if order.paste_back else pictures


def _write_pasted(rig: Rig, order: Order, result: Result, entry: dict[str, Any], sources: Analysis, cut: Cut) -> str:
    """The whole photograph with the result in it, beside the aligned results; its name within the output folder."""
    source = to_uint8(sources.images[result.request.source].cpu().numpy(), -1, 1)
    whole = in_photograph(cut, result.image, source, order.max_megapixels)
    name = f"{PASTED}/{entry['file']}"
    write_edited(make_folder(Path(order.output_dir) / PASTED).parent / name, whole, model_hash=rig.pretrained.hash,
                 mode=entry["mode"], **_details(result, order), photo=cut.photo.name)
    return name


def _details(result: Result, order: Order) -> dict[str, Any]:
    """What the provenance of a picture says beside model and mode."""
    edit = result.request.edit
    return {"seed": order.sampling.seed, "strength": edit.strength, "sliders": dict(edit.sliders)}


def _side(rig: Rig, pictures: Pictures, model: str | None, order: Order, what: str) -> Side:
    return Side(pictures, analyse(rig, pictures, model, order.batch_size, what))


def _entry(request: Request, index: int, source: Side, target: Side) -> dict[str, Any]:
    name = request.edit.name
    entry: dict[str, Any] = {
        "file": f"reconstruction_{request.source}.png" if name == RECONSTRUCTION else f"{index}_{name}.png", "mode": name}
    for word, side, row in (("source", source, request.source), ("target", target, request.target)):
        entry[word] = None if row is None else str(side.pictures.paths[row])
        entry[f"{word}_confidence"] = (None if row is None or side.faces is None
                                       else round(float(side.faces.code.confidence[row]), 4))
    return entry


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a request equals the one read back from JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _buffer_images(result: Result) -> dict[str, np.ndarray]:
    """Buffers as pictures: rendered and albedo clipped to 0..1, normals from -1..1."""
    ranges = {"rendered": (0, 1), "normal": (-1, 1), "albedo": (0, 1)}
    return {name: to_uint8(getattr(result.buffers, name)[0].cpu().numpy(), *bounds) for name, bounds in ranges.items()}


def _write_buffers(folder: Path, result: Result, name: str) -> dict[str, str]:
    place = make_folder(folder / "buffers")
    files = {}
    for kind, image in _buffer_images(result).items():
        files[kind] = f"buffers/{name.removesuffix('.png')}_{kind}.png"
        write_png(place.parent / files[kind], image)
    return files


def _row(result: Result, sources: Analysis, targets: Analysis | None) -> list[np.ndarray]:
    request = result.request
    source = to_uint8(sources.images[request.source].cpu().numpy(), -1, 1)
    blank = np.full_like(source, 245)
    aim = blank if targets is None or request.target is None else to_uint8(targets.images[request.target].cpu().numpy(), -1, 1)
    return [source, aim, *_buffer_images(result).values(), result.image]


def _write_sheets(folder: Path, rows: list[list[np.ndarray]], titles: list[str]) -> list[str]:
    written = []
    for number, start in enumerate(range(0, len(rows), ROWS_PER_SHEET)):
        name = "contact_sheet.png" if number == 0 else f"contact_sheet_{number}.png"
        sheet = contact_sheet(rows[start:start + ROWS_PER_SHEET],
                              ["source", "target", "rendered", "normal", "albedo", "result"],
                              titles[start:start + ROWS_PER_SHEET])
        write_png(folder / name, sheet, {"Comment": "AI-edited"})
        written.append(name)
    return written
