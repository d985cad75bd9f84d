import torch

from diffusionrig.geometry.mesh import NORMAL_FLOOR, vertex_normals


def cube_corner():
    """Three faces of very different area around vertex 0."""
    points = torch.tensor([[0.0, 0, 0], [4, 0, 0], [0, 2, 0], [0, 0, 1]])
    return points, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2]])


def test_larger_faces_weigh_more():
    points, faces = cube_corner()
    normals = vertex_normals(points[None], faces)[0]
    torch.testing.assert_close(normals[0], -torch.tensor([2.0, 4, 8]) / 84 ** 0.5)  # doubled areas: x 2, y 4, z 8


def test_rotating_the_mesh_rotates_the_normals_and_scaling_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 30, 3, generator=generator, dtype=torch.float64)
    faces = torch.randint(0, 30, (50, 3), generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    turn = turn * torch.linalg.det(turn)
    normals = vertex_normals(points, faces)
    torch.testing.assert_close(vertex_normals(3 * points @ turn, faces), normals @ turn)


def test_three_faces_are_no_special_case():
    points, faces = cube_corner()
    more = torch.cat([faces, torch.tensor([[0, 0, 0]])])
    torch.testing.assert_close(vertex_normals(points[None], faces), vertex_normals(points[None], more))


def test_normals_are_unit_length_unless_the_faces_are_minute():
    points, faces = cube_corner()
    torch.testing.assert_close(vertex_normals(points[None], faces).norm(dim=-1), torch.ones(1, 4))
    small = 1e-4 * points
    lengths = vertex_normals(small[None], faces)[0].norm(dim=-1)
    torch.testing.assert_close(lengths[0], torch.tensor(1e-8 * 84 ** 0.5 / NORMAL_FLOOR))
    assert vertex_normals(torch.ones(1, 4, 3), faces).abs().max() == 0


def test_batches_and_gradients():
    points, faces = cube_corner()
    batch = torch.stack([points, points.flip(0), 2 * points + 1]).double()
    together = vertex_normals(batch, faces)
    assert torch.equal(together, torch.cat([vertex_normals(batch[i:i + 1], faces) for i in range(3)]))
    assert torch.autograd.gradcheck(lambda p: vertex_normals(p, faces), batch.requires_grad_())
    collapsed = torch.zeros(1, 4, 3, requires_grad=True)
    vertex_normals(collapsed, faces).sum().backward()
    assert collapsed.grad.isfinite().all()
