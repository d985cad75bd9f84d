"""Drawing words: temperature, top-k, top-p, and how they change from one sample of a clip to the next."""

from __future__ import annotations

import dataclasses
import re

import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.generators.unifr.network import Logits
from diffusionrig.reactions.generators.unifr.vocabulary import STREAMS

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_WORDS = ("steps", "temperature", "top_k", "top_p", "context", "decay")


@dataclasses.dataclass(frozen=True)
class Ramp:
    """``a+b``: sample i of a clip takes a + b i."""

    first: float
    step: float = 0.0

    @staticmethod
    def parse(text: str) -> Ramp:
        found = re.fullmatch(f"({_NUMBER})({_NUMBER})?", text)
        if not found or (found[2] and found[2][0] not in "+-"):
            raise UsageError(f"{text!r} is neither a number nor a+b, such as 0.912-0.08 (sample i takes a + b i).")
        return Ramp(float(found[1]), float(found[2] or 0))

    def of(self, k: int, device: torch.device | None = None) -> Tensor:
        """(K,) values of samples 0 to K - 1."""
        return self.first + self.step * torch.arange(k, device=device, dtype=torch.float64)

    def __str__(self) -> str:
        return f"{self.first:g}" + (f"{self.step:+g}" if self.step else "")


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How words are drawn.

    steps        offline: passes over the clip
    context      online: frames, up to the end of the chunk, that are seen (0: all)
    temperature, top_k (0: all words), top_p (1: all words)  filters, in this order, each a ramp over the samples
    decay        offline: 1 lowers the temperature linearly, T (1 - s / S) after step s
    """

    steps: int = 8
    temperature: Ramp = Ramp(1.0)
    top_k: Ramp = Ramp(0.0)
    top_p: Ramp = Ramp(1.0)
    context: int = 0
    decay: int = 0

    @staticmethod
    def parse(text: str) -> Decoding:
        """``"steps 8 temperature 0.912-0.08 top_k 5 top_p 0.05+0.1"``: pairs of words; what is not named keeps its default."""
        parts = text.split()
        if len(parts) % 2:
            raise UsageError(f"The decoding {text!r} is no list of pairs such as 'steps 8 temperature 0.5'.")
        given: dict[str, int | Ramp] = {}
        for name, value in zip(parts[::2], parts[1::2]):
            if name not in _WORDS:
                raise UsageError(f"The decoding {text!r} names {name!r}; it knows {', '.join(_WORDS)}.")
            ramp = Ramp.parse(value)
            given[name] = int(ramp.first) if name in ("steps", "context", "decay") else ramp
        made = dataclasses.replace(Decoding(), **given)  # type: ignore[arg-type]
        if made.steps < 1 or made.context < 0 or made.decay not in (0, 1):
            raise UsageError(f"The decoding {text!r} needs steps of 1 or more, a context of 0 or more, and a decay of 0 or 1.")
        return made

    def check(self, k: int) -> None:
        """UsageError when some of ``k`` samples would get a value that cannot be."""
        hot, many, mass = (ramp.of(k) for ramp in (self.temperature, self.top_k, self.top_p))
        for name, values, wrong in (("temperature", hot, hot <= 0), ("top_k", many, many < 0), ("top_p", mass, mass < 0)):
            if wrong.any():
                i = int(wrong.nonzero()[0])
                raise UsageError(f"{name} {getattr(self, name)} is {float(values[i]):g} for sample {i}; choose a ramp that stays "
                                 f"{'above' if name == 'temperature' else 'at or above'} 0 for {k} samples.")


def filtered(logits: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Probabilities (K, ..., V) of logits (K, ..., V), a setting a sample: divide, keep the k likeliest words, of those the
    smallest set whose mass exceeds p (one at least). ``logits`` is left as it is."""
    shape = (-1, *(1,) * (logits.ndim - 1))
    scaled = logits.float() / temperature.float().reshape(shape)
    ordered, words = scaled.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(logits.shape[-1], device=logits.device)
    limit = top_k.long().reshape(shape)
    ordered = ordered.masked_fill((limit > 0) & (rank >= limit), -torch.inf)
    mass = ordered.softmax(-1)
    before = mass.cumsum(-1) - mass
    # The first word that takes the mass over p stays, and so does the likeliest, whatever p is.
    kept = ordered.masked_fill((before > top_p.float().reshape(shape)) & (rank > 0) & (top_p < 1).reshape(shape), -torch.inf)
    return torch.zeros_like(scaled).scatter(-1, words, kept.softmax(-1))


def draw(probabilities: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Words (...) by inverting the distribution function of (..., V) at ``uniform`` (...), and their probabilities (...)."""
    total = probabilities.double().cumsum(-1)
    words = torch.searchsorted(total, (uniform.double() * total[..., -1])[..., None], right=True)[..., 0]
    likely = probabilities.argmax(-1)  # a sum that rounding left short
    found = probabilities.gather(-1, words.clamp(max=probabilities.shape[-1] - 1)[..., None])[..., 0]
    words = torch.where(found > 0, words, likely).clamp(max=probabilities.shape[-1] - 1)
    return words, probabilities.gather(-1, words[..., None])[..., 0]


def draw_words(logits: Logits, decoding: Decoding, uniform: Tensor, cooling: float = 1.0) -> tuple[Tensor, Tensor]:
    """Words (K, T, 3) and their probabilities, from logits (K, T, V) a stream and uniform numbers (K, T, 3)."""
    device, k = uniform.device, len(uniform)
    hot, many, mass = (ramp.of(k, device) for ramp in (decoding.temperature, decoding.top_k, decoding.top_p))
    drawn = [draw(filtered(logits[name], hot * cooling, many, mass), uniform[..., i]) for i, name in enumerate(STREAMS)]
    return torch.stack([words for words, _ in drawn], -1), torch.stack([chance for _, chance in drawn], -1)


def uniforms(seed: int, clip: str, k: int, step: int, frames: int, device: torch.device) -> Tensor:
    """(K, T, 3) numbers of [0, 1), a function of seed, clip, sample and step alone."""
    return torch.stack([torch.rand(frames, len(STREAMS), generator=torch_stream(seed, "words", clip, i, step), dtype=torch.float64)
                        for i in range(k)]).to(device)
