"""Low-rank adapters (LoRA, Hu et al. 2021): a frozen layer with weight W acts as W + (alpha / rank) B A, and only A and B learn.

A (``adapter_down``, rank rows) starts random and B (``adapter_up``) at zero, so training starts at the frozen network itself.
``merged`` adds the products to the weights once, after which the network is a plain one again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.errors import RigError, UsageError
from diffusionrig.model.blocks import TokenMap
from diffusionrig.model.network import DiffusionRig
from diffusionrig.randomness import torch_stream
from diffusionrig.settings import from_mapping, setting

LAYERS = ("conv", "attention", "linear")
DOWN, UP = "adapter_down", "adapter_up"


@dataclass(frozen=True)
class AdapterConfig:
    """What is adapted and how strongly; a wrong value raises UsageError at once.

    ``layers``: ``conv`` the UNet's convolutions, ``attention`` its qkv and output maps, ``linear`` the maps of time and latent.
    """

    rank: int = setting(8, "rows of each adapter")
    alpha: float = setting(8.0, "alpha / rank scales the adapters")
    layers: str = setting("conv,attention,linear", "which layers")

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UsageError(f"--rank must be 1 or more, not {self.rank}.")
        if not self.alpha > 0:
            raise UsageError(f"--alpha must be above 0, not {self.alpha:g}.")
        words = self.layers.split(",")
        if not set(words) <= set(LAYERS) or len(set(words)) < len(words):
            raise UsageError(f"--adapter_layers {self.layers!r} is not a list of {', '.join(LAYERS)}.")

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / self.rank

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> AdapterConfig:
        """The inverse of :meth:`to_dict`."""
        return from_mapping(cls, values, source)


class _Adapted(nn.Module):
    """The two factors of an adapted layer; they are stored beside its own weight and bias.

    Their part is added in place: no backward pass needs the layer's own output, and feature maps are large.
    """

    adapter_down: nn.Parameter
    adapter_up: nn.Parameter
    adapter_scale: float

    def scaled_up(self) -> Tensor:
        # On the small factor, not on the feature map.
        return self.adapter_up * self.adapter_scale


class AdaptedConv2d(_Adapted, nn.Conv2d):
    """A (rank, in, k, k) with the layer's stride, then B (out, rank, 1, 1), added to the layer's own output."""

    def forward(self, x: Tensor) -> Tensor:
        low = F.conv2d(x, self.adapter_down, None, self.stride, self.padding)
        return super().forward(x).add_(F.conv2d(low, self.scaled_up()))


class AdaptedLinear(_Adapted, nn.Linear):
    """A (rank, in), then B (out, rank), added to the layer's own output."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).add_(F.linear(F.linear(x, self.adapter_down), self.scaled_up()))


class AdaptedTokenMap(_Adapted, TokenMap):
    """A (rank, in, 1), then B (out, rank, 1), added to the layer's own output."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).add_(F.linear(F.linear(x, self.adapter_down.squeeze(-1)), self.scaled_up().squeeze(-1)))


_KINDS: dict[type[nn.Module], tuple[str, type[_Adapted]]] = {
    nn.Conv2d: ("conv", AdaptedConv2d), TokenMap: ("attention", AdaptedTokenMap), nn.Linear: ("linear", AdaptedLinear)}


def add_adapters(network: DiffusionRig, config: AdapterConfig, seed: int = 0) -> None:
    """Freeze ``network`` and adapt the chosen layers of its UNet; what it computes stays the same until it is trained.

    Names of existing tensors stay; each adapted layer gains ``adapter_down`` and ``adapter_up``. No layer gets a higher rank
    than its matrix can have.
    """
    network.requires_grad_(False)
    words = config.layers.split(",")
    for name, layer in network.denoisingUNet.named_modules():
        word, kind = _KINDS.get(type(layer), ("", _Adapted))
        if word not in words:
            continue
        weight = layer.weight
        assert isinstance(weight, Tensor)
        rank = min(config.rank, weight.shape[0], weight[0].numel())
        # Uniform with the variance of PyTorch's own layers: 1 / (3 fan_in).
        bound = weight[0].numel() ** -0.5
        down = (2 * torch.rand(rank, *weight.shape[1:], generator=torch_stream(seed, "adapter", name)) - 1) * bound
        layer.__class__ = kind
        assert isinstance(layer, _Adapted)
        layer.adapter_down = nn.Parameter(down.to(weight))
        layer.adapter_up = nn.Parameter(weight.new_zeros(weight.shape[0], rank, *[1] * (weight.dim() - 2)))
        layer.adapter_scale = config.scale


def adapter_part(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a state dict's tensors that belong to adapters."""
    return {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] in (DOWN, UP)}


def merged(tensors: Mapping[str, Tensor], config: AdapterConfig, source: str = "the adapter") -> dict[str, Tensor]:
    """A plain state dict: each adapted weight becomes W + (alpha / rank) B A, and the factors are gone.

    RigError when factors and weights do not belong together; ``source`` says where the factors come from.
    """
    factors = adapter_part(tensors)
    plain = {name: tensor for name, tensor in tensors.items() if name not in factors}
    for layer in sorted({name.rpartition(".")[0] for name in factors}):
        down, up, weight = (tensors.get(f"{layer}.{part}") for part in (DOWN, UP, "weight"))
        if (down is None or up is None or weight is None or down.shape[1:] != weight.shape[1:] or down.shape[0] != up[0].numel()
                or up.shape[0] != weight.shape[0]):
            raise RigError(f"{source} does not fit its base model at the layer {layer}; one of the two is damaged.")
        # The sum of a convolution and its adapter is a convolution with the sum of their kernels.
        product = up.float().flatten(1) @ down.float().flatten(1)
        plain[f"{layer}.weight"] = (weight.float() + config.scale * product.view(weight.shape)).to(weight.dtype)
    return plain
