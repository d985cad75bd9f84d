"""The released checkpoints (Lightning's ``.ckpt``): strict transfer into our modules, and a model file that everything here reads.

What the published modules call their parts decides the names: the tokenizer's tensors stand under ``model.``, those of the
predictor too, with the tokenizer once more under ``face_tokenizer.model.`` and the speech network under
``sound_feature_extractor.``. Names within are ours. The files themselves were not at hand when this was written: names follow the
published source, shapes its settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import load_state, save_checkpoint
from diffusionrig.io.files import make_folder
from diffusionrig.model.released import load_strict
from diffusionrig.reactions.generators.faceais.predictor_task import Model, make_predictor
from diffusionrig.reactions.generators.faceais.settings import PredictorSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer import FaceTokenizer
from diffusionrig.reactions.generators.faceais.tokenizer_task import load_tokenizer
from diffusionrig.reactions.generators.running import about_model, newest_model

MODEL, TOKENIZER, SPEECH = "model.", "face_tokenizer.model.", "sound_feature_extractor."


def read_released(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a Lightning checkpoint by name, nothing unpickled. RigError when it is none."""
    tensors = load_state(path).get("state_dict")
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise RigError(f"{path} holds no state_dict of tensors; give a released .ckpt file of FaceAIS.")
    return dict(tensors)


def parts(tensors: Mapping[str, Tensor], source: str) -> dict[str, dict[str, Tensor]]:
    """Tensors by the prefixes above, which are taken off. RigError for a name under none of them."""
    found: dict[str, dict[str, Tensor]] = {TOKENIZER: {}, SPEECH: {}, MODEL: {}}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in found if name.startswith(prefix)), None)
        if prefix is None:
            raise RigError(f"{source} holds {name}, which is of no part of FaceAIS; give a released .ckpt file.")
        found[prefix][name.removeprefix(prefix)] = tensor
    return found


def released_tokenizer(path: str | Path, settings: TokenizerSettings) -> FaceTokenizer:
    """The tokenizer in its own checkpoint or in the predictor's. RigError when names or shapes differ from ``settings``."""
    held = parts(read_released(path), str(path))
    tokenizer = FaceTokenizer(settings)
    load_strict(tokenizer, held[TOKENIZER] or held[MODEL], str(path))
    return tokenizer.eval()


def write_released_tokenizer(path: str | Path, settings: TokenizerSettings, output: Path) -> None:
    """The released tokenizer as the model of a phase ``emotion``, from which a predictor can be trained."""
    tokenizer = released_tokenizer(path, settings)
    save_checkpoint(output, tokenizer.state_dict(), {**about_model("faceais", "emotion", settings), "released": Path(path).name,
                                                     "step": 0})


def write_released(path: str | Path, tokenizer_path: str | Path, tokenizer: TokenizerSettings, predictor: PredictorSettings,
                   mean_face: Tensor, output: Path) -> None:
    """Both released checkpoints as one model of the phase ``predictor``, ready to generate. ``mean_face`` (58,) is the corpus's."""
    held = parts(read_released(path), str(path))
    network = make_predictor(predictor, tokenizer)
    load_strict(network, held[MODEL], str(path))
    faces = released_tokenizer(tokenizer_path, tokenizer)
    if held[TOKENIZER]:
        other = FaceTokenizer(tokenizer)
        load_strict(other, held[TOKENIZER], str(path))
        differing = [name for name, tensor in faces.state_dict().items() if not torch.equal(tensor, other.state_dict()[name])]
        if differing:
            raise RigError(f"{path} was trained with another face tokenizer than {tokenizer_path} ({len(differing)} tensors "
                           "differ); give that one.")
    model = Model(network, faces, mean_face)
    about = {**about_model("faceais", "predictor", predictor), "tokenizer": dataclasses.asdict(tokenizer)}
    save_checkpoint(output, model.state_dict(), {**about, "released": Path(path).name, "step": 0})


def is_released(path: str | Path) -> bool:
    """Whether ``path`` is a Lightning checkpoint, by its name."""
    return Path(path).suffix == ".ckpt"


def any_tokenizer(path: str | Path, settings: TokenizerSettings) -> FaceTokenizer:
    """The tokenizer in a released checkpoint (of ``settings``), a model of ours, or a run of ours."""
    return released_tokenizer(path, settings) if is_released(path) else load_tokenizer(tokenizer_model(path))[0]


def tokenizer_model(path: str | Path) -> Path:
    """A model file of a tokenizer itself; of a run's folder, the newest model of its phase emotion, else tokenizer."""
    folder = Path(path)
    held = next((folder / phase for phase in ("emotion", "tokenizer") if (folder / phase).is_dir()), folder)
    return newest_model(held)


def tokenizer_file(path: str | Path, settings: TokenizerSettings, folder: Path) -> Path:
    """A model of ours that holds the tokenizer at ``path``; a released one is written into ``folder`` first."""
    if not is_released(path):
        return tokenizer_model(path)
    output = make_folder(folder) / "released_tokenizer.safetensors"
    write_released_tokenizer(path, settings, output)
    return output
