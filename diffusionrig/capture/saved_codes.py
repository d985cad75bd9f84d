"""Face codes on disk: ``codes.npz``, one array per field of FaceCode, one row per image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.array_files import read_array_file, write_array_file

CODE_PARTS = ("shape", "albedo", "expression", "pose", "camera", "light")
"""Arrays that every such file holds."""


def save_codes(path: str | Path, code: FaceCode, files: Sequence[str]) -> None:
    """Write ``code`` and the names of the ``files`` its rows belong to.

    Arrays: ``shape, albedo, expression, pose, eyes, camera, light, crop, frame, confidence`` as in FaceCode (float32),
    ``head`` (text) and ``files`` (B,) (text). ``load_codes`` or ``numpy.load`` read them; nothing is pickled.
    """
    arrays = {name: tensor.detach().float().cpu().numpy() for name, tensor in code.tensors().items()}
    write_array_file(path, {**arrays, "head": np.array(code.head), "files": np.array(list(files), dtype=np.str_)})


def load_codes(path: str | Path) -> tuple[FaceCode, list[str]]:
    """Read what ``save_codes`` wrote: the FaceCode (B rows) and the file names. RigError when arrays are missing."""
    arrays = read_array_file(path, "file of face codes")
    try:
        head, files = str(arrays.pop("head")), [str(name) for name in arrays.pop("files")]
        return FaceCode(head=head, **{name: torch.from_numpy(array) for name, array in arrays.items()}), files
    except (KeyError, TypeError) as error:
        raise RigError(f"{path} does not hold face codes; write it with 'diffusionrig capture'.") from error
