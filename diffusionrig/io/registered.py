"""The files a user registers for: what each is, where to get it, under which licence, and whether the one here is right."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from diffusionrig.errors import RigError
from diffusionrig.io.assets import user_assets
from diffusionrig.io.converted import EMOCA_FILE, converted_path, newest
from diffusionrig.io.emoca_folder import SETTINGS
from diffusionrig.io.encoder_files import check_deca, check_emoca, check_smirk
from diffusionrig.io.files import sha256_of
from diffusionrig.io.flame_files import (
    read_eyelid,
    read_fixed_displacement,
    read_flame,
    read_landmark_embedding,
    read_mediapipe_embedding,
    read_template_uv,
    read_texture_data,
)
from diffusionrig.io.images import read_image
from diffusionrig.io.texture_files import check_texture

_FLAME_SITE, _DECA_SITE, _EMOCA_SITE = "https://flame.is.tue.mpg.de", "https://deca.is.tue.mpg.de", "https://emoca.is.tue.mpg.de"
_DECA_DATA = "the data folder of https://github.com/yfeng95/DECA"
_SMIRK_SITE = "https://github.com/georgeretsi/smirk"
_FLAME_TERMS = "FLAME model licence, registration required, not to be passed on"
_DECA_TERMS = "Max Planck licence: non-commercial research, not to be passed on"
EMOCA_MODELS = "emoca"


@dataclasses.dataclass(frozen=True)
class RegisteredFile:
    """name     below the folder of registered files; EMOCA's is a folder
    what     in a few words
    site     where it is to be had
    licence  in a few words
    check    raises RigError when the file at a path is damaged or another
    optional whether FLAME, DECA, EMOCA and SMIRK work without it
    sha256   first digits of the edition that readers were checked against, where that was possible
    """

    name: str
    what: str
    site: str
    licence: str
    check: Callable[[Path], object]
    optional: bool = False
    sha256: str = ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """state is "present", "absent" or "wrong"; note says more, in one sentence or none; converted: the plain copy is used."""

    file: RegisteredFile
    state: str
    note: str = ""
    converted: bool = False


def registered_files(folder: Path | None = None) -> tuple[RegisteredFile, ...]:
    """The table, FLAME first, with the models of EMOCA that are in ``folder`` (default: the user's) beside the default one."""
    folder, default = folder or user_assets(), f"{EMOCA_MODELS}/EMOCA_v2_lr_mse_20"
    models = {path.parent.relative_to(folder).as_posix() for name in (SETTINGS, EMOCA_FILE)
              for path in (folder / EMOCA_MODELS).glob(f"*/{name}")}
    emoca = tuple(_emoca(name, name != default) for name in [default, *sorted(models - {default})])
    return (*_FLAME, *_DECA, *emoca, *_SMIRK)


def find(file: RegisteredFile, folder: Path | None = None) -> Finding:
    """Whether ``file`` is in ``folder`` (default: the user's) and right."""
    path = (folder or user_assets()) / file.name
    copy = converted_path(path)
    if not path.exists() and not (copy is not None and copy.is_file()):
        return Finding(file, "absent", f"{file.what}; get it from {file.site} ({file.licence}).")
    try:
        file.check(path)
        if file.sha256 and newest(path) == path and not sha256_of(path).startswith(file.sha256):
            return Finding(file, "present", "Of another edition than the one that was measured, but of the right form.")
    except RigError as error:
        return Finding(file, "wrong", str(error))
    return Finding(file, "present", converted=copy is not None and copy.is_file() and newest(path) == copy)


def missing_files(patterns: Sequence[str]) -> list[str]:
    """Those ``patterns`` (names or globs relative to the folder of registered files) that match neither a file nor the plain
    copy of one."""
    folder = user_assets()
    return [pattern for pattern in patterns if not any(path.is_file() for path in folder.glob(pattern))
            and not _has_copy(folder, pattern)]


def _has_copy(folder: Path, pattern: str) -> bool:
    parts = pattern.split("/")
    original = folder / "/".join(parts[:2] if parts[0] == EMOCA_MODELS else parts)
    copy = None if "*" in original.as_posix() else converted_path(original)
    return copy is not None and copy.is_file()


def _picture(side: int) -> Callable[[Path], object]:
    def check(path: Path) -> None:
        height, width = read_image(path, max_megapixels=1).shape[:2]
        if (width, height) != (side, side):
            raise RigError(f"{path} has {width} x {height} pixels, but {side} x {side} are needed; download it again.")

    return check


def _emoca(name: str, optional: bool) -> RegisteredFile:
    return RegisteredFile(name, "EMOCA's model folder, with cfg.yaml and detail/checkpoints", _EMOCA_SITE, _DECA_TERMS,
                          check_emoca, optional)


_FLAME = (
    RegisteredFile("generic_model.pkl", "FLAME 2020", _FLAME_SITE, _FLAME_TERMS, read_flame),
    RegisteredFile("flame2023.pkl", "FLAME 2023", _FLAME_SITE, "CC BY 4.0 for the Open edition, else as FLAME 2020",
                   read_flame, True),
    RegisteredFile("flame2023_Open.pkl", "FLAME 2023 Open", _FLAME_SITE, "CC BY 4.0", read_flame, True),
    RegisteredFile("FLAME_texture.npz", "FLAME's albedo space", _FLAME_SITE, "non-commercial use only", check_texture),
    RegisteredFile("FLAME_albedo_from_BFM.npz", "the Basel Face Model's albedo on FLAME",
                   "https://github.com/TimoBolkart/BFM_to_FLAME, made from the Basel Face Model 2017",
                   "derived from the Basel Face Model, not to be passed on", check_texture, True),
)
_DECA = (
    RegisteredFile("deca_model.tar", "DECA's weights", _DECA_SITE, _DECA_TERMS, check_deca),
    RegisteredFile("landmark_embedding.npy", "landmarks on FLAME", _DECA_DATA, _DECA_TERMS, read_landmark_embedding,
                   sha256="8095348e"),
    RegisteredFile("head_template.obj", "FLAME's texture coordinates", _DECA_DATA, _DECA_TERMS, read_template_uv,
                   sha256="dd5bfbce"),
    RegisteredFile("fixed_displacement_256.npy", "displacement that every head has", _DECA_DATA, _DECA_TERMS,
                   read_fixed_displacement, True, "296d0111"),
    RegisteredFile("uv_face_mask.png", "the face in texture space", _DECA_DATA, _DECA_TERMS, _picture(256), True, "bbf57044"),
    RegisteredFile("uv_face_eye_mask.png", "face and eyes in texture space", _DECA_DATA, _DECA_TERMS, _picture(256), True,
                   "a5069d8f"),
    RegisteredFile("mean_texture.jpg", "DECA's mean texture", _DECA_DATA, _DECA_TERMS, _picture(512), True, "34364c02"),
    RegisteredFile("texture_data_256.npy", "the dense grid for detailed meshes", _DECA_DATA, _DECA_TERMS, read_texture_data,
                   True),
    RegisteredFile("mediapipe_landmark_embedding.npz", "MediaPipe's landmarks on FLAME", f"{_EMOCA_SITE} or {_SMIRK_SITE}",
                   _DECA_TERMS, read_mediapipe_embedding, True),
)
_SMIRK = (
    RegisteredFile("SMIRK_em1.pt", "SMIRK's weights", _SMIRK_SITE, "MIT", check_smirk),
    RegisteredFile("l_eyelid.npy", "SMIRK's left eyelid on FLAME", _SMIRK_SITE, "MIT, derived from FLAME", read_eyelid, True),
    RegisteredFile("r_eyelid.npy", "SMIRK's right eyelid on FLAME", _SMIRK_SITE, "MIT, derived from FLAME", read_eyelid, True),
)
