"""Teeth of opened mouths: where they are, what they follow, and that they look like teeth."""

from __future__ import annotations

import math

import pytest
import torch
from ball_head import BallHead, random_codes
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.render.carrying import MOUTH, carry, region
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.layers import split_layers
from diffusionrig.render.mouth import SHADED, WIDTHS, mouth_inside
from diffusionrig.render.posing import Posed, pose_heads

WIDE = {"mouthUpperUpLeft": 1.0, "mouthUpperUpRight": 1.0, "mouthLowerDownLeft": 1.0, "mouthLowerDownRight": 1.0}


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head("open-head-1")


def face(head: HeadModel, turn: float = 0.0, **weights: float) -> FaceCode:
    """The mean face under a plain light, near enough to fill the picture with its mouth."""
    light = torch.zeros(1, 9, 3)
    light[:, 0] = 3.2
    expression = torch.zeros(1, head.n_expression)
    for name, weight in weights.items():
        expression[:, head.expression_names.index(name)] = weight
    code = FaceCode(torch.zeros(1, head.n_shape), torch.zeros(1, head.n_albedo), expression,
                    torch.tensor([[0, math.radians(turn), 0, 0, 0, 0]]), torch.tensor([[16.0, 0, 0]]), light, head.name)
    lips = head.landmarks(head.vertices(face_at_rest := code.replace(expression=0 * expression)), face_at_rest)[:, 48:68].mean(1)
    return code.replace(camera=torch.cat([code.camera[:, :1], -lips[:, :2]], 1))


def drawn(head: HeadModel, code: FaceCode, size: int = 256) -> tuple[Tensor, Tensor, Posed]:
    """Inside (3, S, S), mouth (S, S) and the posed head."""
    with torch.no_grad():
        posed = pose_heads(head, code, size)
        mouth = interpolate(posed.fragments, head.faces, region(head, MOUTH, posed.points))
        return mouth_inside(head, posed, mouth, torch.ones(len(code), 1, 1, 1))[0], mouth[0, 0] > 0.5, posed


def teeth(head: HeadModel, code: FaceCode, size: int = 256) -> Tensor:
    """(S, S): pixels of the mouth that are bright and hardly coloured."""
    inside, mouth, _ = drawn(head, code, size)
    return mouth & (inside.amin(0) > 0.42) & (inside.amax(0) - inside.amin(0) < 0.2)


def rows_of(mask: Tensor) -> Tensor:
    return mask.any(1).nonzero()[:, 0]


def test_a_head_without_teeth_is_shown_as_it_is_rendered():
    ball = BallHead()
    code = random_codes(2)
    with torch.no_grad():
        posed = pose_heads(ball, code, 64)
        inside = mouth_inside(ball, posed, torch.ones(2, 1, 64, 64), torch.ones(2, 1, 1, 1))
    assert torch.equal(inside, posed.buffers.rendered.clamp(0, 1) * SHADED)


def test_beyond_the_mouth_nothing_is_drawn(head):
    inside, mouth, posed = drawn(head, face(head, jawOpen=0.5, **WIDE))
    rendered = posed.buffers.rendered[0].clamp(0, 1) * SHADED
    assert bool(mouth.any())
    assert torch.equal(inside[:, ~mouth], rendered[:, ~mouth])
    assert not torch.allclose(inside[:, mouth], rendered[:, mouth], atol=0.1)


def test_a_bared_row_fills_the_mouth_and_an_open_jaw_parts_the_rows(head):
    together = teeth(head, face(head, **WIDE))
    _, mouth, _ = drawn(head, face(head, **WIDE))
    assert together.sum() > 0.5 * mouth.sum()
    open_wide = face(head, jawOpen=0.5, **WIDE)
    apart, inside = teeth(head, open_wide), drawn(head, open_wide)[1]
    middle = apart[:, 120:136].any(1)
    edges = middle.int().diff().nonzero()[:, 0]
    assert len(edges) == 4, "an upper row, a gap, a lower row"
    gap = float(edges[2] - edges[1])
    # The lower row goes down with the jaw: half of what a wide open jaw moves its front teeth.
    moved = (head.vertices(face(head, jawOpen=0.5)) - head.vertices(face(head)))[0, head.regions["teeth"] > 0.5]
    assert gap == pytest.approx(-float(moved[:, 1].min()) * 16 * 128, rel=0.35)
    assert apart.sum() < inside.sum()


def test_the_upper_row_rests_on_the_skull(head):
    upper = [rows_of(teeth(head, face(head, jawOpen=weight, **WIDE))[:, 124:132])[0].item() for weight in (0.3, 0.5)]
    assert abs(upper[0] - upper[1]) <= 1


def test_a_closed_mouth_shows_none(head):
    assert teeth(head, face(head)).sum() <= 4


