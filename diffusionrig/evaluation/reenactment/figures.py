"""How near a picture comes to the truth: pixels, landmarks, identity, pose and expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffusionrig.evaluation.control import pose_error
from diffusionrig.evaluation.perception import Lpips
from diffusionrig.evaluation.reenactment.framing import SIDE
from diffusionrig.evaluation.reenactment.looking import Look
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.expression_map import expression_map
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.image_metrics import MOST_PSNR, psnr, ssim
from diffusionrig.render.physical import render_buffers


@dataclass(frozen=True)
class Measure:
    """``title`` with its unit, decimal ``digits`` worth showing, whether ``larger`` is better, and what it ``means``."""

    title: str
    digits: int
    larger: bool
    means: str


MEASURES = {
    "psnr_head": Measure("PSNR on the head, dB", 2, True,
                         "peak signal-to-noise ratio where the true picture's captured head covers the picture, dB, at most 100"),
    "ssim_head": Measure("SSIM on the head", 3, True, "structural similarity (window of 11 pixels) there"),
    "psnr": Measure("PSNR, dB", 2, True, "peak signal-to-noise ratio of the whole picture, dB, at most 100"),
    "ssim": Measure("SSIM", 3, True, "structural similarity of the whole picture"),
    "lpips": Measure("LPIPS", 3, False, "LPIPS 0.1 (AlexNet) of the whole picture; null without its files"),
    "identity": Measure("identity", 3, True, "cosine between the embeddings of the picture and of the truth"),
    "landmarks": Measure("landmarks, % of eye distance", 2, False,
                         "mean distance of the 68 landmarks found on the picture from those found on the truth, in per cent of the "
                         "distance between the middles of the truth's eyes"),
    "pose": Measure("pose, degrees", 2, False, "angle between the head's rotations captured from picture and truth"),
    "expression": Measure("expression, ARKit weights", 4, False,
                          "mean absolute difference of the 52 ARKit weights (0..1) captured from picture and truth"),
}

Figures = dict[str, float | None]


class Truth:
    """A true picture (SIDE, SIDE, 3) uint8 and what was read off it; compares others with it. Its code must be known."""

    def __init__(self, image: np.ndarray, look: Look, head: HeadModel, lpips: Lpips | None) -> None:
        assert look.code is not None
        self._image, self._look, self._code, self._head, self._lpips = _tensor(image), look, look.code, head, lpips
        device = head.faces.device
        with torch.inference_mode():
            self.mask = render_buffers(head, look.code.to(device), SIDE).alpha.cpu()

    def compare(self, image: np.ndarray, look: Look) -> Figures:
        """Every measure of MEASURES; None where a face was not found, or nothing to measure with was given."""
        picture, mask = _tensor(image), self.mask if bool(self.mask.any()) else None
        with torch.inference_mode():
            found: Figures = {
                "psnr_head": None if mask is None else _decibels(psnr(picture, self._image, mask)),
                "ssim_head": None if mask is None else ssim(picture, self._image, mask).item(),
                "psnr": _decibels(psnr(picture, self._image)), "ssim": ssim(picture, self._image).item(),
                "lpips": None if self._lpips is None else self._lpips(picture, self._image).item()}
            found["identity"] = (None if look.identity is None or self._look.identity is None
                                 else float(look.identity @ self._look.identity))
            found["landmarks"] = landmark_distance(look.points, self._look.points)
            found["pose"] = None if look.code is None else pose_error(self._head, look.code, self._code).item()
            found["expression"] = None if look.code is None else expression_distance(look.code, self._code, self._head)
        return found


def landmark_distance(points: np.ndarray | None, truth: np.ndarray | None) -> float | None:
    """Mean distance of (68, 2) points, per cent of the distance between the middles of the truth's eyes."""
    if points is None or truth is None:
        return None
    eyes = np.hypot(*(truth[36:42].mean(0) - truth[42:48].mean(0)))
    return float(100 * np.hypot(*(points - truth).T).mean() / max(eyes, 1e-6))


def expression_distance(first: FaceCode, second: FaceCode, head: HeadModel) -> float:
    """Mean absolute difference of the ARKit weights of two codes of batch 1."""
    a, b = (_weights(code, head) for code in (first, second))
    return float((a - b).abs().mean())


def _weights(code: FaceCode, head: HeadModel) -> Tensor:
    if head.expression_names == ARKIT_NAMES:
        return code.expression
    return expression_map(head).weights(code.expression, code.pose[:, 3:])


def _decibels(value: Tensor) -> float:
    return min(value.item(), MOST_PSNR)


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
