"""Predictors by name."""

from __future__ import annotations

from collections.abc import Callable

from diffusionrig.errors import UsageError
from diffusionrig.reactions.baselines.learnt import Nearest, mean_frame, mean_sequence
from diffusionrig.reactions.baselines.references import KINDS, Reference
from diffusionrig.reactions.baselines.simple import Mime, Random
from diffusionrig.reactions.corpus import Corpus, Split
from diffusionrig.reactions.interface import ReactionGenerator

_LEARNT: dict[str, Callable[[Split], ReactionGenerator]] = {"mean_frame": mean_frame, "mean_sequence": mean_sequence,
                                                            "nearest": Nearest}
PREDICTORS = ("random", "mime", *_LEARNT)
REFERENCES = KINDS


def make_predictor(name: str, corpus: Corpus, split: Split, lag: int = 0) -> ReactionGenerator:
    """The predictor ``name`` for ``split``; those that learn read the corpus's training split. ``lag`` is mime's, in frames."""
    if name == "random":
        return Random()
    if name == "mime":
        return Mime(lag)
    if name in _LEARNT:
        return _LEARNT[name](corpus.split("train"))
    if name in REFERENCES:
        return Reference(split, name)
    raise UsageError(f"There is no predictor {name!r}; choose from {', '.join((*PREDICTORS, *REFERENCES))}.")
