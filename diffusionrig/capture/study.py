"""What the pictures and meshes of a captured face are made from: its crop, its wrinkles, and the maps of its head."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.deca.encoder import DecaEncoder
from diffusionrig.capture.deca.preparing import Prepared
from diffusionrig.capture.emoca.encoder import EmocaEncoder
from diffusionrig.capture.encoder import Encoder
from diffusionrig.capture.smirk.encoder import SmirkEncoder
from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import user_assets
from diffusionrig.io.flame_files import read_fixed_displacement
from diffusionrig.io.images import read_image
from diffusionrig.render.detail import detail_normals, displacement_map
from diffusionrig.render.face_views import PLAIN_ALBEDO, FaceViews, render_views, texture_fragments
from diffusionrig.render.rasterizer import Fragments

TEXELS = 256
FACE_MASK, FIXED = "uv_face_eye_mask.png", "fixed_displacement_256.npy"


@dataclasses.dataclass(frozen=True)
class Atlas:
    """Maps of a head in texture space, row 0 at the top, on the CPU.

    texels     which face of the head is at each of 256 x 256 texels
    face_mask  (256, 256) 0..1, face and eyes; 1 everywhere when DECA's file is not there
    fixed      (256, 256) metres that every head is displaced by; 0 when DECA's file is not there
    missing    names of the files that are not there
    """

    texels: Fragments
    face_mask: Tensor
    fixed: Tensor
    missing: tuple[str, ...] = ()


def load_atlas(head: HeadModel) -> Atlas:
    """The atlas of ``head``, with DECA's maps where they are among the registered files. RigError when one is damaged."""
    mask, fixed = torch.ones(TEXELS, TEXELS), torch.zeros(TEXELS, TEXELS)
    missing = tuple(name for name in (FACE_MASK, FIXED) if not (user_assets() / name).is_file())
    if FACE_MASK not in missing:
        pixels = read_image(user_assets() / FACE_MASK)[..., 0]
        if pixels.shape != (TEXELS, TEXELS):
            raise RigError(f"{user_assets() / FACE_MASK} has {pixels.shape[1]} x {pixels.shape[0]} pixels, where {TEXELS} x "
                           f"{TEXELS} are needed; get DECA's file again.")
        mask = torch.from_numpy(pixels / np.float32(255))
    if FIXED not in missing:
        fixed = torch.from_numpy(read_fixed_displacement(user_assets() / FIXED).astype(np.float32))
    return Atlas(texture_fragments(head, TEXELS), mask, fixed, missing)


@dataclasses.dataclass(frozen=True)
class Study:
    """Of B faces, on the CPU: ``crops`` (B, 3, 224, 224) RGB in 0..1, ``detail`` (B, 128) codes of wrinkles and
    ``displacement`` (B, 1, 256, 256) metres, what they make of the expression; both None without detail."""

    crops: Tensor
    detail: Tensor | None = None
    displacement: Tensor | None = None

    def __getitem__(self, row: int) -> Study:
        """One face, still with its batch axis."""
        rest = (None if part is None else part[row:row + 1] for part in (self.detail, self.displacement))
        return Study(self.crops[row:row + 1], *rest)


def deca_inside(encoder: Encoder) -> DecaEncoder | None:
    """The encoder of DECA's kind that ``encoder`` is or builds on; None for one that looks at photographs otherwise."""
    inner = encoder.base if isinstance(encoder, SmirkEncoder) else encoder
    return inner if isinstance(inner, DecaEncoder) else None


@torch.no_grad()
def study_faces(encoder: DecaEncoder, prepared: Sequence[Prepared], code: FaceCode, detail: bool = True) -> Study:
    """The study of images that ``encoder`` has prepared and of their final ``code``."""
    crops = torch.from_numpy(np.stack([image.crop for image in prepared]))
    if not detail:
        return Study(crops)
    network, _ = encoder.detail_networks()
    wrinkles = torch.cat([network(crop[None].to(encoder.device)) for crop in crops])
    return Study(crops, wrinkles.cpu(), encoder.displacements(code.to(encoder.device), wrinkles).cpu())


@dataclasses.dataclass(frozen=True)
class FaceRecord:
    """views of one face, and for its meshes: ``vertices`` (V, 3) posed, metres; ``displacement`` (256, 256) metres along the
    normal and ``normals`` (3, 256, 256) of the displaced skin, both None without detail."""

    views: FaceViews
    vertices: Tensor
    displacement: Tensor | None = None
    normals: Tensor | None = None


@torch.no_grad()
def record_face(encoder: DecaEncoder, head: HeadModel, atlas: Atlas, code: FaceCode, study: Study) -> FaceRecord:
    """Draw one face (batch 1) as EMOCA's demo does.

    Releases of EMOCA without texture space are drawn in plain grey; others, and DECA, with the head's own albedo.
    """
    grey = isinstance(encoder, EmocaEncoder) and not encoder.textured
    albedo = torch.full((1, 3, TEXELS, TEXELS), PLAIN_ALBEDO) if grey else head.texture(code.albedo)
    background = encoder.background if isinstance(encoder, EmocaEncoder) else "input"
    vertices = head.vertices(code)
    normals = moved = None
    if study.displacement is not None:
        shaded = displacement_map(study.displacement, atlas.face_mask, atlas.fixed)
        normals = detail_normals(head, vertices, shaded, atlas.texels)
        # Meshes get the predicted displacement everywhere, pictures only within the face: as published.
        moved = study.displacement[0, 0] + atlas.fixed
    views = render_views(head, code, study.crops, albedo, atlas.face_mask[None, None], atlas.texels, normals, background)
    return FaceRecord(views, vertices[0], moved, None if normals is None else normals[0])
