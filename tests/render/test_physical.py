import importlib.util
import subprocess
import sys

import pytest
import torch
from ball_head import BallHead, random_codes, sphere
from slow_rasterizer import rasterize_slowly
from torch.nn.functional import grid_sample

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import placed_vertices, rasterize_points, render_buffers
from diffusionrig.render.preview import render_shape
from diffusionrig.render.rasterizer import rasterize
from diffusionrig.render.shading import sh_basis

FIELDS = ("rendered", "normal", "albedo", "alpha")


@pytest.fixture(scope="module")
def head() -> BallHead:
    return BallHead()


def assert_equal(a: PhysicalBuffers, b: PhysicalBuffers) -> None:
    for name in FIELDS:
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_the_ball_is_a_head(head):
    assert isinstance(head, HeadModel)


@pytest.mark.parametrize("size", [32, (30, 44)])
def test_buffers_equal_the_published_recipe_step_by_step(head, size):
    code = random_codes(2)
    height, width = (size, size) if isinstance(size, int) else size
    buffers = render_buffers(head, code, size)
    vertices = head.vertices(code)
    points = image_points(vertices, code)
    points[..., 2] += 10
    normals, textures = vertex_normals(vertices, head.faces), head.texture(code.albedo)
    for i in range(2):
        face, weights, _ = rasterize_slowly(points[i].numpy(), head.faces.numpy(), height, width)
        seen, weights = torch.from_numpy(face) >= 0, torch.from_numpy(weights)
        corners = head.faces[torch.from_numpy(face)]
        normal = ((weights[..., None] * normals[i][corners]).sum(2)) * seen[..., None]
        plane = head.uv * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0])
        grid = (weights[..., None] * plane[corners]).sum(2) * seen[..., None]
        albedo = grid_sample(textures[i:i + 1], grid[None], align_corners=False)[0] * seen
        shading = torch.einsum("hwk,kc->chw", sh_basis(normal), code.light[i])
        assert seen.any()
        assert not seen.all()
        assert torch.equal(buffers.alpha[i, 0], seen.float())
        torch.testing.assert_close(buffers.normal[i], normal.movedim(-1, 0), rtol=0, atol=3e-7)
        torch.testing.assert_close(buffers.albedo[i], albedo, rtol=0, atol=3e-6)
        torch.testing.assert_close(buffers.rendered[i], albedo * shading, rtol=0, atol=5e-6)


def test_outside_the_head_everything_is_exactly_zero_and_inside_nothing_is_clamped(head):
    code = random_codes(3)
    code = code.replace(light=code.light * 3 - 4)
    buffers = render_buffers(head, code, 48)
    empty = buffers.alpha == 0
    assert set(buffers.alpha.unique().tolist()) == {0.0, 1.0}
    assert buffers.stack().shape == (3, 9, 48, 48)
    assert (buffers.stack()[empty.expand(-1, 9, -1, -1)] == 0).all()
    assert buffers.rendered.min() < -0.1
    assert buffers.rendered.max() > 1.1
    lengths = buffers.normal.norm(dim=1, keepdim=True)[~empty]
    assert 0.9 < lengths.min() < 0.999  # interpolated, not renormalised
    assert lengths.max() < 1.0001


def test_normals_face_the_viewer_and_live_in_the_head_frame(head):
    code = random_codes(1).replace(pose=torch.zeros(1, 6))
    normal = render_buffers(head, code, 64).normal[0]
    assert normal[2].min() > -0.2  # z out of the face
    row, column = (normal[1] == normal[1].max()).nonzero()[0].tolist()
    assert row < 32  # y up
    assert normal[0, :, 40:].sum() > 0 > normal[0, :, :24].sum()  # x to the right of the image
    assert column < 64


def test_a_batch_is_its_faces_one_by_one_and_rendering_again_changes_nothing(head):
    code = random_codes(3)
    before = {name: tensor.clone() for name, tensor in code.tensors().items()}
    rest = head.rest.clone()
    centre = torch.randn(3, 3) * 0.01
    size = (33, 41)  # odd, so that vectorised loops have remainders
    together = render_buffers(head, code, size, centre)
    assert_equal(render_buffers(head, code, size, centre), together)
    for i in range(3):
        assert_equal(render_buffers(head, code[i], size, centre[i:i + 1]), together[i])
    assert all(torch.equal(before[name], tensor) for name, tensor in code.tensors().items())
    assert torch.equal(head.rest, rest)


