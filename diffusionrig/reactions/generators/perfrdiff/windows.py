"""Windows of a clip: where they begin, and what of the speaker is in view of each."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.clips import Clip


def window_starts(frames: int, window: int) -> list[int]:
    """First frames of windows that together cover a clip. What is left over at the end is covered by a window that ends there;
    only its last frames count. UsageError when the clip is shorter than a window."""
    if frames < window:
        raise UsageError(f"The clip has {frames} frames, but the generator makes windows of {window}; give longer clips.")
    starts = list(range(0, frames - window + 1, window))
    return starts if starts[-1] + window == frames else [*starts, frames - window]


def joined(windows: Tensor, starts: list[int], frames: int) -> Tensor:
    """Windows (W, K, w, C) at ``starts`` -> (K, frames, C); the earlier window counts where two overlap."""
    pieces, done = [], 0
    for made, start in zip(windows, starts):
        pieces.append(made[:, done - start:])
        done = start + made.shape[1]
    assert done == frames
    return torch.cat(pieces, 1)


def speaker_view(clip: Clip, start: int, window: int, past: int, present: bool, hidden: bool) -> dict[str, Tensor]:
    """What the window at ``start`` is told: ``past`` windows before it and, when ``present``, that at the same time.

    audio (S, 26), emotion (S, 25), face (S, 58), and ``known`` (S,) 1 or 0; frames before the clip are unknown and zero, and with
    ``hidden`` those from ``start`` on.
    """
    first, last = start - past * window, start + window * present
    seen = min(start if hidden else last, len(clip))
    rows = slice(max(first, 0), max(seen, 0))
    before = rows.start - first
    view = {"known": torch.ones(max(seen, 0) - rows.start), "audio": clip.audio[rows], "emotion": clip.emotion[rows],
            "face": clip.coefficients[rows]}
    return {name: _placed(value, before, last - first) for name, value in view.items()}


def _placed(rows: Tensor, before: int, length: int) -> Tensor:
    whole = rows.new_zeros(length, *rows.shape[1:])
    whole[before:before + len(rows)] = rows
    return whole
