"""Pictures that show whether a capture sits on the face."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from diffusionrig.capture.fit.view import crop_view
from diffusionrig.geometry.camera import image_points, pixels
from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.physical import render_buffers

VIEW_MARGIN = 1.5
"""Side of the pictures in units of the side of the face's crop."""

COLUMNS = ("photo", "overlay", "rendered", "shape", "normal", "albedo")
_LIGHTS = ((-1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, 1.0), (0.0, 0.0, 1.0))
_DOT = (64, 255, 96)


def view_crop(crop: Tensor) -> Tensor:
    """(B, 3, 3) crops widened by VIEW_MARGIN about their centres."""
    wide = crop.clone()
    wide[:, :2] /= VIEW_MARGIN
    wide[:, :2, 2] += (CROP_SIZE / 2) * (1 - 1 / VIEW_MARGIN)
    return wide


def view_code(code: FaceCode, size: int) -> FaceCode:
    """The same faces seen in pictures of ``size`` pixels that show their widened crops."""
    to_view = view_crop(code.crop)
    to_view[:, :2] *= size / CROP_SIZE
    frame = torch.full_like(code.frame, float(size))
    return code.replace(crop=code.crop @ torch.linalg.inv(to_view), frame=frame)


def shape_render(buffers: PhysicalBuffers) -> np.ndarray:
    """(B, H, W, 3) uint8: the bare shape in grey under five lights, as in DECA's shape preview."""
    normal = normalize(buffers.normal, dim=1)
    lights = normalize(normal.new_tensor(_LIGHTS), dim=1)
    shading = torch.einsum("bchw,lc->blhw", normal, lights).clamp(0, 1).mean(1, keepdim=True) * 1.7
    return to_uint8((180 / 255 * shading * buffers.alpha).expand(-1, 3, -1, -1).cpu().numpy())


def capture_pictures(head: HeadModel, code: FaceCode, image: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Pictures (size, size, 3) uint8 of one face, named by COLUMNS; ``code`` has batch 1 and was captured from ``image``."""
    seen = view_code(code, size)
    buffers = render_buffers(head, seen, size)
    photo, _ = crop_view(image, view_crop(code.crop)[0].cpu(), size)
    shape = shape_render(buffers)[0]
    mask = buffers.alpha[0, 0, ..., None].cpu().numpy() * 0.5
    overlay = np.rint(photo * (1 - mask) + shape * mask).astype(np.uint8)
    marks = pixels(image_points(head.landmarks(head.vertices(seen), seen), seen), size, size)[0]
    # Drawn four times larger in sub-pixel steps, so that dots sit where the points are.
    for x, y in marks.tolist():
        cv2.circle(overlay, (round((x - 0.5) * 16), round((y - 0.5) * 16)), max(1, size // 170) * 16, _DOT, -1, cv2.LINE_AA, 4)
    return {"photo": photo, "overlay": overlay, "rendered": to_uint8(buffers.rendered[0].cpu().numpy()), "shape": shape,
            "normal": to_uint8(buffers.normal[0].cpu().numpy(), -1.0, 1.0), "albedo": to_uint8(buffers.albedo[0].cpu().numpy())}
