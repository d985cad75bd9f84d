"""Figures of quality at each save: a fixed set of records is drawn from fixed noise and compared with its photographs.

The set and the noise depend on the store alone, so runs on one store can be compared whatever their seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.faces.mesh import Region, region_of_points
from diffusionrig.image_metrics import MOST_PSNR, psnr, ssim
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import to_uint8
from diffusionrig.model.network import DiffusionRig
from diffusionrig.randomness import stream_seed, torch_stream
from diffusionrig.texture_distance import texture_distance
from diffusionrig.training.batches import Faces
from diffusionrig.training.drawing import draw

STEPS = 10  # of DDIM
TOGETHER = 8  # pictures drawn in one batch
LANDMARK_SIDE = 256  # pictures are enlarged to this many pixels before landmarks are looked for

Landmarks = tuple[np.ndarray, Region]


def fixed_records(count: int, size: int) -> list[int]:
    """The first ``count`` of ``size`` records in the order of a hash of their numbers: spread evenly, the same for every run, and
    a longer set begins with the shorter one."""
    return sorted(range(size), key=lambda record: stream_seed("metric record", record))[:count]


class FixedSet:
    """The records a run is measured on, read once. ``measure`` draws and compares them."""

    def __init__(self, faces: Faces, count: int) -> None:
        self.records = fixed_records(count, len(faces))
        shown = faces.shown(self.records)
        self.images, self.condition = shown.images, shown.condition
        side = self.images.shape[-1]
        self.noise = torch.stack([torch.randn(3, side, side, generator=torch_stream("metric noise", record))
                                  for record in self.records])
        self.mask = shown.face.float()
        self._landmarker = FaceLandmarker()
        self._landmarks = [self._find(picture) for picture in _pictures(self.images)]

    def measure(self, network: DiffusionRig, weights: Mapping[str, Tensor], diffusion: DiffusionConfig) -> dict[str, float]:
        """Figures of ``weights``; the network is left as it was. A figure that does not exist (no face in any photograph) is left
        out. See :func:`compare` for their names."""
        device = next(network.parameters()).device
        parts = []
        for first in range(0, len(self.records), TOGETHER):
            images, condition, noise = (tensor[first:first + TOGETHER].to(device)
                                        for tensor in (self.images, self.condition, self.noise))
            parts.append(draw(network, weights, diffusion, images, condition, noise, STEPS).float().cpu())
        return self.compare(torch.cat(parts))

    def compare(self, drawn: Tensor) -> dict[str, float]:
        """How pictures (N, 3, S, S) in [-1, 1] differ from the photographs of the set.

        texture_frechet  distance of the two sets by colour and texture (``texture_distance``)
        face_psnr        mean PSNR on the face, dB, each at most 100
        face_ssim        mean SSIM on the face
        colour_error     mean distance of the mean colours of the face, grey levels of 0..255
        landmark_error   mean distance of the 68 landmarks, per cent of the distance between the outer corners of the eyes
        landmarks_found  share of the faces found in the photographs that are found in the drawn pictures too
        """
        images, truth = (drawn.clamp(-1, 1) + 1) / 2, (self.images + 1) / 2
        figures = {"texture_frechet": texture_distance(images, truth)} if len(truth) > 1 else {}
        there = self.mask.flatten(1).any(1)
        if bool(there.any()):
            images, truth, mask = images[there], truth[there], self.mask[there]
            area = mask.sum((2, 3))
            colours = [(one * mask).sum((2, 3)) / area for one in (images, truth)]
            figures["face_psnr"] = float(psnr(images, truth, mask).clamp(max=MOST_PSNR).mean())
            figures["face_ssim"] = float(ssim(images, truth, mask).mean())
            figures["colour_error"] = float((colours[0] - colours[1]).norm(dim=1).mean()) * 255
        figures.update(self._compare_landmarks(_pictures(drawn)))
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def _find(self, picture: np.ndarray) -> Landmarks | None:
        """Landmarks (68, 2) of the largest face and the region to look for them in other pictures of it."""
        found = self._landmarker.detect(picture)
        if not found or found[0].points is None:
            return None
        return found[0].points68, region_of_points(found[0].points)

    def _compare_landmarks(self, pictures: Sequence[np.ndarray]) -> dict[str, float]:
        errors = []
        for picture, known in zip(pictures, self._landmarks):
            if known is not None:
                face = self._landmarker.landmarks(picture, known[1])
                between = np.linalg.norm(known[0][36] - known[0][45])
                errors.append(None if face is None else
                              100 * float(np.linalg.norm(face.points68 - known[0], axis=1).mean() / between))
        found = [error for error in errors if error is not None]
        figures = {"landmarks_found": len(found) / len(errors)} if errors else {}
        return {**figures, "landmark_error": sum(found) / len(found)} if found else figures


def _pictures(images: Tensor) -> list[np.ndarray]:
    """Images (N, 3, S, S) in [-1, 1] as pictures large enough for landmarks."""
    pictures = to_uint8(images.numpy(), -1, 1)
    return [resize_square(picture, max(LANDMARK_SIDE, picture.shape[0])) for picture in pictures]
