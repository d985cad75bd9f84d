"""The FFHQ square: where it lies for 68 landmarks, and the picture resampled into it (Karras et al. 2019, section A).

A square as in the published data: its horizontal mixes the line between the eyes with the line from eyes to mouth, its
half side is the larger of 2.0 x the distance between the eyes and 1.8 x the distance from eyes to mouth, and its centre
lies a tenth of the way from the eyes to the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

TRANSFORM_SIZE = 4096


@dataclass(frozen=True)
class AlignedFace:
    """image (S, S, 3) uint8; matrix (3, 3) float64 takes photo pixels (x, y, 1) to pixels of ``image``, both with
    (0, 0) at the centre of the top left pixel; outside is the share of the square beyond the photo, 0..1; side is
    the side of the square in photo pixels."""

    image: np.ndarray
    matrix: np.ndarray
    outside: float
    side: float


def ffhq_quad(points68: np.ndarray) -> np.ndarray:
    """(4, 2) float64 corners of the FFHQ square in photo pixels: top left, bottom left, bottom right, top right."""
    points = np.asarray(points68, dtype=np.float64)
    right_eye, left_eye = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    eyes = (right_eye + left_eye) / 2
    across = left_eye - right_eye
    down = (points[48] + points[54]) / 2 - eyes
    x = across + np.array([down[1], -down[0]])
    length = np.hypot(*x)
    if not length > 0:
        raise ValueError("the landmarks do not span a face")
    x *= max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8) / length
    y = np.array([-x[1], x[0]])
    centre = eyes + down * 0.1
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def quad_matrix(quad: np.ndarray, size: int) -> np.ndarray:
    """(3, 3) map from photo pixels to the pixels of the aligned image of ``size``. The published code samples at
    quad + 0.5 in a frame whose origin is the corner of the first pixel: the square's corner, in pixel-centre
    coordinates, is the outer corner (-0.5, -0.5) of the result."""
    across, down = (quad[3] - quad[0]) / size, (quad[1] - quad[0]) / size
    back = np.eye(3)
    back[:2, 0], back[:2, 1] = across, down
    back[:2, 2] = quad[0] + 0.5 * (across + down)
    return np.linalg.inv(back)


def share_outside(quad: np.ndarray, width: int, height: int) -> float:
    """Which share of the square lies beyond the photo, 0..1."""
    frame = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]], np.float32)
    corners = quad.astype(np.float32)
    area = float(cv2.contourArea(corners))
    shared, _ = cv2.intersectConvexConvex(corners, frame)
    return float(np.clip(1.0 - shared / max(area, 1e-9), 0.0, 1.0))


def align_face(image: np.ndarray, points68: np.ndarray, size: int = 256, exact: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 and (68, 2) pixels to the (size, size, 3) uint8 FFHQ-aligned face; ``align`` says more."""
    return align(image, points68, size, exact).image


def align(image: np.ndarray, points68: np.ndarray, size: int = 256, exact: bool = False) -> AlignedFace:
    """Cut the FFHQ-aligned face out of a photo, with mirrored and blurred surroundings where the photo ends.

    ``exact`` samples at 4096 pixels and shrinks, as published (a second); the default samples as densely as ``size``
    needs: over 49 dB from the published pixels within the photo, over 45 dB with mirrored surroundings.
    """
    return cut_square(image, ffhq_quad(points68), size, exact)


def cut_square(image: np.ndarray, square: np.ndarray, size: int = 256, exact: bool = False) -> AlignedFace:
    """As ``align``, of any square, given as ``ffhq_quad`` gives it. ValueError when it lies wholly outside the picture."""
    height, width = image.shape[:2]
    side = _side(square)
    picture, quad = _shrunk(image, square.copy(), size)
    picture, quad = _cropped(picture, quad)
    picture, quad = _padded(picture, quad, exact)
    return AlignedFace(_sampled(picture, quad, size, exact), quad_matrix(square, size),
                       share_outside(square, width, height), side)


def _side(quad: np.ndarray) -> float:
    return float(np.hypot(*(quad[3] - quad[0])))


