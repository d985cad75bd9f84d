"""The scaled orthographic camera of DECA, and the way from its crop back to the whole image.

Image planes have x to the right, y down and a smaller z nearer the viewer; [-1, 1] spans the image from edge to edge, so
that the centre of pixel column j of a W-pixel image lies at (2j + 1) / W - 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode


def project(points: Tensor, camera: Tensor) -> Tensor:
    """Points in metres (B, N, 3) through ``camera`` (B, 3) = (scale, tx, ty) -> crop plane (B, N, 3).

    (s (x + tx), -s (y + ty), -s z): the head frame has y up and z towards the viewer, the image plane the opposite.
    DECA (Feng et al. 2021), ``batch_orth_proj`` followed by the flip of y and z.
    """
    scale = camera[:, None, :1]
    across = scale * (points[..., :2] + camera[:, None, 1:])
    return torch.cat([across[..., :1], -across[..., 1:], -(scale * points[..., 2:])], -1)


def to_frame(points: Tensor, crop: Tensor, frame: Tensor) -> Tensor:
    """Crop plane (B, N, 3) -> plane of the whole image (B, N, 3); z passes through unscaled.

    ``crop`` (B, 3, 3) takes whole-image pixels to pixels of the 224-pixel crop, ``frame`` (B, 2) is the image's width and
    height. Points are placed with 224 pixels across the crop although crops are cut with 223: the half pixel between them
    is part of what published networks were trained on (DECA, ``transform_points``).
    """
    x, y = ((points[..., :2] * 0.5 + 0.5) * CROP_SIZE).unbind(-1)
    back = torch.linalg.inv(crop)
    # Written out rather than as a matrix product: the same sums in the same order whatever the batch size.
    u = x * back[:, 0, 0, None] + y * back[:, 0, 1, None] + back[:, 0, 2, None]
    v = x * back[:, 1, 0, None] + y * back[:, 1, 1, None] + back[:, 1, 2, None]
    return torch.stack([u / frame[:, 0, None] * 2 - 1, v / frame[:, 1, None] * 2 - 1, points[..., 2]], -1)


def image_points(points: Tensor, code: FaceCode) -> Tensor:
    """Points in metres (B, N, 3) -> plane of the image that ``code`` was captured from (B, N, 3)."""
    return to_frame(project(points, code.camera), code.crop, code.frame)


def pixels(points: Tensor, width: float, height: float) -> Tensor:
    """Image plane (..., 2 or more) -> pixels (..., 2); 0 is the left or top edge, pixel centres are at +0.5."""
    size = points.new_tensor([width, height])
    return (points[..., :2] * 0.5 + 0.5) * size
