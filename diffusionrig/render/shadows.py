"""What spherical harmonics leave out: shadows that a face throws on itself, by its depth in the image plane.

Harmonics light every surface by its normal alone. Noses, brows, chins throw shadows all the same. They are worked out on a small
copy of the picture, from the heights of what is seen alone. Nothing of it is learned, and nothing random.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, interpolate, pad

from diffusionrig.render.filling import filled
from diffusionrig.render.shading import BAND_CONSTANTS, sh_basis
from diffusionrig.render.trust import MOVED, STILL, dilated, length, pixel_plane, ramp

WORKING_SIZE = 96
"""Side of the small copy, pixels."""

SHARE = 0.55
"""Share of the light that a shadow takes where all light comes from one side."""

SCATTER = (0.88, 1.03, 1.08)
"""Powers of a shadow in red, green and blue: light that entered the skin beside it comes out in it, and more of it red."""

STEPS = (0.004, 0.008, 0.013, 0.019, 0.026, 0.034, 0.044, 0.056)
"""Distances in metres, in the image plane, at which the way to the light is looked at."""

BIAS, SOFT, THICK = 0.0015, 0.004, 0.07
"""Metres by which something must stand in the way, over which it gets as dark as it can, and beyond which it is another layer that
the light passes behind."""

FACING = (0.0, 0.3)
"""Cosines between surface and light from which on a shadow falls on it, and from which on in full."""

PENUMBRA = 0.0025
"""Standard deviation in metres of the blur of a shadow's edge."""

EDGE = (0.012, 0.03)
"""Steps of the height between neighbouring pixels of the small copy, metres, from which on one is in front of the other, and the
light that reaches them cannot be told apart."""

NOTHING = -1.0
"""Height in metres of what is not covered: far behind everything."""

LEAST = 0.1
"""Least share of the light that counts in a ratio."""

_FLAT = 0.05


