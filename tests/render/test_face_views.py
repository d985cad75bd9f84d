"""Views of a face in its crop, against the formulas written out in numpy, and the mesh of texels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ball_head import BallHead, random_codes
from slow_rasterizer import rasterize_slowly

from diffusionrig.geometry.camera import project
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.dense_mesh import dense_mesh
from diffusionrig.render.face_views import FaceViews, crop_code, in_texture_space, render_views, texture_fragments

SIZE, TEXELS = 48, 32
LIGHTS = np.array([[-1, 1, 1], [1, 1, 1], [-1, -1, 1], [1, -1, 1], [0, 0, 1]], np.float64)


@pytest.fixture(scope="module")
def head() -> BallHead:
    return BallHead()


def sampled(texture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear (C, N) of (C, h, w) at -1..1 from edge to edge, zero outside."""
    height, width = texture.shape[1:]
    column, row = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    total = np.zeros((len(texture), len(x)))
    for i in (0, 1):
        for j in (0, 1):
            weight = np.where(j, column - left, 1 - column + left) * np.where(i, row - top, 1 - row + top)
            inside = (top + i >= 0) & (top + i < height) & (left + j >= 0) & (left + j < width)
            value = texture[:, np.clip(top + i, 0, height - 1), np.clip(left + j, 0, width - 1)]
            total += weight * inside * value
    return total


def harmonics(normals: np.ndarray) -> np.ndarray:
    """(N, 9) of (N, 3), constants as in the tables of DECA."""
    x, y, z = normals.T
    first, second = 1.0233267079, 0.8580855308
    return np.stack([np.full_like(x, 0.2820947918), first * x, first * y, first * z, second * x * y, second * x * z,
                     second * y * z, 0.4290427654 * (x * x - y * y), 0.2477079561 * (3 * z * z - 1)], 1)


