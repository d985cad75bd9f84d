"""The encoders by name: DECA and EMOCA for those who have registered, FIT for everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusionrig.capture.encoder import Encoder
from diffusionrig.errors import UsageError
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import user_assets
from diffusionrig.io.registered import missing_files

if TYPE_CHECKING:
    import torch

_FLAME_FILES = ("generic_model.pkl", "landmark_embedding.npy", "head_template.obj", "FLAME_texture.npz")

# In order of preference: what each encoder reads, and where its files are to be had.
_REGISTERED: dict[str, tuple[tuple[str, ...], str]] = {
    "EMOCA": (("emoca/EMOCA_v2_lr_mse_20/cfg.yaml", "emoca/EMOCA_v2_lr_mse_20/detail/checkpoints/**/*.ckpt", *_FLAME_FILES),
              "https://emoca.is.tue.mpg.de and https://flame.is.tue.mpg.de"),
    "DECA": (("deca_model.tar", *_FLAME_FILES), "https://deca.is.tue.mpg.de and https://flame.is.tue.mpg.de"),
}


def encoder_names() -> tuple[str, ...]:
    """All encoders that can be named, usable here or not."""
    return ("DECA", "EMOCA", "FIT")


def available_encoders() -> dict[str, str]:
    """Each encoder's name and, when it is not usable here, the reason in one sentence; an empty text means usable."""
    return {name: _reason(name) for name in encoder_names()}


def best_encoder() -> str:
    """The first usable of EMOCA, DECA, FIT; the default of ``--use_model``."""
    return next(name for name in ("EMOCA", "DECA", "FIT") if not _reason(name))


def make_encoder(name: str, head: HeadModel | None = None, device: str | torch.device = "auto") -> Encoder:
    """The encoder ``name`` (any letter case) for ``head`` (default: the open head) on ``device``.

    UsageError when there is no such encoder or its files are absent.
    """
    known = {candidate.upper(): candidate for candidate in encoder_names()}
    if name.upper() not in known:
        raise UsageError(f"There is no encoder {name!r}; choose one of {', '.join(encoder_names())}.")
    reason = _reason(known[name.upper()])
    if reason:
        raise UsageError(reason)
    from diffusionrig.capture.fit.encoder import FitEncoder
    from diffusionrig.devices import resolve_device
    from diffusionrig.geometry.heads import load_head

    return FitEncoder(head if head is not None else load_head(), resolve_device(str(device)))


def _reason(name: str) -> str:
    if name == "FIT":
        return ""
    files, site = _REGISTERED[name]
    missing = missing_files(files)
    folder = user_assets()
    if missing:
        these = "file" if len(missing) == 1 else "files"
        return (f"The encoder {name} needs the {these} {', '.join(missing)}: register at {site}, put what you receive "
                f"into {folder}/ (or name another folder in DIFFUSIONRIG_DATA), or use FIT, which needs none.")
    return f"The files of the encoder {name} are in {folder}/, but this version cannot read them yet; use FIT."
