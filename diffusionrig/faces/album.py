"""Aligning a folder of photographs: every photograph ends in the report, whatever became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from diffusionrig import __version__
from diffusionrig.errors import RigError
from diffusionrig.faces.alignment import align, ffhq_quad, share_outside
from diffusionrig.faces.backends import FaceFinder
from diffusionrig.faces.face import Face
from diffusionrig.faces.output_names import OutputNames, source_text
from diffusionrig.faces.placement import placement_text
from diffusionrig.io.files import make_folder
from diffusionrig.io.images import MAX_MEGAPIXELS, read_image_and_hash, write_png

# Of the 68 points: with more of them beyond the photo, part of the face itself is missing.
POINTS_BEYOND = 0.1
ALIGNED, UNREADABLE, ABSENT, SMALL, CUT = "aligned", "unreadable", "no face", "too small", "cut off"
STATUSES = (ALIGNED, ABSENT, SMALL, CUT, UNREADABLE)


@dataclass(frozen=True)
class AlignOptions:
    """size: of the results, pixels. min_face: smaller faces (longer side of the landmarks' box, pixels) are left out.
    max_outside: faces with a larger share of their square beyond the photo are left out. faces: at most so many per
    photo, 0 for all. thorough: look for small faces beside large ones too. overwrite: replace results of another size."""

    size: int = 256
    min_face: float = 40.0
    max_outside: float = 0.5
    faces: int = 0
    thorough: bool = False
    max_megapixels: float = MAX_MEGAPIXELS
    overwrite: bool = False


@dataclass
class PhotoReport:
    """What became of one photograph: ``status`` is one of STATUSES (the best of its faces), ``note`` says why, and
    each written face has its file, size, score, share outside, and the matrix from photo to aligned pixels."""

    file: str
    status: str
    note: str = ""
    faces: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value not in ("", [])}


def align_photos(photos: list[Path], root: Path, folder: Path, finder: FaceFinder, options: AlignOptions,
                 workers: int = 1) -> Iterator[PhotoReport]:
    """Align ``photos`` (below ``root``) into ``folder``, yielding a report for each in their order.

    ``workers`` threads share the work; the files and reports are the same for any number. A photograph that cannot be
    read is reported; RigError is raised only when results cannot be written, UsageError when the folder holds faces of another
    size that were cut out of these photographs.
    """
    names = OutputNames(root, folder, photos, None if options.overwrite else options.size)

    def work(photo: Path) -> PhotoReport:
        try:
            return _align_photo(photo, root, folder, finder, options, names.of)
        except (cv2.error, MemoryError, ValueError) as error:  # one odd photograph must not end the run
            words = " ".join(str(error).split())[:120] or type(error).__name__
            return PhotoReport(photo.relative_to(root).as_posix(), UNREADABLE, f"could not be processed ({words})")

    if workers <= 1:
        yield from map(work, photos)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(work, photos)
    finally:
        pool.shutdown(cancel_futures=True)


def _align_photo(photo: Path, root: Path, folder: Path, finder: FaceFinder, options: AlignOptions,
                 names: Callable[[Path, int], list[Path]]) -> PhotoReport:
    relative = photo.relative_to(root).as_posix()
    try:
        image, digest = read_image_and_hash(photo, options.max_megapixels)
    except RigError as error:
        return PhotoReport(relative, UNREADABLE, str(error))
    found = finder.detect(image, options.min_face, options.thorough)
    if not found:
        return PhotoReport(relative, ABSENT, "no face was found")
    judged = [(face, *_judge(face, image, options)) for face in found]
    good = [face for face, status, _ in judged if status == ALIGNED]
    left_out = [reason for _, status, reason in judged if status != ALIGNED]
    if not good:
        status = next(status for status in (CUT, SMALL) if any(status == other for _, other, _ in judged))
        return PhotoReport(relative, status, left_out[0], left_out=left_out)
    chosen = good[:options.faces] if options.faces else good
    left_out += [f"face of {face.size:.0f} pixels is beyond the number asked for" for face in good[len(chosen):]]
    written = []
    for face, path in zip(chosen, names(photo, len(chosen))):
        aligned = align(image, face.points68, options.size)
        make_folder(path.parent)
        write_png(path, aligned.image, {"Software": f"diffusionrig {__version__} align",
                                        **source_text(photo, relative, digest),
                                        **placement_text(aligned.matrix, options.size)})
        written.append({"output": path.relative_to(folder).as_posix(), "size": round(face.size, 1), "score": round(face.score, 4),
                        "outside": round(aligned.outside, 4), "photo_to_aligned": aligned.matrix.tolist()})
    note = "" if written[0]["outside"] <= 0.05 else f"{written[0]['outside']:.0%} of the square lies beyond the photo"
    return PhotoReport(relative, ALIGNED, note, written, left_out)


def _judge(face: Face, image: np.ndarray, options: AlignOptions) -> tuple[str, str]:
    """(status, reason) of one face: whether it is worth cutting out."""
    height, width = image.shape[:2]
    if face.size < options.min_face:
        return SMALL, f"face of {face.size:.0f} pixels is below --min_face {options.min_face:g}"
    beyond = ((face.points68 < -0.5) | (face.points68 > [width - 0.5, height - 0.5])).any(axis=1).mean()
    try:
        outside = share_outside(ffhq_quad(face.points68), width, height)
    except ValueError as error:
        return CUT, f"a face was found, but {error}"
    if beyond > POINTS_BEYOND or outside > options.max_outside:
        return CUT, f"face of {face.size:.0f} pixels is cut off by the edge of the photo ({outside:.0%} of its " \
                    "square is missing)"
    return ALIGNED, ""
