"""Curating a folder: every photograph looked at and judged, a report, and copies of those that stay."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig import __version__
from diffusionrig.capture.curation.judging import judge_album
from diffusionrig.capture.curation.looking import KEPT, SURPLUS, VERDICTS, Limits, Look, Looker
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.identity.embedding import make_identity
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.alignment import align
from diffusionrig.faces.output_names import OutputNames, source_text
from diffusionrig.faces.placement import placement_text
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.files import make_folder, read_json, remove_files, write_json
from diffusionrig.io.folder_lock import NAME as LOCK
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.images import find_images, read_image_and_hash, write_png
from diffusionrig.io.paths import real
from diffusionrig.io.placing import copy_file, move_file
from diffusionrig.io.sheets import contact_sheet
from diffusionrig.io.unread import unread_files, unread_sentence
from diffusionrig.progress import track
from diffusionrig.shown import one_line

REPORT, SHEET, REJECTED, FACES = "report.json", "contact_sheet.png", "rejected", "faces"
COMMAND = "curate"
COLUMNS = 10

_WIDEST = 60
"""Characters of the column of files in the table."""


@dataclasses.dataclass(frozen=True)
class Curation:
    """folder  the album
    output  where copies of what stays go, with the report; "" only looks
    apply   also move what does not stay out of the album, into ``output``/rejected
    link    symbolic links instead of copies
    faces   side, pixels, of the faces of what stays, aligned, that are written to ``output``/faces; 0 for none
    """

    folder: str
    output: str = ""
    apply: bool = False
    link: bool = False
    identity: str = "fit"
    max_megapixels: float = 100.0
    device: str = "cpu"
    faces: int = 0


def curate_album(request: Curation, limits: Limits) -> tuple[list[Look], list[str]]:
    """Look at every photograph and judge it; with an ``output`` folder write what came of it. Originals are never deleted.

    RigError when no photograph stays, and while another run works in the output folder.
    """
    root = Path(request.folder)
    if request.apply and not request.output:
        raise UsageError("--apply moves photographs to the output folder; name one with -o.")
    if request.faces and not request.output:
        raise UsageError("--faces writes faces to the output folder; name one with -o.")
    target = real(request.output) if request.output else None
    if target == real(root):
        raise UsageError(f"{root} is both album and output; choose another folder for -o.")
    files = [file for file in find_images(root) if target is None or target not in file.absolute().parents]
    previous = _previous(request, root)
    if not files and not _moved(request, root, previous):
        raise UsageError(f"There are no photographs in {root}.")
    with folder_lock(request.output, COMMAND) if request.output else contextlib.nullcontext():
        return _curate(request, limits, root, files, previous)


def _curate(request: Curation, limits: Limits, root: Path, files: Sequence[Path],
            previous: dict[str, Any]) -> tuple[list[Look], list[str]]:
    head = load_head(DEFAULT_HEAD)
    identity = make_identity(request.identity, request.device)
    looker = Looker(FitEncoder(head, request.device), identity, limits, request.max_megapixels)
    places = {file.relative_to(root).as_posix(): file for file in files} | _moved(request, root, previous)
    looks = [looker.look(places[name], name) for name in track(sorted(places, key=lambda name: root / name), COMMAND)]
    same = identity.same if limits.same is None else limits.same
    notes = judge_album(looks, limits, same, head)
    unread = [file.relative_to(root).as_posix() for file in unread_files(root, files, request.output)]
    notes += filter(None, [unread_sentence(unread)])
    if request.output:
        _write(request, root, make_folder(request.output), looks, previous, {
            "command": COMMAND, "software": f"diffusionrig {__version__}", "folder": str(real(root)),
            "limits": {**dataclasses.asdict(limits), "same": same}, "identity": identity.name, "notes": notes,
            "unread": unread})
    if not any(look.verdict == KEPT for look in looks):
        raise RigError(f"None of the {len(looks)} photographs in {root} can stay; the first: {looks[0].file}: {looks[0].why}.")
    return looks, notes


def _moved(request: Curation, root: Path, previous: dict[str, Any]) -> dict[str, Path]:
    """Photographs that an earlier run, finished or killed, has moved out of the album, by name: they are judged with the others, so
    that the same command again tells the same."""
    named = [entry for entry in previous.get("photographs", []) if "moved_to" in entry]
    moved = {entry["file"]: Path(request.output) / entry["moved_to"] for entry in named}
    return {name: file for name, file in moved.items() if file.is_file() and not (root / name).exists()}


def _previous(request: Curation, root: Path) -> dict[str, Any]:
    """The report of an earlier run on the same album into the same folder; UsageError when that holds anything else."""
    folder = Path(request.output)
    # A run that was killed while it looked leaves the folder's lock, and nothing else.
    if not request.output or not folder.is_dir() or all(entry.name == LOCK for entry in folder.iterdir()):
        return {}
    found = read_json(folder / REPORT) if (folder / REPORT).is_file() else None
    if not isinstance(found, dict) or found.get("command") != COMMAND or found.get("folder") != str(real(root)):
        raise UsageError(f"{folder} is not empty and does not come from curating {root}; choose another folder for -o.")
    return found


def _write(request: Curation, root: Path, folder: Path, looks: Sequence[Look], previous: dict[str, Any],
           about: dict[str, Any]) -> None:
    stays = {look.file for look in looks if look.verdict == KEPT}
    before = [entry for entry in previous.get("photographs", []) if entry["verdict"] == KEPT and entry["file"] not in stays]
    away = _moved(request, root, previous)
    moved = {look.file: {"moved_to": f"{REJECTED}/{look.file}"} for look in looks
             if (request.apply and look.verdict not in {KEPT, SURPLUS}) or look.file in away}
    # Said first: a run that is killed before its end is known again, with all that it may have copied and moved.
    write_json(folder / REPORT, {**about, "unfinished": True, "photographs": [
        *({"file": look.file, "verdict": look.verdict, **moved.get(look.file, {})} for look in looks), *before]})
    remove_files(folder / KEPT / entry["file"] for entry in before)
    for name in sorted(stays):
        # With other limits a photograph may stay that an earlier run has moved away.
        copy_file(away.get(name, root / name), folder / KEPT / name, request.link)
    faces = _write_faces(request, folder, [look for look in looks if look.file in stays])
    for name, entry in moved.items():
        if (root / name).exists():  # else an earlier run has moved it
            move_file(root / name, folder / entry["moved_to"])
    counts = Counter(look.verdict for look in looks)
    entries = [{"file": look.file, "verdict": look.verdict, "reasons": [sentence for _, sentence in look.reasons], **look.numbers,
                **moved.get(look.file, {}), **({"face": faces[look.file]} if look.file in faces else {})} for look in looks]
    write_png(folder / SHEET, curation_sheet(looks))
    write_json(folder / REPORT, {**about, "counts": {name: counts[name] for name in VERDICTS}, "photographs": entries})


def _write_faces(request: Curation, folder: Path, looks: Sequence[Look]) -> dict[str, str]:
    """Write the very face that was judged of each photograph, which is not always the largest, if that was asked for; returns where
    below ``folder``, by photograph. Faces of before go."""
    if not request.faces:
        return {}
    place = make_folder(folder / FACES)
    remove_files(list(place.rglob("*.png")))
    sources = {look.file: folder / KEPT / look.file for look in looks}
    names, written = OutputNames(folder / KEPT, place, list(sources.values())), {}
    for look in looks:
        image, digest = read_image_and_hash(sources[look.file], request.max_megapixels)
        assert look.points is not None
        face, (file,) = align(image, look.points, request.faces), names.of(sources[look.file], 1)
        make_folder(file.parent)
        write_png(file, face.image, {"Software": f"diffusionrig {__version__} {COMMAND}",
                                     **source_text(sources[look.file], look.file, digest),
                                     **placement_text(face.matrix, request.faces)})
        written[look.file] = file.relative_to(folder).as_posix()
    return written


def curation_sheet(looks: Sequence[Look]) -> np.ndarray:
    """Contact sheet (H, W, 3) uint8: what stays first, then what does not, by reason."""
    rows, titles = [], []
    for verdict in VERDICTS:
        shown = [look.thumbnail for look in looks if look.verdict == verdict and look.thumbnail is not None]
        for start in range(0, len(shown), COLUMNS):
            rows.append(shown[start:start + COLUMNS])
            titles.append(f"{verdict} ({len(shown)})" if start == 0 else "")
    return contact_sheet(rows or [[np.full((96, 96, 3), 245, np.uint8)]], (), titles or ["no picture"])


def curation_table(looks: Sequence[Look]) -> str:
    """One line per photograph: file, verdict, why."""
    files = [one_line(look.file) for look in looks]
    width = min(_WIDEST, max(map(len, files)))
    return "\n".join(f"{file:<{width}}  {look.verdict:<12}  {one_line(look.why)}".rstrip() for file, look in zip(files, looks))
