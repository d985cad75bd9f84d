"""FLAME's two albedo spaces, of which only the first components are read: the whole files need more than a gigabyte."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.array_checks import Wanted
from diffusionrig.io.checked_npz import check_npz_headers, open_array, open_npz, read_array
from diffusionrig.io.converted import newest
from diffusionrig.io.npy_stream import NpyHeader, fill

SIDE, COMPONENTS = 512, 50
_MOST = 256  # components; the known files have 200 and 199
FLAME_SPACE = {"mean": Wanted((SIDE, SIDE, 3)), "tex_dir": Wanted((SIDE, SIDE, 3, None), "f", most=_MOST)}
BFM_SPACE = {"MU": Wanted((SIDE * SIDE * 3,), "f"), "PC": Wanted((SIDE * SIDE * 3, None), "f", most=_MOST)}


def read_texture(path: str | Path, components: int = COMPONENTS, original: bool = False) -> dict[str, np.ndarray]:
    """The albedo space in ``FLAME_texture.npz`` or ``FLAME_albedo_from_BFM.npz``, as stored but for the number of components.

    FLAME's: mean (512, 512, 3) and tex_dir (512, 512, 3, components), 0..255. BFM's: MU (786432,) and PC (786432,
    components), 0..1. Both float32, blue first, row 0 at v = 1. UsageError when the file is absent; RigError when it is
    damaged, of another shape or has fewer components.
    """
    file = Path(path) if original else newest(Path(path))
    with open_npz(file, "albedo space") as archive:
        space = _space(archive)
        (mean, wanted_mean), (basis, wanted_basis) = space.items()
        found = read_array(archive, mean, wanted_mean).astype(np.float32)
        with open_array(archive, basis, wanted_basis) as (stream, header):
            if header.shape[-1] < components:
                raise RigError(f"{basis} of {file} has {header.shape[-1]} components, but {components} are needed; "
                               "download the file again.")
            kept = _first_components(stream, header, components)
    if not np.isfinite(kept).all():
        raise RigError(f"{basis} of {file} holds values that are not finite; download the file again.")
    return {mean: found, basis: kept}


def check_texture(path: str | Path) -> None:
    """RigError when the declared shapes in ``path`` are not those of an albedo space; its numbers are not read."""
    file = newest(Path(path))
    with open_npz(file, "albedo space") as archive:
        space = _space(archive)
    check_npz_headers(file, space, "albedo space")


def _space(archive: zipfile.ZipFile) -> dict[str, Wanted]:
    return BFM_SPACE if {"PC.npy", "MU.npy"} & set(archive.namelist()) else FLAME_SPACE


def _first_components(stream: IO[bytes], header: NpyHeader, components: int) -> np.ndarray:
    assert header.dtype is not None
    *axes, count = header.shape
    if header.fortran:
        # One component after another, each with its axes in reverse order.
        by_component = np.empty((components, *reversed(axes)), np.float32)
        block = np.empty(tuple(reversed(axes)), header.dtype)
        for row in by_component:
            fill(stream, block)
            row[...] = block
        return np.ascontiguousarray(by_component.T)
    kept = np.empty((int(np.prod(axes)), components), np.float32)
    step = SIDE * 3
    block = np.empty((step, count), header.dtype)
    for start in range(0, len(kept), step):
        fill(stream, block)
        kept[start:start + step] = block[:, :components]
    return kept.reshape(*axes, components)
