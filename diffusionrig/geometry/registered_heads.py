"""FLAME from the folder of registered files."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.flame import Flame
from diffusionrig.io.assets import user_assets
from diffusionrig.io.flame_files import read_flame, read_landmark_embedding, read_template_uv, read_texture
from diffusionrig.io.images import read_image
from diffusionrig.io.registered import missing_files, registered_files

_EMBEDDING, _TEMPLATE = "landmark_embedding.npy", "head_template.obj"
_TEXTURE, _BFM = "FLAME_texture.npz", "FLAME_albedo_from_BFM.npz"
_MASKS = {"face": "uv_face_mask.png", "face_and_eyes": "uv_face_eye_mask.png"}


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


def _models(edition: Edition) -> list[str]:
    return [model for model in edition.models if not missing_files([model])]


def absent_files(name: str) -> list[str]:
    """The files that the head model ``name``, a key of EDITIONS, still lacks."""
    edition = EDITIONS[name]
    return ([] if _models(edition) else [edition.models[0]]) + missing_files([_EMBEDDING, _TEMPLATE, edition.texture])


def load_registered_head(name: str) -> Flame:
    """The head model ``name``, a key of EDITIONS, in float32 on the CPU.

    UsageError, saying where each is to be had, when files are absent; RigError when one is damaged.
    """
    edition, folder = EDITIONS[name], user_assets()
    absent = absent_files(name)
    if absent:
        listed = "; ".join(f"{file.name} ({file.what}, from {file.site}; {file.licence})"
                           for file in registered_files() if file.name in absent)
        raise UsageError(f"The head model {name} needs what is not in {folder}/: {listed}. Put it there, or name the folder "
                         "that holds it in DIFFUSIONRIG_DATA.")
    present = _models(edition)
    model = read_flame(folder / present[0])
    uv, uv_faces, faces = read_template_uv(folder / _TEMPLATE)
    if not np.array_equal(faces, model["faces"]):
        raise RigError(f"{folder / _TEMPLATE} does not list the triangles of {folder / present[0]} in their order, so its texture "
                       "coordinates belong to another mesh; get both again from where you registered.")
    masks = {region: read_image(folder / file)[..., 0].astype(np.float64) / 255
             for region, file in _MASKS.items() if not missing_files([file])}
    return Flame(model, read_landmark_embedding(folder / _EMBEDDING), uv, uv_faces, read_texture(folder / edition.texture),
                 name=name, masks=masks)
