"""The source photograph carried by the mesh from the source's code to an edited one: the reference condition.

Both codes pose the same mesh. Where the edited head is seen, each pixel shows a surface point whose place in the source photograph
is known: that is the backward flow, and the photograph sampled along it is the carried picture. It is trusted where the source
shows that point too, about as large as the edit does. What the source hides is borrowed from the other half of the face where that
is seen. Beyond the head the flow goes on smoothly and fades out, so that hair follows the skull and the background stays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, max_pool2d, pad

from diffusionrig.geometry.head import HeadModel
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.filling import faded, filled, spread_out
from diffusionrig.render.interpolation import interpolate as at_pixels
from diffusionrig.render.mirroring import mirrored_vertices
from diffusionrig.render.mouth import mouth_inside
from diffusionrig.render.posing import Posed
from diffusionrig.render.shading import shade
from diffusionrig.render.shadows import SCATTER, shadow_ratio
from diffusionrig.render.trust import (
    MOVED,
    STILL,
    dilated,
    least_scale,
    length,
    pixel_plane,
    ramp,
    softened,
    surfaces,
    unhidden,
    well_within,
)

RATIO_LIMIT = 5.0
"""Largest and, inverted, smallest ratio of two shadings."""

RATIO_FLOOR = 0.06
"""Added to both shadings, so that their ratio stays calm where the light model says next to nothing."""

SHRUNK, KEPT = 0.35, 0.75
"""Size in the source, along the direction that is shortened most, over that in the edit, up to which a surface point counts as not
shown by the source, and from which on as fully shown."""

RELIT = 0.15
"""Logarithm of the ratio from which on a pixel counts as relit."""

MOUTH = ("inner_mouth", "teeth", "tongue")
INNER = ("eyes", *MOUTH)
"""Regions of a head that lids and lips may hide."""

EDGE = 0.3
"""Share of such a region from which on a pixel between it and its surroundings counts as part of it: lips are light, and what the
photograph shows in the place of the edge between the lips may be skin."""

BETWEEN, SURE = (0.3, 0.7), 0.99
"""Shares of the person between which a pixel is neither, and, where that is stretched to 0..1, from which on it counts as carried
along: what is half resting lies at neither place."""

OWN = 0.55, 0.8
"""Shares of the inside of a mouth that the source shows, up to which it is drawn, and from which on it is the source's own."""

EARS = 9
"""Side in pixels of the neighbourhood that counts as an ear around the mesh's."""

TALL = 0.27
"""Height, of the picture, from which on what stands out beside a head is hair rather than an ear."""

OUTLINE = 3
"""Side in pixels of the neighbourhood whose smallest share of the person counts within a head: outlines are half background."""

CAP = 0.35
"""Largest height of the hair that the upper border cuts off, of half its width there."""

OPENED = 0.6, 0.85
"""Shares of a mouth that the source's own fills when it is carried along between the lips, up to which that is not done, and from
which on it is."""

FRINGE = 13
"""Side in pixels of the neighbourhood of the person that is taken from the filled background, too, where the person moves away."""

HELD, TEETH = 0.75, 0.9
"""Shares of the network's say that the scalp and the inside of the mouth are spared; all beyond the mesh is spared whole. Carried,
hair keeps its strands and teeth their edges, and the mean of what they may look like, which is what a loss on pixels teaches, is
mist."""


NECK = 0.6
"""Share of its own shadows that the neck is spared: what there is of it in a photograph is not the mesh."""

SPREAD = 0.24
"""Distance from the head, in picture widths, over which a change of light fades out."""


@dataclasses.dataclass
class Carried:
    """B carried photographs, with what a network needs to go by to finish them.

    picture     (B, 3, S, S) in [-1, 1], the photograph along the flow, relit by the ratio
    confidence  (B, 1, S, S) in 0..1, whether the source shows what the edit shows here; 1 everywhere when nothing is edited
    ratio       (B, 3, S, S) shading of the edit over that of the source, 1/5..5
    flow        (B, 2, S, S) place in the source of each pixel, image plane [-1, 1] with y down (``grid_sample`` with
                ``align_corners=False``)
    change      (B, 1, S, S) in 0..1, how much a network may change here: on the mesh alone, and nothing when nothing is edited
    background  (B, 3, S, S) in [-1, 1], what is behind the source's person, filled in from around
    buffers     physical buffers of the edited code
    heads       (B, 1, S, S) 1 where the source's head was
    """

    picture: Tensor
    confidence: Tensor
    ratio: Tensor
    flow: Tensor
    change: Tensor
    background: Tensor
    buffers: PhysicalBuffers
    heads: Tensor


    def __getitem__(self, index: int) -> Carried:
        """One of them, still with its batch axis."""
        return self.rows([range(len(self.picture))[index]])

    def rows(self, rows: list[int]) -> Carried:
        """Some of them."""
        buffers = PhysicalBuffers(*(getattr(self.buffers, field.name)[rows] for field in dataclasses.fields(PhysicalBuffers)))
        return dataclasses.replace(self, buffers=buffers, **{field.name: getattr(self, field.name)[rows]
                                                             for field in dataclasses.fields(self) if field.name != "buffers"})


