"""Filling pictures and flows where nothing is known, smoothly from what is known around (push-pull)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, max_pool2d, pad

from diffusionrig.render.trust import MOVED, STILL, dilated, length, ramp

HAIR, REST = 0.10, 0.32
"""Distances from the head, in picture widths, up to which all moves with it (hair) and from which on nothing does."""

RIM = 3
"""Side in pixels of the squares by which the silhouette is widened to its rim."""


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


def spread_out(here: Tensor, shift: Tensor, trust: Tensor, shown: Tensor, before: Tensor, after: Tensor,
               neck: Tensor) -> Tensor:
    """A displacement (B, 2, H, W), known on the head ``after`` (B, 1, H, W), for the whole picture with coordinates ``here``.

    Beyond the head it goes on from the points that are trusted (B, 1, H, W), since those at the silhouette were hidden in the
    source and turn about the head's far side. What is seen beside the head ``after`` was beside the head ``before``, though, not
    its ear or cheek: where the displacement leads into that head it leads out of it by the shortest way, at the silhouette and from
    there on outwards, so that hair keeps its thickness. Where a mesh ends at its ``neck`` (B, 1, H, W) the person goes on. It fades
    out between ``HAIR`` and ``REST`` from both heads.
    """
    inner = filled(shift, trust * after)
    rim = dilated(after, RIM) - after
    out, old = grid_sample(torch.cat([way_out(before), before], 1), (here + inner).permute(0, 2, 3, 1), padding_mode="border",
                           align_corners=False).split([2, 1], 1)
    around = inner + filled(out * ramp(old, 0.5, 1.0) * ramp(length(inner), STILL, MOVED) * (1 - dilated(neck, 2 * RIM + 1)), rim)
    heads = torch.maximum(before, after)
    near = 1 - ramp(distance(heads, REST), HAIR, REST)
    return torch.where(after > 0, torch.lerp(inner, shift, shown), around * near)


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


def way_out(alpha: Tensor, times: int = 4) -> Tensor:
    """(B, 2, S, S) in units of the image plane: from each pixel that a head ``alpha`` (B, 1, S, S) covers to about the nearest one
    that it does not, on a grid ``times`` coarser; zero elsewhere, and where the head covers everything.

    A Euclidean distance transform by rows and columns (Felzenszwalb and Huttenlocher 2012), with the places of its minima.
    """
    size = alpha.shape[-1]
    taken = max_pool2d(alpha, times, ceil_mode=True)[:, 0] > 0
    axis = torch.arange(taken.shape[-1], device=alpha.device, dtype=alpha.dtype)
    square = (axis[:, None] - axis).square()
    # The nearest free place of each column, then that of all columns; minima are found fastest along the last axis.
    cost = torch.where(taken.transpose(1, 2), torch.inf, 0.0).to(alpha)[:, :, None]
    up, row = (cost + square).min(3)
    least, column = (up.transpose(1, 2)[:, :, None] + square).min(3)
    row = row.transpose(1, 2).gather(2, column)
    places = torch.stack([column - axis, row - axis[:, None]], 1) * torch.isfinite(least)[:, None]
    return interpolate(places, (size, size), mode="bilinear") * (2 * times / size)
