"""FLAME against its formulas, evaluated here one vertex at a time in NumPy's double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flame_arrays import flame_code, random_flame

from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame import Flame
from diffusionrig.geometry.head import HeadModel

PARENTS = (-1, 0, 1, 1, 1)


def rodrigues(vector):
    angle = np.sqrt(((vector + 1e-8) ** 2).sum())
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def posed(model, shape, expression, pose, eyes):
    """Section by section: blend shapes, joints, rotations, correctives, chain, skinning."""
    v = model["v_template"] + model["shapedirs"][..., :100] @ shape + model["shapedirs"][..., 300:350] @ expression
    joints = model["J_regressor"] @ v
    angles = [pose[:3], np.zeros(3), pose[3:], eyes[:3], eyes[3:]]
    turns = [rodrigues(angle) for angle in angles]
    feature = np.concatenate([(turn - np.eye(3)).reshape(-1) for turn in turns[1:]])
    v = v + (model["posedirs"].reshape(-1, 36) @ feature).reshape(-1, 3)
    chain = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        chain.append(local if parent < 0 else chain[parent] @ local)
    for joint in range(5):
        chain[joint] = chain[joint].copy()
        chain[joint][:3, 3] -= chain[joint][:3, :3] @ joints[joint]
    out = np.empty_like(v)
    for i, point in enumerate(v):
        blend = sum(w * g for w, g in zip(model["weights"][i], chain))
        out[i] = blend[:3, :3] @ point + blend[:3, 3]
    return out


def landmark(vertices, faces, face, bary):
    return np.stack([sum(b * vertices[c] for b, c in zip(weights, faces[index])) for index, weights in zip(face, bary)])


def row_of(pose):
    turn = rodrigues(pose[:3])
    yaw = np.degrees(np.arctan2(-turn[2, 0], np.sqrt(turn[0, 0] ** 2 + turn[1, 0] ** 2)))
    yaw = round(min(yaw, 39.0))  # Python rounds halves to even
    return yaw if yaw >= 0 else (39 - yaw if yaw >= -39 else 78)


@pytest.fixture(scope="module")
def arrays():
    return random_flame()


def build(arrays, **changes):
    model, embedding, uv, uv_faces, texture = arrays
    return Flame(model, embedding, uv, uv_faces, texture, **{"name": "flame-2020", **changes})


@pytest.fixture(scope="module")
def exact(arrays):
    return build(arrays, dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-6)])
def test_vertices_and_landmarks_are_those_of_the_formulas(arrays, dtype, tolerance):
    model, embedding, *_ = arrays
    head = build(arrays, dtype=dtype)
    code = flame_code(head, 6, seed=1, dtype=torch.float64)
    code.pose[0], code.eyes[0] = 0, 0  # no rotation at all
    code.pose[1, :3] = torch.tensor([0.0, -1.2, 0.1])  # beyond the table
    vertices = head.vertices(code.to(dtype=dtype))
    landmarks, full = head.landmarks(vertices, code.to(dtype=dtype)), head.full_landmarks(vertices)
    for i in range(len(code)):
        parts = (code.shape[i].numpy(), code.expression[i].numpy(), code.pose[i].numpy(), code.eyes[i].numpy())
        expected = posed(model, *parts)
        row = row_of(parts[2])
        contour = landmark(expected, model["faces"], embedding["dynamic_faces"][row], embedding["dynamic_bary"][row])
        inner = landmark(expected, model["faces"], embedding["static_faces"], embedding["static_bary"])
        whole = landmark(expected, model["faces"], embedding["full_faces"], embedding["full_bary"])
        for found, wanted in ((vertices[i], expected), (landmarks[i], np.concatenate([contour, inner])), (full[i], whole)):
            assert np.abs(found.double().numpy() - wanted).max() < tolerance


def test_zeros_give_the_template_and_full_ends_in_static(arrays, exact):
    code = flame_code(exact, 1, dtype=torch.float64)
    vertices = exact.vertices(code)
    assert np.abs(vertices[0].numpy() - arrays[0]["v_template"]).max() < 1e-14
    assert torch.equal(exact.full_landmarks(vertices)[:, 17:], exact.landmarks(vertices, code)[:, 17:])


def test_turning_the_head_turns_about_the_root_and_the_neck_is_still(arrays, exact):
    code = flame_code(exact, 1, seed=3, dtype=torch.float64)
    still = exact.vertices(code.replace(pose=torch.cat([code.pose[:, :3] * 0, code.pose[:, 3:]], 1)))[0].numpy()
    shaped = (arrays[0]["v_template"] + arrays[0]["shapedirs"][..., :100] @ code.shape[0].numpy()
              + arrays[0]["shapedirs"][..., 300:350] @ code.expression[0].numpy())
    root = arrays[0]["J_regressor"][0] @ shaped
    turn = rodrigues(code.pose[0, :3].numpy())
    assert np.abs(exact.vertices(code)[0].numpy() - ((still - root) @ turn.T + root)).max() < 1e-9


@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_flow_even_from_the_neutral_pose(arrays, batch):
    head = build(arrays)
    code = flame_code(head, batch)
    pose = code.pose.clone().requires_grad_()
    head.vertices(code.replace(pose=pose)).square().sum().backward()
    assert torch.isfinite(pose.grad).all()
    assert (pose.grad.abs().sum(0) > 0).all()


def test_the_texture_model_is_read_as_published(arrays, exact):
    space, draw = arrays[4], np.random.default_rng(5)
    code = draw.standard_normal((2, 50))
    expected = space["mean"].astype(float) + space["tex_dir"].astype(float)[..., :50] @ code[1]
    expected = (expected / 255)[::2, ::2, ::-1].transpose(2, 0, 1)
    found = exact.texture(torch.from_numpy(code))
    assert found.shape == (2, 3, 256, 256)
    assert np.abs(found[1].numpy() - expected).max() < 2e-6
    assert found.max() > 1  # nothing is clamped


def test_the_basel_albedo_is_read_as_published(arrays):
    draw = np.random.default_rng(6)
    space = {"MU": draw.random(786432), "PC": 0.02 * draw.standard_normal((786432, 50), np.float32)}
    head = Flame(*arrays[:4], space, name="flame-2020", dtype=torch.float64)
    code = draw.standard_normal((1, 50))
    expected = (space["MU"] + space["PC"].astype(float) @ code[0]).reshape(512, 512, 3)[::2, ::2, ::-1].transpose(2, 0, 1)
    assert np.abs(head.texture(torch.from_numpy(code))[0].numpy() - expected).max() < 2e-6


def test_without_an_albedo_space_the_head_is_grey(arrays):
    head = Flame(*arrays[:4], name="flame-2020")
    assert (head.texture(torch.randn(2, 50)) == 0.5).all()


def test_it_is_a_head_model(arrays):
    head = build(arrays, name="flame-2023")
    assert isinstance(head, HeadModel)
    assert (head.name, head.n_shape, head.n_expression, head.n_albedo) == ("flame-2023", 100, 50, 50)
    assert head.expression_names[:2] + head.expression_names[-1:] == ("exp000", "exp001", "exp049")
    assert head.faces.dtype == head.uv_faces.dtype == torch.int64
    assert head.v_template.dtype == torch.float32


def test_regions_come_from_the_skinning_and_from_masks(arrays):
    model, _, uv, uv_faces, _ = arrays
    mask = np.zeros((64, 64))
    mask[:, :32] = 1  # u below a half
    head = Flame(*arrays[:4], name="flame-2020", masks={"face": mask})
    assert np.allclose(head.regions["eyes"].numpy(), model["weights"][:, 3:].sum(1))
    expected = np.zeros(len(model["v_template"]))
    for vertex, corner in zip(model["faces"].reshape(-1), uv_faces.reshape(-1)):
        expected[vertex] = max(expected[vertex], uv[corner, 0] < 0.5)
    assert np.array_equal(head.regions["face"].numpy(), expected)


def test_the_hash_knows_the_edition_whatever_its_precision(arrays):
    model, embedding, uv, uv_faces, texture = arrays
    head = build(arrays)
    assert build(arrays, dtype=torch.float64).hash == head.hash
    assert build(arrays, masks={"face": np.ones((8, 8))}).hash == head.hash
    assert Flame(model, embedding, uv, uv_faces, None, name="flame-2020").hash != head.hash
    other = {**model, "v_template": model["v_template"] + 1e-4}
    assert Flame(other, embedding, uv, uv_faces, texture, name="flame-2020").hash != head.hash


@pytest.mark.parametrize(("part", "name", "change", "told"), [
    (0, "shapedirs", lambda a: a[..., :320], "shapedirs has the shape"),
    (0, "weights", lambda a: a[:, :4], "weights has the shape"),
    (0, "parents", lambda a: a * 0, "joints hang on"),
    (0, "faces", lambda a: a[:-1], "triangles, its texture coordinates"),
    (0, "faces", lambda a: a + 7, "vertices that are not there"),
    (1, "dynamic_bary", lambda a: a[:78], "dynamic landmarks have the shapes"),
    (1, "static_faces", lambda a: a + 500, "triangles that are not there"),
    (0, "posedirs", None, "it lacks 'posedirs'"),
    (4, "tex_dir", lambda a: a[..., :20], "at least 50 components"),
    (4, "tex_dir", None, "instead of mean and tex_dir"),
])
def test_files_that_do_not_go_together_are_told_in_a_sentence(arrays, part, name, change, told):
    parts = list(arrays)
    changed = {key: value for key, value in parts[part].items() if key != name or change}
    if change:
        changed[name] = change(changed[name])
    parts[part] = changed
    with pytest.raises(RigError, match="flame-2020") as raised:
        Flame(*parts, name="flame-2020")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_wrong_codes_are_told_in_a_sentence(exact):
    code = flame_code(exact, 1, dtype=torch.float64)
    with pytest.raises(RigError, match="'open-head-1' cannot drive 'flame-2020'"):
        exact.vertices(code.replace(head="open-head-1"))
    with pytest.raises(RigError, match="50 expression coefficients, not 52"):
        exact.vertices(code.replace(expression=torch.zeros(1, 52)))
    with pytest.raises(RigError, match="50 albedo coefficients, not 20"):
        exact.texture(torch.zeros(1, 20))
    assert isinstance(code, FaceCode)
