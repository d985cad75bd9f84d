"""Teeth of a head that has some: two dental arches in front of its own, tooth by tooth, where the mouth shows them.

A head model's teeth are one smooth piece, far behind the lips: enough for its buffers, not for a photograph in which a closed
mouth opens. The arches drawn here follow the head's own teeth (the upper ones the skull, the lower ones the jaw) by the affine
map that best takes these from the resting head to the posed one. Widths and heights of crowns are the usual ones of adults
(S. J. Nelson, Wheeler's Dental Anatomy). Nothing of it is learned, and nothing random.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import pad

from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.resting import resting_code
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import rasterize_points
from diffusionrig.render.posing import Posed
from diffusionrig.render.shading import shade
from diffusionrig.render.trust import ramp

WIDTHS = ((8.5, 6.5, 7.5, 7.0, 7.0, 10.0), (5.3, 5.7, 7.0, 7.0, 7.2, 11.0))
"""Widths of the crowns of one side of the upper and of the lower arch, from the middle, millimetres."""

HEIGHTS = ((10.5, 9.0, 10.0, 8.5, 8.5, 7.5), (9.0, 9.5, 11.0, 8.5, 8.0, 7.5))
"""Their heights from edge to gum."""

BEHIND, OVERJET = 4.5, 2.5
"""How far the upper front teeth lie behind the line between the resting lips, and the lower ones behind the upper, millimetres."""

BELOW, OVERBITE = 4.0, 2.0
"""How far the edges of the upper front teeth lie below that line, and those of the lower ones above the upper, millimetres."""

HALF_WIDTH, DEPTH = 32.0, 46.0
"""Half of the width of the upper arch and how far back that lies, millimetres: x^2 / HALF_WIDTH^2 = z / DEPTH."""

RISE = 2.5
"""How much higher the last teeth's edges lie than the first ones', millimetres."""

GUM = 8.0
"""Height of the gum that is drawn above the crowns, millimetres."""

TOOTH, NECK, GUMS, CAVITY = (0.86, 0.82, 0.75), (0.81, 0.73, 0.62), (0.62, 0.34, 0.33), (0.13, 0.06, 0.055)
"""Albedos, display values, of a crown, of its side near the gum, of the gum, and of what is behind."""

GAP, GAP_WIDTH = 0.3, 0.35
"""How much darker it is between two teeth, and over which distance, millimetres."""

DEEP = (12.0, 30.0, 0.5)
"""Distances from the middle, millimetres, between which teeth get darker, and by what share: cheeks shut out the light there."""

LIT, LIP = 0.93, 0.55
"""Shares of the light that reach the teeth, and of that the ones right behind the upper lip."""

SHADED = 0.55
"""Brightness of all else behind lips and lids, as the head model renders it."""

_COLUMNS, _LEAST = 40, 0.04


@dataclasses.dataclass(frozen=True)
class Arches:
    """Both arches on the resting head: ``corners`` (2, N, 4) vertices in metres with a 1 behind, ``normals`` (2 N, 3), ``faces``
    (F, 3) into all 2 N, ``along`` (2 N, 3) distance from the middle and from the edge in millimetres and which arch (0, 1), and
    ``fit`` (2, 4, V): takes posed vertices of the head to the affine map of each arch."""

    corners: Tensor
    normals: Tensor
    faces: Tensor
    along: Tensor
    fit: Tensor

    def to(self, like: Tensor) -> Arches:
        """The same on the device and in the precision of ``like``."""
        return Arches(self.corners.to(like), self.normals.to(like), self.faces.to(like.device), self.along.to(like),
                      self.fit.to(like))


_KNOWN: dict[str, Arches | None] = {}


def mouth_inside(head: HeadModel, edited: Posed, mouth: Tensor, drawn: Tensor) -> Tensor:
    """What is inside of the mouths of posed heads, (B, 3, S, S) in 0..1, where ``mouth`` (B, 1, S, S) in 0..1 says that the head
    shows it; elsewhere, and as far as the teeth of a mouth are not to be ``drawn`` (B, 1, 1, 1), the heads as they are rendered,
    ``SHADED``."""
    plain = inside = edited.buffers.rendered.clamp(0, 1) * SHADED
    if head.hash not in _KNOWN:
        _KNOWN[head.hash] = _arches(head)
    arches = _KNOWN[head.hash]
    if arches is None:
        return inside
    arches = arches.to(mouth)
    seen = mouth > 0.5
    own = interpolate(edited.fragments, head.faces, head.regions["teeth"].to(mouth)[:, None])
    inside = torch.lerp(inside, _colours(CAVITY, mouth)[:, None, None].expand_as(inside), own * seen)
    maps = torch.einsum("akv,bvc->bakc", arches.fit, edited.points)
    placed = torch.einsum("ank,bakc->banc", arches.corners, maps).flatten(1, 2)
    fragments = rasterize_points(placed, arches.faces, edited.size)
    teeth = (seen[:, 0] & (fragments.face >= 0)).nonzero(as_tuple=True)
    turned = arches.normals @ axis_angle_to_matrix(edited.code.pose[:, :3]).transpose(1, 2)
    values = interpolate(fragments, arches.faces, torch.cat([turned, arches.along.expand(len(mouth), -1, -1)], 2))
    normal, (across, up, lower) = values[:, :3], values.movedim(1, -1)[teeth][:, 3:].unbind(1)
    pixel = (2e3 / edited.size / edited.code.camera[:, 0])[teeth[0]]
    colour, share = _painted(across, up, lower > 0.5, pixel)
    light = shade(normal, edited.code.light).clamp_min(_LEAST).movedim(1, -1)[teeth]
    # Lips throw a shadow on what is right behind them.
    rows = max(1, round(edited.size / 128))
    above = pad(seen.to(mouth), (0, 0, 2 * rows, 0))
    open_above = torch.stack([above.narrow(2, step, edited.size) for step in range(2 * rows)]).mean(0)
    dim = LIT * (1 - DEEP[2] * ramp(across.abs(), *DEEP[:2])) * torch.lerp(share.new_tensor(LIP), share.new_tensor(1.0),
                                                                           open_above[:, 0][teeth])
    planes = inside.movedim(1, -1).contiguous()
    planes[teeth] = torch.lerp(planes[teeth], (colour * light * dim[:, None]).clamp(0, 1), share[:, None])
    return torch.lerp(plain, planes.movedim(-1, 1), drawn)


def _painted(across: Tensor, up: Tensor, lower: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Albedo (P, 3) and share (P,) of pixels at distances ``across`` from the middle and ``up`` from the edge of an arch; these and
    their own sizes ``pixel`` in millimetres."""
    side = across.abs()
    widths, heights = (side.new_tensor(table) for table in (WIDTHS, HEIGHTS))
    ends, arch = widths.cumsum(1), lower.long()
    tooth = (side[:, None] > ends[arch, :-1]).sum(1)
    width, height, end = widths[arch, tooth], heights[arch, tooth], ends[arch, tooth]
    place = (1 - 2 * (end - side) / width).clamp(-1, 1)
    # What is finer than a pixel is drawn a pixel wide, and so much fainter.
    wide = (0.5 * pixel).clamp_min(GAP_WIDTH)
    edge = torch.minimum(end - side, side - (end - width)).clamp_min(0)
    gap = 1 - GAP * GAP_WIDTH / wide * torch.exp(-(edge / wide).square())
    crown = gap * (1 - 0.1 * place.abs() ** 3)
    tint = torch.lerp(_colours(TOOTH, side), _colours(NECK, side), ramp(up / height, 0.45, 1.0)[:, None]) * crown[:, None]
    gum = ((up - height - 1.2 * (place.square() - 0.5)) / pixel + 0.5).clamp(0, 1)
    share = ((up - 0.7 * place ** 4) / pixel + 0.5).clamp(0, 1)
    return torch.lerp(tint, _colours(GUMS, side).expand_as(tint), gum[:, None]), share


