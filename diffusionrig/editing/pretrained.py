"""Loading a trained network: the shipped prior, a checkpoint of ours (self-describing), or a released ``.pt`` file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.editing.bases import find_base, is_adapter, join_base
from diffusionrig.errors import UsageError
from diffusionrig.geometry.heads import DEFAULT_HEAD
from diffusionrig.io.arrays import read_npy
from diffusionrig.io.assets import PACKAGE_ASSETS, asset_path
from diffusionrig.io.checkpoints import describe_checkpoint, load_checkpoint, load_released
from diffusionrig.io.files import existing_file, sha256_of
from diffusionrig.io.pickled_tensors import read_pickled_tensor
from diffusionrig.io.remote import local_copy
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import DiffusionRig
from diffusionrig.model.released import load_strict

DEFAULT_PRIOR = "open256"
PRIOR_FOLDER = "priors"
MEAN_SHAPE = "mean_shape"


@dataclasses.dataclass
class Pretrained:
    """A network with what it was trained for.

    network     in eval mode
    model       its configuration
    diffusion   the schedule it was trained with
    head        name of the head model whose buffers it understands; ``head_hash`` its arrays, "" when unknown
    mean_shape  (1, n_shape) shared shape of the person, None without one
    hash        SHA-256 of the file, hexadecimal
    meta        everything else the checkpoint says (stage, consent, encoder, versions, ...)
    """

    network: DiffusionRig
    model: ModelConfig
    diffusion: DiffusionConfig
    head: str
    head_hash: str
    mean_shape: Tensor | None
    hash: str
    meta: dict[str, Any]

    @property
    def condition(self) -> str:
        """The kind of condition it was trained on (``editing.conditions.KINDS``); the published one where it says nothing."""
        return self.model.condition


def shipped_priors() -> dict[str, Path]:
    """Names and paths of the priors inside the package."""
    return {path.stem: path for path in sorted((PACKAGE_ASSETS / PRIOR_FOLDER).glob("*.safetensors"))}


def describe_prior(path: Path) -> dict[str, Any]:
    """A line's worth about a checkpoint, for ``doctor``."""
    _, meta = describe_checkpoint(path)
    return {"image_size": meta["model"]["image_size"], "channels": meta["model"]["num_channels"],
            "head": meta["head"]["name"], "step": meta.get("step")}


def checkpoint_path(name: str | Path) -> Path:
    """``default`` or the name of a shipped prior -> its path; anything else is a path that must exist."""
    word = str(name)
    if word in {"", "default"}:
        word = DEFAULT_PRIOR
    priors = shipped_priors()
    if word in priors:
        return priors[word]
    if word == DEFAULT_PRIOR:
        return asset_path(f"{PRIOR_FOLDER}/{DEFAULT_PRIOR}.safetensors")
    return existing_file(local_copy(word), "model")


def load_pretrained(name: str | Path = "default", *, model: ModelConfig | None = None,
                    diffusion: DiffusionConfig | None = None, device: torch.device | str = "cpu",
                    head: str = "", usual_head: str = DEFAULT_HEAD, base: str | Path = "") -> Pretrained:
    """Load a network. The adapters of a personal model are added to the weights of its base model, which is ``base`` or, when
    that is empty, looked for (``editing.bases``).

    ``model`` and ``diffusion`` are needed for a released ``.pt`` file, which describes neither.

    Nor do released files, and models trained on published stores, say whose buffers they understand: that is ``head`` when
    it is given, else ``usual_head``.

    Raises UsageError when the path does not exist or the file names another head than ``head``, RigError when it is damaged
    or does not fit its configuration.
    """
    path = checkpoint_path(name)
    if path.suffix in {".pt", ".pth"}:
        tensors, meta = load_released(path), dict[str, Any]()
        model, diffusion = model or ModelConfig(), diffusion or DiffusionConfig()
        stated, head_hash = "", ""
    elif path.suffix == ".safetensors":
        tensors, meta = load_checkpoint(path)
        for key in ("model", "diffusion", "head"):
            if key not in meta:
                raise UsageError(f"{path} does not describe its {key}, so it is not a checkpoint of diffusionrig.")
        model, diffusion = ModelConfig.from_dict(meta["model"]), DiffusionConfig.from_dict(meta["diffusion"])
        # Trained on a published store, which does not say whose buffers it holds.
        stated, head_hash = meta["head"]["name"] or "", meta["head"]["hash"] or ""
        if is_adapter(meta):
            tensors = join_base(path, tensors, meta, find_base(path, meta, base, shipped_priors().values()))
    else:
        raise UsageError(f"{path} is neither a .safetensors checkpoint nor a released .pt file.")
    if base and not is_adapter(meta):
        raise UsageError(f"The model {path} is whole and has no base; leave --base out.")
    if head and stated and head != stated:
        raise UsageError(f"The model {path} was trained on the head {stated}, not on {head}; leave --head out.")
    mean_shape = tensors.pop(MEAN_SHAPE, None)
    with torch.device("meta"):  # weights are taken over, so that there is never room for two sets of them
        network = DiffusionRig(model)
    load_strict(network, tensors, assign=True)
    network = network.to(device).eval().requires_grad_(False)
    return Pretrained(network, model, diffusion, stated or head or usual_head, head_hash, mean_shape, sha256_of(path), meta)


def read_mean_shape(path: str | Path, n_shape: int) -> Tensor:
    """A shared shape (1, n_shape) from a published ``mean_shape.pkl`` (read safely) or a ``.npy`` file.

    create-data writes ``mean_shape.npy`` where the published script wrote ``mean_shape.pkl``, so the one is taken where
    only the other is named.
    """
    named = Path(path)
    plain = named.with_suffix(".npy")
    file = existing_file(plain if not named.exists() and plain.exists() else named, "mean shape")
    values = read_npy(file) if file.suffix == ".npy" else read_pickled_tensor(file, "the mean shape")
    shape = torch.as_tensor(values).float().reshape(1, -1)
    if shape.shape[1] != n_shape:
        raise UsageError(f"{file} holds {shape.shape[1]} shape coefficients, but the head model has {n_shape}; "
                         "use the mean shape made with the same head model.")
    return shape