def carry(head: HeadModel, photo: Tensor, layers: Tensor, source: Posed, edited: Posed) -> Carried:
    """Carry photographs (B, 3, H, W) in [-1, 1], in which the heads of ``source`` are, to the heads of ``edited``.

    ``layers`` (B, 4, S, S) from ``split_layers``, made once per source. The photograph may be finer than the pictures. Source
    and edit may have other cameras and crops. Nothing is learned here, and nothing random.
    """
    size, alpha, before = edited.size, edited.buffers.alpha, source.buffers.alpha
    mirror = mirrored_vertices(head)
    twin = source.points[:, mirror]
    flipped = torch.stack([-twin[..., 0], twin[..., 1]], -1)
    scales = [least_scale(edited.points, points, head.faces) for points in (source.points, flipped)]
    inside, mouth, scalp, neck = (region(head, names, edited.points) for names in (INNER, MOUTH, ("scalp",), ("neck",)))
    attributes = torch.cat([source.normals, source.normals[:, mirror], source.points - edited.points, twin - edited.points,
                            source.points[..., 2:], twin[..., 2:], *scales, inside, mouth, scalp, neck], 2)
    normal, other, shift, across, deep, deep_twin, scale, scale_twin, inside, mouth, scalp, neck = at_pixels(
        edited.fragments, head.faces, attributes).split([3, 3, 3, 3, *[1] * 8], 1)
    here = pixel_plane(photo, size)
    shift, across = shift[:, :2], across[:, :2]

    surface, (background, person) = surfaces(source.depth), layers.split([3, 1], 1)
    # Well within the head nothing of the background shows, whatever the source does not; on its rim the mesh may be too large.
    within = well_within(alpha)
    person = torch.cat([person, -dilated(-person, OUTLINE)], 1)
    shown, aside = unhidden(surface, here + shift, deep)
    moving = ramp(length(shift), STILL, MOVED)
    # Where the mesh reaches beyond the head, the photograph shows what is behind: nothing to be carried along.
    shown = shown * torch.lerp(torch.ones_like(scale), _of_person(person, here + shift, within), moving)
    # A point at rest shows its own pixel, however thin or slanted it is there.
    trust = alpha * shown * torch.lerp(torch.ones_like(scale), ramp(scale, SHRUNK, KEPT) * aside, moving)
    # Nothing is borrowed for what is half trusted: two faces would show through one another. Elsewhere single rows of pixels that
    # pass for shown, as there are where the source's surface is seen edge-on, would make a comb.
    visible = shown * ramp(scale, 0.0, SHRUNK)
    steady = softened(_opened(visible))
    # The inside of a mouth is the source's own or drawn as a whole: rows of teeth of both kinds would show one below the other.
    own = ramp(_share_of(visible, mouth > 0), *OWN)
    if bool((mouth > 0).any()):
        shift, flat, teeth = _mouth_along(head, source, here, shift, alpha, mouth)
        own = torch.maximum(own, flat)
        trust, steady = (torch.where(mouth > 0, torch.lerp(share, teeth, flat) * own, share) for share in (trust, steady))
        moving = ramp(length(shift), STILL, MOVED)
    hidden = moving * (1 - ramp(torch.maximum(trust, steady), 0.0, 0.5))
    shown, aside = unhidden(surface, here + across, deep_twin)
    lender = shown * aside * ramp(scale_twin, SHRUNK, KEPT) * _of_person(person, here + across, within)
    # Seen edge-on, a surface passes for hidden in stripes.
    borrowed = alpha * hidden * softened(_opened(1 - _opened(1 - lender)))
    borrowed = torch.where(mouth > 0, torch.minimum(borrowed, lender) * own, borrowed)

    shift = spread_out(here, shift, trust, 1 - hidden, before, alpha, neck)
    # What comes from the person moves and is relit with the head; all else rests, and lies open where the person was.
    share = _of_person(person, here + shift, within)
    moving = ramp(length(shift), STILL, MOVED)
    # Beside a turned head lies hair, not an ear that stood out from it and that it now hides.
    ears = dilated(before * at_pixels(source.fragments, head.faces, region(head, ("ears",), source.points)), EARS)
    ears = ears * (1 - _upright(person[:, :1]))
    share = share * (1 - moving * (1 - alpha) * grid_sample(ears, (here + shift).permute(0, 2, 3, 1), align_corners=False))
    # The outermost strands are too thin to count as the person, and would stay behind as an outline.
    fringe = softened(dilated(person[:, :1], FRINGE))
    uncovered = moving * fringe * (1 - share)
    along, shift = here + shift, shift * torch.lerp(torch.ones_like(share), share, moving)
    flow = here + shift
    new = shade(edited.buffers.normal, edited.code.light)
    # What lies on the scalp is not the mesh, and has shadows of its own.
    bare = 1 - torch.maximum(scalp, NECK * neck)
    shadow = shadow_ratio(source.reaching, edited.reaching, along) * bare
    log = faded(log_ratio(new, shade(normal, source.code.light), shadow), alpha, SPREAD) * share
    ratio = log.exp()
    resting = photo if photo.shape[-1] == size else sampled(photo, here)
    behind = torch.lerp(resting, background, fringe)
    own_part = relit(sampled(photo, along), ratio)
    picture, lacking = own_part, moving * (1 - share)
    # Most edits leave nothing to be borrowed and nothing to be filled: asking is cheaper than doing it all the same.
    lent = bool(borrowed.any())
    if lent:
        shadow = shadow_ratio(source.reaching, edited.reaching, here + across) * bare
        other = relit(sampled(photo, here + across), log_ratio(new, shade(other, source.code.light), shadow).exp())
    if bool((lacking * within).any()):
        known, colours = trust * share, trust * share * own_part
        if lent:
            known, colours = known + borrowed, colours + borrowed * other
        behind = torch.lerp(behind, filled(colours / known.clamp_min(1e-3), alpha * known.clamp(max=1)), within)
    picture = torch.lerp(picture, behind, lacking)
    if lent:
        picture = torch.lerp(picture, other, borrowed)
    # Lids and lips drawn over an eye or into a mouth that the source keeps shut would be worse than the head model's own.
    picture = torch.lerp(picture, mouth_inside(head, edited, mouth, 1 - own) * 2 - 1,
                         hidden * (1 - borrowed) * ramp(inside, 0.0, EDGE) * alpha)
    # On the rim of the mesh, where the photograph shows something else than the person, neither is sure.
    confidence = torch.where(alpha > 0, trust * torch.lerp(torch.ones_like(share), ramp(share, SURE, 1.0), moving),
                             _around(shift, before, flow) * (1 - uncovered))
    altered = torch.maximum(ramp(log.abs().amax(1, keepdim=True), 0.0, RELIT), ramp(length(shift), 0.0, MOVED))
    spared = torch.maximum(HELD * scalp, TEETH * mouth.ceil())
    change = alpha * torch.maximum(share, within) * (1 - spared) * torch.maximum(1 - confidence, altered)
    return Carried(picture, confidence, ratio, flow, _eased(change), background, edited.buffers, before)