def _colours(colour: tuple[float, float, float], like: Tensor) -> Tensor:
    return like.new_tensor(colour)


def _arches(head: HeadModel) -> Arches | None:
    if "teeth" not in head.regions or "jawOpen" not in head.expression_names:
        return None
    code = resting_code(head, 2)
    code.expression[1, head.expression_names.index("jawOpen")] = 1
    posed = head.vertices(code).cpu()
    rest = posed[0]
    own = (head.regions["teeth"].cpu() > 0.5).nonzero()[:, 0]
    with_jaw = (posed[1, own] - rest[own]).norm(dim=1) > 1e-3
    if not (bool(with_jaw.any()) and bool((~with_jaw).any())):
        return None
    lips = head.landmarks(head.vertices(code[:1]), code[:1])[0, [62, 66]].mean(0).cpu()
    parts = [_arch(lips, arch) for arch in (0, 1)]
    corners, normals, along, faces = (torch.stack([part[item] for part in parts]) for item in range(4))
    fit = torch.zeros(2, 4, len(rest))
    for arch, members in enumerate((own[~with_jaw], own[with_jaw])):
        there = torch.cat([rest[members], torch.ones(len(members), 1)], 1).double()
        fit[arch][:, members] = torch.linalg.pinv(there).float()
    ones = torch.ones(2, corners.shape[1], 1)
    return Arches(torch.cat([corners, ones], 2), normals.flatten(0, 1), torch.cat([faces[0], faces[1] + corners.shape[1]]),
                  along.flatten(0, 1), fit)


def _arch(lips: Tensor, arch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Vertices (N, 3) in metres, normals (N, 3), (N, 3) as ``Arches.along``, faces (F, 3) of one arch behind ``lips`` (3,)."""
    back, low = (BEHIND, BELOW) if arch == 0 else (BEHIND + OVERJET, BELOW - OVERBITE)
    half = HALF_WIDTH - OVERJET * arch
    x = torch.linspace(-half, half, _COLUMNS + 1)
    z = -DEPTH * (x / half).square()
    length = torch.hypot(x.diff(), z.diff()).cumsum(0)
    along = torch.cat([x.new_zeros(1), length]) - length[-1] / 2
    normal = torch.stack([2 * DEPTH * x / half**2, torch.zeros_like(x), torch.ones_like(x)], 1)
    normal = normal / normal.norm(dim=1, keepdim=True)
    sign = 1.0 if arch == 0 else -1.0
    up = torch.tensor([-1.5, max(HEIGHTS[arch]) + GUM])
    y = RISE * (x / half).square()[:, None] - low + sign * up
    corners = torch.stack([x[:, None].expand_as(y), y, (z - back)[:, None].expand_as(y)], 2)
    about = torch.stack([along[:, None].expand_as(y), up.expand_as(y), torch.full_like(y, float(arch))], 2)
    column = torch.arange(_COLUMNS)[:, None] * 2
    faces = torch.cat([column + torch.tensor([[0, 1, 2]]), column + torch.tensor([[1, 3, 2]])])
    return (corners.flatten(0, 1) / 1e3 + lips, normal[:, None].expand(-1, 2, -1).flatten(0, 1), about.flatten(0, 1), faces)
