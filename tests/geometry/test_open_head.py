"""The open head: numbers and properties that must hold for any bake of it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame_landmarks import contour_row
from diffusionrig.geometry.hashing import arrays_hash
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import head_names, load_head
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.geometry.open_head import OpenHead
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.io.assets import read_asset
from diffusionrig.io.npz import read_arrays


@pytest.fixture(scope="module")
def arrays():
    return read_arrays(read_asset("open_head.npz"), "assets/open_head.npz")


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def exact():
    head = copy.deepcopy(load_head()).double()
    head.weights /= head.weights.sum(1, keepdim=True)
    return head


def make_code(head, batch=1, dtype=torch.float32, **changes):
    zeros = {"shape": head.n_shape, "albedo": head.n_albedo, "expression": head.n_expression, "pose": 6, "camera": 3}
    fields = {name: torch.zeros(batch, size, dtype=dtype) for name, size in zeros.items()}
    return FaceCode(**{**fields, "light": torch.zeros(batch, 9, 3, dtype=dtype), **changes}, head=head.name)


def acting(head, **weights):
    code = make_code(head)
    for name, weight in weights.items():
        code.expression[0, head.expression_names.index(name)] = weight
    return head.vertices(code)[0]


def points(head, **weights):
    vertices = acting(head, **weights)[None]
    return head.landmarks(vertices, make_code(head))[0]


def random_code(head, batch, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(*size, generator=draw, dtype=torch.float64).to(dtype)

    return make_code(head, batch, dtype, shape=normal(batch, head.n_shape), expression=normal(batch, 52).abs() * 0.3,
                     pose=normal(batch, 6) * 0.3, eyes=normal(batch, 6) * 0.2, albedo=normal(batch, head.n_albedo))


def test_is_a_head_model_with_the_promised_sizes(head):
    assert isinstance(head, HeadModel)
    assert head.name == "open-head-1"
    assert (head.n_shape, head.n_expression) == (100, 52)
    assert 10 <= head.n_albedo <= 20
    assert head.expression_names == ARKIT_NAMES
    assert list(ARKIT_NAMES) == sorted(ARKIT_NAMES, key=str.lower)
    assert len(set(ARKIT_NAMES)) == 52
    assert head.meta["licence"].startswith("CC0")


def test_zero_code_gives_the_template(head):
    assert torch.allclose(head.vertices(make_code(head))[0], head.v_template, atol=1e-7)


def test_is_a_human_head_in_metres(head):
    low, high = head.v_template.min(0).values, head.v_template.max(0).values
    width, height, depth = (high - low).tolist()
    assert 0.14 < width < 0.2
    assert 0.2 < height < 0.32
    assert 0.18 < depth < 0.26
    eyes = head.joints_template[3:]
    assert torch.allclose(eyes.mean(0), torch.zeros(3), atol=1e-6)
    assert 0.058 < (eyes[0] - eyes[1])[0] < 0.068
    nose = points(head)[30]
    assert nose[2] == points(head)[:, 2].max()


def test_faces_are_wound_outward(head):
    normals = vertex_normals(head.v_template[None], head.faces)[0]
    outward = head.v_template - torch.tensor([0.0, 0.0, -0.07])
    scalp = head.regions["scalp"] > 0.9
    assert ((normals * outward).sum(1)[scalp] > 0).all()


def test_identity_and_expression_are_linear(exact):
    one, other = random_code(exact, 1, 1, torch.float64), random_code(exact, 1, 2, torch.float64)
    still = torch.zeros(1, 6, dtype=torch.float64)

    def shaped(shape, expression):
        return exact.vertices(make_code(exact, 1, torch.float64, shape=shape, expression=expression, pose=still))

    base = shaped(one.shape * 0, one.expression * 0)
    together = shaped(one.shape - 2 * other.shape, 3 * one.expression - other.expression)
    parts = (shaped(one.shape, one.expression * 0) - 2 * shaped(other.shape, one.expression * 0)
             + 3 * shaped(one.shape * 0, one.expression) - shaped(one.shape * 0, other.expression) - base * 1 + base)
    assert torch.allclose(together, parts, atol=1e-12)


def test_head_rotation_is_rigid_about_the_root(exact):
    code = random_code(exact, 3, 4, torch.float64)
    still = code.replace(pose=torch.cat([torch.zeros(3, 3, dtype=torch.float64), code.pose[:, 3:]], 1))
    coefficients = torch.cat([code.shape, code.expression], 1)
    root = exact.joints_template[0] + (coefficients @ exact.joint_basis)[:, :3]
    rotation = axis_angle_to_matrix(code.pose[:, :3])
    expected = (exact.vertices(still) - root[:, None]) @ rotation.transpose(1, 2) + root[:, None]
    assert torch.allclose(exact.vertices(code), expected, atol=1e-12)


def test_batches_do_not_mix(head):
    code = random_code(head, 4)
    together = head.vertices(code)
    for i, single in enumerate(code):
        assert torch.allclose(head.vertices(single)[0], together[i], atol=1e-6)


def test_gradients_reach_every_part_of_the_code(head):
    code = random_code(head, 1)
    parts = [code.shape, code.expression, code.pose, code.eyes]
    for part in parts:
        part.requires_grad_(True)
    head.landmarks(head.vertices(code), code).square().sum().backward()
    head.vertices(code).square().sum().backward()
    assert all(torch.isfinite(part.grad).all() and (part.grad != 0).any() for part in parts)


def test_jaw_opens_by_joint_and_by_action(head):
    closed = points(head)
    turned = make_code(head, pose=torch.tensor([[0, 0, 0, 0.3, 0, 0.0]]))
    for opened in (points(head, jawOpen=1.0), head.landmarks(head.vertices(turned), turned)[0]):
        assert opened[8, 1] < closed[8, 1] - 0.01  # chin
        assert opened[66, 1] < closed[66, 1] - 0.01  # lower lip
        assert (opened[36:48] - closed[36:48]).norm(dim=1).max() < 1e-3  # eyes
        assert abs(opened[51, 1] - closed[51, 1]) < 0.004  # upper lip


@pytest.mark.parametrize(("name", "point", "direction"), [
    ("mouthSmileLeft", 54, (1, 1, 0)), ("mouthSmileRight", 48, (-1, 1, 0)), ("mouthFrownLeft", 54, (0, -1, 0)),
    ("mouthStretchRight", 48, (-1, 0, 0)), ("mouthLeft", 57, (1, 0, 0)), ("mouthRight", 57, (-1, 0, 0)),
    ("jawLeft", 8, (1, 0, 0)), ("jawRight", 8, (-1, 0, 0)), ("jawForward", 8, (0, 0, 1)),
    ("browInnerUp", 22, (0, 1, 0)), ("browInnerUp", 21, (0, 1, 0)), ("browDownLeft", 22, (0, -1, 0)),
    ("browDownRight", 21, (0, -1, 0)), ("browOuterUpLeft", 25, (0, 1, 0)), ("browOuterUpRight", 18, (0, 1, 0)),
    ("eyeBlinkLeft", 43, (0, -1, 0)), ("eyeBlinkRight", 38, (0, -1, 0)), ("eyeWideLeft", 43, (0, 1, 0)),
    ("noseSneerLeft", 35, (0, 1, 0)), ("mouthUpperUpLeft", 52, (0, 1, 0)), ("mouthLowerDownRight", 58, (0, -1, 0)),
    ("mouthPucker", 54, (-1, 0, 0)), ("mouthFunnel", 57, (0, 0, 1)),
])
def test_actions_move_the_face_as_named(head, name, point, direction):
    move = (points(head, **{name: 1.0}) - points(head))[point]
    assert (move * torch.tensor(direction, dtype=torch.float32) > 0.0005).sum() == sum(map(abs, direction))


def test_every_action_moves_something_and_sided_ones_move_their_side(head):
    side = head.v_template[:, 0]
    for name in ARKIT_NAMES:
        move = (acting(head, **{name: 1.0}) - head.v_template).norm(dim=1)
        assert 0.001 < move.max() < 0.05, name
        if name.endswith(("Left", "Right")) and not name.startswith(("jaw", "mouthLeft", "mouthRight")):
            own = move[side > 0.002].sum(), move[side < -0.002].sum()
            assert (own[0] > 1.5 * own[1]) if name.endswith("Left") else (own[1] > 1.5 * own[0]), name


def test_left_and_right_actions_mirror_each_other(head):
    for name in ARKIT_NAMES:
        if name.endswith("Left") and name != "mouthLeft":
            left, right = acting(head, **{name: 1.0}), acting(head, **{name[:-4] + "Right": 1.0})
            flipped = right * torch.tensor([-1.0, 1, 1])
            # Vertices are numbered differently on both sides, so compare as sets, coarsely.
            assert torch.allclose(left.mean(0), flipped.mean(0), atol=5e-5), name


def test_template_and_landmarks_are_symmetric(head):
    flipped = head.v_template * torch.tensor([-1.0, 1, 1])
    nearest = torch.cdist(flipped[::7], head.v_template, compute_mode="donot_use_mm_for_euclid_dist").min(1).values
    assert nearest.max() < 1e-5
    face = points(head)
    pairs = [(0, 16), (4, 12), (17, 26), (21, 22), (31, 35), (36, 45), (39, 42), (48, 54), (60, 64), (61, 63)]
    for right, left in pairs:
        assert torch.allclose(face[right] * torch.tensor([-1.0, 1, 1]), face[left], atol=5e-4), (right, left)
        assert face[right, 0] < 0 < face[left, 0]


def test_landmarks_lie_on_the_surface_and_in_order(head, arrays):
    assert arrays["lmk_face"].shape == (68,)
    assert np.allclose(arrays["lmk_bary"].sum(1), 1, atol=1e-5)
    assert (arrays["lmk_bary"] >= 0).all()
    corners = head.v_template[head.faces[head.lmk_face]]
    expected = (corners * head.lmk_bary[..., None]).sum(1)
    face = points(head)
    assert torch.allclose(face[17:], expected[17:], atol=1e-6)
    assert (face[2:15, 0].diff() > 0).all()
    assert face[8, 1] == face[:, 1].min()
    brows, eyes, nose, mouth = (face[rows, 1].mean() for rows in (slice(17, 27), slice(36, 48), slice(31, 36), slice(48, 68)))
    assert brows > eyes > nose > mouth > face[8, 1]
    assert (face[27:31, 1].diff() < 0).all()


def test_contour_row_follows_the_published_rule():
    yaws = torch.deg2rad(torch.tensor([0, 38.6, 60, -1, -0.4, -39, -50]))
    rotation = torch.stack([yaws * 0, yaws, yaws * 0], 1)
    assert contour_row(axis_angle_to_matrix(rotation)).tolist() == [0, 39, 39, 40, 0, 78, 78]


def test_contour_moves_inward_on_the_far_side(head):
    still = make_code(head)
    for yaw, far in ((0.6, slice(9, 17)), (-0.6, slice(0, 8))):
        turned = make_code(head, pose=torch.tensor([[0, yaw, 0, 0, 0, 0]]))
        vertices = head.vertices(still)
        moved = (head.landmarks(vertices, turned) - head.landmarks(vertices, still))[0].norm(dim=1)
        assert moved[far].max() > 0.005
        assert moved[17:].max() == 0


def test_eyes_turn_about_their_centre(head):
    for side, name in ((0, "x left"), (3, "x right")):
        eyes = torch.zeros(1, 6)
        eyes[0, side + 1] = 0.4
        move = head.vertices(make_code(head, eyes=eyes))[0] - head.v_template
        joint = 3 if side == 0 else 4
        globe = head.weights[:, joint] > 0.99
        moved = move[globe] + head.v_template[globe] - head.joints_template[joint]
        before = head.v_template[globe] - head.joints_template[joint]
        assert torch.allclose(moved.norm(dim=1), before.norm(dim=1), atol=1e-6), name
        front = before[:, 2].argmax()
        assert moved[front, 0] > before[front, 0] + 0.004, name
        assert move[~globe].norm(dim=1).max() < 0.003, name


def test_regions_lie_where_their_names_say(head):
    regions, place = head.regions, head.v_template
    assert {"face", "lips", "eyelids", "ears", "inner_mouth", "eyes", "iris", "sclera", "scalp", "brows", "beard",
            "neck"} <= set(regions)
    for name, mask in regions.items():
        assert mask.shape == place.shape[:1], name
        assert mask.min() >= 0, name
        assert mask.max() <= 1, name
        assert (mask > 0.5).sum() >= 8, name

    def centre(name):
        return (place * regions[name][:, None]).sum(0) / regions[name].sum()

    mouth = points(head)[48:68].mean(0)
    assert (centre("lips") - mouth).norm() < 0.015
    assert abs(centre("brows")[1] - points(head)[17:27, 1].mean()) < 0.008
    assert centre("scalp")[1] > 0.02
    assert centre("neck")[1] < -0.06
    assert place[regions["ears"] > 0.5, 0].abs().min() > 0.05
    assert torch.allclose(regions["iris"] + regions["sclera"], regions["eyes"], atol=0.01)


def test_uv_lies_inside_the_atlas_and_does_not_overlap(head):
    assert head.uv.min() > 0
    assert head.uv.max() < 1
    corner = head.uv[head.uv_faces]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).abs().sum() / 2
    from diffusionrig.render.rasterizer import rasterize

    flat = torch.cat([head.uv * 2 - 1, torch.ones(len(head.uv), 1)], 1)
    covered = (rasterize(flat[None], head.uv_faces, 512, 512).face >= 0).float().mean()
    assert abs(covered - area) < 0.01  # the islands cover as much as their triangles add up to: nothing lies twice


def test_texture_range_and_direction(head):
    mean = head.texture(torch.zeros(1, head.n_albedo))
    assert mean.shape == (1, 3, 256, 256)
    assert mean.min() >= 0
    assert mean.max() <= 1
    draws = head.texture(torch.randn(64, head.n_albedo, generator=torch.Generator().manual_seed(0)))
    assert ((draws > 0.0) & (draws < 1.0)).float().mean() > 0.999
    tone = torch.zeros(2, head.n_albedo)
    tone[:, head.albedo_names.index("melanin")] = torch.tensor([-2.5, 2.5])
    light, dark = head.texture(tone)
    cheek = (slice(None), slice(118, 122), slice(70, 80))
    assert light[cheek].mean() > 0.7
    assert 0.05 < dark[cheek].mean() < 0.25
    assert (light[cheek].mean((1, 2)).diff() < 0).all()  # skin is redder than green, greener than blue
    assert (dark[cheek].mean((1, 2)).diff() < 0).all()


def test_hash_is_that_of_the_arrays(head, arrays):
    assert head.hash == arrays_hash(arrays)
    changed = dict(arrays)
    changed["v_template"] = arrays["v_template"] + np.float32(1e-6)
    assert OpenHead(changed).hash != head.hash
    shuffled = {name: arrays[name] for name in reversed(list(arrays))}
    assert arrays_hash(shuffled) == head.hash


def test_names_and_wrong_requests(head):
    assert head_names()[0] == "open-head-1"
    assert load_head() is load_head("open-head-1")
    with pytest.raises(UsageError, match=r"no head model 'smpl'.*open-head-1"):
        load_head("smpl")
    code = make_code(head)
    with pytest.raises(RigError, match="'flame2020' cannot drive 'open-head-1'"):
        head.vertices(code.replace(head="flame2020"))
    with pytest.raises(RigError, match="100 shape coefficients, not 300"):
        head.vertices(code.replace(shape=torch.zeros(1, 300)))
    with pytest.raises(RigError, match="albedo coefficients, not 50"):
        head.texture(torch.zeros(1, 50))


def test_damaged_files_give_a_sentence(arrays):
    data = read_asset("open_head.npz")
    for broken in (b"", data[:5000], b"not a zip archive"):
        with pytest.raises(RigError, match=r"head\.npz is damaged"):
            read_arrays(broken, "head.npz")
    with pytest.raises(RigError, match="incomplete or damaged"):
        OpenHead({name: array for name, array in arrays.items() if name != "exp_basis"})


def test_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, thing=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RigError, match=r"bad.npz is damaged or is no npz archive of plain arrays"):
        read_arrays(path.read_bytes(), "bad.npz")