def test_rasterising_leaves_the_points_it_was_given_alone(head):
    points = image_points(head.vertices(random_codes(1)), random_codes(1))
    before = points.clone()
    first, second = (rasterize_points(points, head.faces, 24) for _ in range(2))
    assert torch.equal(points, before)
    assert torch.equal(first.depth, second.depth)
    assert 9 < first.depth[first.face >= 0].min() < 11


def test_gradients_do_not_change_the_image(head):
    code = random_codes(2)
    with torch.no_grad():
        plain = render_buffers(head, code, 32)
    code.camera.requires_grad_()
    tracked = render_buffers(head, code, 32)
    assert tracked.rendered.requires_grad
    assert_equal(PhysicalBuffers(*(getattr(tracked, name).detach() for name in FIELDS)), plain)


def test_centre_brings_the_heads_own_centre_to_the_given_place(head):
    code = random_codes(3)
    still = ffhq_centre(head.landmarks(head.vertices(code), code))
    edited = code.replace(pose=code.pose + 0.3)
    vertices, points = placed_vertices(head, edited, still)
    torch.testing.assert_close(ffhq_centre(head.landmarks(vertices, edited)), still, rtol=0, atol=1e-7)
    torch.testing.assert_close(points, image_points(vertices, edited))
    moved = head.vertices(edited)
    assert torch.allclose(vertices - moved, (vertices - moved)[:, :1], atol=1e-7)
    assert (vertices - moved).abs().amax((1, 2)).min() > 1e-4
    unedited = placed_vertices(head, code, still)[0]
    torch.testing.assert_close(unedited, head.vertices(code), rtol=0, atol=1e-7)


def test_the_image_shows_the_frame_at_any_size(head):
    code = random_codes(2)
    small, large = render_buffers(head, code, 32), render_buffers(head, code, 128)
    shrunk = torch.nn.functional.avg_pool2d(large.alpha, 4)
    assert (shrunk - small.alpha).abs().mean() < 0.02
    left = render_buffers(head, code.replace(crop=code.crop + torch.tensor([[0, 0, 20.0], [0, 0, 0], [0, 0, 0]])), 128)
    columns = torch.arange(128.0)
    centre = [(b.alpha.sum((1, 2)) * columns).sum(-1) / b.alpha.sum((1, 2, 3)) for b in (left, large)]
    shift = 20 / code.crop[:, 0, 0] / 256 * 128
    torch.testing.assert_close(centre[1] - centre[0], shift, rtol=0, atol=0.1)


def test_gradients_match_finite_differences(head):
    """In float64, for every kind of number a fit moves, on the pixels that keep their face."""
    double = BallHead(8, 10).double()
    code = random_codes(1, seed=4, dtype=torch.float64)
    names = ("shape", "albedo", "expression", "pose", "camera", "light")
    # Cubic in the image so that it is no accident of symmetry; smooth texture so that texel borders do not matter.
    ramp = torch.linspace(0.2, 0.8, 256, dtype=torch.float64)
    double.pattern = torch.stack([ramp.expand(256, 256), ramp[:, None].expand(256, 256), ramp.flip(0).expand(256, 256)])
    code = code.replace(**{name: getattr(code, name).requires_grad_() for name in names})

    def faces(values):
        _, points = placed_vertices(double, values)
        return rasterize_points(points, double.faces, 16).face

    def objective(values):
        buffers = render_buffers(double, values, 16)
        return (buffers.rendered ** 3).sum() + (buffers.normal ** 3).sum() + (buffers.albedo ** 3).sum()

    gradients = torch.autograd.grad(objective(code), [getattr(code, name) for name in names])
    code = code.replace(**{name: getattr(code, name).detach() for name in names})
    reference, step = faces(code), 1e-6
    for name, gradient in zip(names, gradients):
        checked = 0
        for index in range(0, getattr(code, name).numel(), 4 if name == "light" else 1):
            values = [getattr(code, name).clone() for _ in range(2)]
            for value, sign in zip(values, (1, -1)):
                value.view(-1)[index] += sign * step
            above, below = (code.replace(**{name: value}) for value in values)
            if not (torch.equal(faces(above), reference) and torch.equal(faces(below), reference)):
                continue
            slope = (objective(above) - objective(below)) / (2 * step)
            torch.testing.assert_close(gradient.view(-1)[index], slope, rtol=1e-4, atol=1e-5)
            checked += 1
        assert checked > 0, name


