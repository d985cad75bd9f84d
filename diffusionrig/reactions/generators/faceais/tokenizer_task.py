"""Training the face tokenizer: first everything, then the decoder of attributes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.model.released import load_strict
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.faceais.settings import EmotionSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer import FaceTokenizer, face_loss, mean_error
from diffusionrig.reactions.generators.running import describe
from diffusionrig.settings import from_mapping
from diffusionrig.training.task import Batch


class TokenizerTask:
    """Blocks of listeners' faces, encoded and decoded."""

    name = "face tokenizer"

    def __init__(self, settings: TokenizerSettings, examples: Examples, seed: int) -> None:
        self.settings, self.examples, self.frames = settings, examples, settings.frames
        self.network: nn.Module = FaceTokenizer(settings, seed)
        self.meta = describe("faceais", "tokenizer", settings, examples)

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        """coefficients (B blocks, block, 58), attributes (B blocks, block, 25); what is over at a stretch's end is left out."""
        size = self.settings.block
        faces, emotions = [], []
        for sample in samples:
            listener = self.examples.draw(sample, self.frames or None).listener
            whole = len(listener) // size * size
            if not whole:
                raise UsageError(f"Examples have {len(listener)} frames, fewer than a block of {size}; lower tokenizer.block.")
            faces.append(listener.coefficients[:whole].unflatten(0, (-1, size)))
            emotions.append(listener.emotion[:whole].unflatten(0, (-1, size)))
        return {"coefficients": torch.cat(faces), "emotion": torch.cat(emotions)}

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        coefficients, emotion, codebook = self.network(batch["coefficients"])
        face = face_loss(coefficients, batch["coefficients"], self.settings.error)
        attributes = mean_error(emotion, batch["emotion"], self.settings.error)
        whole = face + self.settings.emotion_weight * attributes + self.settings.quantizer_weight * codebook
        return {"loss": whole, "face": face, "emotion": attributes, "codebook": codebook}


class EmotionTask(TokenizerTask):
    """Only the decoder of attributes learns; the rest neither moves nor drops anything out."""

    name = "face tokenizer, attributes"

    def __init__(self, settings: EmotionSettings, examples: Examples, model: Path) -> None:
        tokenizer, about = load_tokenizer(model)
        self.settings, self.examples, self.frames = tokenizer.settings, examples, settings.frames
        self.network = _EmotionOnly(tokenizer)
        self.meta = {**describe("faceais", "emotion", tokenizer.settings, examples), "tokenizer_from": about["step"]}

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        _, emotion, _ = self.network(batch["coefficients"])
        return {"loss": mean_error(emotion, batch["emotion"], self.settings.error)}


class _EmotionOnly(nn.Module):
    """A tokenizer of which all but the decoder of attributes is frozen and in evaluation mode; its tensors keep their names."""

    def __init__(self, tokenizer: FaceTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(False)
        for part in (tokenizer.decoder_to_emotion, tokenizer.lm_head_emotion):
            part.requires_grad_(True)

    def train(self, mode: bool = True) -> _EmotionOnly:
        super().train(False)
        self.tokenizer.decoder_to_emotion.train(mode)
        return self

    def forward(self, blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.tokenizer(blocks)


def build_tokenizer_task(settings: TokenizerSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> TokenizerTask:
    return TokenizerTask(settings, examples, seed)


def build_emotion_task(settings: EmotionSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> EmotionTask:
    if "tokenizer" not in earlier:
        raise UsageError("There is no face tokenizer in this run yet; train the phase tokenizer first.")
    return EmotionTask(settings, examples, earlier["tokenizer"])


def load_tokenizer(path: Path) -> tuple[FaceTokenizer, dict[str, object]]:
    """The tokenizer in the model of either phase, and what its file says about itself."""
    tensors, about = load_checkpoint(path)
    if about.get("system") != "faceais" or about.get("phase") not in ("tokenizer", "emotion"):
        raise UsageError(f"{path} holds no face tokenizer of FaceAIS; give the model of its phase tokenizer or emotion.")
    tokenizer = FaceTokenizer(from_mapping(TokenizerSettings, about["model"], str(path)))
    load_strict(tokenizer, {name.removeprefix("tokenizer."): tensor for name, tensor in tensors.items()}, str(path))
    return tokenizer.eval(), about
