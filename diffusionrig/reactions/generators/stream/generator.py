"""Drawing reactions, patch after patch, with the keys and values of the past kept; also frame by frame."""

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
from diffusionrig.reactions.generators.stream.network import SEEN, SHOWN, StreamNetwork, angles, step_down
from diffusionrig.reactions.generators.stream.past import Past
from diffusionrig.reactions.generators.stream.settings import StreamSettings
from diffusionrig.reactions.interface import ATTRIBUTES, ListenerHistory, Mode, Prediction, SpeakerClip
from diffusionrig.reactions.live.listening import LiveReaction, SpeakerFrame
from diffusionrig.settings import from_mapping

AUS, VA = slice(0, 15), slice(15, 17)


class StreamGenerator:
    """See ``reactions.interface.ReactionGenerator``. It looks ahead in neither mode: both give the same."""

    name = "stream"

    def __init__(self, network: StreamNetwork, device: torch.device) -> None:
        self.network, self.device, self.settings = network.to(device).eval(), device, network.settings

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        frames, patch = self.perceived(speaker), self.settings.patch
        traits = self._traits(listener)
        stream = Stream(self.network, traits, speaker.name, k, seed)
        patches = [stream.next(frames[max(start - patch, 0):start], min(patch, len(frames) - start))
                   for start in range(0, len(frames), patch)]
        return self.presented(torch.cat(patches, 1) + self.network.rest(traits))

    def face_at_rest(self) -> np.ndarray:
        return self.network.mean_face.cpu().numpy()

    def live(self, name: str, seed: int, rate: int = 16000, fps: float = 25.0) -> LiveReaction:
        """See ``reactions.live.listening.LiveGenerator``; nothing is known of the listener."""
        return LiveStream(self, name, seed, rate, fps)

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

    def perceived(self, speaker: SpeakerClip) -> Tensor:
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
    """K reactions that grow by a patch whenever the speaker has shown one more; ``traits`` (2 SHOWN,) of the listener."""

    def __init__(self, network: StreamNetwork, traits: Tensor, name: str, k: int, seed: int) -> None:
        self.network, self.settings = network, network.settings
        self.name, self.k, self.seed = name, k, seed
        self.start = 0
        self.copies = 2 if self.settings.guidance != 1 else 1
        with torch.inference_mode():
            self.person = network.person(traits[None]).expand(k * self.copies, -1)
        memory, patch = self.settings.memory, self.settings.patch
        self.past = Past(max(1, memory // patch) * patch if memory else None)
        self.story: Tensor | None = None

    @torch.inference_mode()
    def next(self, latest: Tensor, size: int) -> Tensor:
        """The next ``size`` frames (K, size, SHOWN), at most a patch, which ends the stream when it is shorter. ``latest`` (patch,
        SEEN) are the frames that the speaker has shown since the last call; none (0, SEEN) before the first."""
        network, start = self.network, self.start
        x = self._noise()[:, :size]
        heard = self._heard(latest)[:, :size].repeat_interleave(len(x), 0)
        grid = angles(self.settings.steps)
        for phi, lower in itertools.pairwise(grid):
            velocity = network.run(x.repeat(self.copies, 1, 1), phi, heard, self.person, start, self.past)
            if self.copies == 2:
                told, untold = velocity.chunk(2)
                velocity = untold + self.settings.guidance * (told - untold)
            x = step_down(x, velocity, phi, lower)
        network.run(x.repeat(self.copies, 1, 1), 0.0, heard, self.person, start, self.past)
        self.past.grow(size)
        self.start += size
        return x

    def _noise(self) -> Tensor:
        """(K, patch, SHOWN), of each sample and patch by itself."""
        streams = (torch_stream("reaction", self.seed, self.name, sample, self.start) for sample in range(self.k))
        noise = torch.stack([torch.randn(self.settings.patch, SHOWN, generator=stream) for stream in streams])
        return self.settings.temperature * noise.to(self.person.device)

    def _heard(self, latest: Tensor) -> Tensor:
        """Tokens (copies, p, width) of the patch that the speaker has just shown (p, SEEN); for guidance, also of one who shows
        nothing. Before the first there are none."""
        if not len(latest):
            return torch.zeros(self.copies, self.settings.patch, self.settings.width, device=latest.device)
        tokens, self.story = self.network.listen(torch.stack([latest, torch.zeros_like(latest)][:self.copies]), self.story)
        return tokens


class LiveStream:
    """A listener who makes what ``StreamGenerator.generate`` makes of the same frames: sample 0 of that name and seed."""

    def __init__(self, generator: StreamGenerator, name: str, seed: int, rate: int, fps: float) -> None:
        network = generator.network
        self.patch = network.settings.patch
        self._generator, self._name, self._rate, self._fps = generator, name, rate, fps
        self._stream = Stream(network, torch.zeros(2 * SHOWN, device=generator.device), name, 1, seed)
        self._frames: list[SpeakerFrame] = []

    def begin(self) -> Prediction:
        return self._react(torch.zeros(0, SEEN, device=self._generator.device))

    def hear(self, frame: SpeakerFrame) -> Prediction | None:
        self._frames.append(frame)
        if len(self._frames) < self.patch:
            return None
        frames, self._frames = self._frames, []
        usual = self._generator.network.mean[:ATTRIBUTES].cpu().numpy()
        emotion = np.stack([usual if one.emotion is None else one.emotion for one in frames])
        sound = np.stack([one.log_mel(self._rate, self._fps) for one in frames])
        shown = SpeakerClip(self._name, emotion, np.stack([one.coefficients for one in frames]), {AUDIO: sound})
        return self._react(self._generator.perceived(shown))

    def _react(self, latest: Tensor) -> Prediction:
        return self._generator.presented(self._stream.next(latest, self.patch))


def load(path: Path, device: torch.device) -> StreamGenerator:
    """The generator of a model file."""
    tensors, meta = load_checkpoint(path)
    network = StreamNetwork(from_mapping(StreamSettings, meta["model"], str(path)))
    load_strict(network, tensors, str(path))
    return StreamGenerator(network, device)
