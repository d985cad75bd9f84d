"""EMOCA as an Encoder: DECA's codes, with expression (and jaw) by its own network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.capture.deca.encoder import DecaEncoder
from diffusionrig.capture.deca.heads import DecaCode, Regressor
from diffusionrig.capture.deca.weights import filled
from diffusionrig.capture.emoca.layout import layout_of
from diffusionrig.capture.encoder import EncoderOptions
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.backends import FaceFinder
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import user_assets
from diffusionrig.io.converted import EMOCA_FILE
from diffusionrig.io.emoca_folder import SETTINGS
from diffusionrig.io.encoder_files import emoca_left_out, read_emoca
from diffusionrig.io.registered import EMOCA_MODELS

DEFAULT_MODEL = "EMOCA_v2_lr_mse_20"
EXPRESSION = "E_expression"
CONDITIONING = ("jawpose", "expression", "detail")


def models_folder() -> Path:
    """Where the folders of EMOCA's models are looked for: ``emoca`` among the registered files."""
    return user_assets() / EMOCA_MODELS


def load_encoder(head: HeadModel, device: torch.device, options: EncoderOptions) -> EmocaEncoder:
    """The model that ``options`` names among the registered files, EMOCA_v2_lr_mse_20 when they name none. RigError when its
    files are damaged or incomplete."""
    return load_model(models_folder() / (options.model or DEFAULT_MODEL), head, device, options)


def model_folder(models: Path, name: str) -> Path:
    """The folder of the model ``name`` below ``models``. UsageError naming those that are there when it is not."""
    folder = models / name
    if not folder.is_dir():
        others = sorted({path.parent.name for file in (SETTINGS, EMOCA_FILE) for path in models.glob(f"*/{file}")})
        there = f"there are {', '.join(others)}" if others else "no model is there"
        raise UsageError(f"There is no EMOCA model {name!r} in {models} ({there}); download it from "
                         "https://emoca.is.tue.mpg.de, or name the folder that holds it with --path_to_models.")
    return folder


def load_model(folder: Path, head: HeadModel, device: torch.device, options: EncoderOptions | None = None) -> EmocaEncoder:
    """The model in ``folder``, which holds ``cfg.yaml`` and ``detail/checkpoints``. RigError when a file is missing, damaged
    or incomplete."""
    networks, settings = read_emoca(folder)
    return EmocaEncoder(head, networks, settings, device, options, model=folder.name, what=str(folder),
                        left_out=emoca_left_out(folder))


def model_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section of a model's cfg.yaml that describes its networks, given all of it, the section ``detail``, or itself."""
    for name in ("detail", "model"):
        section = settings.get(name)
        settings = section if isinstance(section, Mapping) else settings
    return settings


class EmocaEncoder(DecaEncoder):
    """DECA's encoder whose answers are those of DECA's network, but for what EMOCA's expression network says.

    ``model`` is the name of the release; ``background`` what its own pictures show outside the face; ``textured`` whether
    it came with a texture space, without which its own pictures are grey (decoding for editing keeps DECA's texture);
    ``left_out`` how many tensors of its file were not read, by the beginnings of their names.
    """

    name = "EMOCA"

    def __init__(self, head: HeadModel, networks: Mapping[str, Mapping[str, Tensor]], settings: Mapping[str, Any],
                 device: torch.device | str = "cpu", options: EncoderOptions | None = None, finder: FaceFinder | None = None,
                 model: str = DEFAULT_MODEL, what: str = "the weights of EMOCA",
                 left_out: Mapping[str, int] | None = None) -> None:
        """``networks`` and ``settings`` as ``io.encoder_files.read_emoca`` gives them, ``what`` names their folder.

        RigError when tensors are missing, extra or misshaped, or the settings ask for what these networks are not.
        """
        tensors, settings = networks[EXPRESSION], model_settings(settings)
        order = tuple(settings.get("detail_conditioning") or CONDITIONING)
        if order != CONDITIONING:
            raise RigError(f"The detail decoder of {what} is driven by {', '.join(map(str, order))}, where only "
                           f"{', '.join(CONDITIONING)} is known; use a released model.")
        self.layout = layout_of(_outputs(tensors), settings, what)
        self.expression = filled(Regressor(self.layout.outputs), tensors, f"{EXPRESSION} of {what}").to(device)
        if model != DEFAULT_MODEL:
            # Stores and checkpoints keep the name: codes of two models are not the same.
            self.name = model
        self.model, self.left_out = model, dict(left_out or {})
        self.textured = bool(settings.get("use_texture", False))
        self.background = background_called(settings.get("background_from_input", True))
        super().__init__(head, networks, device, options, finder, what=what)

    def answers(self, crops: Tensor) -> DecaCode:
        """Crops (B, 3, 224, 224) in [0, 1] -> DECA's answer with EMOCA's expression, and the rotations it says as well."""
        return self.layout.replace(super().answers(crops), self.expression(crops))


def _outputs(tensors: Mapping[str, Tensor]) -> int:
    weight = tensors.get("layers.2.weight")
    return 0 if weight is None or weight.ndim != 2 else weight.shape[0]


def background_called(value: object) -> str:
    """``background_from_input`` of a model's settings, which may be a word or yes and no, as ``render_views`` calls it."""
    return str(value) if value in ("input", "black", "none") else "input" if value else "black"
