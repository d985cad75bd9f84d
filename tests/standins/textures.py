"""Stand-ins of everything that lives in texture space: albedo models, masks, displacement, the dense grid."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from standins.mesh import Mesh
from standins.pickles import dumps, object_npy

SIDE = 512


def albedo_mean(mesh: Mesh, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) the open head's mean albedo, RGB 0..255; its atlas is the mesh's but for hidden places."""
    return np.asarray(Image.fromarray(mesh.open_head["albedo_mean"]).resize((side, side), Image.Resampling.BICUBIC),
                      np.float64)


def albedo_directions(mesh: Mesh, count: int = 12) -> np.ndarray:
    """(count, 512, 512, 3) the open head's first albedo components, RGB of 0..255 for one standard deviation."""
    head = mesh.open_head
    found = np.zeros((count, SIDE // 2, SIDE // 2, 3))
    for owner, mask, direction in zip(head["albedo_owner"], head["albedo_masks"], head["albedo_directions"]):
        if owner < count:
            found[owner] += np.round(mask / 127.0 * 64)[..., None] / 64 * direction * 255
    return found.repeat(2, 1).repeat(2, 2)


def write_flame_texture(path: Path, mesh: Mesh) -> None:
    """FLAME_texture.npz at full size: mean (512, 512, 3), tex_dir (512, 512, 3, 200), 0..255, blue first; vt, ft."""
    mean = np.float32(albedo_mean(mesh)[..., ::-1])
    basis = np.float32(albedo_directions(mesh)[..., ::-1])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _write_member(archive, "mean", [mean], mean.shape)
        _write_member(archive, "tex_dir", (_widened(np.moveaxis(basis[:, row], 0, -1), 200) for row in range(SIDE)),
                      (SIDE, SIDE, 3, 200))
        _write_member(archive, "vt", [mesh.uv], mesh.uv.shape)
        _write_member(archive, "ft", [mesh.uv_faces.astype(np.uint32)], mesh.uv_faces.shape)


def write_bfm_albedo(path: Path, mesh: Mesh) -> None:
    """FLAME_albedo_from_BFM.npz at full size: MU (786432,), PC (786432, 199), float64, 0..1, blue first."""
    mean = albedo_mean(mesh)[..., ::-1].reshape(-1) / 255
    basis = albedo_directions(mesh)[..., ::-1].reshape(-1, SIDE, SIDE * 3) / 255
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _write_member(archive, "MU", [mean], mean.shape)
        # Twice the first components, the other way round: another basis than FLAME_texture.npz has.
        _write_member(archive, "PC", (_widened(-basis[::-1, row].T, 199) for row in range(SIDE)), (SIDE * SIDE * 3, 199))


def _widened(block: np.ndarray, count: int) -> np.ndarray:
    wide = np.zeros((*block.shape[:-1], count), block.dtype)
    wide[..., :block.shape[-1]] = block
    return wide


def _write_member(archive: zipfile.ZipFile, name: str, blocks: Iterable[np.ndarray], shape: tuple[int, ...]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        for at, block in enumerate(blocks):
            if at == 0:
                header = {"descr": block.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
            member.write(np.ascontiguousarray(block).tobytes())


def rasterise_uv(mesh: Mesh, side: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """(side, side) the face at each pixel centre or -1, row 0 at v = 1; (side, side, 3) its barycentric coordinates."""
    faces, barys = np.full((side, side), -1), np.zeros((side, side, 3))
    corners = np.stack([mesh.uv[..., 0] * side, (1 - mesh.uv[..., 1]) * side], -1)[mesh.uv_faces]
    low, high = np.ceil(corners.min(1) - 0.5).astype(int).clip(0), np.floor(corners.max(1) - 0.5).astype(int) + 1
    for face, (a, b, c) in enumerate(corners):
        (x0, y0), (x1, y1) = low[face], high[face]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-9 or x1 <= x0 or y1 <= y0:
            continue
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        v = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        w = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        inside = (v >= 0) & (w >= 0) & (v + w <= 1)
        faces[y0:y1, x0:x1][inside] = face
        barys[y0:y1, x0:x1][inside] = np.stack([1 - v - w, v, w], -1)[inside]
    return faces, barys


def write_texture_files(folder: Path, mesh: Mesh) -> None:
    """fixed_displacement_256.npy, the two masks, mean_texture.jpg and texture_data_256.npy."""
    faces, barys = rasterise_uv(mesh)
    covered = faces >= 0
    regions = dict(zip(mesh.open_head["region_names"].tolist(), mesh.open_head["region_masks"]))

    def painted(values: np.ndarray) -> np.ndarray:
        corners = mesh.carry(values.astype(np.float64))[mesh.faces[faces]]
        return np.where(covered, (corners * barys).sum(-1), 0)

    face, eyes = painted(regions["face"]), painted(np.maximum(regions["eyes"], regions["face"]))
    rows, columns = np.mgrid[0:256, 0:256] / 256
    bumps = 0.0008 * np.sin(19 * columns + 3) * np.cos(23 * rows) + 0.0001
    np.save(folder / "fixed_displacement_256.npy", np.where(covered, bumps, 0.0))
    for name, values in (("uv_face_mask", face), ("uv_face_eye_mask", eyes)):
        grey = np.repeat(values.round().astype(np.uint8)[..., None], 3, 2)
        Image.fromarray(np.dstack([grey, np.full((256, 256), 255, np.uint8)]), "RGBA").save(folder / f"{name}.png")
    Image.fromarray(albedo_mean(mesh).clip(0, 255).astype(np.uint8)).save(folder / "mean_texture.jpg", quality=90)
    write_texture_data(folder / "texture_data_256.npy", mesh, faces, barys)


def write_texture_data(path: Path, mesh: Mesh, faces: np.ndarray, barys: np.ndarray) -> None:
    """texture_data_256.npy: the grid of texture points, column after column (index = x * 256 + y), Python 2 pickle."""
    columns, rows = np.divmod(np.arange(65536), 256)
    ids = np.flatnonzero(faces[rows, columns] >= 0)
    at = (rows[ids], columns[ids])
    corner = np.flatnonzero((columns < 255) & (rows < 255))
    grid = np.concatenate([np.stack([corner, corner + 1, corner + 256], 1),
                           np.stack([corner + 1, corner + 257, corner + 256], 1)])
    holder = np.empty((), object)
    holder[()] = {"img_size": 256, "f": grid, "x_coords": columns + 0.5, "y_coords": rows + 0.5, "valid_pixel_ids": ids,
                  "valid_pixel_3d_faces": mesh.faces[faces[at]].astype(np.int64), "valid_pixel_b_coords": barys[at],
                  "vt": mesh.uv, "ft": mesh.uv_faces}
    path.write_bytes(object_npy(dumps(holder, protocol=2)))
