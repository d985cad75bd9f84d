"""Weights of a published checkpoint (``iter_N.ckpt``) under our names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import match_tensors
from diffusionrig.reactions.generators.unifr.network import UnifiedTransformer, positions

_PARTS = {"s_exp_proj": "project.exp", "s_AU_proj": "project.AU", "s_VA_proj": "project.VA", "s_pose_proj": "project.pose",
          "s_MFCC_proj": "project.sound", "s_GeMAPfunc_proj": "project.functionals", "s_GeMAPlld_proj": "project.descriptors",
          "l_AU_emb": "embed.AU", "l_exp_emb": "embed.exp", "l_VA_emb": "embed.VA", "ln_f": "norm", "head_slm": "matching",
          "head_AU": "heads.AU", "head_exp": "heads.exp", "head_VA": "heads.VA"}
_SPECIAL = {"token_slm": "match", "s_no_face": "faceless", "l_mask": "masked", "s_GeMAPS_me": "sort_of_sound"}
_SORTS = ("s_face_me", "s_pose_me", "s_MFCC_me", "l_AU_me", "l_exp_me", "l_VA_me")
_INSIDE = {"ln1": "norm1", "ln2": "norm2", "mlp.c_fc": "mlp.0", "mlp.c_proj": "mlp.2", "bi_attn.c_proj": "both.out",
           "cas_attn.c_proj": "causal.out"}


def from_published(tensors: Mapping[str, Tensor], network: UnifiedTransformer, where: str) -> None:
    """Load published weights into ``network``. Tables of positions must be ours; causal masks, which are a function here, are left
    out. RigError naming what does not fit."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        part, _, last = name.rpartition(".")
        if name in _SPECIAL:
            found[_SPECIAL[name]] = tensor.reshape(-1)
        elif name == "time_emb":
            ours = positions(torch.arange(tensor.shape[-2]), tensor.shape[-1])
            if not torch.allclose(tensor.reshape(ours.shape), ours, atol=1e-4):
                raise RigError(f"The positions in {where} are not the sinusoids of this model; it is another kind of checkpoint.")
        elif part in _PARTS:
            found[f"{_PARTS[part]}.{last}"] = tensor
        elif part.startswith("blocks.") and last in ("weight", "bias"):
            number, inner = part.split(".", 2)[1:]
            if inner in _INSIDE:
                found[f"blocks.{number}.{_INSIDE[inner]}.{last}"] = tensor
            elif not inner.endswith((".query", ".key", ".value")):
                found[name] = tensor
        elif name not in _SORTS and last != "causal_mask":
            found[name] = tensor
    if all(name in tensors for name in _SORTS):
        found["sort"] = torch.stack([tensors[name].reshape(-1) for name in _SORTS])
    for i in range(len(network.blocks)):
        for theirs, own in (("bi_attn", "both"), ("cas_attn", "causal")):
            for last in ("weight", "bias"):
                names = [f"blocks.{i}.{theirs}.{part}.{last}" for part in ("query", "key", "value")]
                if all(name in tensors for name in names):
                    found[f"blocks.{i}.{own}.qkv.{last}"] = torch.cat([tensors[name] for name in names])
    match_tensors({name: tensor.shape for name, tensor in network.state_dict().items()}, found, where,
                  "Give a published checkpoint (iter_N.ckpt) and the sizes of its configuration.")
    network.load_state_dict(found)
