"""Dyadic corpora on disk: REACT 2023 and 2024, MARS (2025 and 2026), UniFR's h5 files; nothing is loaded whole."""

from diffusionrig.reactions.corpus.clips import ClipId
from diffusionrig.reactions.corpus.corpus import Corpus, Item, Split

__all__ = ["ClipId", "Corpus", "Item", "Split"]
