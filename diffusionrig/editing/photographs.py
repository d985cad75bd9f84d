"""Whole photographs around an edit: their faces cut out beforehand, the results put back afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from diffusionrig.editing.pasting import paste_back
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.alignment import align
from diffusionrig.faces.backends import FaceFinder
from diffusionrig.faces.placement import read_placement
from diffusionrig.io.files import sha256_of
from diffusionrig.io.images import read_image


@dataclasses.dataclass(frozen=True)
class Cut:
    """An aligned face's place: ``matrix`` takes pixels of the file ``photo`` to those of the aligned picture of ``size``."""

    photo: Path
    matrix: np.ndarray
    size: int


def cut_face(image: np.ndarray, photo: Path, finder: FaceFinder, size: int) -> tuple[np.ndarray, Cut]:
    """The best face of a photograph (H, W, 3) uint8 as ``diffusionrig align`` cuts it; RigError when there is none."""
    faces = finder.detect(image)
    if not faces:
        raise RigError("no face was found")
    try:
        aligned = align(image, faces[0].points68, size)
    except ValueError as error:
        raise RigError(f"a face was found, but {error}") from error
    return aligned.image, Cut(photo, aligned.matrix, size)


def find_cuts(aligned: Sequence[Path], place: Path) -> list[Cut]:
    """Where the pictures ``aligned`` lie in their photograph ``place``, or in the photographs below the folder ``place``.

    UsageError when a picture does not say so, or when the photograph found is not the one that it was cut from.
    """
    if not place.exists():
        raise UsageError(f"There is no photograph at {place}; check --paste_back.")
    cuts = []
    for path in aligned:
        where = read_placement(path)
        name = PurePosixPath(where.photo)
        if name.is_absolute() or ".." in name.parts:
            raise UsageError(f"{path} names a photograph outside of {place}; give that photograph itself as --paste_back.")
        photo = place / name if place.is_dir() else place
        if not photo.is_file():
            raise UsageError(f"{path} was cut from {where.photo}, which is not in {place}; give the folder that was aligned, or "
                             "the photograph, as --paste_back.")
        if sha256_of(photo) != where.sha256:
            raise UsageError(f"{photo} is not the file that {path} was cut from ({where.photo}), or was changed since; give that "
                             "one as --paste_back, or align again.")
        cuts.append(Cut(photo, where.matrix, where.size))
    return cuts


def in_photograph(cut: Cut, result: np.ndarray, source: np.ndarray, max_megapixels: float) -> np.ndarray:
    """The photograph of ``cut``, upright, with ``result`` in the place of ``source``, both (S, S, 3) uint8."""
    return paste_back(read_image(cut.photo, max_megapixels), result, source, cut.matrix, cut.size)
