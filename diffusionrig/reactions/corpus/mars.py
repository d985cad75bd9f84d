"""MARS (REACT 2025 and 2026): every listener of a session's stimulus is appropriate; scoring takes some of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diffusionrig.errors import UsageError
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus.clips import ClipId
from diffusionrig.reactions.corpus.layout import MARS, MARS_SITE

if TYPE_CHECKING:
    from diffusionrig.reactions.corpus.corpus import Split

NUM_TARGETS = 10
"""Reactions that an item is scored against: the own listener's and nine others."""


def mars_pairs(root: Path, split: str) -> list[tuple[ClipId, ClipId]]:
    """Pairs of speaker and listener of a split, sorted: the clips that both roles have attributes (or a video) of."""
    for modality in ("emotion", "coefficients", "video"):
        folder = MARS.folder(root, split, modality)
        if not folder.is_dir():
            continue
        found = {role: {(place.parent.name, place.stem) for place in (folder / role).glob("*/*") if not place.name.startswith(".")}
                 for role in ("speaker", "listener")}
        both = sorted(found["speaker"] & found["listener"])
        return [(ClipId(MARS_SITE, session, "speaker", clip), ClipId(MARS_SITE, session, "listener", clip))
                for session, clip in both]
    raise UsageError(f"There is no facial-attributes folder in {root / split}; check the path.")


def target_lists(split: Split, seed: int = 0, count: int = NUM_TARGETS) -> list[list[int]]:
    """For every item, the ``count`` items whose listeners it is scored against: its own first, then others drawn at random.

    The others are drawn from the item's neighbours without repetition, or with where there are too few; an item that has
    none repeats its own. A draw depends on ``seed`` and the item alone.
    """
    if count < 1:
        raise UsageError(f"An item cannot be scored against {count} reactions; at least 1 is needed.")
    lists = []
    for item in split.items:
        others = [int(j) for j in split.neighbours(item.index) if j != item.index] or [item.index]
        draw = numpy_stream(seed, "reaction targets", str(item.speaker), str(item.listener))
        chosen = draw.choice(others, count - 1, replace=len(others) < count - 1)
        lists.append([item.index, *map(int, chosen)])
    return lists
