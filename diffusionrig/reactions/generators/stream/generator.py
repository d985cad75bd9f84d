"""Drawing reactions, patch after patch, with the keys and values of the past kept."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.model.released import load_strict
from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.features.logmel import BANDS
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.stream.network import SHOWN, Cache, StreamNetwork, angles, step_down
from diffusionrig.reactions.generators.stream.settings import StreamSettings
from diffusionrig.reactions.interface import ATTRIBUTES, ListenerHistory, Mode, Prediction, SpeakerClip
from diffusionrig.settings import from_mapping

AUS, VA = slice(0, 15), slice(15, 17)


class StreamGenerator:
    """See ``reactions.interface.ReactionGenerator``. It looks ahead in neither mode: both give the same."""

    name = "stream"

    def __init__(self, network: StreamNetwork, device: torch.device) -> None:
        self.network, self.device, self.settings = network.to(device).eval(), device, network.settings

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        frames = self._speaker(speaker)
        noise = torch.stack([torch.randn(len(frames), SHOWN, generator=torch_stream("reaction", seed, speaker.name, sample))
                             for sample in range(k)]).to(self.device)
        traits = self._traits(listener)
        stream = Stream(self.network, noise, traits)
        patches = [stream.next(frames[:start + self.settings.patch], start)
                   for start in range(0, len(frames), self.settings.patch)]
        return self.presented(torch.cat(patches, 1) + self.network.rest(traits))

    def presented(self, shown: Tensor) -> Prediction:
        """Standardised frames (K, T, SHOWN) as attributes in their ranges and absolute coefficients."""
        values = (shown * self.network.scale[:SHOWN] + self.network.mean[:SHOWN]).cpu()
        emotion = values[..., :ATTRIBUTES].clone()
        emotion[..., AUS].clamp_(0, 1)
        emotion[..., VA].clamp_(-1, 1)
        shares = emotion[..., VA.stop:].clamp_min(1e-4)
        emotion[..., VA.stop:] = shares / shares.sum(-1, keepdim=True)
        coefficients = values[..., ATTRIBUTES:] + self.network.mean_face.cpu()
        return Prediction(emotion.numpy(), coefficients.numpy())

    def _speaker(self, speaker: SpeakerClip) -> Tensor:
        """(T, SEEN) standardised; what is not known of a speaker counts as the mean."""
        emotion = torch.from_numpy(speaker.emotion).float()
        mean = self.network.mean.cpu()
        face = (mean[ATTRIBUTES:SHOWN].expand(len(emotion), -1) if speaker.coefficients is None
                else torch.from_numpy(speaker.coefficients).float() - self.network.mean_face.cpu())
        audio = speaker.audio.get(AUDIO, np.broadcast_to(mean[SHOWN:].numpy(), (len(emotion), BANDS)))
        frames = torch.cat([emotion, face, torch.from_numpy(np.ascontiguousarray(audio)).float()], 1)
        return ((frames - mean) / self.network.scale.cpu()).to(self.device)

    def _traits(self, listener: ListenerHistory | None) -> Tensor:
        """(2 SHOWN,) of the listener; zeros for one who is not known."""
        if listener is None or not listener.coefficients:
            return torch.zeros(2 * SHOWN, device=self.device)
        mean, scale = self.network.mean.cpu()[:SHOWN], self.network.scale.cpu()[:SHOWN]
        clips = [torch.cat([torch.from_numpy(emotion).float()[:len(face)],
                            torch.from_numpy(face).float()[:len(emotion)] - self.network.mean_face.cpu()], 1)
                 for emotion, face in zip(listener.emotion, listener.coefficients)]
        return self.network.describe([(clip - mean) / scale for clip in clips]).to(self.device)


class Stream:
    """K reactions that grow by a patch whenever the speaker has shown one more. ``noise`` (K, T, SHOWN), ``traits`` (2 SHOWN,)."""

    def __init__(self, network: StreamNetwork, noise: Tensor, traits: Tensor) -> None:
        self.network, self.settings = network, network.settings
        self.noise = noise * self.settings.temperature
        guided = self.settings.guidance != 1
        self.copies = 2 if guided else 1
        with torch.inference_mode():
            self.person = network.person(traits[None]).expand(len(noise) * self.copies, -1)
        self.cache: Cache = []
        self.story: Tensor | None = None

    @torch.inference_mode()
    def next(self, speaker: Tensor, start: int) -> Tensor:
        """The patch (K, p, SHOWN) from frame ``start`` on. Of ``speaker`` (frames so far, SEEN) those before ``start`` are looked
        at: nothing that happens within the patch is known yet."""
        patch, network = self.settings.patch, self.network
        x = self.noise[:, start:start + patch]
        size = x.shape[1]
        heard = self._heard(speaker[max(start - patch, 0):start])[:, :size].repeat_interleave(len(x), 0)
        grid = angles(self.settings.steps)
        for phi, lower in itertools.pairwise(grid):
            velocity, _ = network.run(x.repeat(self.copies, 1, 1), phi, heard, self.person, start, self.cache)
            if self.copies == 2:
                told, untold = velocity.chunk(2)
                velocity = untold + self.settings.guidance * (told - untold)
            x = step_down(x, velocity, phi, lower)
        _, own = network.run(x.repeat(self.copies, 1, 1), 0.0, heard, self.person, start, self.cache)
        self.remember(own)
        return x

    def _heard(self, latest: Tensor) -> Tensor:
        """Tokens (copies, p, width) of the patch that the speaker has just shown (p, SEEN); for guidance, also of one who shows
        nothing. Before the first there are none."""
        if not len(latest):
            return torch.zeros(self.copies, self.settings.patch, self.settings.width, device=latest.device)
        tokens, self.story = self.network.listen(torch.stack([latest, torch.zeros_like(latest)][:self.copies]), self.story)
        return tokens

    def remember(self, own: Cache) -> None:
        """Append a patch's keys and values; forget what lies further back than the memory."""
        memory = self.settings.memory
        keep = max(1, memory // self.settings.patch) * self.settings.patch if memory else None
        joined = own if not self.cache else [(torch.cat([a, c], 2), torch.cat([b, d], 2))
                                             for (a, b), (c, d) in zip(self.cache, own)]
        self.cache = joined if keep is None else [(a[:, :, -keep:], b[:, :, -keep:]) for a, b in joined]


def load(path: Path, device: torch.device) -> StreamGenerator:
    """The generator of a model file."""
    tensors, meta = load_checkpoint(path)
    network = StreamNetwork(from_mapping(StreamSettings, meta["model"], str(path)))
    load_strict(network, tensors, str(path))
    return StreamGenerator(network, device)
