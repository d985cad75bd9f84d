"""The stand-ins are heads: closed, turned outwards, in FLAME's size and place, with landmarks where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from standins.flame_arrays import flame_arrays
from standins.flame_files import embedding_arrays
from standins.mesh import Mesh, make_mesh


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return make_mesh()


@pytest.fixture(scope="module")
def arrays(mesh: Mesh) -> dict[str, np.ndarray]:
    return flame_arrays(mesh)


def test_the_topology_has_flames_sizes(mesh: Mesh) -> None:
    assert (len(mesh.vertices), len(mesh.faces), len(mesh.uv)) == (5023, 9976, 5118)
    assert np.array_equal(np.unique(mesh.faces), np.arange(5023))
    assert np.array_equal(np.unique(mesh.uv_faces), np.arange(5118))
    assert mesh.uv.min() > 0
    assert mesh.uv.max() < 1
    pairs = np.unique(np.stack([mesh.faces.ravel(), mesh.uv_faces.ravel()], 1), axis=0)
    assert len(pairs) == 5118


def test_it_is_one_surface_turned_outwards(mesh: Mesh) -> None:
    directed = np.concatenate([mesh.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    assert len(np.unique(directed, axis=0)) == len(directed)  # neighbours agree about their side
    _, counts = np.unique(np.sort(directed, 1), axis=0, return_counts=True)
    assert set(counts.tolist()) == {1, 2}
    assert (counts == 1).sum() == 60  # the neck
    corners = mesh.vertices[mesh.faces]
    volume = np.einsum("ni,ni->", np.cross(corners[:, 0], corners[:, 1]), corners[:, 2]) / 6
    assert 0.002 < volume < 0.008


def test_it_lies_where_flame_lies(mesh: Mesh, arrays: dict[str, np.ndarray]) -> None:
    assert np.allclose(mesh.vertices.max(0), [0.1005, 0.13, 0.077], atol=2e-3)
    assert np.allclose(arrays["J_regressor"].sum(1), 1)
    joints = arrays["J_regressor"] @ arrays["v_template"]
    assert np.allclose(joints, arrays["J"], atol=1e-9)
    assert np.allclose(joints[0], [0, -0.149, -0.082])
    assert joints[3, 0] > 0.02 > -0.02 > joints[4, 0]
    assert np.allclose(arrays["weights"].sum(1), 1)
    assert (arrays["weights"] >= 0).all()
    eyes = arrays["weights"][:, 3:] > 0.5
    assert mesh.vertices[eyes[:, 0]][:, 0].min() > 0
    assert mesh.vertices[eyes[:, 1]][:, 0].max() < 0


def test_directions_are_small_and_there(arrays: dict[str, np.ndarray]) -> None:
    rms = np.sqrt((arrays["shapedirs"] ** 2).sum(1).mean(0))
    assert rms.min() > 2e-5
    assert rms.max() < 0.01
    assert np.sqrt((arrays["posedirs"] ** 2).sum(1).mean(0)).max() < 3e-3
    assert not arrays["posedirs"][arrays["weights"][:, 0] == 1].any()


def test_landmarks_are_those_of_a_face(mesh: Mesh) -> None:
    tables = embedding_arrays(mesh)

    def points(name: str) -> np.ndarray:
        corners = mesh.vertices[mesh.faces[tables[f"{name}_lmk_faces_idx"]]]
        return (corners * tables[f"{name}_lmk_bary_coords"][..., None]).sum(-2)

    full = points("full")[0]
    assert np.allclose(full[17:], points("static"), atol=1e-7)
    assert full[0, 0] < -0.06 < 0.06 < full[16, 0]  # 0 is the subject's right
    assert full[8, 1] < full[57, 1] < full[51, 1] < full[33, 1] < full[27, 1]  # chin, lips, nose, between the eyes
    assert full[30, 2] > 0.07
    assert full[[36, 39, 42, 45], 0].tolist() == sorted(full[[36, 39, 42, 45], 0])
    assert np.abs(full[48] * [-1, 1, 1] - full[54]).max() < 2e-3
    contour = points("dynamic")
    assert np.abs(contour[0] - full[:17]).max() < 0.02
    # Turned towards +x the contour of that side runs over the cheek; turned away, that of the other side.
    assert contour[39, 13, 0] < contour[0, 13, 0] - 5e-3
    assert contour[78, 3, 0] > contour[0, 3, 0] + 5e-3


def test_the_same_seed_gives_the_same_head(mesh: Mesh, arrays: dict[str, np.ndarray]) -> None:
    again, other = flame_arrays(mesh), flame_arrays(mesh, seed=1)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    assert np.array_equal(arrays["v_template"], other["v_template"])
    assert not np.array_equal(arrays["shapedirs"], other["shapedirs"])
