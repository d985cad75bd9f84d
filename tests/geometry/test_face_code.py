"""FaceCode: shapes, indexing, swapping parts."""

from __future__ import annotations

import pytest
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import PARTS, FaceCode, whole_frame_crop
from diffusionrig.geometry.rotations import axis_angle_to_matrix


def make(batch=2, seed=0, head="open-head-1"):
    draw = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(*size, generator=draw, dtype=torch.float64)

    return FaceCode(shape=normal(batch, 4), albedo=normal(batch, 3), expression=normal(batch, 5), pose=normal(batch, 6),
                    camera=normal(batch, 3), light=normal(batch, 9, 3), eyes=normal(batch, 6) * 0.1, head=head)


def same(a, b):
    return a.head == b.head and all(torch.equal(a.tensors()[name], b.tensors()[name]) for name in a.tensors())


def test_missing_tensors_are_filled_in():
    code = make().replace()
    bare = FaceCode(shape=code.shape, albedo=code.albedo, expression=code.expression, pose=code.pose, camera=code.camera,
                    light=code.light, head=code.head)
    assert torch.equal(bare.eyes, torch.zeros(2, 6))
    assert torch.equal(bare.frame, torch.full((2, 2), 224.0))
    assert torch.equal(bare.crop, torch.eye(3).expand(2, 3, 3))
    assert torch.equal(bare.confidence, torch.ones(2))
    assert bare.eyes.dtype == code.pose.dtype


def test_whole_frame_crop_takes_the_frame_to_the_crop():
    crop = whole_frame_crop(torch.tensor([[512.0, 256.0]]))
    corner = crop[0] @ torch.tensor([512.0, 256.0, 1.0])
    assert torch.allclose(corner, torch.tensor([224.0, 224.0, 1.0]))


def test_wrong_shapes_are_named():
    code = make()
    with pytest.raises(RigError, match=r"2 faces has light of shape \(2, 3, 9\); expected \(2, 9, 3\)"):
        code.replace(light=code.light.transpose(1, 2))
    with pytest.raises(RigError, match=r"has shape of shape \(3, 4\)"):
        code.replace(shape=torch.zeros(3, 4))


def test_indexing_iteration_and_joining_agree():
    code = make(5)
    assert len(code) == 5
    assert same(code[1:3], code[[1, 2]])
    assert same(code[-1], code[4:5])
    assert same(FaceCode.concatenate(list(code)), code)
    assert same(code.repeat(2)[::2], code)
    with pytest.raises(IndexError):
        code[5]


def test_tensors_rebuild_the_code():
    code = make()
    assert same(FaceCode(head=code.head, **code.tensors()), code)
    assert code.to(dtype=torch.float32).shape.dtype == torch.float32


def test_codes_of_different_heads_do_not_join():
    with pytest.raises(RigError, match="flame2020, open-head-1"):
        FaceCode.concatenate([make(), make(head="flame2020")])


@pytest.mark.parametrize("part", PARTS)
def test_swap_takes_exactly_its_part(part):
    fields = {"pose": {"pose"}, "exp": {"expression", "pose", "eyes"}}.get(part, {part})
    code, other = make(seed=1), make(seed=2)
    swapped = code.swap(part, other)
    for name, tensor in swapped.tensors().items():
        assert torch.equal(tensor, code.tensors()[name]) == (name not in fields), name
    assert same(code.swap(part, code), code)
    assert same(code.swap(part, other, 0.0), code)


def test_pose_and_expression_share_the_pose_tensor_fairly():
    code, other = make(seed=1), make(seed=2)
    assert torch.equal(code.swap("pose", other).pose, torch.cat([other.pose[:, :3], code.pose[:, 3:]], 1))
    assert torch.equal(code.swap("exp", other).pose, torch.cat([code.pose[:, :3], other.pose[:, 3:]], 1))
    both = code.swap("pose", other).swap("exp", other)
    assert torch.equal(both.pose, other.pose)
    assert torch.equal(both.eyes, other.eyes)


def test_strength_is_linear_for_coefficients_and_geodesic_for_rotations():
    code, other = make(seed=1), make(seed=2)
    half = code.swap("light", other, 0.5)
    assert torch.allclose(half.light, (code.light + other.light) / 2)
    beyond = code.swap("shape", other, 2.0)
    assert torch.allclose(beyond.shape, 2 * other.shape - code.shape)
    quarter = axis_angle_to_matrix(code.swap("pose", other, 0.5).pose[:, :3])
    start, end = axis_angle_to_matrix(code.pose[:, :3]), axis_angle_to_matrix(other.pose[:, :3])
    step = start.transpose(1, 2) @ quarter
    assert torch.allclose(start @ step @ step, end, atol=1e-9)


def test_one_face_serves_a_whole_batch():
    code, other = make(3), make(1, seed=5)
    assert torch.equal(code.swap("light", other).light, other.light.expand(3, 9, 3))
    with pytest.raises(UsageError, match="between 3 and 2 faces"):
        code.swap("light", make(2))


def test_impossible_swaps_say_why():
    with pytest.raises(UsageError, match=r"no part 'smile'.*pose, exp, light"):
        make().swap("smile", make())
    for part in ("exp", "shape", "albedo"):
        with pytest.raises(UsageError, match="'flame2020' into one of 'open-head-1'"):
            make().swap(part, make(head="flame2020"))
    assert torch.equal(make().swap("light", make(seed=3, head="flame2020")).light, make(seed=3).light)
