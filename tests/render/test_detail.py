"""Detail normals against loops in NumPy's double precision, and their properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ball_head import BallHead, random_codes

from diffusionrig.errors import RigError
from diffusionrig.geometry.heads import load_head
from diffusionrig.render.detail import detail_normals, displaced, displacement_map, texel_grid
from diffusionrig.render.face_views import texture_fragments

SIZE = 24


@pytest.fixture(scope="module")
def head() -> BallHead:
    return BallHead().double()


@pytest.fixture(scope="module")
def given(head):
    draw = torch.Generator().manual_seed(4)
    vertices = head.vertices(random_codes(2, dtype=torch.float64))
    predicted, fixed, mask = (torch.rand(*shape, generator=draw, dtype=torch.float64)
                              for shape in ((2, 1, SIZE, SIZE), (SIZE, SIZE), (SIZE, SIZE)))
    return vertices, displacement_map(0.01 * predicted, mask, 0.001 * fixed), mask, predicted, fixed


def loops(head, vertices, displacement, texels, mask):
    """Interpolate, displace, sum the cross products around each texel, divide by the length or the floor."""
    faces = head.faces.numpy()
    normals = np.zeros_like(vertices)
    for a, b, c in faces:
        cross = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        for corner in (a, b, c):
            normals[corner] += cross
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    face, weights = texels.face[0].numpy(), texels.barycentric[0].numpy()
    places, coarse = np.zeros((SIZE, SIZE, 3)), np.zeros((SIZE, SIZE, 3))
    for y, x in np.argwhere(face >= 0):
        places[y, x] = weights[y, x] @ vertices[faces[face[y, x]]]
        coarse[y, x] = weights[y, x] @ normals[faces[face[y, x]]]
    places += displacement[..., None] * coarse
    fine = np.zeros_like(places)
    for y in range(5, SIZE - 6):
        for x in range(2, SIZE - 3):
            for corners in (((y, x), (y + 1, x), (y, x + 1)), ((y, x + 1), (y + 1, x), (y + 1, x + 1))):
                p, q, r = (places[corner] for corner in corners)
                for corner in corners:
                    fine[corner] += np.cross(q - p, r - p)
    fine /= np.maximum(np.linalg.norm(fine, axis=2, keepdims=True), 1e-6)
    return places, fine, fine * mask[..., None] + coarse * (1 - mask[..., None])


def test_places_and_normals_are_those_of_the_formulas(head, given):
    vertices, displacement, mask, predicted, fixed = given
    torch.testing.assert_close(displacement, 0.01 * predicted * mask + 0.001 * fixed)
    texels = texture_fragments(head, SIZE)
    places, _ = displaced(head, vertices, displacement, texels)
    plain = detail_normals(head, vertices, displacement, texels)
    blended = detail_normals(head, vertices, displacement, texels, mask)
    for i in range(2):
        expected = loops(head, vertices[i].numpy(), displacement[i, 0].numpy(), texels, mask.numpy())
        for found, wanted in zip((places, plain, blended), expected):
            assert np.abs(found[i].permute(1, 2, 0).numpy() - wanted).max() < 1e-9


def test_the_grid_has_the_published_size_and_faces_outwards():
    grid = texel_grid(256, 256)
    assert grid.shape == (122_990, 3)
    row, column = grid // 256, grid % 256
    assert (row.min(), row.max(), column.min(), column.max()) == (5, 250, 2, 253)
    x, y = column.double(), -row.double()  # rows go down
    turn = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    assert (turn == 1).all()


def test_without_displacement_detail_normals_follow_the_head():
    head = load_head()
    code = random_codes(1)
    code = code.replace(shape=torch.zeros(1, head.n_shape), expression=torch.zeros(1, head.n_expression), head=head.name)
    texels = texture_fragments(head, 256)
    vertices = head.vertices(code)
    zero = torch.zeros(1, 1, 256, 256)
    fine, (_, coarse) = detail_normals(head, vertices, zero, texels), displaced(head, vertices, zero, texels)
    skin = ((texels.face[0] >= 0) & (fine[0].norm(dim=0) > 0.99) & (coarse[0].norm(dim=0) > 0.99)).float()
    inner = torch.nn.functional.avg_pool2d(skin[None], 5, 1, 2)[0] == 1
    angle = torch.rad2deg((fine[0] * torch.nn.functional.normalize(coarse[0], dim=0)).sum(0).clamp(-1, 1).acos())[inner]
    assert inner.float().mean() > 0.2
    assert angle.median() < 5
    assert (angle < 30).float().mean() > 0.97


def test_maps_of_different_sizes_are_told_apart(head, given):
    with pytest.raises(RigError, match="does not fit texels"):
        displaced(head, given[0], given[1][..., :20], texture_fragments(head, SIZE))