def test_teeth_are_told_apart_and_the_front_ones_have_their_width(head):
    code = face(head, **WIDE)
    inside, _, _ = drawn(head, code, 1024)
    bright = teeth(head, code, 1024)
    row = int(rows_of(bright[:, 500:524]).float().median())
    line = inside.mean(0)[row, 380:644]
    gaps = [x for x in range(2, len(line) - 2) if line[x] == line[x - 2:x + 3].min() and line[x] < line[x - 2:x + 3].max() - 0.02]
    places = torch.tensor(gaps, dtype=torch.float32) + 380.5 - 512
    pixel = 2e3 / 1024 / 16  # millimetres
    widths = places.diff() * pixel
    middle = int(places.abs().argmin())
    assert abs(float(places[middle])) * pixel < 0.4
    for width in (widths[middle - 1], widths[middle]):
        assert float(width) == pytest.approx(WIDTHS[0][0], abs=1.0)


def test_size_and_turn_change_neither_share_nor_place(head):
    code = face(head, jawOpen=0.3, **WIDE)
    shares = [teeth(head, code, size).float().mean().item() for size in (128, 512)]
    assert shares[0] == pytest.approx(shares[1], rel=0.15)
    left, right = (teeth(head, face(head, turn, jawOpen=0.3, **WIDE)).sum().item() for turn in (-20, 20))
    assert left == pytest.approx(right, rel=0.1)


def test_rows_of_a_batch_do_not_touch_one_another(head):
    one, other = face(head, jawOpen=0.5, **WIDE), face(head, 15.0, jawOpen=0.2, **WIDE)
    both, _, _ = drawn(head, FaceCode.concatenate([one, other])), None, None
    # Rounding may put a pixel on the other side of an edge.
    assert ((both[0] - drawn(head, one)[0]).abs() > 1e-4).float().mean() < 1e-3


def test_the_light_is_that_of_the_code(head):
    code = face(head, **WIDE)
    dim = code.replace(light=code.light * 0.5)
    mask = teeth(head, code)
    bright, dark = (drawn(head, one)[0][:, mask].mean() for one in (code, dim))
    assert float(dark / bright) == pytest.approx(0.5, abs=0.05)
    side = code.light.clone()
    side[:, 1] = 1.5  # from the viewer's right
    lit = drawn(head, code.replace(light=side))[0].mean(0)
    columns = torch.arange(256).expand(256, 256)
    assert lit[mask & (columns > 140)].mean() > 1.2 * lit[mask & (columns < 116)].mean()


def test_a_mouth_that_is_not_to_be_drawn_is_as_it_is_rendered(head):
    code = face(head, jawOpen=0.5, **WIDE)
    with torch.no_grad():
        posed = pose_heads(head, code, 128)
        mouth = interpolate(posed.fragments, head.faces, region(head, MOUTH, posed.points))
        plain, half, whole = (mouth_inside(head, posed, mouth, torch.full((1, 1, 1, 1), share)) for share in (0.0, 0.5, 1.0))
    assert torch.equal(plain, posed.buffers.rendered.clamp(0, 1) * SHADED)
    torch.testing.assert_close(half, (plain + whole) / 2)


def test_an_open_mouth_keeps_its_own_teeth_and_a_shut_one_gets_some(head):
    bared, parted, shut = face(head, **WIDE), face(head, 3.0, **WIDE), face(head)
    photo = torch.full((1, 3, 128, 128), 0.9)
    with torch.no_grad():
        posed = {name: pose_heads(head, code, 128) for name, code in (("bared", bared), ("parted", parted), ("shut", shut))}
        mouth = interpolate(posed["parted"].fragments, head.faces, region(head, MOUTH, posed["parted"].points)) > 0.5
        layers = torch.cat([photo, torch.ones(1, 1, 128, 128)], 1)
        own, drawn = (carry(head, photo, layers, posed[name], posed["parted"]) for name in ("bared", "shut"))
    assert own.confidence[mouth].mean() > 0.3
    assert drawn.confidence[mouth].max() < 0.1
    assert drawn.picture[mouth.expand(-1, 3, -1, -1)].std() > 0.2


def bright_mouth(head: HeadModel, posed: Posed) -> Tensor:
    """A photograph (1, 3, S, S), white where ``posed`` shows its mouth, grey elsewhere."""
    mouth = interpolate(posed.fragments, head.faces, region(head, MOUTH, posed.points))
    return ((mouth > 0.5).float() * 0.8).expand(-1, 3, -1, -1)


def test_an_open_mouth_that_turns_keeps_its_own_teeth(head):
    """As far as it is no wider open than the source's, and not when that kept its mouth shut."""
    smile = {**WIDE, "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}
    with torch.no_grad():
        source = pose_heads(head, face(head, **smile), 256)
        photo = bright_mouth(head, source)
        layers = split_layers(photo, source.buffers.alpha, source.buffers.alpha)

        def white(code: FaceCode) -> float:
            after = pose_heads(head, code, 256)
            shown = interpolate(after.fragments, head.faces, region(head, MOUTH, after.points)) > 0.9
            return float((carry(head, photo, layers, source, after).picture[:, :1] > 0.6)[shown].float().mean())

        for turn in (15, -20, 25):
            assert white(face(head, turn, **smile)) > 0.8
        assert white(face(head, 15, jawOpen=1.0, **smile)) < 0.3
