"""Where an aligned face lies in its photograph: written into each aligned picture, so that an edited face finds its way back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.output_names import SOURCE, SOURCE_HASH
from diffusionrig.io.damage import parse_json_object, reading
from diffusionrig.io.images import read_png_text

PLACEMENT = "Photo-To-Aligned"
_LARGEST = 1 << 14
"""Side of the largest aligned picture, pixels."""


@dataclass(frozen=True)
class Placement:
    """photo    name of the photograph relative to the folder that was aligned
    sha256   of the photograph's file, hexadecimal
    matrix   (3, 3) float64, photo pixels (x, y, 1) to aligned pixels, both with (0, 0) at the centre of the top left pixel
    size     side of the aligned picture that ``matrix`` leads to, pixels
    """

    photo: str
    sha256: str
    matrix: np.ndarray
    size: int


def placement_text(matrix: np.ndarray, size: int) -> dict[str, str]:
    """The PNG text that tells where a face of ``size`` pixels was cut out."""
    return {PLACEMENT: json.dumps({"matrix": matrix.tolist(), "size": size})}


def read_placement(path: Path) -> Placement:
    """What ``diffusionrig align`` wrote into the aligned picture ``path``; UsageError when it says nothing of the kind."""
    advice = ("align the photograph again with diffusionrig align, or name the photograph itself as --source with "
              "--align_source True")
    try:
        text = read_png_text(path)
    except UsageError:
        raise
    except RigError as error:
        raise UsageError(f"{path} is no PNG file of diffusionrig align, so it does not say where it lies in its photograph; "
                         f"{advice}.") from error
    if PLACEMENT not in text or SOURCE not in text or SOURCE_HASH not in text:
        raise UsageError(f"{path} does not say where it lies in its photograph; {advice}.")
    with reading(f"What {path} says of its place in the photograph", "is damaged", advice, UsageError):
        record = parse_json_object(text[PLACEMENT])
        matrix, size = np.array(record["matrix"], dtype=np.float64), int(record["size"])
        if matrix.shape != (3, 3) or not 1 <= size <= _LARGEST or not np.isfinite(matrix).all() or (matrix[2] != [0, 0, 1]).any() \
                or not 1e-9 < abs(np.linalg.det(matrix)) < 1e9:
            raise ValueError("no such square can exist")
    return Placement(text[SOURCE], text[SOURCE_HASH], matrix, size)
