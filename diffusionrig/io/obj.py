"""Wavefront OBJ: meshes with texture coordinates or colours, for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffusionrig.io.files import write_text


def write_obj(path: str | Path, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray,
              texture: str | None = None, normal_map: str | None = None, decimals: int = 6, comment: str = "") -> None:
    """Write a textured mesh; with ``texture`` (a file name beside the OBJ) a material file ``<stem>.mtl`` as well.

    ``vertices`` (V, 3) metres; ``faces`` and ``uv_faces`` (F, 3), counted from 0 (the file counts from 1); ``uv`` (T, 2)
    with v = 1 at the top row of the texture, which is OBJ's own convention. ``normal_map`` is a picture beside the OBJ that
    the material names as ``disp``, as DECA's files do. ``comment`` is the first line of both files, behind a #.
    """
    target = Path(path)
    lines = [f"# {comment}"] if comment else []
    if texture is not None:
        material = target.with_suffix(".mtl")
        relief = f"disp {normal_map}\n" if normal_map else ""
        first = "".join(f"{line}\n" for line in lines)
        write_text(material, f"{first}newmtl head\nKd 1 1 1\nKs 0 0 0\nmap_Kd {texture}\n{relief}")
        lines += [f"mtllib {material.name}", "usemtl head"]
    lines += [f"v {x:.{decimals}f} {y:.{decimals}f} {z:.{decimals}f}" for x, y, z in vertices.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv.tolist()]
    corners = np.stack([faces, uv_faces], 2) + 1
    lines += [f"f {a}/{ta} {b}/{tb} {c}/{tc}" for (a, ta), (b, tb), (c, tc) in corners.tolist()]
    write_text(target, "\n".join(lines) + "\n")


def write_coloured_obj(path: str | Path, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray,
                       decimals: int = 6, comment: str = "") -> None:
    """Write a mesh with a colour per vertex: ``colours`` (V, 3) in 0..1 stand behind the coordinates, as MeshLab reads them."""
    lines = [f"# {comment}"] if comment else []
    lines += [f"v {x:.{decimals}f} {y:.{decimals}f} {z:.{decimals}f} {r:.4f} {g:.4f} {b:.4f}"
             for x, y, z, r, g, b in np.concatenate([vertices, colours], 1).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    write_text(path, "\n".join(lines) + "\n")
