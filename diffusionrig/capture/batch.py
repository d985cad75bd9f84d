"""Capturing files: reads photographs, writes codes, pictures, meshes and a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig import __version__
from diffusionrig.capture.encoder import FLAG_BELOW, Encoder
from diffusionrig.capture.pictures import COLUMNS, capture_pictures
from diffusionrig.capture.registry import best_encoder, make_encoder
from diffusionrig.capture.saved_codes import save_codes
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.files import make_folder, write_json
from diffusionrig.io.images import find_images, read_image, write_png
from diffusionrig.io.obj import write_obj
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.progress import Progress

SHEET_ROWS = 12


def listed_images(paths: Sequence[str]) -> list[Path]:
    """The files named, and the images in the folders named, in order, each once. UsageError when there is none."""
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"There is no file or folder {path}; check the path.")
        files += find_images(path) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"No image files were found in {', '.join(map(str, paths))}.")
    return list(dict.fromkeys(files))


def result_names(files: Sequence[Path]) -> list[str]:
    """One name per file for its results: the stem, with a number where another file has taken it."""
    names: list[str] = []
    for file in files:
        name, number = file.stem, 0
        while name.lower() in {taken.lower() for taken in names}:
            number += 1
            name = f"{file.stem}_{number}"
        names.append(name)
    return names


def capture_files(paths: Sequence[str], output_dir: str, use_model: str = "", image_size: int = 256,
                  save_images: bool = True, save_mesh: bool = True, save_codes: bool = True, batch_size: int = 8,
                  max_megapixels: float = 100.0, device: str = "auto") -> dict[str, Any]:
    """Capture every image of ``paths`` (files and folders) into ``output_dir``; returns what is in its report.json.

    Files that cannot be read and images without a face are reported and skipped.
    """
    files = listed_images(paths)
    encoder = make_encoder(use_model or best_encoder(), device=device)
    folder = make_folder(output_dir)
    head = load_head()
    rows: list[dict[str, Any]] = []
    codes: list[FaceCode] = []
    sheet: list[list[np.ndarray]] = []
    sources: list[str] = []
    with Progress(len(files), "capture") as progress:
        for row, image, code in _captured(files, encoder, batch_size, max_megapixels):
            rows.append(row)
            progress.update()
            if code is None or image is None:
                continue
            codes.append(code)
            sources.append(row["file"])
            pictures = capture_pictures(head, code, image, image_size)
            if len(sheet) < SHEET_ROWS:
                sheet.append([pictures[column] for column in COLUMNS])
            if save_images:
                write_png(folder / f"{row['name']}_overlay.png", pictures["overlay"])
                write_png(folder / f"{row['name']}_shape.png", pictures["shape"])
                write_png(folder / f"{row['name']}_rendered.png", pictures["rendered"])
            if save_mesh:
                _write_mesh(folder, row["name"], head, code)
    if codes:
        if save_codes:
            _save(folder, codes, sources)
        write_png(folder / "contact_sheet.png", contact_sheet(sheet, COLUMNS))
    report = {"software": f"diffusionrig {__version__}", "encoder": encoder.name, "head": head.name, "head_hash": head.hash,
              "flag_below": FLAG_BELOW, "counts": _counts(rows), "images": rows}
    write_json(folder / "report.json", report)
    return report


def _captured(files: Sequence[Path], encoder: Encoder, batch_size: int,
              max_megapixels: float) -> Iterator[tuple[dict[str, Any], np.ndarray | None, FaceCode | None]]:
    """Per file: its report row, and where a face was found its image and its code (batch 1, on the CPU)."""
    names = result_names(files)
    for start in range(0, len(files), batch_size):
        images: dict[int, np.ndarray] = {}
        failures: dict[int, str] = {}
        for i in range(start, min(start + batch_size, len(files))):
            try:
                images[i] = read_image(files[i], max_megapixels)
            except RigError as error:
                failures[i] = str(error)
        result = encoder.encode(list(images.values()))
        place = {i: k for k, i in enumerate(images)}
        flagged = result.flagged
        for i in range(start, min(start + batch_size, len(files))):
            row: dict[str, Any] = {"file": str(files[i]), "name": names[i], "status": "unreadable", "confidence": 0.0,
                                   "note": failures.get(i, "")}
            if i in failures:
                yield row, None, None
                continue
            k = place[i]
            row.update(note=result.notes[k], status="no face")
            if not result.found[k]:
                yield row, None, None
                continue
            code = result.code[k].to("cpu")
            row.update(status="flagged" if flagged[k] else "captured", confidence=round(float(code.confidence), 4))
            yield row, images[i], code


def _counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    of = [row["status"] for row in rows]
    return {"images": len(rows), "captured": of.count("captured") + of.count("flagged"), "flagged": of.count("flagged"),
            "without_face": of.count("no face"), "unreadable": of.count("unreadable")}


def _save(folder: Path, codes: Sequence[FaceCode], sources: Sequence[str]) -> None:
    save_codes(folder / "codes.npz", FaceCode.concatenate(codes), sources)


def _write_mesh(folder: Path, name: str, head: HeadModel, code: FaceCode) -> None:
    with torch.no_grad():
        texture = to_uint8(head.texture(code.albedo)[0].numpy())
        vertices = head.vertices(code)[0].numpy()
    write_png(folder / f"{name}_albedo.png", texture)
    write_obj(folder / f"{name}.obj", vertices, head.faces.numpy(), head.uv.numpy(), head.uv_faces.numpy(),
              f"{name}_albedo.png")
