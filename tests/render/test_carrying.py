"""The carried photograph: what must hold whatever the head, the edit and the photograph."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from ball_head import BallHead, random_codes
from carried_heads import SIZE, acted, carried, centre_of, layers_of, portrait
from flame_arrays import flame_code, open_flame
from torch import Tensor
from torch.nn.functional import avg_pool2d
from visibility import depth_behind, surface

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame import Flame
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.randomness import torch_stream
from diffusionrig.render.carrying import Carried, carry
from diffusionrig.render.condition import CHANNELS, reference_condition
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.layers import split_layers
from diffusionrig.render.posing import Posed, pose_heads
from diffusionrig.render.trust import pixel_plane

GREY = 2 / 255
"""One grey level of pictures in [-1, 1]."""


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch_stream("photograph", seed), dtype=torch.float64).to(dtype) * 1.8 - 0.9


def smooth(size: int = SIZE) -> Tensor:
    """A photograph that says where in it each pixel lies: x, y and their product, times 0.6."""
    x, y = pixel_plane(torch.zeros(1), size).split(1, 1)
    return 0.6 * torch.cat([x, y, x * y], 1)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def flame() -> Flame:
    return open_flame()


def assert_untouched(out: Carried, photo: Tensor, after: Posed) -> None:
    assert (out.confidence == 1).all()
    assert (out.change == 0).all()
    assert (out.ratio == 1).all()
    assert (out.flow == pixel_plane(photo, after.size)).all()
    torch.testing.assert_close(out.picture, photo, rtol=0, atol=1e-5)
    assert after.buffers.alpha.mean() > 0.02


@pytest.mark.parametrize("place", [(0, 0), (0.09, -0.03), (-0.05, 0.12)], ids=["middle", "cut off at a side", "cut off above"])
def test_without_an_edit_the_photograph_comes_back(head, place):
    code = portrait(head)
    code = code.replace(camera=code.camera + torch.tensor([[0, *place]]))
    photo = noise(1, 3, SIZE, SIZE)
    for centre in (None, centre_of(head, code)):
        out, _, after = carried(head, photo, code, code, centre)
        assert_untouched(out, photo, after)


def test_so_it_does_for_other_heads(flame):
    for other, code in ((BallHead(), random_codes(3, 2)), (flame, flame_code(flame, 2, 1))):
        photo = noise(len(code), 3, SIZE, SIZE)
        out, _, after = carried(other, photo, code, code)
        assert_untouched(out, photo, after)


@pytest.mark.parametrize("times", [2, 4, 3])
def test_a_finer_photograph_comes_back_as_the_means_of_its_pixels(head, times):
    photo = noise(1, 3, times * SIZE, times * SIZE)
    out, _, after = carried(head, photo, portrait(head), portrait(head))
    assert_untouched(out, avg_pool2d(photo, times), after)


MOVES = {"shift": ((0.012, -0.02), 1.0, 0.0), "scale": ((0, 0), 0.87, 0.0), "larger": ((0, 0), 1.2, 0.0),
         "roll": ((0, 0), 1.0, 14.0), "all": ((-0.01, 0.015), 1.1, -9.0)}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("size", [SIZE, 256])
def test_shift_scale_and_roll_carry_pixels_to_their_places(head, name, size):
    (right, up), scale, degrees = MOVES[name]
    code = portrait(head, 1, turn=15)
    roll = axis_angle_to_matrix(torch.tensor([[0.0, 0.0, math.radians(degrees)]]))
    turned = matrix_to_axis_angle(roll @ axis_angle_to_matrix(code.pose[:, :3]))
    camera = torch.cat([code.camera[:, :1] * scale, code.camera[:, 1:] + torch.tensor([[right, up]])], 1)
    edited = code.replace(pose=torch.cat([turned, code.pose[:, 3:]], 1), camera=camera)
    out, source, after = carried(head, smooth(size), code, edited, size=size)
    # Where a point goes: found from three vertices far apart, not from the flow.
    before, now = source.points[0, :, :2].double(), after.points[0, :, :2].double()
    design = torch.cat([now, torch.ones_like(now[:, :1])], 1)
    map_back = torch.linalg.lstsq(design, before).solution
    assert (design @ map_back - before).abs().max() < 1e-4  # such an edit is an affine map of the picture
    here = pixel_plane(torch.zeros(1, dtype=torch.float64), size)[0].flatten(1).T
    wanted = (torch.cat([here, torch.ones_like(here[:, :1])], 1) @ map_back).T.view(2, size, size)
    sure = (after.buffers.alpha[0, 0] > 0) & (out.confidence[0, 0] > 0.5)
    assert sure.sum() > 0.75 * (after.buffers.alpha > 0).sum()
    half_a_pixel = 1 / size
    assert (out.flow[0] - wanted).norm(dim=0)[sure].max() < half_a_pixel
    shading = out.ratio[0, :2]
    shown = ((out.picture[0, :2] + 1) / shading - 1) / 0.6
    unclipped = (out.picture[0, :2].abs() < 1).all(0) & sure & (wanted.abs() < 0.95).all(0)
    assert unclipped.sum() > 0.9 * sure.sum()
    assert (shown - wanted).norm(dim=0)[unclipped].max() < half_a_pixel


def there_and_back(head: HeadModel, code: FaceCode, away: FaceCode, size: int = 256) -> tuple[Tensor, Tensor, Tensor]:
    photo = smooth(size) * 0.5 - 0.3
    with torch.no_grad():
        home, abroad = pose_heads(head, code, size), pose_heads(head, away, size, centre_of(head, code))
        there = carry(head, photo, layers_of(photo, home), home, abroad)
        back = carry(head, there.picture, layers_of(there.picture, abroad), abroad, home)
        lost = torch.nn.functional.grid_sample(there.confidence, back.flow.permute(0, 2, 3, 1), align_corners=False)
    return (back.picture - photo).abs().amax(1)[0], torch.minimum(back.confidence, lost)[0, 0], home.buffers.alpha[0, 0] > 0


@pytest.mark.parametrize("edit", ["turn", "jaw", "smile", "light"])
@pytest.mark.parametrize("even", [True, False], ids=["even light", "light from a side"])
def test_there_and_back_changes_nothing_where_it_is_sure(head, edit, even):
    code = portrait(head, 2, turn=-8)
    if even:
        code = code.replace(light=torch.cat([code.light[:, :1], 0 * code.light[:, 1:]], 1))
    away = {"turn": lambda: code.replace(pose=code.pose + torch.tensor([[0.08, 0.35, 0.05, 0, 0, 0]])),
            "jaw": lambda: acted(head, code, jawOpen=0.5),
            "smile": lambda: acted(head, code, mouthSmileLeft=0.9, mouthSmileRight=0.9, cheekSquintLeft=0.5),
            "light": lambda: code.swap("light", portrait(head, 5), 0.3)}[edit]()
    error, sure, face = there_and_back(head, code, away)
    confident = face & (sure > 0.9)
    assert confident.sum() > 0.3 * face.sum()
    # Where light comes from a side the relit picture is not smooth any more: folds have shades of their own.
    share, mean = (0.997, 0.02) if even else (0.95, 0.2)
    assert error[confident].quantile(share) < GREY
    assert error[confident].mean() < mean * GREY


HIDDEN = {"inner mouth": ({}, {"jawOpen": 0.7}, 0, 0), "a little of it": ({}, {"jawOpen": 0.3}, 0, 0),
          "teeth": ({}, {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "mouthUpperUpLeft": 0.7, "mouthUpperUpRight": 0.7,
                         "mouthLowerDownLeft": 0.6, "mouthLowerDownRight": 0.6}, 0, 0),
          "eyes behind lids": ({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}, {}, 0, 0),
          "far cheek": ({}, {}, 0, 30), "the other cheek": ({}, {}, 28, -28)}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_the_source_hides_is_never_trusted(head, name):
    before, after, turn, other = HIDDEN[name]
    code, edited = acted(head, portrait(head, 3, turn), **before), acted(head, portrait(head, 3, other), **after)
    size = 192
    out, source, shown = carried(head, noise(1, 3, size, size), code, edited, centre_of(head, code), size)
    places = surface(shown, head.faces, 0, source.points[0])
    rows, columns = np.nonzero(~np.isnan(places[..., 0]))
    hidden, confidence = np.zeros((size, size), bool), out.confidence[0, 0].numpy()
    # Hidden: behind the surface by more than a millimetre or so (the head is some 1.2 wide).
    hidden[rows, columns] = depth_behind(places[rows, columns], source.points[0], head.faces) > 0.01
    assert hidden.sum() > 50
    # Pixels cannot say on which side of an edge within them a point lies: of one pixel in a hundred we are not told.
    assert (confidence[hidden] > 0.1).mean() < 0.01
    inner = hidden.copy()
    for axis in (0, 1):
        inner &= np.roll(hidden, 1, axis) & np.roll(hidden, -1, axis)
    assert inner.any()
    assert confidence[inner].max() <= 0.1
    # And it is not the trick of trusting nothing.
    assert np.median(confidence[rows, columns][~hidden[rows, columns]]) > (0.9 if not other else 0.3)


def test_closed_lids_are_not_read_from_open_eyes(head):
    code = portrait(head, 4)
    shut = acted(head, code, eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    out, source, after = carried(head, noise(1, 3, 256, 256), code, shut, size=256)

    def mask(posed: Posed, region: str) -> Tensor:
        return interpolate(posed.fragments, head.faces, head.regions[region][None, :, None].float())[0, 0] > 0.5

    lids = mask(source, "eyes") & ~mask(after, "eyes") & (after.buffers.alpha[0, 0] > 0)
    # The lids' rims are shown, and the rest only as a thin line: by triangles of less than a third of the height.
    face = head.faces[after.fragments.face[0].clamp_min(0)]
    heights = [posed.points[0].double()[face][..., 1] for posed in (source, after)]
    heights = [height.amax(-1) - height.amin(-1) for height in heights]
    lids &= heights[0] < heights[1] / 3
    assert lids.sum() > 40
    assert out.confidence[0, 0][lids].max() <= 0.1
    assert (out.change[0, 0][lids] > 0.9).all()


def test_batched_equals_single(head):
    codes = [portrait(head, seed, turn) for seed, turn in enumerate((-20, 0, 25))]
    edits = [acted(head, codes[0], jawOpen=0.5), codes[0].replace(light=codes[1].light), codes[1]]
    edits = [edit.replace(camera=code.camera) for edit, code in zip(edits, codes)]
    photo = noise(3, 3, SIZE, SIZE)
    whole, _, _ = carried(head, photo, FaceCode.concatenate(codes), FaceCode.concatenate(edits))
    for row in range(3):
        alone, _, _ = carried(head, photo[row:row + 1], codes[row], edits[row])
        for field in ("picture", "confidence", "ratio", "flow", "change", "background", "heads"):
            torch.testing.assert_close(getattr(whole, field)[row:row + 1], getattr(alone, field), rtol=0, atol=1e-3, msg=field)


def test_rows_of_posed_heads_are_those_heads(head):
    code = FaceCode.concatenate([portrait(head, 0), portrait(head, 1, 30)])
    both, again = pose_heads(head, code, 64), pose_heads(head, code[[1, 1, 0]], 64)
    some = both.rows([1, 1, 0])
    assert len(some) == 3
    for name in ("points", "normals", "depth"):
        torch.testing.assert_close(getattr(some, name), getattr(again, name), rtol=0, atol=1e-5)
    assert (some.fragments.face != again.fragments.face).float().mean() < 1e-3


def test_double_precision_agrees(head):
    code, edited = portrait(head, 6), acted(head, portrait(head, 6, 12), jawOpen=0.4)
    photo = noise(1, 3, SIZE, SIZE)
    single, _, _ = carried(head, photo, code, edited)
    code, edited = (one.to(dtype=torch.float64) for one in (code, edited))
    double, _, _ = carried(copy.deepcopy(head).double(), photo.double(), code, edited)
    for field in ("picture", "confidence", "ratio", "flow", "change", "background"):
        exact, ours = getattr(double, field), getattr(single, field)
        assert exact.dtype == torch.float64
        # A point that falls between two pixels may fall on either.
        assert ((exact - ours).abs() > 1e-3).double().mean() < 2e-3, field


def test_nothing_is_learned_and_nothing_leaves_its_range(head):
    code = FaceCode.concatenate([portrait(head, 7, -35), portrait(head, 8)])
    bright = portrait(head, 9, 40)
    edited = acted(head, bright.repeat(2), jawOpen=1.0).replace(light=bright.light.repeat(2, 1, 1) * 6)
    out, _, _ = carried(head, noise(2, 3, SIZE, SIZE), code, edited)
    for field, low, high in (("picture", -1, 1), ("confidence", 0, 1), ("change", 0, 1), ("ratio", 0.2 - 1e-5, 5 + 1e-4)):
        values = getattr(out, field)
        assert values.isfinite().all()
        assert low <= values.min() <= values.max() <= high, field
    condition = reference_condition(out)
    assert condition.shape == (2, sum(CHANNELS.values()), SIZE, SIZE)
    assert condition.isfinite().all()
    names = dict(zip(CHANNELS, condition.split(list(CHANNELS.values()), 1)))
    assert torch.equal(names["picture"], out.picture)
    torch.testing.assert_close((names["ratio"] * math.log(5)).exp(), out.ratio, rtol=1e-4, atol=1e-5)
    assert torch.equal(names["heads"][:, 1:], out.heads)


def test_the_background_holds_nothing_of_the_head(head):
    code = portrait(head, 10)
    with torch.no_grad():
        alpha = pose_heads(head, code, SIZE).buffers.alpha
    photo = torch.where(alpha > 0, 0.9, -0.4).expand(1, 3, SIZE, SIZE)
    torch.testing.assert_close(split_layers(photo, alpha, alpha)[:, :3], torch.full_like(photo, -0.4), rtol=0, atol=1e-4)
    far = noise(1, 3, SIZE, SIZE)
    kept = split_layers(far, alpha, alpha)[:, :3]
    assert torch.equal(kept[..., :4, :4], far[..., :4, :4])


def test_the_background_stays_when_the_head_turns(head):
    code = portrait(head, 11)
    code = code.replace(camera=code.camera * torch.tensor([[0.3, 1, 1]]))
    photo = noise(1, 3, SIZE, SIZE)
    out, _, _ = carried(head, photo, code, code.replace(pose=code.pose + torch.tensor([[0, 0.4, 0, 0, 0, 0]])))
    torch.testing.assert_close(out.picture[..., :8], photo[..., :8], rtol=0, atol=1e-4)
    assert (out.change[..., :8] == 0).all()


def test_fields_of_carried_are_documented():
    for field in dataclasses.fields(Carried):
        assert f"    {field.name} " in (Carried.__doc__ or ""), field.name
