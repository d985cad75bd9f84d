"""Capturing files: reads photographs and videos, writes codes, pictures, meshes and a report."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig import __version__
from diffusionrig.ahead import ahead
from diffusionrig.capture.choosing import Choice, chosen_encoder
from diffusionrig.capture.encoder import FLAG_BELOW, Encoder, StagedEncoder
from diffusionrig.capture.face_folder import write_codes, write_meshes, write_pictures
from diffusionrig.capture.inputs import Picture, count_pictures, listed_inputs, read_pictures, result_names, unread_inputs
from diffusionrig.capture.own_results import BEFORE, COMMAND, COMMENT, REPORT, require_own_results, write_own_png
from diffusionrig.capture.pictures import COLUMNS, capture_pictures
from diffusionrig.capture.saved_codes import CODE_PARTS, save_codes
from diffusionrig.capture.study import Atlas, Study, deca_inside, load_atlas, record_face, study_faces
from diffusionrig.capture.tracking.gaps import BRIDGED, HELD, NOTES, SEEN
from diffusionrig.capture.tracking.tracker import TRACKS, Track, Tracker, tracker_of
from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.files import make_folder, write_json
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.obj import write_obj
from diffusionrig.io.own_files import own_arrays, own_picture, own_report, require_own
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.io.timeline import read_timeline
from diffusionrig.io.video import all_frames
from diffusionrig.progress import Progress

__all__ = ["Outputs", "capture_files", "result_names"]

CODES, SHEET = "codes.npz", "contact_sheet.png"

SHEET_ROWS = 12
INDEX = "00"
"""Number of the face within its picture, as EMOCA's demo writes it behind the name: one face is captured per picture."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What is written per face, besides the contact sheet and the report.

    image_size  side of overlays and renders, pixels
    images, mesh, codes  whether pictures, OBJ files and codes are written
    detail      whether wrinkles are computed and written, by encoders that know them
    """

    image_size: int = 256
    images: bool = True
    mesh: bool = True
    codes: bool = True
    detail: bool = True


@dataclasses.dataclass(frozen=True)
class _Captured:
    """A picture with its row of the report and, where a face was found, its code (batch 1, on the CPU) and, of an encoder of
    DECA's kind, its study."""

    picture: Picture
    row: dict[str, Any]
    code: FaceCode | None = None
    study: Study | None = None


def capture_files(paths: Sequence[str], output_dir: str, choice: Choice | None = None, outputs: Outputs | None = None,
                  batch_size: int = 8, max_megapixels: float = 100.0, every: int = 1, device: str = "auto",
                  track: str = TRACKS[0]) -> dict[str, Any]:
    """Capture every image and every ``every``-th video frame of ``paths`` (files and folders) into ``output_dir``; returns
    what is in its report.json.

    UsageError when the report, codes, contact sheet or results of such names that are there are not of an earlier capture, RigError
    while another run works in the folder.

    An encoder of DECA's kind gets a folder ``<output_dir>/<model>/<name>00/`` per face with what EMOCA's demo writes; others
    files ``<output_dir>/<name>_*``. One person is followed through a video where ``track`` (out of TRACKS) and the encoder allow
    it. Files that cannot be read and pictures without a face are reported and skipped.
    """
    outputs = outputs or Outputs()
    files = listed_inputs(paths)
    require_own(output_dir, {REPORT: own_report(COMMAND, *BEFORE), CODES: own_arrays("head", "files", *CODE_PARTS),
                             SHEET: own_picture(COMMAND, *BEFORE)}, "--output_dir")
    encoder, head_name, model = chosen_encoder(choice or Choice(), device)
    require_own_results(Path(output_dir), result_names(files), model, INDEX)
    head = load_head(head_name)
    with folder_lock(output_dir, COMMAND):
        return _capture_all(paths, files, output_dir, encoder, model, head, outputs, batch_size, max_megapixels, every,
                            track)


