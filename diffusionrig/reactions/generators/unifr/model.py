"""What a checkpoint holds: transformer, vocabulary, and the network from attributes to coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_checkpoint, match_tensors
from diffusionrig.reactions.coefficients.network import AttributesToCoefficients
from diffusionrig.reactions.generators.unifr.network import UnifiedTransformer
from diffusionrig.reactions.generators.unifr.settings import Pretrain
from diffusionrig.reactions.generators.unifr.vocabulary import STREAMS, Vocabulary
from diffusionrig.reactions.interface import COEFFICIENTS
from diffusionrig.settings import from_mapping

ADVICE = "Train it again, or give the file that 'diffusionrig react train' wrote."


class UnifrModel(nn.Module):
    """``coefficients`` is frozen; ``mean_face`` (58,) is what was taken off the poses of the speaker."""

    mean_face: Tensor

    def __init__(self, transformer: UnifiedTransformer, vocabulary: Vocabulary, coefficients: AttributesToCoefficients,
                 mean_face: Tensor) -> None:
        super().__init__()
        self.transformer, self.vocabulary = transformer, vocabulary
        self.coefficients = coefficients.requires_grad_(False)
        self.register_buffer("mean_face", mean_face)

    def undecayed(self) -> frozenset[str]:
        """Names of the parameters that weight decay leaves alone."""
        return frozenset(f"transformer.{name}" for name in self.transformer.undecayed())


def load_coefficients(path: Path) -> AttributesToCoefficients:
    """What the phase of that name made."""
    tensors, _ = load_checkpoint(path)
    network = AttributesToCoefficients()
    match_tensors({name: tensor.shape for name, tensor in network.state_dict().items()}, tensors, str(path), ADVICE)
    network.load_state_dict(tensors)
    return network


def load_model(path: Path) -> tuple[UnifrModel, Pretrain, dict[str, Any]]:
    """The model of the phase pretrain or finetune, its settings, and what the file says about itself."""
    tensors, meta = load_checkpoint(path)
    if meta.get("system") != "unifr" or meta.get("phase") not in ("pretrain", "finetune"):
        raise UsageError(f"{path} is of the phase {meta.get('phase')} of {meta.get('system')}, which makes no reactions; train the "
                         "phase pretrain of unifr.")
    settings = from_mapping(Pretrain, meta["model"], str(path))
    books = {name: tensors.get(f"vocabulary.{name}") for name in (*STREAMS, "cell")}
    absent = [name for name, book in books.items() if book is None]
    if absent:
        raise RigError(f"{path} lacks the vocabulary of {', '.join(absent)}. {ADVICE}")
    vocabulary = Vocabulary(books["AU"], books["exp"], books["VA"], float(books["cell"]), settings.compat)  # type: ignore[arg-type]
    transformer = UnifiedTransformer(settings.sizes(vocabulary.sizes))
    model = UnifrModel(transformer, vocabulary, AttributesToCoefficients(), torch.zeros(COEFFICIENTS))
    match_tensors({name: tensor.shape for name, tensor in model.state_dict().items()}, tensors, str(path), ADVICE)
    model.load_state_dict(tensors)
    return model, settings, meta
