"""Training the predictor: the next patch of the listener's tokens, the tokenizer at rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from diffusionrig.errors import UsageError
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.faceais.masks import both_ways, causal
from diffusionrig.reactions.generators.faceais.predictor import MASK, PAD, SPECIALS, ReactPredictor
from diffusionrig.reactions.generators.faceais.published import PublishedPredictor
from diffusionrig.reactions.generators.faceais.settings import SOUNDS, PredictorSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer import FaceTokenizer
from diffusionrig.reactions.generators.faceais.tokenizer_task import load_tokenizer
from diffusionrig.reactions.generators.running import describe
from diffusionrig.training.task import Batch


class Model(nn.Module):
    """What the last phase saves: the predictor, the tokenizer (frozen) and the mean face that its coefficients lack."""

    mean_face: Tensor

    def __init__(self, predictor: ReactPredictor | PublishedPredictor, tokenizer: FaceTokenizer, mean_face: Tensor) -> None:
        super().__init__()
        self.predictor, self.tokenizer = predictor, tokenizer.requires_grad_(False)
        self.register_buffer("mean_face", mean_face)

    def train(self, mode: bool = True) -> Model:
        super().train(mode)
        self.tokenizer.eval()
        return self


def make_predictor(settings: PredictorSettings, tokenizer: TokenizerSettings, seed: int | None = None
                   ) -> ReactPredictor | PublishedPredictor:
    """Ours or, with ``compat``, the published one; for loading without a ``seed``. UsageError when the two phases do not fit."""
    if settings.patch % tokenizer.block:
        raise UsageError(f"predictor.patch {settings.patch} is no multiple of the tokenizer's block of {tokenizer.block} frames.")
    if settings.vocabulary and settings.vocabulary < tokenizer.tokens:
        raise UsageError(f"predictor.vocabulary {settings.vocabulary} is less than the tokenizer's {tokenizer.tokens} tokens.")
    kind = PublishedPredictor if settings.compat else ReactPredictor
    return kind(settings, tokenizer.tokens, seed)


class PredictorTask:
    """Stretches of conversations; what is hidden of each follows from its sample number.

    offline  of some examples all of the speaker is seen, of others what lies before
    past     the beginning of some is hidden, so that the model does not rest on the listener's past alone
    draft    of each patch a random part is given, as in later draws of a patch; the loss counts what is not
    """

    name = "faceais predictor"

    def __init__(self, settings: PredictorSettings, examples: Examples, model: Path, seed: int) -> None:
        tokenizer, about = load_tokenizer(model)
        self.settings, self.examples, self.seed = settings, examples, seed
        self.predictor = make_predictor(settings, tokenizer.settings, seed)
        self.network: nn.Module = Model(self.predictor, tokenizer, examples.clips.mean_face)
        self.tokenizer = tokenizer
        self.meta = {**describe("faceais", "predictor", settings, examples), "tokenizer": about["model"]}

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        """speaker, listener (B, T, 58); sound (B, T, D); offline (B,) bool; hidden_until (B,) frames; given (B, T) bool."""
        settings = self.settings
        rows: dict[str, list[Tensor]] = {name: [] for name in ("speaker", "listener", "sound", "offline", "hidden_until", "given")}
        for sample in samples:
            example = self.examples.draw(sample)
            length = len(example.speaker) // settings.patch * settings.patch
            if not length:
                raise UsageError(f"Examples have {len(example.speaker)} frames, fewer than a patch of {settings.patch}; lower "
                                 "predictor.patch.")
            stream = numpy_stream("faceais example", self.seed, sample)
            rows["speaker"].append(example.speaker.coefficients[:length])
            rows["listener"].append(example.listener.coefficients[:length])
            rows["sound"].append(heard(example.speaker.audio[:length], settings.sound))
            rows["offline"].append(torch.tensor(stream.random() < settings.offline))
            patches = length // settings.patch
            hide = stream.random() < settings.past_mask
            rows["hidden_until"].append(torch.tensor(settings.patch * int(stream.integers(patches + 1)) if hide else 0))
            rows["given"].append(torch.from_numpy(_given(patches, settings, stream)))
        return {name: torch.stack(row) for name, row in rows.items()}

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        patch, device = self.settings.patch, batch["speaker"].device
        target = self.tokenizer.tokens(batch["listener"])
        time = torch.arange(target.shape[1], device=device)
        hidden = time < batch["hidden_until"][:, None]
        masked = torch.full_like(target, MASK)
        past = shifted(torch.where(hidden, masked, target + SPECIALS), patch)[:, :-patch]
        draft = torch.where(batch["given"], target + SPECIALS, masked)
        face, unheard = self.tokenizer.tokens(batch["speaker"]) + SPECIALS, torch.zeros_like(hidden)
        if self.settings.mask_speaker:
            face, unheard = torch.where(hidden, masked, face), hidden
        face, unheard = shifted(face, patch), shifted(unheard, patch, True)
        sound = shifted(batch["sound"], patch, 0.0)
        assert isinstance(self.predictor, ReactPredictor)
        logits = teacher_forced(self.predictor, face, sound, unheard, past, draft, batch["offline"])
        wanted = target.masked_fill(batch["given"], -1)
        return {"loss": functional.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=-1)}


def teacher_forced(predictor: ReactPredictor, face: Tensor, sound: Tensor, unheard: Tensor, past: Tensor, draft: Tensor,
                   offline: Tensor) -> Tensor:
    """Logits of all patches at once. Speaker streams (B, T + patch ...) begin with the empty patch and reach the end; past and
    draft are (B, T); offline (B,) bool: whose speaker is seen whole."""
    settings, patches = predictor.settings, face.shape[1] // predictor.settings.patch
    shape = (patches, settings.patch, settings.context)
    before, around = (mask.to(face.device) for mask in (causal(*shape), both_ways(*shape)))
    seen = torch.where(offline[:, None, None, None], around, before)
    speaker = predictor.speaker(face, sound, unheard, seen, predictor.rotation(0, patches))[:, :past.shape[1]]
    rotation, before = predictor.rotation(0, patches - 1), before[:past.shape[1], :past.shape[1]]
    return predictor.listener(past, draft, predictor.listener.regard(speaker, before, rotation), before, rotation)


def shifted(stream: Tensor, patch: int, empty: float | bool | int = PAD) -> Tensor:
    """(B, T, ...) behind a patch of nothing: (B, T + patch, ...)."""
    return torch.cat([torch.full_like(stream[:, :1], empty).expand(-1, patch, *stream.shape[2:]), stream], 1)


def heard(audio: Tensor, kind: str) -> Tensor:
    """The feature ``kind`` as (T, D); UsageError when the clip's is another."""
    numbers, rate = SOUNDS[kind]
    if audio.shape[1] != numbers * rate:
        raise UsageError(f"predictor.sound {kind} has {numbers * rate} numbers a frame, but the corpus gives {audio.shape[1]}; set "
                         "predictor.sound logmel26.")
    return audio


def _given(patches: int, settings: PredictorSettings, stream: np.random.Generator) -> np.ndarray:
    """(T,) bool: in every patch at most patch - 1 frames, none of them in half of the patches; always none for one draw."""
    if settings.steps == 1:
        return np.zeros(patches * settings.patch, bool)
    known = np.floor(settings.patch * (1 - np.cos(np.pi / 2 * stream.random(patches)))).astype(int)
    known = np.where(stream.random(patches) < 0.5, 0, np.minimum(known, settings.patch - 1))
    rank = stream.random((patches, settings.patch)).argsort(1).argsort(1)
    return (rank < known[:, None]).reshape(-1)

