"""The album as a whole: repeats, other people, and the most different few."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from diffusionrig.capture.curation.duplicates import repeats
from diffusionrig.capture.curation.looking import OTHER, REPEATED, SURPLUS, Limits, Look
from diffusionrig.capture.curation.people import FEWEST, likeness
from diffusionrig.capture.curation.variety import appearance, most_different
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel


def judge_album(looks: Sequence[Look], limits: Limits, same: float, head: HeadModel) -> list[str]:
    """Add to each look's reasons what only the others tell; returns sentences about the album.

    Only photographs that nothing else speaks against are compared. The result does not depend on their order.
    """
    notes: list[str] = []
    good = [i for i, look in enumerate(looks) if not look.reasons]
    order = sorted(good, key=lambda i: looks[i].quality())
    for repeat, stays in repeats([look.hashes for look in looks], order, limits.duplicate).items():
        looks[repeat].reasons.append((REPEATED, f"shows the same as {looks[stays].file}"))
    good = [i for i in good if not looks[i].reasons and bool(_embedding(looks[i]).any())]
    rows = torch.stack([_embedding(looks[i]) for i in good]) if good else torch.zeros(0, 1)
    alike = likeness(rows, same)
    if alike is None and len(good) >= FEWEST:
        notes.append("No person is on most of the photographs, so nobody was taken for somebody else; give --same a smaller value, "
                     "or look for several people in the album.")
    elif alike is None:
        notes.append(f"With fewer than {FEWEST} good photographs it cannot be told who is somebody else.")
    else:
        for i, value in zip(good, alike.tolist()):
            looks[i].numbers["likeness"] = round(value, 3)
            if value < same:
                looks[i].reasons.append((OTHER, f"looks like somebody else (likeness {value:.2f}, below {same:.2f})"))
    left = [i for i, look in enumerate(looks) if not look.reasons]
    if limits.keep and len(left) > limits.keep:
        codes = FaceCode.concatenate([code for i in left if (code := looks[i].code) is not None])
        chosen = {left[k] for k in most_different(appearance(head, codes), limits.keep)}
        for i in left:
            if i not in chosen:
                looks[i].reasons.append((SURPLUS, f"good, but not among the {limits.keep} most different"))
    return notes


def _embedding(look: Look) -> torch.Tensor:
    assert look.embedding is not None
    return look.embedding