def pictures(head: BallHead, background: str = "input") -> tuple[FaceViews, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(2)
    code = random_codes(2)
    given = {"crops": torch.rand(2, 3, SIZE, SIZE, generator=generator),
             "mask": torch.rand(1, 1, TEXELS, TEXELS, generator=generator),
             "albedo": torch.rand(2, 3, TEXELS, TEXELS, generator=generator),
             "detail": torch.nn.functional.normalize(torch.randn(2, 3, TEXELS, TEXELS, generator=generator), dim=1)}
    views = render_views(head, code, given["crops"], given["albedo"], given["mask"], texture_fragments(head, TEXELS),
                         given["detail"], background)
    return views, given


def test_views_equal_the_formulas(head: BallHead) -> None:
    views, given = pictures(head)
    code = crop_code(random_codes(2))
    vertices = head.vertices(code)
    points = project(vertices, code.camera)
    normals = vertex_normals(vertices, head.faces)
    directions = LIGHTS / np.linalg.norm(LIGHTS, axis=1, keepdims=True)
    for i in range(2):
        moved = points[i] + torch.tensor([0, 0, 10.0])
        face, weights, _ = rasterize_slowly(moved.numpy(), head.faces.numpy(), SIZE, SIZE)
        seen = face >= 0
        corners, weights = head.faces.numpy()[face[seen]], weights[seen].astype(np.float64)
        normal = np.einsum("nk,nkc->nc", weights, normals[i].double().numpy()[corners])
        plane = head.uv.double().numpy() * [2, -2] + [-1, 1]
        x, y = np.einsum("nk,nkc->nc", weights, plane[corners]).T
        crop, albedo, detail = (given[name][i].double().numpy() for name in ("crops", "albedo", "detail"))
        mask = sampled(given["mask"][0].double().numpy(), x, y)
        light = code.light[i].double().numpy()
        grey = 180 / 255 * 1.7 * np.clip(normal @ directions.T, 0, 1).mean(1)
        lit = sampled(albedo, x, y) * (harmonics(normal) @ light).T
        texels = harmonics(detail.reshape(3, -1).T) @ light
        fine = sampled(albedo * texels.T.reshape(3, TEXELS, TEXELS), x, y)
        fine_grey = 180 / 255 * 1.7 * np.clip(sampled(detail, x, y).T @ directions.T, 0, 1).mean(1)
        expected = {"shape": np.zeros((3, SIZE, SIZE)), "overlay": crop.copy(), "overlay_detail": crop.copy(),
                    "shape_detail": np.zeros((3, SIZE, SIZE)), "face": np.zeros((1, SIZE, SIZE))}
        expected["shape"][:, seen] = grey
        expected["shape_detail"][:, seen] = fine_grey
        expected["face"][:, seen] = mask
        expected["overlay"][:, seen] = (1 - mask) * crop[:, seen] + mask * lit
        expected["overlay_detail"][:, seen] = (1 - mask) * crop[:, seen] + mask * fine
        for name, picture in expected.items():
            np.testing.assert_allclose(getattr(views, name)[i].numpy(), picture, atol=2e-5, err_msg=name)


def test_backgrounds(head: BallHead) -> None:
    (over, _), (black, _), (bare, _) = (pictures(head, name) for name in ("input", "black", "none"))
    outside = over.shape.sum(1, keepdim=True).expand(-1, 3, -1, -1) == 0
    assert outside.any()
    assert (black.overlay[outside] == 0).all()
    assert (bare.overlay[outside] == 0).all()
    torch.testing.assert_close(black.overlay, bare.overlay * over.face)


def test_the_texture_of_a_photograph_is_looked_up_where_its_texels_are_seen(head: BallHead) -> None:
    """A photograph whose red and green are the plane's x and y gives back where every texel lies."""
    code = crop_code(random_codes(1))
    ramp = (torch.arange(SIZE) * 2 + 1) / SIZE - 1
    photo = torch.stack([ramp.expand(SIZE, SIZE), ramp[:, None].expand(SIZE, SIZE), torch.ones(SIZE, SIZE)])[None]
    texels = texture_fragments(head, TEXELS)
    views = render_views(head, code, photo, torch.full((1, 3, 4, 4), 0.5), torch.ones(1, 1, 4, 4), texels)
    places = in_texture_space(texels, head, project(head.vertices(code), code.camera))
    inside = (places[:, :2].abs().amax(1) < 1 - 1 / SIZE) & (texels.face >= 0)
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(views.texture[:, :2].movedim(1, -1)[inside], places[:, :2].movedim(1, -1)[inside],
                               atol=1e-5, rtol=0)
    assert views.shape_detail is None
    assert views.overlay_detail is None


def test_the_dense_mesh_lies_on_the_head_and_faces_outwards(head: BallHead) -> None:
    vertices = head.vertices(random_codes(1))[0]
    texels = texture_fragments(head, TEXELS)
    flat = dense_mesh(head, vertices, torch.zeros(TEXELS, TEXELS), texels)
    count = int((texels.face >= 0).sum())
    assert flat.vertices.shape == (count, 3)
    assert flat.faces.min() == 0
    assert flat.faces.max() == count - 1
    places = in_texture_space(texels, head, vertices[None])[0]
    assert torch.equal(flat.vertices, places.permute(2, 1, 0)[(texels.face[0] >= 0).T])
    outward = vertex_normals(flat.vertices[None], flat.faces)[0] * flat.vertices
    assert (outward.sum(1) > 0).float().mean() > 0.98
    assert flat.colours is None


def test_the_dense_mesh_is_moved_and_coloured_texel_by_texel(head: BallHead) -> None:
    vertices = head.vertices(random_codes(1))[0]
    texels = texture_fragments(head, TEXELS)
    displacement, colours = torch.rand(TEXELS, TEXELS) * 0.01, torch.rand(3, TEXELS, TEXELS)
    flat = dense_mesh(head, vertices, torch.zeros(TEXELS, TEXELS), texels)
    moved = dense_mesh(head, vertices, displacement, texels, colours)
    columns = (texels.face[0] >= 0).T
    torch.testing.assert_close((moved.vertices - flat.vertices).norm(dim=1), displacement.T[columns], atol=1e-6, rtol=0)
    assert torch.equal(moved.faces, flat.faces)
    assert moved.colours is not None
    # Column after column: the second vertex lies one row below the first.
    column, row = columns.nonzero()[7]
    assert torch.equal(moved.colours[7], colours[:, row, column])
