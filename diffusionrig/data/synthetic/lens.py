"""What a camera adds: blur, vignetting, white balance, tone curve, sensor noise, compression."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Lens:
    """One photograph's camera. Blur is in 256ths of the image side; noise in units of full scale."""

    blur: float
    vignette: float
    gamma: float
    balance: tuple[float, ...]
    shot_noise: float
    read_noise: float
    jpeg_quality: int


def sample_lens(rng: np.random.Generator) -> Lens:
    """A decent camera: small departures from the ideal."""
    balance = 1 + np.clip(rng.normal(0.0, 0.02, 3), -0.05, 0.05)
    return Lens(blur=float(rng.uniform(0.0, 0.9)), vignette=float(rng.uniform(0.0, 0.22)),
                gamma=float(np.exp(rng.normal(0.0, 0.05))), balance=tuple(map(float, balance / balance.mean())),
                shot_noise=float(rng.uniform(0.002, 0.018)), read_noise=float(rng.uniform(0.001, 0.007)),
                jpeg_quality=int(rng.integers(86, 99)))


def soft_clip(image: np.ndarray, knee: float = 0.82) -> np.ndarray:
    """Leave values below ``knee`` alone and bend the rest towards 1, as film and cameras do."""
    over = np.maximum(image - knee, 0.0)
    return np.minimum(image, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))


def expose(image: np.ndarray, lens: Lens, rng: np.random.Generator) -> np.ndarray:
    """A linear image (S, S, 3) float32 to the photograph (S, S, 3) uint8; ``rng`` draws the sensor noise."""
    size = image.shape[0]
    blur = lens.blur * size / 256
    if blur > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    falloff = 1 - lens.vignette * (axis[:, None] + axis[None, :]) ** 2 / 4
    image = soft_clip(np.maximum(image * falloff[..., None] * np.asarray(lens.balance, np.float32), 0.0))
    image = image ** np.float32(lens.gamma)
    # The noise is drawn per 256th of the image side, so that a small picture is not noisier than a large one shrunk.
    grain = rng.standard_normal((size, size, 3), dtype=np.float32) * min(1.0, (size / 256) ** 0.5)
    image = image + grain * np.sqrt(lens.read_noise ** 2 + lens.shot_noise ** 2 * image)
    photograph = np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", photograph[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, lens.jpeg_quality,
                                                             cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111])
    decoded = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])
