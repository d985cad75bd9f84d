"""Reactions by a trained model: words, then attributes, then coefficients."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.unifr.decoding import Words, decode_offline, decode_online, decode_online_anew
from diffusionrig.reactions.generators.unifr.inputs import of_speaker
from diffusionrig.reactions.generators.unifr.model import UnifrModel, load_model
from diffusionrig.reactions.generators.unifr.sampling import Decoding
from diffusionrig.reactions.generators.unifr.settings import Pretrain
from diffusionrig.reactions.interface import ListenerHistory, Mode, Prediction, SpeakerClip

_WINDOW = 32  # frames, up to the end of a chunk, from which its coefficients are made online


@dataclasses.dataclass
class Unifr:
    """``precision`` fp32, bf16 or fp16: of the transformer while decoding."""

    model: UnifrModel
    settings: Pretrain
    offline: Decoding
    online: Decoding
    device: torch.device
    precision: str = "fp32"
    name: str = "unifr"

    @torch.no_grad()
    def words(self, speaker: SpeakerClip, k: int, seed: int, mode: Mode) -> Words:
        """Words (K, T, 3), in the order AU, exp, VA, and the logarithms of their probabilities (K, T, 3)."""
        decoding, settings, network = self.offline if mode == "offline" else self.online, self.settings, self.model.transformer
        decoding.check(k)
        inputs = {name: value[None].to(self.device) for name, value in of_speaker(
            speaker, self.model.mean_face.cpu(), settings.inputs == "prepared", settings.AU_size).items()}
        with self._autocast():
            if mode == "offline":
                return decode_offline(network, inputs, decoding, k, seed, speaker.name, settings.compat)
            decode = decode_online_anew if settings.compat else decode_online
            return decode(network, inputs, decoding, k, seed, speaker.name, settings.online_step, settings.shift)

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        """The history of the listener plays no part: the system is not personal."""
        return self.decode(self.words(speaker, k, seed, mode)[0], mode)

    @torch.no_grad()
    def decode(self, words: Tensor, mode: Mode) -> Prediction:
        """What words (K, T, 3) mean. Online, coefficients too depend on words before the end of their chunk only."""
        emotion = self.model.vocabulary.decode(words.to(self.device))
        network = self.model.coefficients
        faces = network(emotion) if mode == "offline" else coefficients_online(network, emotion, self.settings.online_step)
        return Prediction(emotion.cpu().numpy(), faces.cpu().numpy())

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16 if self.precision == "bf16" else torch.float16)


def coefficients_online(network: torch.nn.Module, emotion: Tensor, chunk: int) -> Tensor:
    """(K, T, 25) -> (K, T, 58), each chunk from the frames of a window that ends with it; all windows at once."""
    k, frames = emotion.shape[:2]
    made = emotion.new_empty(k, frames, 58)
    stops: dict[int, list[int]] = {}
    for first in range(0, frames, chunk):
        stop = min(first + chunk, frames)
        stops.setdefault(min(stop, max(_WINDOW, chunk)), []).append(first)
    for length, firsts in stops.items():
        ends = [min(first + chunk, frames) for first in firsts]
        faces = network(torch.cat([emotion[:, stop - length:stop] for stop in ends]))
        for i, (first, stop) in enumerate(zip(firsts, ends)):
            made[:, first:stop] = faces[i * k:(i + 1) * k, length - (stop - first):]
    return made


def load(path: Path, device: torch.device) -> Unifr:
    """A trained model, ready to be asked."""
    model, settings, _ = load_model(path)
    return Unifr(model.to(device).eval(), settings, Decoding.parse(settings.offline), Decoding.parse(settings.online), device)


def set_precision(generator: Unifr, half: bool) -> None:
    """Half precision: fp16 on a GPU, bf16 on the CPU, whose fp16 is slow."""
    generator.precision = "fp32" if not half else "fp16" if generator.device.type == "cuda" else "bf16"


def summed(chances: Tensor) -> np.ndarray:
    """Logarithms of probabilities (K, T, 3) -> of each sample's as a whole (K,)."""
    if not torch.isfinite(chances).all():
        raise UsageError("A word of probability 0 was drawn, which rounding in half precision can do; decode in full precision.")
    return chances.sum((1, 2)).cpu().numpy()
