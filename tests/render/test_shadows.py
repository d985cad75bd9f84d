"""Shadows that a face throws on itself: where they fall, where not, and that they are told for batches and sizes alike."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from diffusionrig.data.synthetic.lighting import directional
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.resting import resting_code
from diffusionrig.render.posing import Posed, pose_heads
from diffusionrig.render.shadows import SHARE, WORKING_SIZE, key_light, light_reaching, shadow_ratio
from diffusionrig.render.trust import pixel_plane

SIDE = 96
PER_METRE = 480.0


def lamp(x: float, y: float, z: float) -> Tensor:
    direction = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    return torch.from_numpy(directional(direction, 0.05)[:, None] * np.ones(3))[None].float()


def post(size: int = SIDE) -> tuple[Tensor, Tensor]:
    """A level plate with an upright post of 2 cm in its middle: heights in metres, covered."""
    height = torch.zeros(1, 1, size, size)
    middle, half = size // 2, size // 24
    height[..., middle - half:middle + half, middle - half:middle + half] = 0.02
    return height, torch.ones(1, 1, size, size, dtype=torch.bool)


def lit(height: Tensor, covered: Tensor, light: Tensor, scale: float = PER_METRE) -> Tensor:
    return light_reaching(height, covered, torch.tensor([scale]), light)


def test_key_light_points_to_the_lamp() -> None:
    direction, colour, strength = key_light(lamp(0.6, 0.4, 0.7) * torch.tensor([1.2, 1.0, 0.8]))
    assert float(direction[0] @ torch.tensor([0.6, 0.4, 0.7]) / math.sqrt(1.01)) > 0.999
    assert colour[0, 0] > colour[0, 1] > colour[0, 2]
    assert strength[0] > 0.9
    even = torch.zeros(1, 9, 3)
    even[:, 0] = 3.0
    assert key_light(even)[2] < 0.01


def test_a_post_throws_its_shadow_away_from_the_lamp() -> None:
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        light = lamp(x, y, 1)
        share = lit(*post(), light)[0, 0]
        far = SIDE // 2 + torch.tensor([y, -x]) * 8  # rows go down: a lamp above throws its shadow below
        near = SIDE // 2 - torch.tensor([y, -x]) * 8
        assert share[tuple(far)] < 1 - 0.6 * SHARE * float(key_light(light)[2])
        assert share[tuple(near)] > 0.98


def test_shadows_are_as_long_as_the_lamp_is_low() -> None:
    def reach(rise: float) -> int:
        dark = lit(*post(), lamp(-1, 0, rise))[0, 0, SIDE // 2, SIDE // 2 + SIDE // 24:] < 0.8
        return int(dark.sum())

    steep, even = reach(2.0), reach(1.0)
    # 2 cm at 45 degrees is 2 cm, 9.6 pixels.
    assert abs(even - 0.02 * PER_METRE) < 3
    assert abs(steep - 0.01 * PER_METRE) < 3


def test_even_light_and_frontal_light_throw_none() -> None:
    even = torch.zeros(1, 9, 3)
    even[:, 0] = 3.0
    for light in (even, lamp(0, 0, 1)):
        assert lit(*post(), light)[:, 0].min() > 0.999


def test_what_is_turned_from_the_light_is_left_to_its_normal() -> None:
    # A slope that falls away from the lamp at 45 degrees, behind a ridge that hides it.
    x = torch.linspace(0, 0.2, SIDE).expand(1, 1, SIDE, SIDE)
    share = lit(-x, torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool), lamp(-1, 0, 0.3), SIDE / 0.2)
    assert share[0, 0, 10:-10, 10:-10].min() > 0.99


def test_steps_are_unsure_and_levels_are_not() -> None:
    sure = lit(*post(), lamp(1, 0, 1))[0, 1]
    assert sure[SIDE // 2 - SIDE // 24, SIDE // 2] < 0.6
    assert sure[5, 5] == 1
    height, covered = post()
    covered[..., :, 70:] = False
    assert lit(height, covered, lamp(1, 0, 1))[0, 1, 10, 69] == 0


def test_rows_do_not_know_of_each_other() -> None:
    height, covered = post()
    lights = [lamp(1, 0, 1), lamp(-1, 1, 1)]
    twice = [values.repeat(2, 1, 1, 1) for values in (height, covered)]
    both = light_reaching(*twice, torch.tensor([PER_METRE, 300.0]), torch.cat(lights))
    for row, (light, scale) in enumerate(zip(lights, (PER_METRE, 300.0))):
        assert torch.equal(both[row:row + 1], lit(height, covered, light, scale))


def test_a_larger_picture_shows_the_same_shadows() -> None:
    small = lit(*post(), lamp(1, 0, 1))[0, 0]
    large = lit(*post(4 * SIDE), lamp(1, 0, 1), 4 * PER_METRE)
    assert large.shape[-1] == WORKING_SIZE
    large = interpolate(large, (SIDE, SIDE), mode="bilinear")[0, 0]
    assert (small - large).abs().mean() < 0.01


def test_the_ratio_is_that_of_the_shares_and_nothing_at_rest() -> None:
    before, after = (lit(*post(), lamp(x, 0, 1)) for x in (1, -1))
    here = pixel_plane(before, 256)
    assert torch.equal(shadow_ratio(before, before, here), torch.zeros(1, 1, 256, 256))
    ratio = shadow_ratio(before, after, here)[0, 0]
    side = 256 // SIDE * 10
    assert ratio[128, 128 - side] > 0.3
    assert ratio[128, 128 + side] < -0.3
    assert ratio[10, 10] == 0


def face(light: Tensor) -> Posed:
    head = load_head("open-head-1")
    code = resting_code(head)
    return pose_heads(head, code.replace(camera=torch.tensor([[7.0, 0.0, 0.0]]), light=light), 256)


def test_a_nose_throws_a_shadow_on_the_far_cheek() -> None:
    right, left = (face(lamp(x, 0.1, 0.6)).reaching[0, 0] for x in (1.0, -1.0))
    # Mirrored light, mirrored shadow, for a face that is nearly its own mirror image.
    assert (right - left.flip(-1)).abs().mean() < 0.01
    assert (right < 0.8).float().mean() > 0.005
    half = WORKING_SIZE // 2
    assert (right[:, :half] < 0.8).sum() > 3 * (right[:, half:] < 0.8).sum()
