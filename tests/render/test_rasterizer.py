import numpy as np
import pytest
import torch
from ball_head import sphere, triangle_soup
from slow_rasterizer import rasterize_slowly

from diffusionrig.errors import RigError
from diffusionrig.render import coverage
from diffusionrig.render.rasterizer import Fragments, pixel_centres, rasterize

SQUARE = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
SQUARE_FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def assert_same_bits(fragments: Fragments, vertices, faces) -> None:
    height, width = fragments.face.shape[1:]
    for image in range(len(vertices)):
        face, barycentric, depth = rasterize_slowly(vertices[image].numpy(), faces.numpy(), height, width)
        np.testing.assert_array_equal(fragments.face[image].numpy(), face)
        np.testing.assert_array_equal(fragments.barycentric[image].numpy(), barycentric)
        np.testing.assert_array_equal(fragments.depth[image].numpy(), depth)


def turned_spheres(batch: int, seed: int = 0):
    points, faces, _ = sphere(20, 30)
    turn = torch.linalg.qr(torch.randn(batch, 3, 3, generator=torch.Generator().manual_seed(seed)))[0]
    return points @ turn * 0.9 + torch.tensor([0.0, 0, 10]), faces


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 31), (31, 48), (1, 7), (5, 1), (1, 1)])
def test_bit_equal_to_the_slow_reference_on_spheres(height, width):
    vertices, faces = turned_spheres(2)
    assert_same_bits(rasterize(vertices, faces, height, width), vertices, faces)


@pytest.mark.parametrize(("count", "size"), [(400, 0.05), (200, 0.4), (60, 3.0), (300, 0.004)])
@pytest.mark.parametrize(("height", "width"), [(40, 40), (24, 50)])
def test_bit_equal_to_the_slow_reference_on_triangle_soups(count, size, height, width):
    soups = [triangle_soup(count, size, seed) for seed in range(2)]
    vertices, faces = torch.stack([soup[0] for soup in soups]), soups[0][1]
    assert_same_bits(rasterize(vertices, faces, height, width), vertices, faces)


def test_bit_equal_when_corners_lie_on_pixel_centres_and_depths_tie():
    generator = torch.Generator().manual_seed(3)
    grid = pixel_centres(16, 16)
    corner = torch.randint(0, 16, (2, 300, 2), generator=generator)
    vertices = torch.cat([grid[corner], torch.randint(1, 3, (2, 300, 1), generator=generator).float()], -1)
    faces = torch.randint(0, 300, (250, 3), generator=generator)  # some degenerate: twice the same corner, or in a row
    fragments = rasterize(vertices, faces, 16, 16)
    assert_same_bits(fragments, vertices, faces)
    assert (fragments.face >= 0).any()


def test_faces_behind_or_at_the_viewer_are_skipped():
    vertices, faces = triangle_soup(200, 0.5, seed=4, depth=0.3)
    fragments = rasterize(vertices[None], faces, 32, 32)
    assert_same_bits(fragments, vertices[None], faces)
    assert (vertices[:, 2] < 0).any()


def test_unit_square_leaves_its_diagonal_empty():
    fragments = rasterize(SQUARE[None], SQUARE_FACES, 4, 4)
    expected = torch.ones(4, 4, dtype=torch.int64).tril(-1) - torch.eye(4, dtype=torch.int64)
    torch.testing.assert_close(fragments.face[0], expected)
    torch.testing.assert_close(fragments.barycentric[0, 0, 3], torch.tensor([0.125, 0.75, 0.125]))
    assert (fragments.barycentric[0].diagonal() == 0).all()
    assert (fragments.depth[0].diagonal() == -1).all()


def test_of_equal_depths_the_first_face_wins_and_a_nearer_one_beats_it():
    faces = torch.tensor([[0, 1, 2], [0, 2, 1], [0, 1, 2], [3, 4, 5]])
    triangle = torch.tensor([[-1.0, -1, 5], [1, -1, 5], [0, 1, 5]])
    nearer = triangle * torch.tensor([0.3, 0.3, 0.5])
    face = rasterize(torch.cat([triangle, nearer])[None], faces, 16, 16).face
    assert set(face.unique().tolist()) == {-1, 0, 3}
    assert set(rasterize(torch.cat([triangle, nearer])[None], faces[1:], 16, 16).face.unique().tolist()) == {-1, 0, 2}


