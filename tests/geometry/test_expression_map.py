"""ARKit's actions on FLAME: what the map is fitted from, how well it does, and that it can be undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flame_arrays import flame_code, open_flame, open_flame_arrays, random_flame

from diffusionrig.errors import RigError
from diffusionrig.geometry import expression_map as module
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.closest import closest_places
from diffusionrig.geometry.expression_fit import fit_expression_map
from diffusionrig.geometry.expression_map import ExpressionMap, expression_map, map_file_name
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame import Flame
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.geometry.warp import similarity, thin_plate
from diffusionrig.io.array_files import read_array_file, write_array_file


@pytest.fixture(scope="module")
def fitted() -> ExpressionMap:
    return fit_expression_map(open_flame())


@pytest.fixture(autouse=True)
def forget():
    module._KNOWN.clear()


def weights(**values: float) -> torch.Tensor:
    row = torch.zeros(1, 52)
    for name, value in values.items():
        row[0, ARKIT_NAMES.index(name)] = value
    return row


def driven(head: Flame, fitted: ExpressionMap, row: torch.Tensor) -> torch.Tensor:
    code = flame_code(head)
    expression, jaw = fitted.apply(row)
    return head.vertices(code.replace(expression=expression, pose=torch.cat([code.pose[:, :3], jaw], 1)))[0]


def acted(row: torch.Tensor) -> torch.Tensor:
    head = load_head()
    code = FaceCode(shape=torch.zeros(1, head.n_shape), albedo=torch.zeros(1, head.n_albedo), expression=row,
                    pose=torch.zeros(1, 6), camera=torch.zeros(1, 3), light=torch.zeros(1, 9, 3), head=head.name)
    return head.vertices(code)[0]


@pytest.mark.parametrize("row", [weights(jawOpen=0.6), weights(mouthSmileLeft=0.8, mouthSmileRight=0.8), weights(mouthPucker=1),
                                 weights(browInnerUp=1, eyeBlinkLeft=1), weights(jawLeft=1)])
def test_a_head_of_the_same_shapes_makes_the_same_faces(fitted, row):
    moved, wanted = driven(open_flame(), fitted, row), acted(row)
    skin = load_head().regions["face"] > 0.5
    away = (wanted - acted(row * 0))[skin].norm(dim=1)
    assert (moved - wanted)[skin].norm(dim=1).square().mean().sqrt() < 0.2 * away.square().mean().sqrt()


def test_what_is_reported_as_missed_is_what_is_missed(fitted):
    assert fitted.moved[ARKIT_NAMES.index("jawOpen")] > 5e-3
    assert fitted.moved[ARKIT_NAMES.index("tongueOut")] < 1e-4
    assert float((fitted.missed.square().sum() / fitted.moved.square().sum()).sqrt()) < 0.1
    assert (fitted.missed <= fitted.moved * 1.01 + 1e-5).all()


def test_a_head_of_another_size_place_and_mesh_gets_nearly_the_same_map(fitted):
    """Larger, elsewhere, its vertices listed in another order: the map is about the surface, not about the mesh."""
    model, embedding, uv, uv_faces, _ = open_flame_arrays()
    larger = {**model, "v_template": 1.1 * model["v_template"] + [0, 0.02, 0.01], "shapedirs": 1.1 * model["shapedirs"]}
    order = np.random.default_rng(3).permutation(len(model["v_template"]))
    place = np.argsort(order)
    larger = {**larger, "faces": place[larger["faces"]], "J_regressor": larger["J_regressor"][:, order],
              **{name: larger[name][order] for name in ("v_template", "shapedirs", "posedirs", "weights")}}
    other = fit_expression_map(Flame(larger, embedding, uv, uv_faces, name="flame-2020"))
    assert (other.actions - fitted.actions).norm() < 0.2 * fitted.actions.norm()
    assert torch.allclose(other.moved, 1.1 * fitted.moved, rtol=0.05, atol=1e-5)


def test_it_is_linear_and_keeps_sides(fitted):
    first, second = weights(jawOpen=0.5), weights(mouthSmileLeft=1)
    together = fitted.apply(first + 2 * second)
    for both, one, two in zip(together, fitted.apply(first), fitted.apply(second)):
        torch.testing.assert_close(both, one + 2 * two)
    left = (driven(open_flame(), fitted, second) - driven(open_flame(), fitted, second * 0)).norm(dim=1)
    x = open_flame().v_template[:, 0]
    assert left[x > 0.01].max() > 3 * left[x < -0.01].max()


@pytest.mark.parametrize("row", [weights(jawOpen=0.6), weights(mouthSmileLeft=0.7, mouthSmileRight=0.4, browInnerUp=0.5)])
def test_weights_are_found_again(fitted, row):
    found = fitted.weights(*fitted.apply(row))
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found - row).abs().max() < 0.2
    assert found.dtype == row.dtype
    assert torch.equal(fitted.weights(torch.zeros(2, 50), torch.zeros(2, 3)), torch.zeros(2, 52))


def test_the_file_is_used_where_it_fits_and_told_where_it_is_none(fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))
    head = open_flame()
    path = tmp_path / map_file_name(head)
    marked = ExpressionMap(fitted.actions * 0 + 1, fitted.metric, fitted.moved, fitted.missed, head.hash)
    write_array_file(path, marked.arrays())
    assert torch.equal(expression_map(head).actions, marked.actions)
    assert expression_map(head) is expression_map(head)
    again = ExpressionMap.from_arrays(read_array_file(path), "map")
    assert torch.equal(again.metric, fitted.metric)

    module._KNOWN.clear()
    write_array_file(path, {**marked.arrays(), "head": np.array("another edition")})
    assert torch.equal(expression_map(head).actions, fitted.actions)  # fitted anew

    module._KNOWN.clear()
    write_array_file(path, {"actions": np.zeros((3, 4))})
    with pytest.raises(RigError, match=r"is no expression map; delete it, or make it again"):
        expression_map(head)


def test_heads_that_are_nothing_alike_are_told():
    with pytest.raises(RigError, match="expressions cannot be matched"):
        fit_expression_map(Flame(*random_flame()[:4], name="flame-2020"))
    with pytest.raises(RigError, match="does not have the 52 actions"):
        fit_expression_map(open_flame(), guide=open_flame())


def test_closest_places_against_a_dense_sampling_of_all_triangles():
    draw = np.random.default_rng(0)
    head = load_head()
    vertices, faces = head.v_template.double(), head.faces[head.regions["eyes"][head.faces].amax(1) < 0.5]
    cheek = ((head.regions["face"] > 0.5) & (head.regions["lips"] < 0.5)).nonzero()[:, 0].numpy()
    points = vertices[draw.choice(cheek, 40)] + 0.002 * torch.from_numpy(draw.standard_normal((40, 3)))
    face, bary, distance = closest_places(points, vertices, faces)
    assert bary.min() >= -1e-12
    torch.testing.assert_close(bary.sum(1), torch.ones(40).double())
    torch.testing.assert_close(((bary[..., None] * vertices[faces[face]]).sum(1) - points).norm(dim=1), distance)
    grid = torch.tensor([[i, j, 20 - i - j] for i in range(21) for j in range(21 - i)]).double() / 20
    for point, found in zip(points, distance):
        near = (vertices[faces].mean(1) - point).norm(dim=1).topk(60, largest=False).indices
        sampled = (torch.einsum("gk,fkc->fgc", grid, vertices[faces[near]]) - point).norm(dim=-1).min()
        assert sampled - 2e-4 < found < sampled + 1e-9


def test_similarity_and_spline_take_landmarks_where_they_belong():
    draw = torch.Generator().manual_seed(2)
    source = torch.randn(12, 3, generator=draw).double()
    turn = axis_angle_to_matrix(torch.tensor([0.3, -0.2, 0.5]).double())
    target = 1.3 * source @ turn.T + torch.tensor([0.1, 0.2, 0.3]).double()
    found = similarity(source, target)
    torch.testing.assert_close(found.points(source), target)
    torch.testing.assert_close(found.vectors(source[1:] - source[:1]), target[1:] - target[:1])
    none = torch.zeros(12).double()
    elsewhere = torch.randn(5, 3, generator=draw).double()
    torch.testing.assert_close(thin_plate(source, target, none, elsewhere), found.points(elsewhere))  # affine: no bending
    bent = target + 0.1 * torch.randn(12, 3, generator=draw).double()
    torch.testing.assert_close(thin_plate(source, bent, none, source), bent)
    loose = thin_plate(source, bent, none + 1e6, source)
    assert (loose - target).norm() < (bent - target).norm()