def _mouth_along(head: HeadModel, source: Posed, here: Tensor, shift: Tensor, alpha: Tensor,
                 mouth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``shift`` (B, 2, S, S) in whose mouths (B, 1, S, S) the source's own are carried along between the lips, how far they are
    (B, 1, 1, 1), and where the source shows its mouth then (B, 1, S, S).

    Teeth lie too far behind the lips for a head that turns to show the same of them by the mesh, and too near for the eye to mind.
    A mouth that opens wider than the source's is not its own: teeth would be stretched.
    """
    before = at_pixels(source.fragments, head.faces, region(head, MOUTH, source.points))
    between = filled(shift, alpha * (mouth == 0))
    teeth = ramp(grid_sample(before, (here + between).permute(0, 2, 3, 1), align_corners=False), *BETWEEN)
    sizes = [(each > 0).to(shift).sum((1, 2, 3))[:, None, None, None] for each in (before, mouth)]
    wide = (sizes[0] / sizes[1].clamp_min(1)).clamp(max=1)
    flat = ramp(_share_of(teeth, mouth > 0) * wide, *OPENED)
    return torch.lerp(shift, between, flat * (mouth > 0)), flat, teeth


def region(head: HeadModel, names: Sequence[str], points: Tensor) -> Tensor:
    """(B, V, 1) for points (B, V, 3): 1 in the head's regions of these ``names``, as far as it knows them."""
    known = [head.regions[name] for name in names if name in head.regions]
    mask = torch.stack(known).amax(0) if known else points.new_zeros(points.shape[1])
    return mask.to(points)[None, :, None].expand(len(points), -1, 1)


def log_ratio(new: Tensor, old: Tensor, shadow: Tensor) -> Tensor:
    """Logarithm of the ratio of two shadings (B, 3, S, S), plus ``shadow`` (B, 1, S, S), that of what shadows leave of the light in
    both places, within that of ``RATIO_LIMIT``."""
    limit = math.log(RATIO_LIMIT)
    ratio = ((new.clamp_min(0) + RATIO_FLOOR) / (old.clamp_min(0) + RATIO_FLOOR)).log()
    return (ratio + shadow * new.new_tensor(SCATTER)[:, None, None]).clamp(-limit, limit)


def relit(picture: Tensor, ratio: Tensor) -> Tensor:
    """A picture in [-1, 1] times a ratio of shadings, which albedo and shading in display values make the display values of."""
    return ((picture + 1) * ratio - 1).clamp(-1, 1)


def sampled(photo: Tensor, flow: Tensor) -> Tensor:
    """``photo`` (B, 3, H, W) at the places ``flow`` (B, 2, S, S); beyond its border lies its mirror image. A finer one is
    reduced to means first."""
    times = photo.shape[-1] // flow.shape[-1]
    if times > 1:
        photo = interpolate(photo, [side // times for side in photo.shape[-2:]], mode="area")
    # Bicubic where a pixel of the photograph is about one of the picture: bilinear would soften it.
    mode = "bicubic" if photo.shape[-1] <= flow.shape[-1] else "bilinear"
    return grid_sample(photo, flow.permute(0, 2, 3, 1), mode=mode, padding_mode="reflection", align_corners=False)


def _share_of(values: Tensor, where: Tensor) -> Tensor:
    """(B, 1, 1, 1) means of ``values`` (B, 1, H, W) ``where`` that is so, 0 where it is nowhere."""
    where = where.to(values)
    return (values * where).sum((2, 3), keepdim=True) / where.sum((2, 3), keepdim=True).clamp_min(1)


def _of_person(person: Tensor, flow: Tensor, within: Tensor) -> Tensor:
    """Share (B, 1, S, S) in 0..1 of the person at the places ``flow`` of the source, 0 and 1 but for a narrow border; ``within``
    the edited head that of the person without an outline. ``person`` (B, 2, S, S) are both.

    Above the photograph, hair that its border cuts closes as its outline begins to.
    """
    whole, inner = grid_sample(person, flow.permute(0, 2, 3, 1), padding_mode="border", align_corners=False).split(1, 1)
    share = ramp(torch.lerp(whole, inner, within), *BETWEEN)
    size = person.shape[-1]
    x, below = pixel_plane(person, size)[:, :1, :1], max(1, size // 32)
    border, lower = person[:, :1, :1], person[:, :1, below:below + 1]
    middle = (border * x).sum(3, keepdim=True) / border.sum(3, keepdim=True).clamp_min(1)
    half, wider = (row.sum(3, keepdim=True) / size for row in (border, lower))
    # The circle through the outline there and a little lower closes this high above the border.
    step = 2 * below / size
    radius = ((wider.square() - half.square() + step**2) / (2 * step)).clamp_min(1e-3)
    top = torch.minimum(half.square() / (2 * radius), CAP * half)
    high = top * (1 - ((flow[:, :1] - middle) / half.clamp_min(1e-3)).square()).clamp_min(0).sqrt()
    return share * (1 - ramp(-1 - flow[:, 1:] - high, 0.0, MOVED))


def _around(shift: Tensor, before: Tensor, flow: Tensor) -> Tensor:
    """Confidence beyond the edited head: full where the picture rests and no head was, less where it was drawn along, little
    where the old head was, none where the flow leaves the photograph."""
    far = length(shift)
    old = grid_sample(before, flow.permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=False)
    inside = (flow.abs().amax(1, keepdim=True) <= 1).to(flow.dtype)
    return (1 - 0.6 * ramp(far, STILL, 4 * MOVED)) * (1 - 0.95 * old * ramp(far, STILL, MOVED)) * inside


def _eased(change: Tensor) -> Tensor:
    """A share with a soft border of two pixels around what it covers; zero where all around is zero."""
    return torch.maximum(change, softened(dilated(change, 5)))


def _opened(share: Tensor) -> Tensor:
    """``share`` (B, 1, H, W) without what is narrower than five pixels."""
    return dilated(-dilated(-share, 5), 5)


def _upright(person: Tensor, times: int = 4) -> Tensor:
    """``person`` (B, 1, S, S) without what is less high than ``TALL`` of the picture, on a grid ``times`` coarser."""
    small = avg_pool2d(person, times)
    side = 2 * round(TALL * small.shape[-1] / 2) + 1
    for sign in (-1, 1):
        small = sign * max_pool2d(pad(sign * small, (0, 0, side // 2, side // 2), mode="replicate"), (side, 1), 1)
    return interpolate(small, person.shape[-2:], mode="bilinear", align_corners=False)
