"""Reading: the pictures of one side of an edit, looked at a batch at a time, so that photographs are not held."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.photographs import Cut, cut_found, find_cuts, find_faces, is_aligned, uncut
from diffusionrig.editing.rig import Rig
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.backends import make_finder
from diffusionrig.faces.face import Face
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_euler_degrees
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.unread import unread_files
from diffusionrig.progress import track

Read = Callable[[Path], tuple[np.ndarray, Cut]]
"""A file as an aligned picture (H, W, 3) uint8, and where that lies in the file; RigError when it cannot be had."""

PROFILE = 70.0
"""Degrees of turning to the side beyond which a photograph shows too little of a face to carry it anywhere."""

AT_LEAST = 256
"""Side in pixels of faces that are cut out to be captured, or more where the network draws more."""


@dataclasses.dataclass(frozen=True)
class Side:
    """The pictures of one side that could be read, and what was found in them.

    paths   row by row those of ``faces``, which is None when there is none
    unread  the others: file and problem
    cuts    where each lies in its photograph
    """

    paths: list[Path]
    faces: Analysis | None
    unread: list[dict[str, str]]
    cuts: list[Cut] = dataclasses.field(default_factory=list)

    @property
    def problems(self) -> list[dict[str, str]]:
        missed = [] if self.faces is None else [{"file": str(path), "problem": self.faces.notes[i]}
                                                for i, path in enumerate(self.paths) if not bool(self.faces.found[i])]
        return self.unread + missed

    @property
    def doubts(self) -> list[dict[str, str]]:
        """What captures say of faces that were found but are not to be relied on."""
        return [] if self.faces is None else [{"file": str(path), "doubt": self.faces.notes[i]} for i, path in enumerate(self.paths)
                                              if bool(self.faces.found[i]) and self.faces.notes[i]]

    def face(self, row: int) -> tuple[str, float | None]:
        """File and confidence of one face, as reports say them."""
        return str(self.paths[row]), None if self.faces is None else round(float(self.faces.code.confidence[row]), 4)

    def require_face(self, what: str) -> Analysis:
        if self.faces is None or not bool(self.faces.found.any()):
            raise nothing_usable(what, self.problems)
        return self.faces


def nothing_usable(what: str, problems: Sequence[dict[str, str]]) -> RigError:
    first = f" {problems[0]['file']}: {problems[0]['problem']}" if problems else ""
    return RigError(f"None of the {what} pictures can be used.{first}")


def list_pictures(path: str, what: str) -> list[Path]:
    """A file, or the sorted images of a folder; UsageError when there is none."""
    if not path:
        raise UsageError(f"No {what} was given; name a picture or a folder with --{what}.")
    place = Path(path)
    if place.is_dir():
        found = find_images(place, recursive=False)
        if not found:
            inside = sorted({file.parent for file in find_images(place)})
            advice = f"a folder deeper there are some, so give {inside[0]}" if inside else "align photographs into it first"
            raise UsageError(f"The {what} folder {place} holds no images; {advice}.")
        return found
    if not place.exists():
        raise UsageError(f"The {what} {place} does not exist; check --{what}.")
    return [place]


def unread_beside(path: str, output_dir: str) -> list[dict[str, str]]:
    """What ``list_pictures`` passed over in the folder ``path`` though it is a picture or video: file and problem."""
    if not Path(path).is_dir():
        return []
    found = unread_files(path, list_pictures(path, "pictures"), output_dir, recursive=False)
    return [{"file": str(file), "problem": "A picture or video of a kind that is not read from a folder; convert it, or name it by "
                                           "itself."} for file in found]


def plainly(max_megapixels: float) -> Read:
    """Files that are aligned pictures already."""

    def read(path: Path) -> tuple[np.ndarray, Cut]:
        image = read_image(path, max_megapixels)
        return image, uncut(image, path)

    return read


def reader(align: bool | None, size: int, max_megapixels: float, number: int = 1) -> Read:
    """How pictures are read for a network that draws ``size`` pixels: as aligned ones, or, where ``align``, as photographs whose
    face of that ``number`` by size is cut out; None looks at each picture which of the two it is."""
    if align is False:
        return plainly(max_megapixels)
    finder = make_finder()

    def read(path: Path) -> tuple[np.ndarray, Cut]:
        image = read_image(path, max_megapixels)
        return chosen_face(image, path, find_faces(image, finder), size, align, number)

    return read


def chosen_face(image: np.ndarray, path: Path, faces: Sequence[Face], size: int, align: bool | None = None,
                number: int = 1) -> tuple[np.ndarray, Cut]:
    """The aligned picture of one of the ``faces`` that ``find_faces`` found in an ``image``, for a network that draws ``size``
    pixels, and where it lies; ``align`` and ``number`` as in ``reader``."""
    # Where nobody is found, the encoder, which may look with other eyes, has the last word.
    if align is None and number == 1 and (is_aligned(faces[0], image.shape) if faces else image.shape[0] == image.shape[1]):
        return image, uncut(image, path)
    return cut_found(image, path, faces, max(AT_LEAST, size), number)


def without_profiles(faces: Analysis) -> Analysis:
    """The same faces, of which those in profile count as not found."""
    turns = matrix_to_euler_degrees(axis_angle_to_matrix(faces.code.pose[:, :3].double()))[:, 1].abs()
    aside = faces.found & (turns > PROFILE).cpu()
    notes = [f"The face is turned {float(turns[i]):.0f} degrees to the side, of which {PROFILE:.0f} can be edited; give a "
             "photograph that shows more of it." if bool(aside[i]) else note for i, note in enumerate(faces.notes)]
    return dataclasses.replace(faces, found=faces.found & ~aside, notes=notes)


def look_at(rig: Rig, paths: Sequence[Path], read: Read, encoder: str | None, batch_size: int, what: str,
            cut_from: str = "", keep_images: bool = True, profiles: bool = True) -> Side:
    """Read and capture pictures, ``batch_size`` at a time; a damaged file is reported, not fatal. Codes, latents and, with
    ``keep_images``, pictures of the network's size are all that is held of them.

    ``cut_from`` is the photograph or folder that the pictures were aligned from, where results are to go back there: UsageError
    when one was not. Without ``profiles`` faces in profile count as not found.
    """
    kept: list[Path] = []
    cuts: list[Cut] = []
    unread: list[dict[str, str]] = []
    parts: list[Analysis] = []
    for start in track(range(0, len(paths), batch_size), f"capture {what}", unit="batch"):
        arrays = []
        for path in paths[start:start + batch_size]:
            try:
                array, cut = read(path)
            except RigError as error:
                unread.append({"file": str(path), "problem": str(error)})
                continue
            arrays.append(array)
            kept.append(path)
            cuts += find_cuts([path], Path(cut_from)) if cut_from else [cut]
        if arrays:
            faces = rig.capture(arrays, encoder)
            faces = faces if profiles else without_profiles(faces)
            parts.append(faces if keep_images else faces.without_images())
    return Side(kept, Analysis.concatenate(parts) if parts else None, unread, cuts)
