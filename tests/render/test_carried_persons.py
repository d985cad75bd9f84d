"""What becomes of a person when the photograph is carried: light and shadow, ears, hair, and what a turned head uncovers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from carried_heads import carried, centre_of, portrait
from torch import Tensor

from diffusionrig.data.synthetic.lighting import directional
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.render.carrying import RATIO_FLOOR, Carried, _of_person, carry
from diffusionrig.render.layers import split_layers
from diffusionrig.render.posing import Posed, pose_heads
from diffusionrig.render.shading import shade
from diffusionrig.render.trust import dilated, pixel_plane


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


def lamp(side: float) -> Tensor:
    direction = np.array([side, 0.1, 0.6]) / np.linalg.norm([side, 0.1, 0.6])
    return torch.from_numpy(directional(direction, 0.05)[:, None] * np.ones(3))[None].float()


def test_a_new_light_throws_new_shadows(head):
    """Relit from the right, the left side of the nose is darker than normals alone make it, and back it is as it was."""
    code = portrait(head).replace(light=lamp(0.0))
    photo = torch.zeros(1, 3, 256, 256)
    out, source, after = carried(head, photo, code, code.replace(light=lamp(1.0)), size=256)
    normals = (shade(after.buffers.normal, after.code.light).clamp_min(0) + RATIO_FLOOR) / (
        shade(after.buffers.normal, source.code.light).clamp_min(0) + RATIO_FLOOR)
    shadow = (out.ratio / normals)[0, 0][(after.buffers.alpha[0, 0] > 0) & (normals[0, 0] > 0.25)]
    assert (shadow < 0.75).float().mean() > 0.005
    assert (shadow > 1.15).float().mean() < 0.005
    back, *_ = carried(head, photo, code.replace(light=lamp(1.0)), code, size=256)
    known = (out.ratio > 0.25) & (out.ratio < 4) & (after.buffers.alpha > 0)
    assert ((out.ratio * back.ratio)[known] - 1).abs().max() < 0.05


def person_and_head(head: HeadModel, ears: bool, turn: float = 0.0, nod: float = 0.0,
                    size: int = 256) -> tuple[Carried, Posed]:
    """What is carried of a white head on a black ground that turns and nods, and that head: as a bald person or, without ``ears``,
    one with a wide tall mane, which the upper border cuts."""
    code = portrait(head)
    edited = code.replace(pose=code.pose + torch.tensor([[math.radians(nod), math.radians(turn), 0, 0, 0, 0]]))
    source, after = pose_heads(head, code, size), pose_heads(head, edited, size, centre_of(head, code))
    person = source.buffers.alpha if ears else torch.maximum(source.buffers.alpha, dilated(source.buffers.alpha, 41))
    photo = person * 2 - 1
    with torch.no_grad():
        return carry(head, photo.expand(-1, 3, -1, -1), split_layers(photo.expand(-1, 3, -1, -1), source.buffers.alpha, person),
                     source, after), after


def test_no_second_ear_beside_a_turned_head_but_hair_stays(head):
    out, after = person_and_head(head, True, 30)
    outside = 1 - dilated(after.buffers.alpha, 9)
    rows = slice(60, 150)
    assert ((out.picture[:, :1] > 0) * outside)[..., rows, :].sum() < 20
    out, after = person_and_head(head, False, 30)
    assert ((out.picture[:, :1] > 0) * outside)[..., rows, :].sum() > 500


def test_well_within_a_turned_head_nothing_of_the_background_shows(head):
    for turn in (25, -40, 50):
        out, after = person_and_head(head, True, turn)
        inner = 1 - dilated(1 - after.buffers.alpha, 25)
        dark = (out.picture.amax(1, keepdim=True) < -0.3) * inner
        # Eyes and mouths that nothing shows are the head model's own.
        assert dark.sum() < 0.01 * inner.sum()


def test_hair_that_the_border_cuts_closes_above_it():
    """A disc of hair whose uppermost part lies above the photograph goes on as that disc, not as its mirror image."""
    size, radius = 128, 0.5
    here = pixel_plane(torch.zeros(1), size)
    disc = ((here - torch.tensor([0.1, -0.6])[:, None, None]).norm(dim=1, keepdim=True) < radius).float()
    above = here - torch.tensor([0.0, 0.3])[:, None, None]  # what lies 0.3 higher up
    share = _of_person(disc.expand(-1, 2, -1, -1), above, torch.zeros_like(disc))
    truth = (above - torch.tensor([0.1, -0.6])[:, None, None]).norm(dim=1, keepdim=True) < radius
    assert (share - truth.float())[above[:, 1:] < -1].abs().mean() < 0.03
    mirrored = (above[:, 1:] < -1) & (disc[..., :1, :].expand_as(disc) > 0) & (above[:, 1:] > -1.2)
    assert share[mirrored].mean() < 0.6


def test_above_a_head_that_nods_stands_no_column_of_its_hair(head):
    """The first row, which a head that looks up leaves open, shows the ground, however wide its hair was at the border."""
    cut, lowered = ((person_and_head(head, False, nod=nod)[0].picture[0, 0, 0] > 0).sum() for nod in (0, -14))
    assert cut > 50
    assert lowered < 0.3 * cut
