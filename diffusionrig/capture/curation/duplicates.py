"""Pictures that are one picture: a hash of what a photograph looks like, which survives resizing and recompression.

The signs of the low frequencies of a cosine transform, as perceptual hashes do (Zauner 2010), with more of them than usual:
an album shows the same face again and again, and its pictures must not be taken for each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 64
WAVES = 16
"""WAVES x WAVES frequencies, without the constant: 255 bits."""


def picture_hash(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (255,) bool; the picture's proportions do not matter."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small)[:WAVES, :WAVES].ravel()[1:]
    return waves > np.median(waves)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the bits that differ, 0..1; unrelated pictures differ in half of them."""
    return float((first != second).mean())


def repeats(hashes: Sequence[Sequence[np.ndarray]], order: Sequence[int], most: float) -> dict[int, int]:
    """Which pictures repeat which: {repeat: picture that stays}. ``order`` lists the pictures to look at, best first.

    A picture repeats one that stays when any of their hashes are at most ``most`` apart. Repeats have no repeats of their own:
    else a video, each frame much like the next, would be one picture.
    """
    staying: list[int] = []
    found = {}
    for index in order:
        like = next((other for other in staying if any(distance(a, b) <= most for a, b in zip(hashes[index], hashes[other]))), None)
        if like is None:
            staying.append(index)
        else:
            found[index] = like
    return found
