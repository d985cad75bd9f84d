"""A folder per face with what EMOCA's demo writes: pictures of its crop, codes, and meshes with their textures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.own_results import COMMENT, write_own_png
from diffusionrig.capture.study import Atlas, FaceRecord, Study
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.obj import write_coloured_obj, write_obj
from diffusionrig.render.dense_mesh import dense_mesh

MESH = "mesh_coarse"
DECIMALS = 8


def quantised(picture: Tensor) -> np.ndarray:
    """(3, H, W) about 0..1 -> (H, W, 3) uint8 as published: 255 times, clipped, cut down and not rounded."""
    return (picture * 255).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def write_codes(folder: Path, code: FaceCode, study: Study) -> None:
    """One float32 array per file. ``shape`` (100,), ``exp`` (50,), ``tex`` (50,), ``pose`` (6,) and ``detail`` (128,) are the
    published ones; ``cam`` (3,), ``light`` (9, 3) and ``crop`` (3, 3) are what they leave out and a picture needs."""
    arrays = {"shape": code.shape, "exp": code.expression, "tex": code.albedo, "pose": code.pose, "detail": study.detail,
              "cam": code.camera, "light": code.light, "crop": code.crop}
    for name, values in arrays.items():
        if values is not None:
            write_npy(folder / f"{name}.npy", values[0].float().numpy())


def write_pictures(folder: Path, record: FaceRecord, study: Study) -> None:
    """``inputs.png``, ``geometry_coarse.png``, ``geometry_detail.png``, ``out_im_coarse.png``, ``out_im_detail.png``, all of
    the 224-pixel crop; those of the detail only where there is one."""
    views = record.views
    pictures = {"inputs": study.crops, "geometry_coarse": views.shape, "geometry_detail": views.shape_detail,
                "out_im_coarse": views.overlay, "out_im_detail": views.overlay_detail}
    for name, picture in pictures.items():
        if picture is not None:
            write_own_png(folder / f"{name}.png", quantised(picture[0]))


def write_meshes(folder: Path, head: HeadModel, atlas: Atlas, record: FaceRecord) -> None:
    """``mesh_coarse.obj`` with its material, the photograph's colours as texture and the detail normals; with detail also
    ``mesh_coarse_detail.obj``, a vertex per texel with its colour."""
    texture = quantised(record.views.texture[0])
    write_own_png(folder / f"{MESH}.png", texture)
    relief = None
    if record.normals is not None:
        relief = f"{MESH}_normals.png"
        write_own_png(folder / relief, quantised(record.normals * 0.5 + 0.5))
    write_obj(folder / f"{MESH}.obj", record.vertices.numpy(), head.faces.numpy(), head.uv.numpy(), head.uv_faces.numpy(),
              f"{MESH}.png", relief, DECIMALS, COMMENT)
    if record.displacement is not None:
        colours = torch.from_numpy(texture.astype(np.float32) / 255).permute(2, 0, 1)
        mesh = dense_mesh(head, record.vertices, record.displacement, atlas.texels, colours)
        assert mesh.colours is not None
        write_coloured_obj(folder / f"{MESH}_detail.obj", mesh.vertices.numpy(), mesh.faces.numpy(), mesh.colours.numpy(),
                           DECIMALS, COMMENT)
