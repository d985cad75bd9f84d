"""State dicts from elsewhere: which settings they were made with, and a strict transfer into a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.errors import RigError
from diffusionrig.model.config import DEFAULT_MULTIPLIERS, IMAGE_CHANNELS, ModelConfig

UNET = "denoisingUNet."
SHOWN = 3  # names listed of each kind of fault


def load_strict(network: nn.Module, tensors: Mapping[str, Tensor], source: str = "the checkpoint", assign: bool = False) -> None:
    """Copy ``tensors`` into ``network``, converting the dtype; nothing is copied unless every name and shape agrees. ``assign``
    makes them the network's own instead, so that a network without memory (of the device meta) can be filled.

    Raises RigError that names the missing, extra and misshaped tensors; ``source`` says where they come from.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in tensors]
    extra = [name for name in tensors if name not in own]
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
    """The settings that a state dict shows by its names and shapes.

    Shapes tell neither the number of attention heads (and their order) nor dropout: defaults stand there. The image
    size follows from the channel plan where that is the usual one of a size. ``known`` settings win over both.
    Raises RigError when ``tensors`` is not such a state dict or its image size must be given.
    """
    names = set(tensors)
    needed = [f"{UNET}time_embed.0.weight", f"{UNET}input_blocks.0.0.weight", f"{UNET}out.2.weight", "encoder.fc.weight"]
    absent = [name for name in needed if name not in names]
    if absent:
        raise RigError(f"{source} does not hold a DiffusionRig network: {_list('missing', absent)}")
    base = tensors[needed[0]].shape[1]
    stages = _count(names, f"{UNET}output_blocks.")
    rising = [index for index in range(stages) if _raises_resolution(names, f"{UNET}output_blocks.{index}.")]
    per_level = rising[0] + 1 if rising else stages  # decoder blocks of a level: num_res_blocks and one more
    first_of_level = range(1, _count(names, f"{UNET}input_blocks."), per_level)
    widths = [tensors[f"{UNET}input_blocks.{index}.0.out_layers.3.weight"].shape[0] for index in first_of_level]
    block = f"{UNET}input_blocks.1.0."
    found: dict[str, Any] = {
        "num_channels": base,
        "num_res_blocks": per_level - 1,
        "in_channels": tensors[needed[1]].shape[1],
        "latent_dim": tensors[needed[3]].shape[0],
        "learn_sigma": tensors[needed[2]].shape[0] == 2 * IMAGE_CHANNELS,
        "encoder_type": "resnet50" if "encoder.layer1.0.conv3.weight" in names else "resnet18",
        "use_scale_shift_norm": tensors[f"{block}emb_layers.1.weight"].shape[0]
                                == 2 * tensors[f"{block}out_layers.3.weight"].shape[0],
        "resblock_updown": not any(name.endswith(".op.weight") for name in names),
    }
    multipliers = tuple(width / base for width in widths)
    size = known.get("image_size") or next((s for s, usual in DEFAULT_MULTIPLIERS.items() if usual == multipliers), None)
    if size is None:
        raise RigError(f"{source} has the channel multipliers {_numbers(multipliers)}, which are not the usual ones of "
                       "any image size; give --image_size")
    found["image_size"] = size
    if DEFAULT_MULTIPLIERS.get(size) != multipliers:
        found["channel_mult"] = _numbers(multipliers)
    attended = [level for level, index in enumerate(first_of_level)
                if f"{UNET}input_blocks.{index}.1.qkv.weight" in names]
    found["attention_resolutions"] = _numbers(size // 2**level for level in attended)
    return ModelConfig(**{**found, **known})


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