def test_pixel_centres_are_where_the_convention_puts_them():
    torch.testing.assert_close(pixel_centres(4, 4), torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(pixel_centres(4, 2), 2 * torch.tensor([-0.75, -0.25, 0.25, 0.75]))


def test_batch_chunks_and_repetition_change_no_bit(monkeypatch):
    vertices, faces = turned_spheres(3)
    before = vertices.clone()
    together = rasterize(vertices, faces, 33, 33)
    again = rasterize(vertices, faces, 33, 33)
    monkeypatch.setattr(coverage, "_BLOCK", 50)
    chunked = rasterize(vertices, faces, 33, 33)
    for name in ("face", "barycentric", "depth"):
        expected = getattr(together, name)
        assert torch.equal(getattr(again, name), expected)
        assert torch.equal(getattr(chunked, name), expected)
        singles = torch.cat([getattr(rasterize(vertices[i:i + 1], faces, 33, 33), name) for i in range(3)])
        assert torch.equal(singles, expected)
    assert torch.equal(vertices, before)


def test_corners_beyond_numbers_do_not_disturb_the_rest():
    vertices, faces = turned_spheres(1)
    broken = vertices.clone()
    broken[0, 100] = torch.nan
    broken[0, 200, 0] = 1e30
    face = rasterize(broken, faces, 32, 32).face
    damaged = ((faces == 100) | (faces == 200)).any(1)
    untouched = rasterize(vertices, faces[~damaged], 32, 32)
    kept = torch.arange(len(faces))[~damaged]
    same = (face >= 0) & ~damaged[face.clamp_min(0)]
    assert same.sum() > 400
    assert torch.equal(face[same], kept[untouched.face[same]])


def test_nothing_to_draw_gives_empty_images():
    fragments = rasterize(torch.zeros(2, 3, 3), torch.zeros(0, 3, dtype=torch.int64), 4, 5)
    assert fragments.face.shape == (2, 4, 5)
    assert (fragments.face == -1).all()
    far = rasterize(SQUARE[None] + torch.tensor([5.0, 0, 0]), SQUARE_FACES, 4, 5)
    assert (far.face == -1).all()


def test_wrong_shapes_are_refused():
    with pytest.raises(RigError, match=r"vertices \(B, V, 3\)"):
        rasterize(SQUARE, SQUARE_FACES, 4, 4)
    with pytest.raises(RigError, match="at least 1"):
        rasterize(SQUARE[None], SQUARE_FACES, 0, 4)


def test_gradients_of_depth_and_barycentrics_match_finite_differences():
    vertices, faces = turned_spheres(1)
    vertices = vertices.double()
    generator = torch.Generator().manual_seed(1)

    def objective(points):
        fragments = rasterize(points, faces, 12, 12)
        weight = torch.rand(fragments.barycentric.shape, generator=generator.manual_seed(1), dtype=torch.float64)
        return (fragments.barycentric * weight).sum() + (fragments.depth * weight[..., 0]).sum()

    points = vertices.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(points), points)
    step, checked = 1e-7, 0
    face = rasterize(vertices, faces, 12, 12).face
    for vertex in faces[face[face >= 0]].unique()[::12]:
        for axis in range(3):
            shift = torch.zeros_like(vertices)
            shift[0, vertex, axis] = step
            if any(not torch.equal(rasterize(vertices + sign * shift, faces, 12, 12).face, face) for sign in (1, -1)):
                continue  # a pixel changed hands
            slope = (objective(vertices + shift) - objective(vertices - shift)) / (2 * step)
            torch.testing.assert_close(gradient[0, vertex, axis], slope, rtol=1e-4, atol=1e-4)
            checked += 1
    assert checked > 10
