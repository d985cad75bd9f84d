"""How well the face tokenizer keeps faces: errors, concordance and use of tokens over the listeners of a split."""

from __future__ import annotations

import numpy as np
import torch

from diffusionrig.reactions.corpus import Split
from diffusionrig.reactions.generators.clips import Clips
from diffusionrig.reactions.generators.faceais.tokenizer import FaceTokenizer


def reconstruction(tokenizer: FaceTokenizer, split: Split) -> dict[str, float]:
    """Mean absolute errors of coefficients and attributes, mean concordance of the attributes that move, tokens used and their
    perplexity (as many tokens, used alike, would tell as much)."""
    clips = Clips(split, audio=False)
    counts = torch.zeros(tokenizer.settings.tokens)
    rows = []
    for item in split.items:
        clip = clips(item.listener)
        whole = len(clip) // tokenizer.settings.block * tokenizer.settings.block
        tokens = tokenizer.tokens(clip.coefficients[None, :whole])
        counts += torch.bincount(tokens.flatten(), minlength=len(counts))
        coefficients, emotion = tokenizer.faces(tokens)
        rows.append((float((coefficients[0] - clip.coefficients[:whole]).abs().mean()),
                     float((emotion[0] - clip.emotion[:whole]).abs().mean()), _concordance(emotion[0], clip.emotion[:whole])))
    shares = counts[counts > 0] / counts.sum()
    face, attributes, concordance = np.nanmean(np.array(rows, np.float64), 0).tolist()
    return {"coefficients": face, "attributes": attributes, "concordance": concordance, "used": float(len(shares)),
            "perplexity": float((-(shares * shares.log()).sum()).exp())}


def _concordance(made: torch.Tensor, wanted: torch.Tensor) -> float:
    """Of (T, 25) and (T, 25), mean over the columns of ``wanted`` that move; NaN when none does."""
    moving = wanted.std(0) > 0
    a, b = made[:, moving].double(), wanted[:, moving].double()
    covariance = ((a - a.mean(0)) * (b - b.mean(0))).mean(0)
    return float((2 * covariance / (a.var(0, False) + b.var(0, False) + (a.mean(0) - b.mean(0)) ** 2)).mean())
