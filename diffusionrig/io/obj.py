"""Wavefront OBJ: meshes with texture coordinates, for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffusionrig.io.files import write_text


def write_obj(path: str | Path, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray,
              texture: str | None = None) -> None:
    """Write a textured mesh; with ``texture`` (a file name beside the OBJ) a material file ``<stem>.mtl`` as well.

    ``vertices`` (V, 3) metres; ``faces`` and ``uv_faces`` (F, 3), counted from 0 (the file counts from 1); ``uv`` (T, 2)
    with v = 1 at the top row of the texture, which is OBJ's own convention.
    """
    target = Path(path)
    lines = []
    if texture is not None:
        material = target.with_suffix(".mtl")
        write_text(material, f"newmtl head\nKd 1 1 1\nKs 0 0 0\nmap_Kd {texture}\n")
        lines += [f"mtllib {material.name}", "usemtl head"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv.tolist()]
    corners = np.stack([faces, uv_faces], 2) + 1
    lines += [f"f {a}/{ta} {b}/{tb} {c}/{tc}" for (a, ta), (b, tb), (c, tc) in corners.tolist()]
    write_text(target, "\n".join(lines) + "\n")
