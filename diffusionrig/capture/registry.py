"""The encoders by name: DECA, EMOCA and SMIRK for those who have registered, FIT for everyone."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from diffusionrig.capture.encoder import Encoder, EncoderOptions
from diffusionrig.errors import UsageError
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.assets import user_assets
from diffusionrig.io.converted import EMOCA_FILE
from diffusionrig.io.emoca_folder import SETTINGS
from diffusionrig.io.registered import EMOCA_MODELS, missing_files

if TYPE_CHECKING:
    import torch

FLAME = ("flame-2020", "flame-2020-bfm")
"""One geometry in two albedo spaces: the one DiffusionRig shows, and the one DECA was trained in."""

_FLAME_FILES = ("generic_model.pkl", "landmark_embedding.npy", "head_template.obj", "FLAME_texture.npz")
_FLAME_SITE = "https://flame.is.tue.mpg.de"


@dataclasses.dataclass(frozen=True)
class _Entry:
    """package  below ``diffusionrig.capture``; its module ``encoder`` offers ``load_encoder(head, device, options)``
    heads    the head models it makes codes of, the usual one first; empty: any
    files    what it reads below the folder of registered files, and ``site`` where that is to be had
    """

    package: str
    heads: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    site: str = ""


def _emoca(model: str) -> _Entry:
    folder = f"{EMOCA_MODELS}/{model}"
    return _Entry("emoca", FLAME, (f"{folder}/{SETTINGS}", f"{folder}/detail/checkpoints/**/*.ckpt", *_FLAME_FILES),
                  f"https://emoca.is.tue.mpg.de and {_FLAME_SITE}")


_ENTRIES = {
    "DECA": _Entry("deca", FLAME, ("deca_model.tar", *_FLAME_FILES), f"https://deca.is.tue.mpg.de and {_FLAME_SITE}"),
    "EMOCA": _emoca("EMOCA_v2_lr_mse_20"),
    "SMIRK": _Entry("smirk", FLAME, ("SMIRK_em1.pt", "deca_model.tar", *_FLAME_FILES),
                    f"https://github.com/georgeretsi/smirk, https://deca.is.tue.mpg.de and {_FLAME_SITE}"),
    "FIT": _Entry("fit"),
}
_PREFERENCE = ("EMOCA", "DECA", "FIT", "SMIRK")


def encoder_names() -> tuple[str, ...]:
    """All encoders that can be named, usable here or not."""
    return tuple(_ENTRIES)


def available_encoders() -> dict[str, str]:
    """Each encoder's name and, when it is not usable here, the reason in one sentence; an empty text means usable."""
    return {name: _reason(name) for name in _ENTRIES}


def best_encoder(head: str = "") -> str:
    """The first usable of EMOCA, DECA, FIT that makes codes of ``head`` (of any head when empty)."""
    return next(name for name in _PREFERENCE if (not head or makes_codes_of(name, head)) and not _reason(name))


def encoder_called(name: str) -> str:
    """``name``, in any letter case, as the encoder is called here; a model of EMOCA whose folder is among the registered files
    is an encoder too, called as its folder. UsageError when there is none."""
    known = {candidate.upper(): candidate for candidate in _ENTRIES}
    if name.upper() in known:
        return known[name.upper()]
    if Path(name).name == name and any((user_assets() / EMOCA_MODELS / name / file).is_file() for file in (SETTINGS, EMOCA_FILE)):
        return name
    raise UsageError(f"There is no encoder {name!r}; choose one of {', '.join(_ENTRIES)}.")


def _entry(name: str) -> _Entry:
    known = encoder_called(name)
    return _ENTRIES[known] if known in _ENTRIES else _emoca(known)


def usual_head(name: str) -> str:
    """The head model whose codes the encoder ``name`` makes when it is given none."""
    return next(iter(_entry(name).heads), DEFAULT_HEAD)


def makes_codes_of(name: str, head: str) -> bool:
    """Whether the encoder ``name`` can make codes of the head model called ``head``."""
    heads = _entry(name).heads
    return not heads or head in heads


def check_head(name: str, head: str) -> None:
    """UsageError when the encoder ``name`` makes no codes of the head model called ``head``."""
    if not makes_codes_of(name, head):
        raise UsageError(f"The encoder {name} makes codes of the head model {usual_head(name)}, not of {head}; use FIT, which "
                         f"fits any head, or a head or model of {usual_head(name)}.")


def check_usable(name: str) -> str:
    """``name``, in any letter case, as the encoder is called here. UsageError when there is none or its files are absent."""
    known = encoder_called(name)
    reason = _reason(known)
    if reason:
        raise UsageError(reason)
    return known


def make_encoder(name: str, head: HeadModel | None = None, device: str | torch.device = "auto",
                 options: EncoderOptions | None = None) -> Encoder:
    """The encoder ``name`` (any letter case) for ``head`` (default: its usual head) on ``device``.

    UsageError when there is no such encoder, its files are absent, or it makes no codes of ``head``; RigError when its
    files are damaged.
    """
    known = check_usable(name)
    if head is not None:
        check_head(known, head.name)
    from diffusionrig.devices import resolve_device

    options = options or EncoderOptions()
    if known not in _ENTRIES:
        options = dataclasses.replace(options, model=known)
    module = importlib.import_module(f"diffusionrig.capture.{_entry(known).package}.encoder")
    encoder: Encoder = module.load_encoder(head if head is not None else load_head(usual_head(known)),
                                           resolve_device(str(device)), options)
    return encoder


def _reason(name: str) -> str:
    entry, folder = _entry(name), user_assets()
    missing = missing_files(entry.files)
    if missing:
        these = "file" if len(missing) == 1 else "files"
        return (f"The encoder {name} needs the {these} {', '.join(missing)}: register at {entry.site}, put what you receive "
                f"into {folder}/ (or name another folder in DIFFUSIONRIG_DATA), or use FIT, which needs none.")
    return ""
