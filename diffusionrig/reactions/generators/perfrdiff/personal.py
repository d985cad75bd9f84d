"""A generator whose weights are shifted for a person (PWSG), by what the person's earlier clips look like."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.reactions.generators.perfrdiff.generator import Generator
from diffusionrig.reactions.generators.perfrdiff.person import PersonEncoder, averaged, medians
from diffusionrig.reactions.generators.perfrdiff.settings import (
    EmbedderSettings,
    GeneratorSettings,
    PersonalSettings,
    PersonSettings,
)
from diffusionrig.reactions.generators.perfrdiff.shifts import FullShifts, LowRankShifts, Shifts
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS

LONGEST = 2000
"""Frames of a clip that the encoder of a person reads at most."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """Settings of all phases, which a model's description keeps."""

    embedders: EmbedderSettings
    person: PersonSettings
    generator: GeneratorSettings
    personal: PersonalSettings

    def described(self) -> dict[str, Any]:
        return {name: dataclasses.asdict(getattr(self, name)) for name in ("embedders", "person", "generator", "personal")}


def make_encoder(settings: PersonSettings) -> PersonEncoder:
    return PersonEncoder(settings.width, settings.layers, settings.heads, settings.feed_forward, settings.projection,
                         settings.dropout, settings.summary)


def code_size(person: PersonSettings, personal: PersonalSettings) -> int:
    """Numbers that stand for a person."""
    return person.projection + (ATTRIBUTES + COEFFICIENTS if personal.summary else 0)


class Personal(nn.Module):
    """``generator`` and ``encoder``, frozen and always as in use; ``shifts``, which is trained around them."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.settings = parts.personal
        self.generator = Generator(parts.embedders, parts.generator).requires_grad_(False)
        self.encoder = make_encoder(parts.person).requires_grad_(False)
        shapes = self.generator.denoiser.shapes(parts.personal.layers(parts.generator.layers))
        size = code_size(parts.person, parts.personal)
        self.shifts: FullShifts | LowRankShifts
        if parts.personal.kind == "full":
            self.shifts = FullShifts(size, parts.personal.hidden, parts.personal.shared, shapes)
        else:
            self.shifts = LowRankShifts(size, parts.personal.hidden, parts.personal.shared, shapes, parts.personal.rank)

    def train(self, mode: bool = True) -> Personal:
        super().train(mode)
        self.generator.eval()
        self.encoder.eval()
        return self

    @torch.no_grad()
    def clip_code(self, emotion: Tensor, coefficients: Tensor) -> Tensor:
        """One clip's attributes (T, 25) and coefficients (T, 58) less the mean face -> its code, to be averaged over clips."""
        scaling = self.generator.embedders.scaling
        face, seen = scaling.scaled("face", coefficients[:LONGEST]), scaling.scaled("emotion", emotion[:LONGEST])
        code = self.encoder(face[None])[0]
        return torch.cat([code, medians(seen, face)]) if self.settings.summary else code

    def person_code(self, codes: Sequence[Tensor]) -> Tensor:
        """Codes of several clips of a person -> the person's: the projections' mean direction, the medians' mean."""
        if not self.settings.summary:
            return averaged(codes)
        rest = ATTRIBUTES + COEFFICIENTS
        return torch.cat([averaged([code[:-rest] for code in codes]), torch.stack([code[-rest:] for code in codes]).mean(0)])

    def shifts_of(self, code: Tensor) -> Shifts:
        """Codes (G, D) -> shifts of G people."""
        return self.shifts(code)
