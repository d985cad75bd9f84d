"""The source's own background around an edited head: kept where nothing changed, left to the drawing where hair came or went."""

import dataclasses

import numpy as np
import pytest
import torch
from seed_faces import face_code, photo

from diffusionrig.editing.background import STILL, UNLIKE, drawn_share, joined, turned, with_background
from diffusionrig.editing.controls import RECONSTRUCTION, Edit, apply_sliders, parse_modes
from diffusionrig.editing.rig import Request, Sampling
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.buffers import PhysicalBuffers

STAYS, TURNS = torch.tensor([0.0]), torch.tensor([12.0])


def heads(size: int = 64, shift: int = 0) -> PhysicalBuffers:
    """A square head in the middle, or ``shift`` pixels to its right."""
    alpha = torch.zeros(1, 1, size, size)
    alpha[..., size // 4:-size // 4, size // 4 + shift:size * 3 // 4 + shift] = 1
    return PhysicalBuffers(*(alpha.expand(1, 3, -1, -1) for _ in range(3)), alpha)


def test_a_still_head_gets_the_very_background_back_and_keeps_what_was_drawn():
    generator = torch.Generator().manual_seed(0)
    source, drawn = (torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(2))
    own, edited = heads(), heads(shift=3)
    both = torch.maximum(own.alpha, edited.alpha)[0, 0] > 0
    result = with_background(source, drawn, own, edited, STAYS)
    assert torch.equal(result[0][:, both], drawn[0][:, both])
    far = torch.ones_like(both)
    far[14:50, 14:53] = False
    assert torch.equal(result[0][:, far], source[0][:, far])
    share = drawn_share(source, drawn, own, edited, STAYS)[0, 0]
    assert ((share >= 0) & (share <= 1)).all()
    assert (share[~both] < 1).all()


def test_beside_a_turning_head_only_what_changed_and_touches_it_stays_as_drawn():
    source = torch.full((1, 3, 64, 64), -0.2)
    drawn = source + 0.05  # a slight drift everywhere
    drawn[..., 20:40, 48:56] = 0.8  # hair beside the head, whose right edge is column 47
    drawn[..., 2:8, 2:8] = 0.8  # a change elsewhere
    assert UNLIKE < 1.0
    result = with_background(source, drawn, heads(), heads(), TURNS)
    assert torch.equal(result[..., 22:38, 48:55], drawn[..., 22:38, 48:55])
    assert torch.equal(result[..., :12, :12], source[..., :12, :12])
    assert torch.equal(result[..., 60:], source[..., 60:])
    still = with_background(source, drawn, heads(), heads(), STAYS)
    assert torch.equal(still[..., 22:38, 50:56], source[..., 22:38, 50:56])


def test_the_seam_grows_with_the_picture():
    def seam(size: int) -> float:
        blank = torch.zeros(1, 3, size, size)
        share = drawn_share(blank, blank, heads(size), heads(size), STAYS)
        return float(share[0, 0, size // 2].sum()) / size

    assert seam(64) == pytest.approx(seam(256), abs=0.01)


def test_what_is_joined_follows_paths_and_no_gaps():
    share = torch.zeros(1, 1, 1, 12)
    share[..., 2:5], share[..., 5:7], share[..., 8:10] = 0.8, 0.3, 0.9
    seed = torch.zeros(1, 1, 1, 12)
    seed[..., :2] = 1
    found = joined(share, seed)[0, 0, 0]
    assert torch.allclose(found, torch.tensor([1, 1, 0.8, 0.8, 0.8, 0.3, 0.3, 0, 0, 0, 0, 0]))


def test_turning_is_measured_in_degrees():
    head, code = load_head(), face_code(1)
    straight = apply_sliders(code, (("yaw", 5.0), ("pitch", 0.0), ("roll", 0.0)), head)
    aside = apply_sliders(straight, (("yaw", 25.0),), head)
    assert turned(straight, aside).item() == pytest.approx(20, abs=1e-3)
    talking = apply_sliders(code, (("jawOpen", 1.0),), head)
    assert turned(code, talking).item() < 0.1 * STILL
    assert turned(code, code.replace(pose=torch.cat([code.pose[:, :3], code.pose[:, 3:] + 1], 1))).item() < 0.1 * STILL


@pytest.mark.parametrize("keep", ["background", "all"])
def test_edits_that_keep_show_the_source_beyond_both_heads(rig, keep):
    sources, targets = rig.capture(photo(1)), rig.capture(photo(3))
    asked = [Request(0, 0, edit) for edit in parse_modes("exp,light")] + [Request(0, None, Edit(RECONSTRUCTION))]
    sampling = Sampling(respacing="ddim2", keep=keep)
    own = rig.buffers(sources.code, sources.centre).alpha
    shown = to_uint8(sources.images.numpy(), -1, 1)[0]
    for result in rig.edit_many(sources, targets, asked, sampling=sampling):
        near = torch.nn.functional.max_pool2d(torch.maximum(own, result.buffers.alpha), 5, 1, 2)[0, 0].numpy() > 0
        assert (~near).sum() > 50
        assert np.array_equal(result.image[~near], shown[~near])
        assert (result.image[near] != shown[near]).any()
    free = next(rig.edit_many(sources, targets, asked, sampling=dataclasses.replace(sampling, keep="none")))
    assert (free.image[~near] != shown[~near]).mean() > 0.5