def _capture_all(paths: Sequence[str], files: Sequence[Path], output_dir: str, encoder: Encoder, model: str, head: HeadModel,
                 outputs: Outputs, batch_size: int, max_megapixels: float, every: int, track: str) -> dict[str, Any]:
    writer = _Writer(make_folder(output_dir), model, encoder, head, outputs)
    rows: list[dict[str, Any]] = []
    with Progress(count_pictures(files, every), "capture") as progress:
        tracker = tracker_of(encoder, track)
        pictures = read_pictures(files, max_megapixels, every)
        for captured in (_captured(pictures, encoder, batch_size, writer.wants_detail) if tracker is None
                         else _tracked(pictures, encoder, tracker, batch_size)):
            rows.append(captured.row)
            if captured.code is not None:
                writer.write(captured.picture, captured.row, captured.code, captured.study)
            progress.update()
    writer.finish()
    report = {"command": COMMAND, "software": f"diffusionrig {__version__}", "encoder": encoder.name, "model": model,
              "head": head.name, "head_hash": head.hash, "flag_below": FLAG_BELOW, "detail": writer.wants_detail,
              "missing_files": list(writer.atlas.missing) if writer.atlas else [],
              "track": "off" if tracker is None else track, "left_out": getattr(encoder, "left_out", {}),
              "counts": _counts(rows), "images": rows, "unread": unread_inputs(paths, files, output_dir)}
    write_json(writer.folder / REPORT, report)
    return report


class _Writer:
    """Writes what each face gets, and keeps what the whole run gets."""

    def __init__(self, folder: Path, model: str, encoder: Encoder, head: HeadModel, outputs: Outputs) -> None:
        self.folder, self.model, self.encoder, self.head, self.outputs = folder, model, encoder, head, outputs
        self.deca = deca_inside(encoder)
        self.atlas: Atlas | None = load_atlas(head) if self.deca else None
        self.codes: list[FaceCode] = []
        self.sources: list[str] = []
        self.sheet: list[list[np.ndarray]] = []

    @property
    def wants_detail(self) -> bool:
        return self.deca is not None and self.outputs.detail

    def write(self, picture: Picture, row: dict[str, Any], code: FaceCode, study: Study | None) -> None:
        assert picture.image is not None
        self.codes.append(code)
        self.sources.append(picture.source)
        drawn: dict[str, np.ndarray] = {}
        if self.outputs.images or len(self.sheet) < SHEET_ROWS:
            drawn = capture_pictures(self.head, code, picture.image, self.outputs.image_size)
        if len(self.sheet) < SHEET_ROWS:
            self.sheet.append([drawn[column] for column in COLUMNS])
        shown = {name: drawn[name] for name in ("overlay", "shape", "rendered")} if self.outputs.images else {}
        if study is None:
            for name, pixels in shown.items():
                write_own_png(self.folder / f"{picture.name}_{name}.png", pixels)
            if self.outputs.mesh:
                _write_mesh(self.folder, picture.name, self.head, code)
            return
        row["folder"] = f"{self.model}/{picture.name}{INDEX}"
        self._write_folder(make_folder(self.folder / row["folder"]), code, study, shown)

    def _write_folder(self, place: Path, code: FaceCode, study: Study, shown: dict[str, np.ndarray]) -> None:
        assert self.deca is not None
        assert self.atlas is not None
        for name, pixels in shown.items():
            write_own_png(place / f"{name}.png", pixels)
        if self.outputs.codes:
            write_codes(place, code, study)
        if not (self.outputs.images or self.outputs.mesh):
            return
        record = record_face(self.deca, self.head, self.atlas, code, study)
        if self.outputs.images:
            write_pictures(place, record, study)
        if self.outputs.mesh:
            write_meshes(place, self.head, self.atlas, record)

    def finish(self) -> None:
        """What belongs to all faces: codes.npz and the contact sheet."""
        if not self.codes:
            return
        if self.outputs.codes:
            save_codes(self.folder / CODES, FaceCode.concatenate(self.codes), self.sources)
        write_own_png(self.folder / SHEET, contact_sheet(self.sheet, COLUMNS))