def test_interpolation_reproduces_a_linear_function_and_shared_attributes():
    points, faces, _ = sphere(16, 20)
    vertices = torch.stack([points * 0.8, points * 0.6]) + torch.tensor([0.0, 0, 5])
    fragments = rasterize(vertices, faces, 20, 26)
    values = interpolate(fragments, faces, vertices)
    seen = fragments.face >= 0
    x = ((torch.arange(26) * 2 + 1) / 26 - 1).expand(2, 20, 26)
    y = ((torch.arange(20) * 2 + 1) / 20 - 1)[:, None].expand(2, 20, 26)
    torch.testing.assert_close(values[:, 0][seen], x[seen], rtol=0, atol=1e-4)
    torch.testing.assert_close(values[:, 1][seen], y[seen], rtol=0, atol=1e-4)
    torch.testing.assert_close(values[:, 2][seen], fragments.depth[seen])
    assert (values.movedim(1, -1)[~seen] == 0).all()
    shared = interpolate(fragments, faces, points[:, :2])
    assert torch.equal(shared, interpolate(fragments, faces, points[:, :2].expand(2, -1, -1)))


def test_preview_is_grey_lit_and_laid_over_the_background(head):
    code = random_codes(2)
    background = torch.rand(2, 3, 40, 40)
    alpha = render_buffers(head, code, 40).alpha.bool().expand(-1, 3, -1, -1)
    image = render_shape(head, code, 40, background=background)
    assert torch.equal(image[~alpha], background[~alpha])
    assert (image[:, 0] == image[:, 1])[alpha[:, 0]].all()
    plain = render_shape(head, code, 40)
    assert torch.equal(plain[alpha], image[alpha])
    assert (plain[~alpha] == 0).all()
    front = plain[alpha].max()
    # Facing the viewer, each of the four side lights meets the surface at 1/sqrt(3).
    assert front == pytest.approx(180 / 255 * 1.7 / 5 * (1 + 4 / 3 ** 0.5), abs=0.05)


def test_a_code_of_another_head_is_refused(head):
    with pytest.raises(RigError, match="'flame' cannot be rendered with 'ball'"):
        render_buffers(head, random_codes(1).replace(head="flame"), 16)


def test_unknown_rasterizers_are_refused(head):
    with pytest.raises(UsageError, match="choose from torch, pytorch3d"):
        render_buffers(head, random_codes(1), 16, rasterizer="opengl")


HAS_PYTORCH3D = importlib.util.find_spec("pytorch3d") is not None


@pytest.mark.skipif(HAS_PYTORCH3D, reason="pytorch3d is installed")
def test_without_pytorch3d_asking_for_it_gives_a_sentence(head):
    with pytest.raises(UsageError, match="needs the package pytorch3d"):
        render_buffers(head, random_codes(1), 16, rasterizer="pytorch3d")


@pytest.mark.skipif(not HAS_PYTORCH3D, reason="pytorch3d is not installed")
@pytest.mark.parametrize("size", [48, (40, 64), (64, 40)])
def test_pytorch3d_agrees_to_the_last_bit(head, size):
    code = random_codes(2)
    points = placed_vertices(head, code)[1]
    ours, theirs = (rasterize_points(points, head.faces, size, name) for name in ("torch", "pytorch3d"))
    for name in ("face", "barycentric", "depth"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert_equal(render_buffers(head, code, size), render_buffers(head, code, size, rasterizer="pytorch3d"))


def test_importing_the_renderer_does_not_import_pytorch3d():
    code = "import sys, diffusionrig.render.physical, diffusionrig.render.preview; sys.exit('pytorch3d' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
