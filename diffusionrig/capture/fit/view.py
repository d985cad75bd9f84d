"""The photograph as the photometric stage sees it: the face's crop, small, slightly blurred, with its gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample

from diffusionrig.geometry.face_code import CROP_SIZE

VIEW = 144
"""Side in pixels at which the crop is looked at."""


def crop_view(image: np.ndarray, crop: Tensor, size: int = VIEW) -> tuple[np.ndarray, np.ndarray]:
    """The crop of an image (H, W, 3) uint8 as (size, size, 3) uint8, area-averaged, and where it lies inside (size, size)."""
    scale = float(crop[0, 0])
    side = CROP_SIZE / scale
    left, top = -float(crop[0, 2]) / scale, -float(crop[1, 2]) / scale
    height, width = image.shape[:2]
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    x1, y1 = int(np.ceil(left + side)), int(np.ceil(top + side))
    margins = [(max(0, -y0), max(0, y1 - height)), (max(0, -x0), max(0, x1 - width)), (0, 0)]
    window = image[max(0, y0):max(0, min(height, y1)), max(0, x0):max(0, min(width, x1))]
    padded = Image.fromarray(np.pad(window, margins))
    box = (left - x0, top - y0, min(left - x0 + side, padded.width), min(top - y0 + side, padded.height))
    view = np.asarray(padded.resize((size, size), Image.Resampling.BILINEAR, box=box))
    centres = (np.arange(size) + 0.5) * side / size
    # Half a view pixel of margin: the average there would mix in the padding.
    margin = max(1.0, side / size)
    across = (left + centres > margin) & (left + centres < width - margin)
    down = (top + centres > margin) & (top + centres < height - margin)
    return view, down[:, None] & across[None]


def look(images: Sequence[np.ndarray], crop: Tensor, size: int = VIEW) -> Tensor:
    """(B, 10, size, size): colour (3), its derivatives along x and y of the crop plane (3 + 3), and 1 inside the image."""
    views, inside = zip(*(crop_view(image, one, size) for image, one in zip(images, crop.cpu())))
    colour = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 255
    kernel = torch.tensor([0.25, 0.5, 0.25])
    soft = torch.nn.functional.pad(colour, (1, 1, 1, 1), mode="replicate")
    soft = torch.nn.functional.conv2d(soft.flatten(0, 1)[:, None], (kernel[:, None] * kernel)[None, None]).view_as(colour)
    wide = torch.nn.functional.pad(soft, (1, 1, 1, 1), mode="replicate")
    per_pixel = size / 4  # a pixel is 2 / size of the plane; central differences span two pixels
    across = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) * per_pixel
    down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) * per_pixel
    mask = torch.from_numpy(np.stack(inside))[:, None].float()
    return torch.cat([soft, across, down, mask], 1).to(crop.device)


def sample_view(view: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values at ``places`` (B, K, 2) of the crop plane, y down: colour (B, K, 3), derivatives (B, K, 2, 3), inside (B, K)."""
    values = grid_sample(view, places[:, :, None].to(view), mode="bilinear", padding_mode="zeros", align_corners=False)
    values = values[..., 0].transpose(1, 2)
    return values[..., :3], values[..., 3:9].unflatten(-1, (2, 3)), values[..., 9]
