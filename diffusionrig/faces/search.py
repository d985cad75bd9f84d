"""Looking for small and turned faces with a detector that knows only large, upright ones.

The short-range detector needs a face of about an eighth of its view. So the picture is shown to it whole, then, where
that leaves room for smaller faces, in overlapping tiles of a half, a quarter ... of its longer side.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from diffusionrig.faces.detector import SIDE, Detections, detect_once, join, merge
from diffusionrig.faces.networks import Network

# Of the view's side: a face smaller than this may be missed (recall by size is in docs/faces.md).
SMALLEST_SHARE = 0.15
# Of the picture's longer side: a face this large means a portrait, where smaller faces are not looked for.
PORTRAIT_SHARE = 0.3
TILE_SCORE = 0.6


def searches(network: Network, image: np.ndarray, min_face: float, thorough: bool = False
             ) -> Iterator[tuple[float, Detections]]:
    """Candidates of at least about ``min_face`` pixels in an (H, W, 3) uint8 picture, as (turn, candidates): first as
    the picture stands, then (if the caller goes on) with it turned anticlockwise by 180, 90 and 270 degrees, in radians.
    Coordinates are always those of the picture as it stands.

    A picture with a large face is looked at whole, others tile by tile too; ``thorough`` tiles portraits as well.
    """
    yield 0.0, _upright(network, image, min_face, thorough)
    height, width = image.shape[:2]
    for quarters, back in ((2, [[-1.0, 0, width - 1], [0, -1, height - 1]]),
                           (1, [[0.0, -1, width - 1], [1, 0, 0]]),
                           (3, [[0.0, 1, 0], [-1, 0, height - 1]])):
        turned = np.ascontiguousarray(np.rot90(image, quarters))
        yield quarters * np.pi / 2, _upright(network, turned, min_face, thorough).affine(np.array(back))


def _upright(network: Network, image: np.ndarray, min_face: float, thorough: bool) -> Detections:
    found = detect_once(network, image)
    longer = max(image.shape[:2])
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    if not thorough and len(found) and sides.max() >= PORTRAIT_SHARE * longer:
        return found
    parts = [found]
    tile = longer / 2
    while tile * 2 * SMALLEST_SHARE > min_face and tile >= SIDE / 4:
        parts.append(_tiled(network, image, tile))
        tile /= 2
    return merge(join(parts))


def _tiled(network: Network, image: np.ndarray, tile: float) -> Detections:
    """Faces in square tiles with sides of about ``tile`` picture pixels, overlapping by half or more."""
    height, width = image.shape[:2]
    scale = SIDE / tile
    wide, high = max(SIDE, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    ratio = np.array([width / wide, height / high])
    parts = []
    for x in _starts(wide):
        for y in _starts(high):
            part = detect_once(network, small[y:y + SIDE, x:x + SIDE], TILE_SCORE)
            # A face cut by a tile's edge lies whole in the next tile, where its box is better.
            cut = ((part.boxes[:, 0] < 0) & (x > 0)) | ((part.boxes[:, 2] > SIDE - 1) & (x + SIDE < wide))
            cut |= ((part.boxes[:, 1] < 0) & (y > 0)) | ((part.boxes[:, 3] > SIDE - 1) & (y + SIDE < high))
            part = part.take(np.flatnonzero(~cut))
            matrix = np.array([[ratio[0], 0, 0], [0, ratio[1], 0]])
            matrix[:, 2] = (np.array([x, y]) + 0.5) * ratio - 0.5
            parts.append(part.affine(matrix))
    return join(parts)


def _starts(length: int) -> list[int]:
    """Where tiles of SIDE begin so that they cover ``length`` with steps of at most half a tile."""
    if length <= SIDE:
        return [0]
    count = int(np.ceil((length - SIDE) / (SIDE // 2))) + 1
    return [round(place) for place in np.linspace(0, length - SIDE, count)]
