"""Carried edits at the photograph's own resolution, on flows that are known."""

import cv2
import numpy as np
import pytest
import torch

from diffusionrig.editing.full_size import carry_back
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.carrying import Carried, relit, sampled
from diffusionrig.render.trust import pixel_plane

SIDE = 64
SQUARE = (100, 80, 356, 336)
"""Left, top, right, bottom of the aligned square in photographs of 420 x 460 pixels: four of theirs to one of the picture."""

TO_PICTURE = np.array([[0.25, 0, -0.375 - 25], [0, 0.25, -0.375 - 20], [0, 0, 1.0]])


def noise(seed: int, blur: float = 1.2) -> np.ndarray:
    """A photograph with detail that a fourth of its pixels could not show."""
    picture = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 60, (420, 460, 3)), (0, 0), blur)
    return np.clip(np.rint(128 + picture), 0, 255).astype(np.uint8)


def small(photo: np.ndarray) -> np.ndarray:
    left, top, right, bottom = SQUARE
    return cv2.resize(photo[top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def carried(photo: np.ndarray, shift: torch.Tensor | None = None, ratio: float = 1.0, confidence: torch.Tensor | None = None,
            change: float | None = None) -> Carried:
    """What carrying would give for a displacement (1, 2, S, S) in pixels of the picture and one ratio of shadings."""
    plane = pixel_plane(torch.zeros(1), SIDE)
    shift = torch.zeros(1, 2, SIDE, SIDE) if shift is None else shift
    flow = plane + shift * (2 / SIDE)
    image = torch.from_numpy(small(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1
    one = torch.ones(1, 1, SIDE, SIDE)
    change = float(ratio != 1 or bool(shift.any())) if change is None else change
    ratios = ratio * one.expand(1, 3, -1, -1)
    sure = one if confidence is None else confidence
    head = (plane.norm(dim=1, keepdim=True) < 0.5).float()
    return Carried(relit(sampled(image, flow), ratios), sure, ratios, flow, change * one, image,
                   PhysicalBuffers(*(torch.zeros(1, c, SIDE, SIDE) for c in (3, 3, 3, 1))), head)


def drawn(what: Carried, by: float = 0.0) -> np.ndarray:
    """What a network draws that adds ``by`` grey levels."""
    return np.clip(to_uint8(what.picture[0].numpy(), -1, 1).astype(float) + by, 0, 255).astype(np.uint8)


def inner(picture: np.ndarray, margin: int) -> np.ndarray:
    left, top, right, bottom = SQUARE
    return picture[top + margin:bottom - margin, left + margin:right - margin]


@pytest.mark.parametrize("scale", [0.1, 0.25, 1.0, 3.0])
def test_no_edit_gives_back_every_bit_at_any_size(scale):
    photo = noise(1)
    if scale != 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale)
    matrix = TO_PICTURE @ np.array([[1 / scale, 0, 0.5 / scale - 0.5], [0, 1 / scale, 0.5 / scale - 0.5], [0, 0, 1]])
    still = carried(noise(1))
    # An untrained network's noise where nothing may change is not shown, and neither is the rounding of bf16.
    assert np.array_equal(carry_back(photo, drawn(still, 1), small(noise(1)), still, matrix, SIDE), photo)


def test_pixels_are_carried_in_full_resolution_and_go_on_beyond_the_square():
    photo = noise(2)
    shift = torch.zeros(1, 2, SIDE, SIDE)
    shift[:, 0], shift[:, 1] = 2.5, -1.25  # 10 and -5 pixels of the photograph
    moving = carried(photo, shift)
    whole = carry_back(photo, drawn(moving), small(photo), moving, TO_PICTURE, SIDE)
    truth = np.roll(photo, (5, -10), (0, 1))
    assert np.abs(inner(whole, 24).astype(int) - inner(truth, 24)).max() <= 2
    # Beyond the square the same motion fades out: no step at its border, nothing far away.
    left, top, _, bottom = SQUARE
    near = (slice(top + 60, bottom - 60), slice(left - 8, left))
    assert np.abs(whole[near].astype(int) - truth[near]).mean() < 0.3 * np.abs(photo[near].astype(int) - truth[near]).mean()
    assert np.array_equal(whole[:, :8], photo[:, :8])
    assert np.array_equal(whole[-4:], photo[-4:])


def test_the_seam_of_a_moving_ramp_is_smooth():
    ramp = np.broadcast_to(np.linspace(20, 235, 460)[None, :, None], (420, 460, 3))
    photo = np.rint(ramp).astype(np.uint8)
    shift = torch.zeros(1, 2, SIDE, SIDE)
    shift[:, 0] = 3.0
    moving = carried(photo, shift)
    whole = carry_back(photo, drawn(moving), small(photo), moving, TO_PICTURE, SIDE).astype(int)
    assert np.abs(np.diff(whole[200, :, 0])).max() <= 2  # a cut at the border would be a step of 5.6
    assert np.abs(whole[200, 180:280, 0] - photo[200, 192:292, 0].astype(int)).max() <= 1


def test_new_light_and_what_was_drawn_keep_the_detail():
    photo = noise(3)
    lit = carried(photo, ratio=1.2)
    whole = carry_back(photo, drawn(lit), small(photo), lit, TO_PICTURE, SIDE)
    assert np.abs(inner(whole, 24) - np.clip(inner(photo, 24) * 1.2, 0, 255)).max() <= 1.5
    still = carried(photo, change=1.0)
    whole = carry_back(photo, drawn(still, 20), small(photo), still, TO_PICTURE, SIDE)
    assert np.abs(inner(whole, 24).astype(int) - np.clip(inner(photo, 24).astype(int) + 20, 0, 255)).mean() < 0.7
    left, top, right, bottom = SQUARE
    outside = np.ones(photo.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(whole[outside], photo[outside])


def test_where_the_source_shows_nothing_the_network_stands_alone():
    photo = noise(4)
    confidence = torch.ones(1, 1, SIDE, SIDE)
    confidence[..., 16:48, 16:48] = 0
    hidden = carried(photo, confidence=confidence, change=1.0)
    result = drawn(hidden)
    result[16:48, 16:48] = 90
    whole = inner(carry_back(photo, result, small(photo), hidden, TO_PICTURE, SIDE), 0)
    assert np.abs(whole[76:180, 76:180].astype(int) - 90).max() <= 1
    assert np.abs(whole[24:48, 24:-24].astype(int) - inner(photo, 0)[24:48, 24:-24]).max() <= 12


def test_between_two_surfaces_the_flow_is_not_followed():
    """A head moves before a still background: half of the way lies whatever is there, here a dark bar."""
    photo = noise(5, 30)
    photo[:, 212:220] = 0
    shift = torch.zeros(1, 2, SIDE, SIDE)
    shift[:, 0, :, 32:] = -8.0  # the right half comes from 32 pixels farther left
    torn = carried(photo, shift)
    whole = inner(carry_back(photo, drawn(torn), small(photo), torn, TO_PICTURE, SIDE), 24)
    left = whole[:, 228 - SQUARE[0] - 24 - 8:228 - SQUARE[0] - 24 + 8].min()
    assert left > 40


def test_other_faces_do_not_change():
    photo = noise(6)
    shift = torch.full((1, 2, SIDE, SIDE), 3.0)
    moving = carried(photo, shift)
    box = np.array([300.0, 150.0, 360.0, 230.0])
    whole = carry_back(photo, drawn(moving, 30), small(photo), moving, TO_PICTURE, SIDE, [box])
    assert np.array_equal(whole[150:230, 300:360], photo[150:230, 300:360])
    assert np.abs(whole[150:230, 150:250].astype(int) - photo[150:230, 150:250]).mean() > 20


def test_what_was_lent_has_no_detail_of_the_place_it_hides():
    photo = noise(7)
    lent = carried(photo, change=1.0)
    lent.picture[..., 16:48, 16:48] = 0.5  # teeth out of an album, with full confidence
    whole = inner(carry_back(photo, drawn(lent), small(photo), lent, TO_PICTURE, SIDE), 0)
    assert np.abs(whole[76:180, 76:180].astype(int) - 191).max() <= 2
