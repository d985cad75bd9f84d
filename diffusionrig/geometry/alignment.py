"""The point of a head that FFHQ alignment keeps still."""

from __future__ import annotations

from torch import Tensor


def ffhq_centre(landmarks: Tensor) -> Tensor:
    """iBUG landmarks (B, 68, D) -> centre (B, D): a tenth of the way from between the eyes to the mouth.

    FFHQ (Karras et al. 2019) crops around this point, so a pose edit that keeps it in place keeps the face where the
    alignment had put it (DiffusionRig, Ding et al. 2023).
    """
    eyes = (landmarks[:, 36:42].mean(1) + landmarks[:, 42:48].mean(1)) / 2
    mouth = (landmarks[:, 48] + landmarks[:, 54]) / 2
    return eyes + 0.1 * (mouth - eyes)
