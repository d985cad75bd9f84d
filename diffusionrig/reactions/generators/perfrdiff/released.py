"""The published checkpoints: ``checkpoint.pth`` of one module each, a dictionary with ``state_dict``. Names and shapes must fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import load_state, match_tensors
from diffusionrig.reactions.generators.perfrdiff.denoiser import CONDITION_MODULES, Denoiser
from diffusionrig.reactions.generators.perfrdiff.embedder import WindowVAE
from diffusionrig.reactions.generators.perfrdiff.prior import PriorNetwork

_CELL = re.compile(r"^(x_rnn\.rnn_f\.(?:weight|bias)_(?:ih|hh))$")
_ROTARY = re.compile(r"\.rotary_emb\.")


def renamed(module: nn.Module, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors under the names of ``module``: an autoencoder (latent, 3DMM), a person encoder, the prior, the denoiser or
    the full hypernetwork.

    Left out are rotary frequencies, which are constants, and the projections of conditions that the denoiser is not told.
    """
    if isinstance(module, WindowVAE):
        return {_CELL.sub(r"\1_l0", name): tensor for name, tensor in published.items()}
    if isinstance(module, PriorNetwork):
        return {name: tensor for name, tensor in published.items() if not _ROTARY.search(name)}
    if isinstance(module, Denoiser):
        untold = tuple(f"{place}." for name, place in CONDITION_MODULES.items() if name not in module.conditions)
        return {name: tensor for name, tensor in published.items() if not name.startswith(untold)}
    return dict(published)


def load_published(module: nn.Module, path: str | Path) -> None:
    """Fill ``module`` from a published file. RigError when names or shapes differ, or the file holds no ``state_dict``."""
    state = load_state(path).get("state_dict")
    if not isinstance(state, Mapping):
        raise RigError(f"{path} holds no state_dict; give the checkpoint.pth of one of PerFRDiff's folders.")
    tensors = renamed(module, state)
    match_tensors({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}, tensors, str(path),
                  "Build the module with the published sizes, and give the file of that module.")
    module.load_state_dict(tensors)