def key_light(light: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of light coefficients (B, 9, 3): the dominant directions (B, 3), their colours (B, 3) of unit mean, and strengths (B,) in
    0..1 relative to the ambient light."""
    bands = light * light.new_tensor(BAND_CONSTANTS)[:, None]
    vector = bands[:, 1:4].mean(2)
    size = vector.norm(dim=1, keepdim=True)
    above = torch.nn.functional.normalize(light.new_tensor([[0.0, 0.3, 1.0]]))
    direction = torch.where(size > 1e-6, vector / size.clamp_min(1e-6), above)
    colour = (sh_basis(direction)[:, :, None] * light).sum(1).clamp_min(0.05)
    strength = size[:, 0] / (size[:, 0] + bands[:, 0].mean(1)).clamp_min(1e-6)
    return direction, colour / colour.mean(1, keepdim=True), (2 * strength).clamp(0, 1)


def light_reaching(height: Tensor, covered: Tensor, per_metre: Tensor, light: Tensor, working: int = WORKING_SIZE) -> Tensor:
    """(B, 2, s, s) in 0..1, s at most ``working``: the share of the light that shadows leave to what is seen, 1 where nothing is,
    and how sure that is, 0 where one thing is in front of another.

    ``height`` (B, 1, S, S) towards the viewer in metres, ``covered`` (B, 1, S, S) bool, ``per_metre`` (B,) pixels in a metre,
    ``light`` (B, 9, 3).
    """
    size = height.shape[-1]
    small = min(size, working)
    weight = covered.to(height)
    low = torch.where(covered, height, torch.zeros_like(height))
    if small < size:
        weight, low = (interpolate(values, (small, small), mode="area") for values in (weight, low))
        low = low / weight.clamp_min(1e-6)
    inside = weight > 0.3
    direction, _, strength = key_light(light)
    rows = []
    # One by one: lengths in pixels differ, and each picture has its own whatever its neighbours are.
    for row in range(len(low)):
        scale = float(per_metre[row]) * small / size
        lit = _unblocked(low[row:row + 1], inside[row:row + 1], scale, direction[row])
        rows.append(1 - SHARE * strength[row] * (1 - _blurred(lit, PENUMBRA * scale + 0.3)))
    ground = torch.where(inside, low, torch.full_like(low, NOTHING))
    return torch.cat([torch.cat(rows), 1 - ramp(dilated(ground, 3) + dilated(-ground, 3), *EDGE)], 1)


def shadow_ratio(before: Tensor, after: Tensor, flow: Tensor) -> Tensor:
    """Logarithm (B, 1, S, S) of the ratio of the light that reaches what is seen afterwards to that which reached its places
    ``flow`` (B, 2, S, S) before; ``before`` and ``after`` (B, 2, s, s) are shares and how sure they are. Smooth where unsure."""
    small, size = after.shape[-1], flow.shape[-1]
    centres = pixel_plane(flow, small)
    places = interpolate(flow, (small, small), mode="bilinear", align_corners=False)
    old = grid_sample(before, places.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    # A point at rest is its own, to the last bit.
    old = torch.lerp(before, old, ramp(length(places - centres), STILL, MOVED))
    sure = after[:, 1:] * old[:, 1:]
    ratio = filled((after[:, :1].clamp_min(LEAST) / old[:, :1].clamp_min(LEAST)).log(), sure)
    return interpolate(ratio, (size, size), mode="bilinear", align_corners=False)


def _unblocked(height: Tensor, covered: Tensor, scale: float, direction: Tensor) -> Tensor:
    """Share of the key light from ``direction`` (3,) that reaches each pixel, by marching over the heights towards it."""
    flat = torch.hypot(direction[0], direction[1])
    lit = torch.ones_like(height)
    if float(flat) < _FLAT:
        return lit
    size = height.shape[-1]
    ground = torch.where(covered, height, torch.full_like(height, NOTHING))
    plane = pixel_plane(height, size).permute(0, 2, 3, 1)
    towards = torch.stack([direction[0], -direction[1]]) / flat * (2 * scale / size)
    steps = height.new_tensor(STEPS)[:, None, None, None]
    # What lies beyond the picture blocks nothing.
    raised = grid_sample((ground - NOTHING).expand(len(STEPS), -1, -1, -1), plane + steps * towards, align_corners=False) + NOTHING
    excess = raised - (ground + steps / flat * direction[2])
    blocked = (ramp(excess, BIAS, BIAS + SOFT) * (excess < THICK)).amax(0, keepdim=True)
    # What is turned away from the light is dark by its normal.
    return torch.where(covered, 1 - blocked * ramp(_towards(height, covered, scale, direction), *FACING), lit)


def _towards(height: Tensor, covered: Tensor, scale: float, direction: Tensor) -> Tensor:
    """Cosine between the surface and ``direction`` (3,) by the slopes of its heights; where a neighbour is missing, as if level."""
    slopes = []
    for axis in (-1, -2):
        size = height.shape[axis]
        wide, known = (pad(values, (1, 1, 0, 0) if axis == -1 else (0, 0, 1, 1)) for values in (height, covered.to(height)))
        slope = (wide.narrow(axis, 2, size) - wide.narrow(axis, 0, size)) * (scale / 2)
        slopes.append(slope * known.narrow(axis, 2, size) * known.narrow(axis, 0, size))
    along = slopes[1] * direction[1] - slopes[0] * direction[0] + direction[2]
    return along / (1 + slopes[0].square() + slopes[1].square()).sqrt()


def _blurred(values: Tensor, sigma: float) -> Tensor:
    """``values`` (1, 1, H, W) under a Gaussian of ``sigma`` pixels."""
    reach = min(max(1, round(3 * sigma)), values.shape[-1] - 1)
    at = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    weights = torch.exp(-0.5 * (at / sigma).square())
    weights = weights / weights.sum()
    wide = pad(values, (reach,) * 4, mode="reflect")
    return conv2d(conv2d(wide, weights[None, None, :, None]), weights[None, None, None, :])
