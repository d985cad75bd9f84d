"""The face tokenizer: 58 coefficients, less the mean face, to one token a frame; tokens to 58 coefficients and 25 attributes.

A block of frames is encoded and decoded together, every frame seeing the whole block; blocks know nothing of one another.
Parameter names and sizes are the published ones: 27.57 million at width 252 with 12 layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffusionrig.reactions.generators.faceais.blocks import Block, initialise
from diffusionrig.reactions.generators.faceais.quantizers import Quantizer
from diffusionrig.reactions.generators.faceais.settings import TokenizerSettings
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS


class Stack(nn.Module):
    """Blocks and a norm; with ``inputs``, the map and the positions in front of them."""

    def __init__(self, settings: TokenizerSettings, inputs: int = 0) -> None:
        super().__init__()
        if inputs:
            self.wfe = nn.Linear(inputs, settings.width)
            self.wpe = nn.Embedding(settings.block, settings.width)
        self.h = nn.ModuleList([Block(settings.build) for _ in range(settings.layers)])
        self.ln_f = nn.LayerNorm(settings.width, bias=False)

    def placed(self, x: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T, C), positions added."""
        return self.wfe(x) + self.wpe.weight[:x.shape[1]]

    def forward(self, x: Tensor) -> Tensor:
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class FaceTokenizer(nn.Module):
    """Use ``tokens`` and ``faces``; ``forward`` is for training."""

    def __init__(self, settings: TokenizerSettings, seed: int | None = None) -> None:
        """Without a ``seed`` weights stay as torch draws them, for loading."""
        super().__init__()
        self.settings = settings
        width = settings.width
        self.encoder = Stack(settings, COEFFICIENTS)
        self.quantize = Quantizer(settings.quantizer, width, settings.level_list, settings.codebook)
        self.decoder_to_3dmm = Stack(settings, width)
        self.decoder_to_emotion = Stack(settings)
        self.lm_head_emotion = nn.Linear(width, ATTRIBUTES, bias=False)
        self.lm_head_3dmm = nn.Linear(width, COEFFICIENTS, bias=False)
        self.drop = nn.Dropout(settings.dropout)
        if seed is not None:
            for name, part in self.named_children():
                if name != "quantize" or settings.quantizer == "fsq":
                    initialise(part, settings.layers, settings.init, seed, "faceais tokenizer", name)

    def forward(self, blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients (B, block, 58) -> the same reconstructed, attributes (B, block, 25), and the codebook's loss."""
        made, _, loss = self.encode(blocks)
        coefficients, emotion = self._decode(made)
        return coefficients, emotion, loss

    def encode(self, blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, block, 58) -> quantised (B, block, C), tokens (B, block), loss."""
        return self.quantize(self.encoder(self.drop(self.encoder.placed(blocks))))

    def _decode(self, quantised: Tensor) -> tuple[Tensor, Tensor]:
        start = self.decoder_to_3dmm.placed(quantised)
        return (self.lm_head_3dmm(self.decoder_to_3dmm(self.drop(start))),
                self.lm_head_emotion(self.decoder_to_emotion(self.drop(start))))

    @torch.no_grad()
    def tokens(self, coefficients: Tensor) -> Tensor:
        """Coefficients (B, T, 58) -> tokens (B, T). A last block that is cut short is filled up with its last frame."""
        length = coefficients.shape[1]
        missing = -length % self.settings.block
        if missing:
            coefficients = torch.cat([coefficients, coefficients[:, -1:].expand(-1, missing, -1)], 1)
        blocks = coefficients.reshape(-1, self.settings.block, COEFFICIENTS)
        return self.encode(blocks)[1].reshape(len(coefficients), -1)[:, :length]

    @torch.no_grad()
    def faces(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), whole blocks -> coefficients (B, T, 58) less the mean face, and attributes (B, T, 25)."""
        batch, length = tokens.shape
        if length % self.settings.block:
            raise ValueError(f"{length} tokens are no whole blocks of {self.settings.block}")
        made = self._decode(self.quantize.decode(tokens.reshape(-1, self.settings.block)))
        return made[0].reshape(batch, length, -1), made[1].reshape(batch, length, -1)


GROUPS = ((0, 5), (5, 8), (8, 10), (10, 18), (18, 20), (20, 22), (22, 26), (26, 43), (43, 45), (45, 49), (49, 52), (52, 55),
          (55, 58))
"""Brow, cheek, blink, look, squint, wide, jaw, mouth, smile, mouth, nose and tongue; rotation; translation."""


def face_loss(made: Tensor, wanted: Tensor, error: str = "absolute") -> Tensor:
    """Sum of the mean errors of the groups, so that the 2 numbers of a blink weigh as much as 17 of the mouth."""
    return torch.stack([mean_error(made[..., a:b], wanted[..., a:b], error) for a, b in GROUPS]).sum()


def mean_error(made: Tensor, wanted: Tensor, error: str) -> Tensor:
    """Mean absolute error, or ten times the mean squared one, which makes an error of .1 weigh alike."""
    return functional.l1_loss(made, wanted) if error == "absolute" else 10 * functional.mse_loss(made, wanted)
