"""Loading a trained network: the shipped prior, a checkpoint of ours (self-describing), or a released ``.pt`` file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.editing.agreement import check_agreement
from diffusionrig.editing.bases import find_base, is_adapter, join_base
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.heads import DEFAULT_HEAD
from diffusionrig.io.arrays import read_npy
from diffusionrig.io.assets import PACKAGE_ASSETS, asset_path
from diffusionrig.io.checkpoints import describe_checkpoint, load_checkpoint, load_released
from diffusionrig.io.descriptions import checked_description
from diffusionrig.io.files import existing_file, sha256_of
from diffusionrig.io.model_files import PUBLISHED, find_model_file
from diffusionrig.io.pickled_tensors import read_pickled_tensor
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import DiffusionRig
from diffusionrig.model.released import infer_config, load_strict
from diffusionrig.settings import from_mapping

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
    note        which other file was taken than the one that was named; "" when it was that one
    """

    network: DiffusionRig
    model: ModelConfig
    diffusion: DiffusionConfig
    head: str
    head_hash: str
    mean_shape: Tensor | None
    hash: str
    meta: dict[str, Any]
    note: str = ""

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
    """``default`` or the name of a shipped prior -> its path; anything else is a path as ``find_model_file`` takes it."""
    return _named(name)[0]


def _named(name: str | Path) -> tuple[Path, str]:
    word = str(name)
    if word in {"", "default"}:
        word = DEFAULT_PRIOR
    priors = shipped_priors()
    if word in priors:
        return priors[word], ""
    if word == DEFAULT_PRIOR:
        return asset_path(f"{PRIOR_FOLDER}/{DEFAULT_PRIOR}.safetensors"), ""
    return find_model_file(word, "model")


def load_pretrained(name: str | Path = "default", *, model: Mapping[str, Any] | None = None,
                    diffusion: Mapping[str, Any] | None = None, device: torch.device | str = "cpu",
                    head: str = "", usual_head: str = DEFAULT_HEAD, base: str | Path = "") -> Pretrained:
    """Load a network. The adapters of a personal model are added to the weights of its base model, which is ``base`` or, when
    that is empty, looked for (``editing.bases``).

    ``model`` and ``diffusion`` are settings by name that are known beside the file. A released ``.pt`` file shows most of those of
    its network by its shapes (``model.released.infer_config``) and none of its noise, where the defaults, which are those of the
    released weights, stand for what is not given. Other files say all of them.

    Nor do released files, and models trained on published stores, say whose buffers they understand: that is ``head`` when
    it is given, else ``usual_head``.

    Raises UsageError when the path does not exist, or the file contradicts ``model``, ``diffusion`` or ``head``; RigError when it
    is damaged or holds another network.
    """
    path, note = _named(name)
    if path.suffix in PUBLISHED:
        tensors, meta = load_released(path), dict[str, Any]()
        network_settings = infer_config(tensors, str(path), **(model or {}))
        noise_settings = from_mapping(DiffusionConfig, diffusion or {}, "The request")
        stated, head_hash = "", ""
    elif path.suffix == ".safetensors":
        tensors, meta = load_checkpoint(path)
        checked_description(meta, path)
        for key in ("model", "diffusion", "head"):
            if meta.get(key) is None:
                raise UsageError(f"{path} does not describe its {key}, so it is not a checkpoint of diffusionrig.")
        network_settings, noise_settings = (ModelConfig.from_dict(meta["model"], str(path)),
                                            DiffusionConfig.from_dict(meta["diffusion"], str(path)))
        check_agreement(model or {}, network_settings.to_dict(), path)
        check_agreement(diffusion or {}, noise_settings.to_dict(), path)
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
    _refuse_endless(network_settings, len(tensors), path)
    with torch.device("meta"):  # weights are taken over, so that there is never room for two sets of them
        network = DiffusionRig(network_settings)
    load_strict(network, tensors, str(path), assign=True)
    network = network.to(device).eval().requires_grad_(False)
    return Pretrained(network, network_settings, noise_settings, stated or head or usual_head, head_hash, mean_shape,
                      sha256_of(path), meta, note)


def _refuse_endless(settings: ModelConfig, tensors: int, path: Path) -> None:
    """RigError when a description asks for more blocks than the file has tensors: to build them, even without memory, lasts."""
    blocks = 2 * settings.num_res_blocks * len(settings.multipliers)
    if blocks > tensors:
        raise RigError(f"{path} describes a network of {blocks} blocks, but holds {tensors} tensors; copy it again.")


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
