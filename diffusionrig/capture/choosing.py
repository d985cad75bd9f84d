"""From the flags of a command to an encoder: by its own name, or by the name of one of EMOCA's models."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from diffusionrig.capture.emoca.encoder import DEFAULT_MODEL, load_model, model_folder, models_folder
from diffusionrig.capture.encoder import Encoder, EncoderOptions
from diffusionrig.capture.registry import best_encoder, check_head, encoder_called, encoder_names, make_encoder, usual_head
from diffusionrig.devices import resolve_device
from diffusionrig.errors import UsageError
from diffusionrig.geometry.heads import load_head


@dataclasses.dataclass(frozen=True)
class Choice:
    """encoder         DECA, EMOCA, SMIRK or FIT; empty: that of ``model``, else the best whose files are present
    model           the same names but EMOCA, or the folder of an EMOCA model such as EMOCA_v2_lr_mse_20; EMOCA is the folder
                    of version 1, as in the published script
    path_to_models  where such folders are; empty: ``emoca`` among the registered files
    head            head model; empty: the encoder's usual one
    landmarks       who finds the face, a name of ``faces.backends.BACKENDS``
    """

    encoder: str = ""
    model: str = ""
    path_to_models: str = ""
    head: str = ""
    landmarks: str = "mediapipe"


def chosen_encoder(choice: Choice, device: str = "auto") -> tuple[Encoder, str, str]:
    """The encoder, the name of its head model, and what the run's folder of faces is called.

    UsageError when the names contradict each other or what they name is not there.
    """
    names, options = {name.upper() for name in encoder_names()} - {"EMOCA"}, EncoderOptions(landmarks=choice.landmarks)
    encoder, model = choice.encoder, choice.model
    if model.upper() in names:
        if encoder and encoder.upper() != model.upper():
            raise UsageError(f"--use_model {encoder} and --model_name {model} name two encoders; give one of them.")
        encoder, model = model, ""
    if not model and choice.path_to_models and encoder.upper() == "EMOCA":
        model = DEFAULT_MODEL
    if not model:
        return _named(encoder_called(encoder or best_encoder(choice.head)), choice, device, options)
    if encoder and encoder.upper() not in {"EMOCA", model.upper()}:
        raise UsageError(f"--model_name {model} is a model of EMOCA, but --use_model is {encoder}; leave one of them out.")
    if model == DEFAULT_MODEL and not choice.path_to_models:
        return _named("EMOCA", choice, device, options)
    folder = model_folder(Path(choice.path_to_models) if choice.path_to_models else models_folder(), model)
    head = choice.head or usual_head("EMOCA")
    check_head("EMOCA", head)
    return load_model(folder, load_head(head), resolve_device(device), options), head, model


def _named(name: str, choice: Choice, device: str, options: EncoderOptions) -> tuple[Encoder, str, str]:
    # The files of the encoder are checked before its head is loaded: they include the head's.
    found = make_encoder(name, load_head(choice.head) if choice.head else None, device, options)
    model = getattr(found, "model", "")  # the name of EMOCA's folder; others have other things of that name
    return found, choice.head or usual_head(name), model if isinstance(model, str) and model else found.name
