"""What confidence is made of: scales, depths, filling and distances, each against a plain account of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ball_head import BallHead
from flame_arrays import open_flame

from diffusionrig.geometry.heads import load_head
from diffusionrig.randomness import torch_stream
from diffusionrig.render.filling import HAIR, REST, distance, faded, filled, spread_out, way_out
from diffusionrig.render.mirroring import mirrored_vertices
from diffusionrig.render.trust import dilated, least_scale, length, pixel_plane, ramp, surfaces, unhidden


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch_stream("trust", seed), dtype=torch.float64).to(dtype)


def test_ramp_rises_smoothly_between_its_ends():
    at = torch.tensor([-1.0, 0.2, 0.5, 0.8, 3.0], dtype=torch.float64)
    assert ramp(at, 0.2, 0.8).tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    fine = ramp(torch.linspace(0, 1, 1000, dtype=torch.float64), 0.2, 0.8)
    assert (fine.diff() >= 0).all()
    assert fine.diff().max() < 0.003


@pytest.mark.parametrize("side", [3, 5, 11])
def test_dilated_is_the_largest_value_of_each_square(side):
    image = draw(2, 3, 14, 17)
    reach = side // 2
    padded = np.pad(image.numpy(), ((0, 0), (0, 0), (reach, reach), (reach, reach)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(2, 3))
    assert (dilated(image, side).numpy() == windows.max((-1, -2))).all()


def test_lengths():
    vectors = draw(2, 2, 5, 6) - 0.5
    torch.testing.assert_close(length(vectors), vectors.norm(dim=1, keepdim=True))


def test_least_scale_is_the_lesser_singular_value():
    # Triangles of their own corners, so that a vertex has the scale of its one triangle.
    edited, source, faces = draw(2, 90, 3, seed=1), draw(2, 90, 3, seed=2), torch.arange(90).view(30, 3)
    found = least_scale(edited, source, faces)
    for row in range(2):
        for a, b, c in faces.tolist():
            here, there = (np.stack([points[row, k, :2].numpy() - points[row, a, :2].numpy() for k in (b, c)], 1)
                           for points in (edited, source))
            flow = there @ np.linalg.inv(here)
            least = np.linalg.svd(flow, compute_uv=False)[1]
            expected = min(least, 1.0) if np.linalg.det(flow) > 0 else 0.0
            assert found[row, [a, b, c], 0].tolist() == pytest.approx([expected] * 3, abs=1e-9)


def test_least_scale_of_known_edits():
    head = load_head()
    # Turned at random, since triangles seen edge-on have no scale.
    points = head.v_template.double()[None] @ torch.linalg.qr(draw(3, 3, seed=8) - 0.5)[0]
    assert least_scale(points, points, head.faces).numpy() == pytest.approx(1, abs=1e-2)
    narrow = points * torch.tensor([0.4, 1.0, 1.0], dtype=torch.float64)
    assert least_scale(points, narrow, head.faces).numpy() == pytest.approx(0.4, abs=1e-2)
    assert least_scale(narrow, points, head.faces).numpy() == pytest.approx(1, abs=1e-2)
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert least_scale(points, mirrored, head.faces).max() == 0


def test_least_scale_weighs_triangles_by_their_size():
    square = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [0, 1, 0], [-1, 0, 0]]], dtype=torch.float64)
    halved = square.clone()
    halved[0, 1, 0] = 1.5  # the large triangle loses half its width, the small one nothing
    scale = least_scale(square, halved, torch.tensor([[0, 1, 2], [0, 2, 3]]))[0, :, 0].tolist()
    assert scale == pytest.approx([(3 * 0.5 + 1) / 4, 0.5, (3 * 0.5 + 1) / 4, 1])


def test_hidden_and_shown_points():
    depth = torch.full((1, 1, 8, 8), torch.inf, dtype=torch.float64)
    depth[..., 2:6, 2:6] = 0.5
    centres = (2 * torch.arange(8, dtype=torch.float64) + 1) / 8 - 1
    places = torch.stack(torch.meshgrid(centres, centres, indexing="xy"))[None]
    for behind, expected in ((-1.0, 1), (0.0, 1), (0.002, 1), (0.02, 0), (0.3, 0)):
        shown, aside = unhidden(surfaces(depth), places, torch.full_like(depth, 0.5 + behind))
        assert (shown[..., 2:6, 2:6] == expected).all(), behind
        assert (shown[..., 0, :] == 0).all()  # no head, and nothing that a head shows
        assert (aside[..., 2:6, 2:6] == float(behind < 0.2)).all()
    moved = places.clone()
    moved[:, 0] += 2.0
    assert (unhidden(surfaces(depth), moved, torch.full_like(depth, -9))[0] == 0).all()  # beyond the photograph


def test_a_slanted_surface_does_not_hide_itself():
    ramped = torch.linspace(0, 3, 64, dtype=torch.float64).expand(1, 1, 64, 64)  # 72 degrees
    centres = (2 * torch.arange(64, dtype=torch.float64) + 1) / 64 - 1
    places = torch.stack(torch.meshgrid(centres, centres, indexing="xy"))[None]
    for off in (-0.3, -0.15, 0.15, 0.3):
        step = places.clone()
        step[:, 0] += off * 2 / 64
        shown, _ = unhidden(surfaces(ramped), step, ramped + off * 3 / 63)
        assert shown[..., 4:-4].min() > 0.4


def test_filled_keeps_what_is_known_and_averages_the_rest():
    values, known = draw(2, 3, 33, 20), (draw(2, 1, 33, 20, seed=3) > 0.8).double()
    full = filled(values, known)
    assert full.shape == values.shape
    assert torch.equal(full[known.expand_as(full) > 0], values[known.expand_as(full) > 0])
    for row in range(2):
        for channel in range(3):
            held = values[row, channel][known[row, 0] > 0]
            assert held.min() - 1e-9 <= full[row, channel].min() <= full[row, channel].max() <= held.max() + 1e-9
    assert (filled(torch.full_like(values, 0.7), known) - 0.7).abs().max() < 1e-9
    assert (filled(values, torch.zeros_like(known)) == 0).all()
    assert torch.equal(filled(values, torch.ones_like(known)), values)


def test_filled_continues_a_slope_across_a_hole():
    slope = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64)
    known = torch.ones(1, 1, 64, 64, dtype=torch.float64)
    known[..., 24:40, 24:40] = 0
    hole = (filled(slope, known) - slope)[..., 24:40, 24:40]
    assert hole.abs().max() < 0.25  # the hole is half a unit wide
    assert hole.mean().abs() < 0.02


@pytest.mark.parametrize("size", [64, 128, 256])
def test_distance_to_a_disc(size):
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5
    radius = torch.hypot(centres[None] - 0.1, centres[:, None])
    mask = (radius < 0.15).double()[None, None]
    for reach in (0.12, 0.32):
        found = distance(mask, reach)[0, 0]
        expected = (radius - 0.15).clamp(0, reach)
        assert (found - expected).abs().max() < max(reach / 8, 2 / 64)
        assert (found[mask[0, 0] > 0] <= 1.5 / 64).all()
        assert found[radius > 0.15 + 1.2 * reach].min() == pytest.approx(reach, rel=0.1)
    assert (distance(torch.zeros_like(mask), 0.2) == 0.2).all()
    assert (distance(torch.ones_like(mask), 0.2) == 0).all()


def test_faded_falls_to_nothing():
    mask = torch.zeros(1, 1, 96, 96, dtype=torch.float64)
    mask[..., 40:56, 40:56] = 1
    values = torch.full((1, 2, 96, 96), 0.5, dtype=torch.float64)
    soft = faded(values, mask, 0.15)
    assert torch.equal(soft[mask.expand_as(soft) > 0], values[mask.expand_as(soft) > 0])
    assert (soft[..., :20, :] == 0).all()
    line = soft[0, 0, 48, 55:]
    assert (line.diff() <= 1e-9).all()
    assert line.diff().abs().max() < 0.12


def test_spread_out_rests_far_from_both_heads():
    before, after = torch.zeros(1, 1, 128, 128, dtype=torch.float64), torch.zeros(1, 1, 128, 128, dtype=torch.float64)
    before[..., 56:76, 62:82], after[..., 50:70, 56:76] = 1, 1  # about where the displacement leads
    shift = torch.full((1, 2, 128, 128), 0.09, dtype=torch.float64)
    here, neck = pixel_plane(shift, 128), torch.zeros_like(after)
    spread = spread_out(here, shift, after, torch.ones_like(after), before, after, neck)
    near = spread[0, 0, 60, 76:76 + int(HAIR * 128) - 3]
    assert near.numpy() == pytest.approx(0.09, rel=0.02)  # hair goes with the head
    assert (spread[..., :, 82 + int(1.1 * REST * 128):] == 0).all()
    assert (spread[0, 0] <= 0.09 + 1e-9).all()
    # What the source does not show is looked for where its neighbours lie.
    lost = after.clone()
    lost[..., 58:62, 60:64] = 0
    wild = torch.where(lost > 0, shift, 0.8)
    assert spread_out(here, wild, lost, lost, before, after, neck)[0, 0, 60, 62].item() == pytest.approx(0.09, abs=1e-6)


def test_mirrored_vertices_are_an_involution():
    for head in (load_head(), open_flame()):
        mirror = mirrored_vertices(head)
        assert (mirror[mirror] == torch.arange(len(mirror))).float().mean() > 0.99
        assert 0.9 < (mirror != torch.arange(len(mirror))).float().mean() < 1
        left = head.faces.unique()
        assert mirror.shape == (len(left),) or mirror.max() < len(mirror)
    # The same surface in other files: the same pairs.
    assert torch.equal(mirrored_vertices(load_head()), mirrored_vertices(open_flame()))


def test_mirrored_vertices_lie_in_the_mirror():
    head = load_head()
    mirror, rest = mirrored_vertices(head), head.v_template.float()
    apart = (rest[mirror] - rest * torch.tensor([-1.0, 1, 1])).norm(dim=1)
    assert apart.max() < 0.004  # metres
    assert apart.median() < 1e-4


def test_a_ball_has_a_mirror_too():
    ball = BallHead()
    mirror = mirrored_vertices(ball)
    assert (ball.rest[mirror] - ball.rest * torch.tensor([-1.0, 1, 1])).norm(dim=1).max() < 1e-5


def test_the_way_out_of_a_head_is_the_shortest():
    head = torch.zeros(2, 1, 128, 128, dtype=torch.float64)
    head[0, :, 40:90, 30:100] = 1
    head[1] = 1
    way = way_out(head) * 64  # pixels
    assert bool((way[1] == 0).all())
    for row, column, wanted in ((64, 34, (-1, 0)), (64, 96, (1, 0)), (44, 64, (0, -1)), (86, 64, (0, 1))):
        step = way[0, :, row, column]
        assert float(step @ torch.tensor(wanted, dtype=step.dtype)) == pytest.approx(float(step.norm()), rel=0.02)
        assert 4 <= step.norm() <= 13
    assert bool((way[0, :, :30] == 0).all())
    # It leads out, but deep within, where ways to several sides are as short.
    inside = head[0, 0].nonzero()
    inside = inside[torch.stack([inside[:, 0] - 40, 89 - inside[:, 0], inside[:, 1] - 30, 99 - inside[:, 1]]).amin(0) < 12]
    there = (inside + way[0, [1, 0]][:, inside[:, 0], inside[:, 1]].T).round().long()
    out = head[0, 0, there[:, 0].clamp(0, 127), there[:, 1].clamp(0, 127)] == 0
    assert out.double().mean() > 0.93


def test_beside_a_moved_head_lies_what_was_beside_it():
    before, after = torch.zeros(1, 1, 128, 128, dtype=torch.float64), torch.zeros(1, 1, 128, 128, dtype=torch.float64)
    before[..., 40:90, 40:90], after[..., 40:90, 40:80] = 1, 1  # one side turned away: points there are shown from farther in
    shift = torch.zeros(1, 2, 128, 128, dtype=torch.float64)
    shift[:, 0] = -0.02
    here, none = pixel_plane(shift, 128), torch.zeros_like(after)
    places = here + spread_out(here, shift, after, torch.ones_like(after), before, after, none)
    beside = ((places[0, 0] + 1) * 64 - 0.5)[60:70]  # columns of the source, pixels
    assert bool((beside[:, 81:86] > 89).all())
    assert bool((beside[:, 79] < 80).all())
    assert bool((beside[:, 81:100].diff(dim=1) >= 0).all()), "nothing is shown twice"
    # Below its neck the person goes on.
    held = here + spread_out(here, shift, after, torch.ones_like(after), before, after, after)
    assert bool((((held[0, 0] + 1) * 64 - 0.5)[60:70, 81:86] < 89).all())
