"""Building blocks of the UNet (ADM, Dhariwal & Nichol 2021, appendix A), with the global latent as second condition.

Attribute names are those of the published checkpoints. Feature maps are (B, C, H, W) in any memory format.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.model.config import GROUPS


def timestep_embedding(t: Tensor, channels: int) -> Tensor:
    """Sinusoids of the steps ``t`` (B,), integer or fractional -> (B, channels) float32, cosines first.

    Frequencies exp(-ln(10000) k / half) for k = 0..half-1; an odd channel count is padded with one zero.
    """
    half = channels // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, channels % 2))


class GroupNorm(nn.GroupNorm):
    """32 groups unless told, eps 1e-5, never computed below float32; the result has the dtype of the input."""

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__(groups, channels)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype in (torch.float16, torch.bfloat16):
            normed = F.group_norm(x.float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps)
            return normed.to(x.dtype)
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def zeroed(module: nn.Conv1d | nn.Conv2d) -> nn.Conv1d | nn.Conv2d:
    """The same layer with weight and bias at zero: its branch adds nothing before training."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class Downsample(nn.Module):
    """Halves the resolution: 2x2 mean, or a strided convolution when ``learned``."""

    def __init__(self, channels: int, learned: bool) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1) if learned else nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Doubles the resolution by nearest neighbour, followed by a convolution when ``learned``."""

    def __init__(self, channels: int, learned: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1) if learned else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class ResBlock(nn.Module):
    """Residual block conditioned on the time embedding (B, embed) and the global latent (B, latent).

    ``resample``: "" keeps the resolution, "down" halves it, "up" doubles it, inside both branches.
    """

    def __init__(self, channels: int, out_channels: int, embed_dim: int, latent_dim: int, dropout: float,
                 scale_shift: bool, resample: str = "", groups: int = GROUPS) -> None:
        super().__init__()
        condition_dim = 2 * out_channels if scale_shift else out_channels
        self.scale_shift = scale_shift
        self.in_layers = nn.Sequential(GroupNorm(channels, groups), nn.SiLU(),
                                       nn.Conv2d(channels, out_channels, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embed_dim, condition_dim))
        self.cond_emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(latent_dim, condition_dim))
        self.out_layers = nn.Sequential(GroupNorm(out_channels, groups), nn.SiLU(), nn.Dropout(dropout),
                                        zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1)))
        self.skip_connection = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)
        self.resample: nn.Module = nn.Identity()
        if resample:
            self.resample = Downsample(channels, False) if resample == "down" else Upsample(channels, False)

    def forward(self, x: Tensor, embedding: Tensor, latent: Tensor) -> Tensor:
        norm, activation, conv = self.in_layers
        h = conv(self.resample(activation(norm(x))))
        time = self.emb_layers(embedding).to(h.dtype)[:, :, None, None]
        look = self.cond_emb_layers(latent).to(h.dtype)[:, :, None, None]
        if self.scale_shift:
            norm, *rest = self.out_layers
            h = modulate(norm(h), time, look)
        else:
            h, rest = h + (time + look), list(self.out_layers)
        for layer in rest:
            h = layer(h)
        return self.skip_connection(self.resample(x)) + h


def modulate(h: Tensor, time: Tensor, look: Tensor) -> Tensor:
    """Scale and shift ``h`` (B,C,H,W) by ``time``, then by ``look``, each (B,2C,1,1) as [scale, shift].

    (h (1 + s_t) + b_t) (1 + s_z) + b_z, with the two affine maps merged so that the feature map is read once.
    """
    time_scale, time_shift = time.chunk(2, dim=1)
    look_scale, look_shift = look.chunk(2, dim=1)
    outer = 1 + look_scale
    return torch.addcmul(torch.addcmul(look_shift, time_shift, outer), h, (1 + time_scale) * outer)


class TokenMap(nn.Conv1d):
    """A linear map of the last axis, (..., C) to (..., out), kept in checkpoints as a one-dimensional convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.squeeze(-1), self.bias)


class AttentionBlock(nn.Module):
    """Self-attention over all positions, residual.

    ``new_order``: the 3C projected channels are [q, k, v] each split into heads; otherwise heads each split into
    q, k, v. Both are the same function when there is one head.
    """

    def __init__(self, channels: int, heads: int, new_order: bool, groups: int = GROUPS) -> None:
        super().__init__()
        self.heads, self.new_order = heads, new_order
        self.norm = GroupNorm(channels, groups)
        self.qkv = TokenMap(channels, 3 * channels, 1)
        self.proj_out = zeroed(TokenMap(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (B, HW, C): free of copies in channels-last
        qkv = self.qkv(tokens)
        if self.new_order:
            q, k, v = qkv.unflatten(2, (3, self.heads, -1)).unbind(2)
        else:
            q, k, v = qkv.unflatten(2, (self.heads, 3, -1)).unbind(3)
        mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        out = self.proj_out(mixed.transpose(1, 2).flatten(2))
        return x + out.transpose(1, 2).unflatten(2, x.shape[2:])
