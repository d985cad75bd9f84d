"""Filling pictures and flows where nothing is known, smoothly from what is known around (push-pull)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d, pad

from diffusionrig.render.trust import dilated, ramp

HAIR, REST = 0.10, 0.32
"""Distances from the head, in picture widths, up to which all moves with it (hair) and from which on nothing does."""


def filled(values: Tensor, weight: Tensor) -> Tensor:
    """``values`` (B, C, H, W) where ``weight`` (B, 1, H, W) in 0..1 is 1, and elsewhere weighted means of what lies around, the
    farther the coarser: the push-pull pyramid of Gortler et al. 1996 (The Lumigraph, section 3.3). Zeros where nothing is known.
    """
    weight = weight.to(values.dtype)
    levels = [(values * weight, weight)]
    while min(levels[-1][1].shape[-2:]) > 1:
        held, known = levels[-1]
        # Saturating the weight keeps a level's few known pixels from being outvoted by the coarser means they made.
        total, share = _fours(held), _fours(known)
        full = share.clamp_min(1e-6)
        levels.append((total / full * share.clamp(max=1), share.clamp(max=1)))
    below = levels[-1][0] / levels[-1][1].clamp_min(1e-6)
    for held, known in reversed(levels[:-1]):
        raised = interpolate(below, scale_factor=2, mode="bilinear", align_corners=False)[..., :held.shape[-2], :held.shape[-1]]
        below = held + (1 - known) * raised
    return below


def _fours(image: Tensor) -> Tensor:
    """Sums (B, C, ceil(H / 2), ceil(W / 2)) over squares of two pixels."""
    image = pad(image, (0, image.shape[-1] % 2, 0, image.shape[-2] % 2))
    return image[..., ::2, ::2] + image[..., 1::2, ::2] + image[..., ::2, 1::2] + image[..., 1::2, 1::2]


def distance(mask: Tensor, reach: float) -> Tensor:
    """(B, 1, H, W): distance to ``mask`` (B, 1, H, W) in picture widths, at most ``reach``, to within an eighth of ``reach``.

    Counted in dilations on a picture of about 64 pixels: what depends on it fades over tens of pixels.
    """
    small = max_pool2d(mask, max(1, mask.shape[-1] // 64))
    small = (small > 0).to(mask.dtype)
    grown, total = small, 1 - small
    for step in range(int(reach * small.shape[-1]) + 1):
        # Squares and diamonds in turn make octagons.
        if step % 2:
            grown = dilated(grown, 3)
        else:
            wide = pad(grown, (1,) * 4)
            across = torch.maximum(wide[..., 1:-1, :-2], wide[..., 1:-1, 2:])
            grown = torch.maximum(grown, torch.maximum(across, torch.maximum(wide[..., :-2, 1:-1], wide[..., 2:, 1:-1])))
        total = total + (1 - grown)
    far = total / small.shape[-1]
    return interpolate(far, mask.shape[-2:], mode="bilinear", align_corners=False).clamp(max=reach)


def faded(values: Tensor, mask: Tensor, reach: float) -> Tensor:
    """``values`` (B, C, H, W) on ``mask`` (B, 1, H, W), beyond it going on smoothly and falling to zero at ``reach`` widths."""
    return torch.where(mask > 0, values, filled(values, mask) * (1 - ramp(distance(mask, reach), 0.0, reach)))


def spread_out(shift: Tensor, trust: Tensor, shown: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """A displacement (B, 2, H, W), known on the head ``after`` (B, 1, H, W), for the whole picture.

    Beyond the head it goes on from the points that are trusted (B, 1, H, W), since those at the silhouette were hidden in the
    source and turn about the head's far side; it fades out between ``HAIR`` and ``REST`` from both heads.
    """
    around = filled(shift, trust * after)
    heads = torch.maximum(before, after)
    near = 1 - ramp(distance(heads, REST), HAIR, REST)
    return torch.where(after > 0, torch.lerp(around, shift, shown), around * near)


def joined(share: Tensor, seed: Tensor) -> Tensor:
    """The part of ``share`` that hangs together with ``seed``, both (B, 1, H, W) in 0..1; 1 on the seed.

    Greyscale reconstruction by dilation (Vincent 1993): along its best path to the seed a pixel keeps the smallest share.
    """
    limit = torch.maximum(share, seed)
    grown = seed
    while True:
        wider = torch.minimum(max_pool2d(grown, 3, 1, 1), limit)
        if torch.equal(wider, grown):
            return grown
        grown = wider
