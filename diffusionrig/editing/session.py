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
from diffusionrig.editing.provenance import write_edited
from diffusionrig.editing.rig import Analysis, Request, Result, Rig, Sampling
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import make_folder, read_json, write_json
from diffusionrig.io.images import find_images, read_image, write_png
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.progress import Progress, track

ROWS_PER_SHEET = 16
REPORT = "report.json"


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Photographs of one side of an edit, those that could be read, and what was wrong with the others."""

    paths: list[Path]
    arrays: list[np.ndarray]
    problems: list[dict[str, str]]


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


def run_session(rig: Rig, *, source: str, target: str, edits: Sequence[Edit], output_dir: str, sampling: Sampling,
                batch_size: int = 4, source_model: str | None = None, target_model: str | None = None,
                max_megapixels: float = 100.0, limit: int | None = None, overwrite: bool = False,
                request: dict[str, Any] | None = None) -> dict[str, Any]:
    """Edit every source with every target and write the results; returns the report.

    Outputs are ``{index}_{mode}.png`` counted over all of them as in the published script, ``reconstruction_{i}.png`` per
    source, contact sheets and ``report.json``. Raises RigError when no picture could be edited.
    """
    source_paths = list_pictures(source, "source")
    target_paths = list_pictures(target, "target") if target else []
    folder = make_folder(output_dir)
    request = {**(request or {}), "model": rig.pretrained.hash, "source": source, "target": target,
               "edits": [dataclasses.asdict(edit) for edit in edits], "sampling": dataclasses.asdict(sampling)}
    request = _plain(request)
    _guard(folder, request, overwrite)
    began = time.monotonic()
    source_pictures = read_pictures(source_paths, max_megapixels)
    target_pictures = read_pictures(target_paths, max_megapixels)
    sources = analyse(rig, source_pictures, source_model, batch_size, "sources")
    targets = analyse(rig, target_pictures, target_model, batch_size, "targets")
    problems = source_pictures.problems + target_pictures.problems
    for pictures, faces in ((source_pictures, sources), (target_pictures, targets)):
        problems += [{"file": str(path), "problem": faces.notes[i]} for i, path in enumerate(pictures.paths)
                     if faces is not None and not bool(faces.found[i])]
    if sources is None or not bool(sources.found.any()):
        raise RigError(_nothing("source", problems))
    if target and (targets is None or not bool(targets.found.any())):
        raise RigError(_nothing("target", problems))
    requests = plan(sources, targets, edits)[:limit]
    names = dict(enumerate(source_pictures.paths))
    aims = dict(enumerate(target_pictures.paths))
    used = sorted({item.source for item in requests})
    every = [Request(i, None, Edit(RECONSTRUCTION)) for i in used] + requests
    entries: list[dict[str, Any]] = []
    rows: list[list[np.ndarray]] = []
    titles: list[str] = []
    calls = len(every) * rig.calls(sampling)
    with Progress(calls, "draw", "call") as progress:
        for result in rig.edit_many(sources, targets, every, batch_size=batch_size, sampling=sampling,
                                    on_call=progress.update):
            entry = _write(rig, folder, result, len(entries) - len(used), sources, targets, names, aims, sampling.seed)
            entries.append(entry)
            rows.append(_row(result, sources, targets))
            titles.append(entry["file"].removesuffix(".png"))
    sheets = _write_sheets(folder, rows, titles)
    report = {"request": request, "software": f"diffusionrig {__version__}", "torch": torch.__version__,
              "model": {"hash": rig.pretrained.hash, "config": rig.pretrained.model.to_dict(),
                        "diffusion": rig.pretrained.diffusion.to_dict(), "head": rig.pretrained.head,
                        "consent": rig.pretrained.meta.get("consent")},
              "outputs": entries, "sheets": sheets, "problems": problems, "seconds": round(time.monotonic() - began, 2)}
    write_json(folder / REPORT, report)
    return report


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a request equals the one read back from JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _nothing(what: str, problems: list[dict[str, str]]) -> str:
    first = f" First: {problems[0]['file']}: {problems[0]['problem']}" if problems else ""
    return f"None of the {what} pictures can be used ({len(problems)} problems).{first}"


def _write(rig: Rig, folder: Path, result: Result, index: int, sources: Analysis, targets: Analysis | None,
           names: dict[int, Path], aims: dict[int, Path], seed: int) -> dict[str, Any]:
    request = result.request
    plain = request.edit.name == RECONSTRUCTION
    name = f"reconstruction_{request.source}.png" if plain else f"{index}_{request.edit.name}.png"
    aim = None if request.target is None else str(aims[request.target])
    write_edited(folder / name, result.image, model_hash=rig.pretrained.hash, mode=request.edit.name, seed=seed,
                 strength=request.edit.strength, sliders=dict(request.edit.sliders))
    return {"file": name, "mode": request.edit.name, "source": str(names[request.source]), "target": aim,
            "source_confidence": round(float(sources.code.confidence[request.source]), 4),
            "target_confidence": None if targets is None or request.target is None
            else round(float(targets.code.confidence[request.target]), 4)}


def _row(result: Result, sources: Analysis, targets: Analysis | None) -> list[np.ndarray]:
    request = result.request
    source = to_uint8(sources.images[request.source].cpu().numpy(), -1, 1)
    blank = np.full_like(source, 245)
    aim = blank if targets is None or request.target is None else to_uint8(targets.images[request.target].cpu().numpy(), -1, 1)
    rendered = to_uint8(result.buffers.rendered[0].cpu().numpy())
    normal = to_uint8(result.buffers.normal[0].cpu().numpy(), -1, 1)
    albedo = to_uint8(result.buffers.albedo[0].cpu().numpy())
    return [source, aim, rendered, normal, albedo, result.image]


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
