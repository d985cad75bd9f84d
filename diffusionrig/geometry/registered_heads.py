"""FLAME from the folder of registered files."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.flame import Flame
from diffusionrig.io.assets import user_assets
from diffusionrig.io.converted import converted_path
from diffusionrig.io.flame_files import read_flame, read_landmark_embedding, read_template_uv, read_texture
from diffusionrig.io.images import read_image
from diffusionrig.io.registered import missing_files

_EMBEDDING, _TEMPLATE = "landmark_embedding.npy", "head_template.obj"
_TEXTURE, _BFM = "FLAME_texture.npz", "FLAME_albedo_from_BFM.npz"
_MASKS = {"face": "uv_face_mask.png", "face_and_eyes": "uv_face_eye_mask.png"}
_FLAME_SITE = "https://flame.is.tue.mpg.de"
_BESIDE_DECA = "lies in the data folder of https://github.com/yfeng95/DECA, non-commercial research only"
_SOURCES = {
    "generic_model.pkl": f"FLAME 2020, register at {_FLAME_SITE}, whose model licence applies",
    "flame2023.pkl": f"FLAME 2023, register at {_FLAME_SITE}; its Open edition is CC BY 4.0",
    _EMBEDDING: _BESIDE_DECA, _TEMPLATE: _BESIDE_DECA,
    _TEXTURE: f"from {_FLAME_SITE}, non-commercial use only",
    _BFM: "made from the Basel Face Model 2017 by https://github.com/TimoBolkart/BFM_to_FLAME, not to be passed on",
}


@dataclasses.dataclass(frozen=True)
class Edition:
    """models   names its model may have; the first found is read
    texture  the file of its albedo space
    """

    models: tuple[str, ...]
    texture: str = _TEXTURE


_2020, _2023 = ("generic_model.pkl",), ("flame2023.pkl", "flame2023_Open.pkl")
EDITIONS = {"flame-2020": Edition(_2020), "flame-2023": Edition(_2023),
            "flame-2020-bfm": Edition(_2020, _BFM), "flame-2023-bfm": Edition(_2023, _BFM)}
"""The head models made of registered files. DiffusionRig's networks know FLAME's own texture space, so that is the usual one;
DECA's encoder was trained with the Basel Face Model's albedo, in which ``-bfm`` shows its coefficients as they were meant."""


def load_registered_head(name: str) -> Flame:
    """The head model ``name``, a key of EDITIONS, in float32 on the CPU.

    UsageError, saying where each is to be had, when files are absent; RigError when one is damaged.
    """
    edition, folder = EDITIONS[name], user_assets()
    present = [model for model in edition.models if _there(model)]
    absent = [] if present else [edition.models[0]]
    absent += [file for file in (_EMBEDDING, _TEMPLATE, edition.texture) if not _there(file)]
    if absent:
        listed = "; ".join(f"{file} ({_SOURCES[file]})" for file in absent)
        raise UsageError(f"The head model {name} needs what is not in {folder}/: {listed}. Put it there, or name the folder "
                         "that holds it in DIFFUSIONRIG_DATA.")
    model = read_flame(folder / present[0])
    uv, uv_faces, faces = read_template_uv(folder / _TEMPLATE)
    if not np.array_equal(faces, model["faces"]):
        raise RigError(f"{folder / _TEMPLATE} does not list the triangles of {folder / present[0]} in their order, so its texture "
                       "coordinates belong to another mesh; get both again from where you registered.")
    masks = {region: read_image(folder / file)[..., 0].astype(np.float64) / 255
             for region, file in _MASKS.items() if _there(file)}
    return Flame(model, read_landmark_embedding(folder / _EMBEDDING), uv, uv_faces, read_texture(folder / edition.texture),
                 name=name, masks=masks)


def _there(file: str) -> bool:
    """Whether a registered file, or the plain copy that ``convert-assets`` made of it, is in the folder."""
    copy = converted_path(file)
    return not missing_files([file]) or (copy is not None and not missing_files([str(copy)]))