def _shrunk(image: np.ndarray, quad: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a picture that is four or more times finer than the result."""
    factor = int(np.floor(_side(quad) / size * 0.5))
    if factor <= 1:
        return image, quad
    height, width = image.shape[:2]
    # Only the surroundings are needed; cutting at multiples of the factor keeps the sampling grid of the whole.
    reach = _side(quad) * 0.2 + 8 * factor
    low = np.maximum(np.floor((quad.min(axis=0) - reach) / factor) * factor, 0).astype(int)
    high = np.minimum(np.ceil((quad.max(axis=0) + reach) / factor) * factor, [width, height]).astype(int)
    if (high - low < factor).any():
        low, high = np.zeros(2, int), np.array([width, height])
    part = Image.fromarray(np.ascontiguousarray(image[low[1]:high[1], low[0]:high[0]]))
    extent = high - low
    target = np.maximum(np.rint(extent / factor).astype(int), 1)
    small = part.resize((int(target[0]), int(target[1])), Image.Resampling.LANCZOS,
                        box=(0, 0, float(min(target[0] * factor, extent[0])), float(min(target[1] * factor, extent[1]))))
    # Pixel centres: the published quad / factor, and its shrinking to rounded sizes, shift large photographs by up to
    # a quarter pixel of the result against small ones, and against the matrix returned here.
    return np.asarray(small), (quad - low + 0.5) / factor - 0.5


def _border(quad: np.ndarray) -> int:
    return max(int(np.rint(_side(quad) * 0.1)), 3)


def _cropped(image: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop what is farther from the square than a tenth of its side."""
    height, width = image.shape[:2]
    border = _border(quad)
    low = np.maximum(np.floor(quad.min(axis=0)).astype(int) - border, 0)
    high = np.minimum(np.ceil(quad.max(axis=0)).astype(int) + border, [width, height])
    if (high <= low).any():
        raise ValueError("the face lies wholly outside the picture")
    return image[low[1]:high[1], low[0]:high[0]], quad - low


def _padded(image: np.ndarray, quad: np.ndarray, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where the photo ends inside the square or near it: mirror it outwards, blur, and fade to the median colour."""
    height, width = image.shape[:2]
    border = _border(quad)
    before = np.maximum(-np.floor(quad.min(axis=0)).astype(int) + border, 0)
    after = np.maximum(np.ceil(quad.max(axis=0)).astype(int) - [width, height] + border, 0)
    if max(before.max(), after.max()) <= border - 4:
        return image, quad
    least = int(np.rint(_side(quad) * 0.3))
    before, after = np.maximum(before, least), np.maximum(after, least)
    padded = cv2.copyMakeBorder(image, before[1], after[1], before[0], after[0], cv2.BORDER_REFLECT_101)
    high, broad = padded.shape[:2]
    sigma = _side(quad) * 0.02
    quad = quad + before
    # Beyond what the square and its blur see, nothing needs to be computed.
    reach = float(broad + high) if exact else 4 * sigma + 4
    low = np.maximum(np.floor(quad.min(axis=0) - reach).astype(int), 0)
    end = np.minimum(np.ceil(quad.max(axis=0) + reach).astype(int), [broad, high])
    part = padded[low[1]:end[1], low[0]:end[0]].astype(np.float32)
    y = np.arange(low[1], end[1], dtype=np.float32)[:, None]
    x = np.arange(low[0], end[0], dtype=np.float32)[None]
    # 1 at the rim, 0 at the edge of the photo, below 0 inside it. Plain floats keep the arrays in single precision.
    left, top, right, bottom = map(float, (*before, *after))
    rim = np.maximum(1 - np.minimum(x / left, (broad - 1 - x) / right),
                     1 - np.minimum(y / top, (high - 1 - y) / bottom))[..., None]
    blend = _gaussian(part, sigma, exact)
    blend -= part
    blend *= np.clip(rim * 3 + 1, 0, 1)
    part += blend
    # The published median is of all pixels after the blur; that of a sample before it is within a few levels.
    step = max(1, int(np.sqrt(high * broad / 50_000)))
    sample = part if exact else padded[::step, ::step]
    middle = np.median(sample.reshape(-1, 3), axis=0).astype(np.float32)
    np.subtract(middle, part, out=blend)
    blend *= np.clip(rim, 0, 1)
    part += blend
    return np.clip(np.rint(part, out=part), 0, 255, out=part).astype(np.uint8), quad - low


def _gaussian(image: np.ndarray, sigma: float, exact: bool) -> np.ndarray:
    """Gaussian blur with the kernel cut at four sigmas and the edge pixels mirrored, as the published code has it.

    Unless ``exact``, a wide blur is computed on a reduced picture: what it leaves fits there."""
    height, width = image.shape[:2]
    reduce = 1 if exact else max(1, int(sigma / 3))
    small = image
    if reduce > 1:
        small = cv2.resize(image, (-(-width // reduce), -(-height // reduce)), interpolation=cv2.INTER_AREA)
        # Averaging over ``reduce`` pixels and stretching back linearly blur as well, by these variances.
        sigma = float(np.sqrt(max(sigma**2 - (reduce**2 - 1) / 12 - reduce**2 / 6, 0.25))) / reduce
    taps = 2 * int(4.0 * sigma + 0.5) + 1
    blurred = cv2.GaussianBlur(small, (taps, taps), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred if reduce == 1 else cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)


def _sampled(image: np.ndarray, quad: np.ndarray, size: int, exact: bool) -> np.ndarray:
    """Bilinear samples on a fine grid over the square, then Lanczos down to ``size``."""
    if exact:
        fine = TRANSFORM_SIZE
    else:
        # A sample per photo pixel, two per result pixel: the Lanczos step then sees the same signal.
        fine = min(size * max(2, int(np.ceil(_side(quad) / size))), max(TRANSFORM_SIZE, size))
    back = np.linalg.inv(quad_matrix(quad, fine))[:2]
    grid = cv2.warpAffine(np.ascontiguousarray(image), back, (fine, fine), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)
    if fine == size:
        return grid
    return np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.LANCZOS))
