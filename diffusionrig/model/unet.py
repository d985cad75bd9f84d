"""The denoising UNet: noisy image and physical buffers in, noise out (ADM's layout and parameter names)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diffusionrig.model.blocks import (
    AttentionBlock,
    Downsample,
    GroupNorm,
    ResBlock,
    Upsample,
    timestep_embedding,
    zeroed,
)
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.patches import PatchHead, folded


class Stage(nn.Sequential):
    """Layers in a row; residual blocks also get the two conditions."""

    def forward(self, x: Tensor, embedding: Tensor, latent: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, embedding, latent) if isinstance(layer, ResBlock) else layer(x)
        return x


class UNet(nn.Module):
    """``forward(x (B,in,S,S), t (B,), latent (B,latent_dim)) -> (B,out,S,S)``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        base, embed = config.num_channels, 4 * config.num_channels
        plan = config.level_channels
        self.time_embed = nn.Sequential(nn.Linear(base, embed), nn.SiLU(), nn.Linear(embed, embed))

        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(config.input_channels * config.patch**2, plan[0], 3, padding=1))])
        channels = plan[0]
        skips = [channels]
        for level, width in enumerate(plan):
            for _ in range(config.num_res_blocks):
                self.input_blocks.append(Stage(self._residual(channels, width),
                                               *self._attention(width, level, config.num_heads)))
                channels = width
                skips.append(channels)
            if level < len(plan) - 1:
                self.input_blocks.append(Stage(self._residual(channels, channels, "down") if config.resblock_updown
                                               else Downsample(channels, True)))
                skips.append(channels)

        self.middle_block = Stage(self._residual(channels, channels), self._attend(channels, config.num_heads),
                                  self._residual(channels, channels))

        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(plan))):
            for index in range(config.num_res_blocks + 1):
                layers: list[nn.Module] = [self._residual(channels + skips.pop(), width),
                                           *self._attention(width, level, config.decoder_heads)]
                channels = width
                if level and index == config.num_res_blocks:
                    layers.append(self._residual(channels, channels, "up") if config.resblock_updown
                                  else Upsample(channels, True))
                self.output_blocks.append(Stage(*layers))

        norm = GroupNorm(channels, config.norm_groups)
        self.out = nn.Sequential(norm, nn.SiLU()) if config.patch > 1 else nn.Sequential(
            norm, nn.SiLU(), zeroed(nn.Conv2d(channels, config.out_channels, 3, padding=1)))
        self.finish = PatchHead(channels, config.patch, config.input_channels, config.out_channels) if config.patch > 1 else None

    def _residual(self, channels: int, out_channels: int, resample: str = "") -> ResBlock:
        config = self.config
        return ResBlock(channels, out_channels, 4 * config.num_channels, config.latent_dim, config.dropout,
                        config.use_scale_shift_norm, resample, config.norm_groups)

    def _attention(self, channels: int, level: int, heads: int) -> list[nn.Module]:
        """One attention block where this level has attention, else nothing."""
        if self.config.patch * 2**level not in self.config.attention_factors:
            return []
        return [self._attend(channels, heads)]

    def _attend(self, channels: int, heads: int) -> AttentionBlock:
        config = self.config
        if config.num_head_channels != -1:
            heads = channels // config.num_head_channels
        return AttentionBlock(channels, heads, config.use_new_attention_order, config.norm_groups)

    def forward(self, x: Tensor, t: Tensor, latent: Tensor) -> Tensor:
        sinusoids = timestep_embedding(t, self.config.num_channels)
        embedding = self.time_embed(sinusoids.to(next(self.time_embed.parameters()).dtype))
        h, skips = folded(x, self.config.patch), []
        for stage in self.input_blocks:
            h = self._run(stage, h, embedding, latent)
            skips.append(h)
        h = self._run(self.middle_block, h, embedding, latent)
        for stage in self.output_blocks:
            h = self._run(stage, torch.cat([h, skips.pop()], dim=1), embedding, latent)
        h = self.out(h.to(x.dtype))
        return h if self.finish is None else self.finish(h, x)

    def _run(self, stage: nn.Module, h: Tensor, embedding: Tensor, latent: Tensor) -> Tensor:
        if self.config.use_checkpoint and torch.is_grad_enabled():
            return checkpoint(stage, h, embedding, latent, use_reentrant=False)
        return stage(h, embedding, latent)
