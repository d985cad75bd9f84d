"""The smallest FaceAIS: configurations and networks with random weights, for the tests."""

from __future__ import annotations

import torch

from diffusionrig.reactions.generators.faceais.generating import FaceAIS
from diffusionrig.reactions.generators.faceais.predictor_task import Model, make_predictor
from diffusionrig.reactions.generators.faceais.settings import PredictorSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer import FaceTokenizer

TOKENIZER = {"block": 4, "width": 16, "layers": 1, "heads": 2, "init": 0.3}
PREDICTOR = {"patch": 8, "context": 24, "width": 16, "layers": 2, "heads": 2, "gate": 0.7, "init": 0.3, "top_k": 0}


def tokenizer(**changes) -> FaceTokenizer:
    return FaceTokenizer(TokenizerSettings(**{**TOKENIZER, **changes}), seed=1).eval()


def generator(dtype: torch.dtype = torch.float32, **changes) -> FaceAIS:
    """A generator whose weights are random but for nothing."""
    settings = PredictorSettings(**{**PREDICTOR, **changes})
    faces = tokenizer()
    model = Model(make_predictor(settings, faces.settings, seed=2), faces, torch.linspace(-1, 1, 58))
    return FaceAIS(model.to(dtype), settings)