def _batches(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    stream = iter(pictures)
    while batch := list(islice(stream, size)):
        yield batch


def _tracked(pictures: Iterable[Picture], encoder: Encoder, tracker: Tracker, batch_size: int) -> Iterator[_Captured]:
    """Videos tracked, all else captured by itself."""
    for file, group in itertools.groupby(pictures, key=lambda picture: picture.file if picture.frame is not None else ""):
        track = _track(tracker, file) if file else None
        if track is None:
            yield from _captured(group, encoder, batch_size, False)
            continue
        for picture in group:
            assert picture.frame is not None
            state, code = int(track.state[picture.frame]), track.code[picture.frame]
            entry = {**_entry(picture), "confidence": round(float(code.confidence), 4), "note": NOTES[state], "status": "no face"}
            if state != HELD:
                doubtful = bool(code.confidence < FLAG_BELOW) and state == SEEN
                entry["status"] = "bridged" if state == BRIDGED else "flagged" if doubtful else "captured"
                if doubtful:
                    entry["note"] = f"The fit is doubtful (confidence {float(code.confidence):.2f})."
            yield _Captured(picture, entry, None if state == HELD else code)


def _track(tracker: Tracker, file: str) -> Track | None:
    """None for a video that shows no face or ends too soon: its frames are then read one by one, as far as they go."""
    try:
        timeline = read_timeline(file)
        frames = (image for _, image in all_frames(file, 1, timeline))
        return tracker.track(ahead(frames), len(timeline.timing), float(timeline.timing.rate), file)
    except RigError:
        return None


def _entry(picture: Picture) -> dict[str, Any]:
    """A row of the report that says nothing yet."""
    row: dict[str, Any] = {"file": picture.file, "name": picture.name, "status": "unreadable", "confidence": 0.0,
                           "note": picture.failure}
    return row if picture.frame is None else row | {"frame": picture.frame, "seconds": picture.seconds}


def _captured(pictures: Iterable[Picture], encoder: Encoder, batch_size: int, detail: bool) -> Iterator[_Captured]:
    """Every picture with its row and, where a face was found, its code and study."""
    deca = deca_inside(encoder)
    for batch in _batches(pictures, batch_size):
        images = [picture.image for picture in batch if picture.image is not None]
        prepared = [encoder.prepare(image) for image in images] if isinstance(encoder, StagedEncoder) else []
        result = encoder.encode_prepared(prepared) if isinstance(encoder, StagedEncoder) else encoder.encode(images)
        # Only faces are studied: wrinkles cost as much as everything else.
        seen = [row for row, found in enumerate(result.found.tolist()) if found]
        studies: dict[int, Study | None] = dict.fromkeys(seen)
        if deca is not None and seen:
            faces = study_faces(deca, [prepared[row] for row in seen], result.code[seen], detail)
            studies = {row: faces[place] for place, row in enumerate(seen)}
        flagged, row = result.flagged, -1
        for picture in batch:
            entry = _entry(picture)
            if picture.image is None:
                yield _Captured(picture, entry)
                continue
            row += 1
            entry.update(note=result.notes[row], status="no face")
            if row not in studies:
                # DECA encodes the whole picture then, of which nothing is kept here.
                entry["note"] = "No face was found."
                yield _Captured(picture, entry)
                continue
            code = result.code[row].to("cpu")
            entry.update(status="flagged" if flagged[row] else "captured", confidence=round(float(code.confidence), 4))
            yield _Captured(picture, entry, code, studies[row])


def _counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    of = [row["status"] for row in rows]
    return {"images": len(rows), "captured": of.count("captured") + of.count("flagged") + of.count("bridged"),
            "flagged": of.count("flagged"), "bridged": of.count("bridged"), "without_face": of.count("no face"), "unreadable":
            of.count("unreadable")}


def _write_mesh(folder: Path, name: str, head: HeadModel, code: FaceCode) -> None:
    with torch.no_grad():
        texture = to_uint8(head.texture(code.albedo)[0].numpy())
        vertices = head.vertices(code)[0].numpy()
    write_own_png(folder / f"{name}_albedo.png", texture)
    write_obj(folder / f"{name}.obj", vertices, head.faces.numpy(), head.uv.numpy(), head.uv_faces.numpy(),
              f"{name}_albedo.png", comment=COMMENT)
