"""State dicts from elsewhere: which settings they were made with, and a strict transfer into a network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.errors import RigError, UsageError
from diffusionrig.model.config import DEFAULT_MULTIPLIERS, IMAGE_CHANNELS, REFERENCE_CHANNELS, ModelConfig
from diffusionrig.settings import from_mapping

UNET = "denoisingUNet."
SHOWN = 3  # names listed of each kind of fault


def load_strict(network: nn.Module, tensors: Mapping[str, Tensor], source: str = "the checkpoint", assign: bool = False) -> None:
    """Copy ``tensors`` into ``network``, converting the dtype; nothing is copied unless every name and shape agrees. ``assign``
    makes them the network's own instead, so that a network without memory (of the device meta) can be filled.

    Raises RigError that names the missing, extra and misshaped tensors; ``source`` says where they come from.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in tensors]
    extra = [name[:200] for name in tensors if name not in own]
    misshaped = [f"{name} {_shape(tensors[name])} instead of {_shape(tensor)}" for name, tensor in own.items()
                 if name in tensors and tensors[name].shape != tensor.shape]
    faults = [_list(kind, names) for kind, names in
              (("missing", missing), ("extra", extra), ("misshaped", misshaped)) if names]
    if faults:
        raise RigError(f"{source} does not fit the network: {'; '.join(faults)}; give the model flags that it was "
                       "trained with")
    if assign:
        network.load_state_dict({name: tensors[name].to(tensor.dtype) for name, tensor in own.items()}, assign=True)
        return
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def infer_config(tensors: Mapping[str, Tensor], source: str = "the checkpoint", **known: Any) -> ModelConfig:
    """The settings that a state dict shows by its names and shapes, and those that are ``known`` beside them.

    Shapes tell neither the groups of the norms, the number of attention heads (and their order) nor dropout: where these are not
    known, defaults stand. The image size follows from the channel plan where that is the usual one of a size.
    Raises RigError when ``tensors`` is not such a state dict or its image size must be given, UsageError when something known
    contradicts the shapes.
    """
    found, multipliers, attended = _shown(tensors, source)
    usual = next((size for size, plan in DEFAULT_MULTIPLIERS.items() if plan == multipliers), None)
    size = known.get("image_size") or usual
    if size is None:
        raise RigError(f"{source} has the channel multipliers {_numbers(multipliers)}, which are not the usual ones of "
                       "any image size; give --image_size")
    found["image_size"] = size
    if DEFAULT_MULTIPLIERS.get(size) != multipliers:
        found["channel_mult"] = _numbers(multipliers)
    found["attention_resolutions"] = _numbers(size // (found["patch"] * 2**level) for level in attended)
    if usual not in {None, size} and size in DEFAULT_MULTIPLIERS and not known.get("channel_mult"):
        raise _contradiction("image_size", size, source, usual)
    for name in set(found) & set(known) - {"image_size", "channel_mult", "attention_resolutions"}:
        if known[name] != found[name]:
            raise _contradiction(name, known[name], source, found[name])
    given = {name: value for name, value in known.items() if name != "channel_mult" or value}
    config = from_mapping(ModelConfig, {**found, **given}, source)
    if config.multipliers != multipliers:
        raise _contradiction("channel_mult", config.channel_mult, source, _numbers(multipliers))
    if [level for level in range(len(multipliers)) if config.patch * 2**level in config.attention_factors] != attended:
        shown = found["attention_resolutions"] or "none"
        raise _contradiction("attention_resolutions", config.attention_resolutions, source, shown)
    return config


def _contradiction(name: str, value: Any, source: str, shown: Any) -> UsageError:
    return UsageError(f"--{name} {value} contradicts {source}, whose tensors have the shapes of {shown}; leave the flag out")


def _shown(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Any], tuple[float, ...], list[int]]:
    """What names and shapes show: settings by name, the channel multiplier of each level, and the levels with attention."""
    names, patched = set(tensors), f"{UNET}finish.look.weight" in tensors
    block, last = f"{UNET}input_blocks.1.0.", f"{UNET}finish.out.weight" if patched else f"{UNET}out.2.weight"
    needed = [f"{UNET}time_embed.0.weight", f"{UNET}input_blocks.0.0.weight", f"{block}out_layers.3.weight",
              f"{block}emb_layers.1.weight", f"{block}cond_emb_layers.1.weight", last]
    absent = [name for name in needed if name not in names]
    if absent:
        raise RigError(f"{source} does not hold a DiffusionRig network: {_list('missing', absent)}")
    base = tensors[needed[0]].shape[1]
    stages = _count(names, f"{UNET}output_blocks.")
    rising = [index for index in range(stages) if _raises_resolution(names, f"{UNET}output_blocks.{index}.")]
    per_level = rising[0] + 1 if rising else stages  # decoder blocks of a level: num_res_blocks and one more
    first_of_level = range(1, _count(names, f"{UNET}input_blocks."), max(per_level, 1))
    folded = tensors[needed[1]].shape[1]
    seen = tensors[f"{UNET}finish.look.weight"].shape[1] // 4 if patched else folded
    reference = seen == IMAGE_CHANNELS + REFERENCE_CHANNELS
    try:
        widths = [tensors[f"{UNET}input_blocks.{index}.0.out_layers.3.weight"].shape[0] for index in first_of_level]
    except KeyError as error:
        raise RigError(f"{source} does not hold a DiffusionRig network: {_list('missing', [error.args[0]])}") from None
    found: dict[str, Any] = {
        "num_channels": base,
        "num_res_blocks": per_level - 1,
        "patch": math.isqrt(folded // seen) if seen else 1,
        "condition": "reference" if reference else "buffers",
        "latent_dim": tensors[needed[4]].shape[1],
        "learn_sigma": tensors[last].shape[0] // (4 if patched else 1) == 2 * IMAGE_CHANNELS,
        "encoder_type": "resnet50" if "encoder.layer1.0.conv3.weight" in names else
                        "resnet18" if "encoder.fc.weight" in names else "none",
        "use_scale_shift_norm": tensors[needed[3]].shape[0] == 2 * tensors[needed[2]].shape[0],
        "resblock_updown": not any(name.endswith(".op.weight") for name in names),
    } | ({} if reference else {"in_channels": seen})
    attended = [level for level, index in enumerate(first_of_level) if f"{UNET}input_blocks.{index}.1.qkv.weight" in names]
    return found, tuple(width / base for width in widths), attended


def _raises_resolution(names: set[str], stage: str) -> bool:
    """Whether a decoder stage ends in an upsampling layer: a second residual block, or a lone convolution."""
    blocks = {name[len(stage):].split(".")[0] for name in names
              if name.startswith(stage) and name.endswith("in_layers.0.weight")}
    convs = any(name.startswith(stage) and name.endswith(".conv.weight") for name in names)
    return len(blocks) == 2 or convs


def _count(names: Iterable[str], prefix: str) -> int:
    """Length of the module list behind ``prefix``."""
    return len({name[len(prefix):].split(".")[0] for name in names if name.startswith(prefix)})


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(str(side) for side in tensor.shape) + ")"


def _list(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {kind} ({', '.join(names[:SHOWN])}{more})"
