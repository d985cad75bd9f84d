"""Face Mesh: 478 points from a square, levelled region (Kartynnik et al. 2019, Grishchenko et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from diffusionrig.faces.landmark_indices import LEFT_EYE_CORNER, RIGHT_EYE_CORNER
from diffusionrig.faces.networks import Network

SIDE = 256
MARGIN = 1.5


@dataclass(frozen=True)
class Region:
    """A square of the picture: centre (x, y), side length in pixels, and angle in radians (clockwise as seen)."""

    x: float
    y: float
    side: float
    angle: float

    def matrix(self, size: int = SIDE) -> np.ndarray:
        """(2, 3) affine map from pixels of a view of ``size`` (centres at whole numbers) to picture pixels."""
        scale = self.side / size
        along = np.array([np.cos(self.angle), np.sin(self.angle)]) * scale
        down = np.array([-along[1], along[0]])
        half = (size - 1) / 2
        return np.stack([along, down, np.array([self.x, self.y]) - half * (along + down)], axis=1)


def region_of_box(box: np.ndarray, right_eye: np.ndarray, left_eye: np.ndarray) -> Region:
    """The region for a detected face: 1.5 x the longer side of its box, turned until the eyes are level."""
    across = left_eye - right_eye
    x, y = (box[:2] + box[2:]) / 2
    side = MARGIN * float(max(box[2] - box[0], box[3] - box[1]))
    return Region(float(x), float(y), side, float(np.arctan2(across[1], across[0])))


def region_of_points(points: np.ndarray) -> Region:
    """The region for a face whose (478, 2|3) points are known: 1.5 x the longer side of their levelled box."""
    across = points[LEFT_EYE_CORNER, :2] - points[RIGHT_EYE_CORNER, :2]
    angle = float(np.arctan2(across[1], across[0]))
    cos, sin = np.cos(angle), np.sin(angle)
    level = points[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    low, high = level.min(axis=0), level.max(axis=0)
    x, y = (low + high) / 2
    return Region(float(cos * x - sin * y), float(sin * x + cos * y), MARGIN * float((high - low).max()), angle)


def cut(image: np.ndarray, region: Region, size: int = SIDE) -> np.ndarray:
    """(size, size, 3) uint8 view of the region; beyond the picture its edge pixels go on."""
    matrix = region.matrix(size)
    shrink = region.side / size
    height, width = image.shape[:2]
    # Only the surroundings are passed on: OpenCV refuses sides above 32767 pixels, and less is faster.
    half = region.side * 0.75 + 2
    x0, x1 = (int(np.clip(v, 0, width)) for v in (region.x - half, region.x + half))
    y0, y1 = (int(np.clip(v, 0, height)) for v in (region.y - half, region.y + half))
    if x1 - x0 < 2 or y1 - y0 < 2:
        x0, y0, x1, y1 = 0, 0, min(width, 32767), min(height, 32767)
    image = image[y0:y1, x0:x1]
    matrix[:, 2] -= [x0, y0]
    if shrink > 2.0:
        # Bilinear sampling would skip pixels: average down to about two per output pixel first.
        wide, high = max(1, round((x1 - x0) * 2 / shrink)), max(1, round((y1 - y0) * 2 / shrink))
        image = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA)
        ratio = np.array([wide / (x1 - x0), high / (y1 - y0)])
        matrix *= ratio[:, None]
        matrix[:, 2] += 0.5 * ratio - 0.5
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)


def points_in(network: Network, image: np.ndarray, region: Region) -> tuple[np.ndarray, float]:
    """(478, 3) float32 points in picture pixels, and the probability 0..1 that the region holds a face."""
    values, presence, _ = network((cut(image, region).astype(np.float32) / 255.0)[None])
    local = values.reshape(478, 3).astype(np.float64)
    matrix = region.matrix()
    # The network counts from the corner of its first pixel, we count from the pixel's centre.
    flat = (local[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    depth = local[:, 2:] * (region.side / SIDE)
    logit = float(np.clip(presence.reshape(-1)[0], -80.0, 80.0))
    return np.concatenate([flat, depth], axis=1).astype(np.float32), 1.0 / (1.0 + float(np.exp(-logit)))
