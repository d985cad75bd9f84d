"""Settings of the streaming generator."""

from __future__ import annotations

from dataclasses import dataclass

from diffusionrig.errors import UsageError
from diffusionrig.settings import setting


@dataclass(frozen=True)
class StreamSettings:
    """Sizes, what is dropped while training, and how reactions are drawn."""

    width: int = setting(96, "width of the transformer")
    layers: int = setting(3, "blocks of the transformer")
    heads: int = setting(4, "attention heads")
    dropout: float = setting(0.2, "dropout of embeddings and residuals")
    patch: int = setting(8, "frames drawn together; online, the delay between what is seen and what is shown")
    memory: int = setting(256, "frames before a patch that it may look back on; 0 for all")
    rank: int = setting(4, "rank of the personal shifts of every block's weights; 0 for none")
    person: int = setting(16, "numbers that describe a listener")
    drop_history: float = setting(0.5, "share of examples that are told nothing about the listener")
    drop_speaker: float = setting(0.1, "share of examples that are told nothing about the speaker, for guidance")
    drop_past: float = setting(0.5, "share of examples whose own past is hidden: else it is trusted more than the speaker")
    past_noise: float = setting(0.2, "noise on the own past, in standard deviations: generated pasts are not perfect either")
    steps: int = setting(6, "denoising steps of a patch")
    temperature: float = setting(0.5, "size of the initial noise; below 1 nearer to the usual reaction, less diverse")
    guidance: float = setting(1.5, "above 1 exaggerates what the speaker causes, at twice the cost")

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "patch", "person", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more, not {getattr(self, name)}.")
        for name in ("memory", "rank", "past_noise", "temperature", "guidance"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, but is {getattr(self, name):g}.")
        for name in ("dropout", "drop_history", "drop_speaker", "drop_past"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is a share in [0, 1), not {getattr(self, name):g}.")
        if self.width % (2 * self.heads):
            raise UsageError(f"width {self.width} must be a multiple of twice the {self.heads} heads.")
