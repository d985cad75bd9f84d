"""Stand-ins for the files that a user registers for: the real formats and sizes, made-up contents.

    write_standins(folder)      everything, some seconds and 700 MB
"""

from __future__ import annotations

from pathlib import Path

from standins.checkpoints import deca_networks, write_deca, write_emoca, write_smirk
from standins.flame_arrays import flame_arrays
from standins.flame_files import (
    embedding_arrays,
    write_embedding,
    write_eyelids,
    write_flame_2020,
    write_flame_2023,
    write_mediapipe_embedding,
    write_template,
)
from standins.mesh import make_mesh
from standins.textures import write_bfm_albedo, write_flame_texture, write_texture_files


def write_standins(folder: Path, *, emoca: str = "v2", seed: int = 0) -> None:
    """Every registered file that is always needed, and the optional small ones, under the names the package looks for.

    ``emoca`` is a kind of ``standins.checkpoints.EMOCA_KINDS``: "v1" (50 outputs, jaw from DECA), "v2" (53, own jaw),
    "v2-global" (53, own rotation), "v2-both" (56).
    """
    write_head_standins(folder, seed=seed)
    write_encoder_standins(folder, emoca=emoca, seed=seed)


def write_head_standins(folder: Path, *, seed: int = 0, texture: bool = True) -> None:
    """FLAME and what lies beside it: no encoders."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh = make_mesh()
    arrays = flame_arrays(mesh, seed)
    write_flame_2020(folder / "generic_model.pkl", arrays)
    write_embedding(folder / "landmark_embedding.npy", embedding_arrays(mesh))
    write_mediapipe_embedding(folder / "mediapipe_landmark_embedding.npz", mesh)
    write_template(folder / "head_template.obj", mesh)
    write_eyelids(folder, mesh)
    write_texture_files(folder, mesh)
    if texture:
        write_flame_texture(folder / "FLAME_texture.npz", mesh)


def write_encoder_standins(folder: Path, *, emoca: str = "v2", seed: int = 0) -> None:
    """deca_model.tar, EMOCA's model folder (with DECA's weights, as published) and SMIRK_em1.pt."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = deca_networks(seed)
    write_deca(folder / "deca_model.tar", networks)
    write_emoca(folder / "emoca", networks, flame_arrays(make_mesh(), seed), emoca, seed)
    write_smirk(folder / "SMIRK_em1.pt", seed)


def write_optional_standins(folder: Path, *, seed: int = 0) -> None:
    """FLAME 2023 and the albedo space of the Basel Face Model."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh = make_mesh()
    write_flame_2023(folder / "flame2023.pkl", flame_arrays(mesh, seed))
    write_bfm_albedo(folder / "FLAME_albedo_from_BFM.npz", mesh)
