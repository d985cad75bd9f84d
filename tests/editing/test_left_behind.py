"""Hair that the aligned square cuts off does not stay where a head that turned away had it."""

import cv2
import numpy as np
import pytest
import torch

from diffusionrig.editing import left_behind as room
from diffusionrig.editing.full_size import carry_back
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.carrying import Carried
from diffusionrig.render.trust import pixel_plane

SIDE, PHOTO = 64, 256
TO_PICTURE = np.array([[0.5, 0, -32.25], [0, 0.5, -32.25], [0, 0, 1.0]])
"""The aligned square is the middle half of the photograph, two of its pixels to one of the picture."""


@pytest.fixture
def person(monkeypatch):
    """A dark pillar on a light ground, from below up to above the upper border of the square, whose matte is what is dark."""
    photo = np.full((PHOTO, PHOTO, 3), 200, np.uint8)
    cv2.rectangle(photo, (104, 40), (152, 255), (40, 40, 40), -1)
    monkeypatch.setattr(room, "person_matte", lambda picture: (picture[:, :1] < 0).float())
    return photo


def moved(photo: np.ndarray, pixels: float) -> tuple[Carried, np.ndarray, np.ndarray]:
    """The pillar's upper part moved to the right by pixels of the picture; what was carried, the source, and the result."""
    plane = pixel_plane(torch.zeros(1), SIDE)
    small = cv2.resize(photo[64:192, 64:192], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    source = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 127.5 - 1
    dark = (source[:, :1] < 0).float()
    after = torch.roll(dark, round(pixels), 3)
    # As carrying does it: what shows the person comes from where it was, all else rests.
    shift = torch.zeros(1, 2, SIDE, SIDE)
    shift[:, :1] = -pixels * 2 / SIDE * after
    picture = torch.where(after > 0, source.new_tensor(40 / 127.5 - 1), source.new_tensor(200 / 127.5 - 1)).expand(-1, 3, -1, -1)
    bare = (dark > 0) & (after == 0)
    one = torch.ones(1, 1, SIDE, SIDE)
    head, there = dark.clone(), after.clone()
    head[..., :8, :] = there[..., :8, :] = 0
    carried = Carried(picture, torch.where(bare, 0.0, one), one.expand(1, 3, -1, -1), plane + shift, 0 * one,
                      torch.full_like(picture, 200 / 127.5 - 1),
                      PhysicalBuffers(*(torch.zeros(1, 3, SIDE, SIDE) for _ in range(3)), there), head)
    return carried, small, np.rint((picture[0].permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)


def test_hair_above_the_square_goes_with_the_head(person):
    carried, small, result = moved(person, 8)
    whole = carry_back(person, result, small, carried, TO_PICTURE, SIDE)
    # Eight pixels of the picture are sixteen of the photograph; the old place, right above the border, is open ground.
    assert whole[50:62, 106:112].min() > 170
    assert whole[58:62, 154:160].mean() < 80
    # Far from the square the person stays.
    assert np.array_equal(whole[236:], person[236:])
    assert np.array_equal(whole[:, :40], person[:, :40])


def test_where_nothing_moves_at_the_border_nothing_is_asked(person, monkeypatch):
    monkeypatch.setattr(room, "person_matte", lambda picture: pytest.fail("nobody moved"))
    carried, small, result = moved(person, 0)
    assert np.array_equal(carry_back(person, result, small, carried, TO_PICTURE, SIDE), person)


def test_a_large_photograph_is_seen_like_a_small_one():
    small = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (200, 260, 3)).astype(np.uint8), (0, 0), 3)
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR)
    matrix = np.array([[0.9, 0.1, 5.0], [-0.1, 0.9, 20.0], [0, 0, 1.0]])
    finer = matrix @ np.array([[1 / 8, 0, 0.5 / 8 - 0.5], [0, 1 / 8, 0.5 / 8 - 0.5], [0, 0, 1.0]])
    one, other = room._seen(small, matrix, 128), room._seen(large, finer, 128)
    assert np.abs(one.astype(int) - other).mean() < 1.5
