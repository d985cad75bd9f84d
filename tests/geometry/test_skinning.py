"""Linear blend skinning against the formula written as loops, and its symmetries."""

from __future__ import annotations

import torch

from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.geometry.skinning import joint_transforms
from diffusionrig.geometry.skinning import skin as skin_by_rotations

PARENTS = (-1, 0, 1, 1, 1)


def skin(vertices, joints, pose, *more):
    """By axis-angle (B, 3 J)."""
    return skin_by_rotations(vertices, joints, axis_angle_to_matrix(pose.view(len(pose), -1, 3)), *more)


def example(batch=3, count=17, seed=0):
    draw = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(*size, generator=draw, dtype=torch.float64)

    weights = normal(count, 5).abs()
    return normal(batch, count, 3), normal(batch, 5, 3), normal(batch, 15), weights / weights.sum(1, keepdim=True), normal


def loops(vertices, joints, pose, weights, correctives=None):
    """FLAME's steps 3-8, one vertex at a time, in homogeneous coordinates."""
    posed = torch.zeros_like(vertices)
    for b in range(len(vertices)):
        rotations = [axis_angle_to_matrix(pose[b, 3 * j:3 * j + 3]) for j in range(5)]
        shaped = vertices[b].clone()
        if correctives is not None:
            feature = torch.cat([(rotations[j] - torch.eye(3, dtype=pose.dtype)).reshape(-1) for j in range(1, 5)])
            for k in range(36):
                shaped += feature[k] * correctives[k].view(-1, 3)
        world = []
        for j, parent in enumerate(PARENTS):
            local = torch.eye(4, dtype=pose.dtype)
            local[:3, :3] = rotations[j]
            local[:3, 3] = joints[b, j] - (joints[b, parent] if parent >= 0 else 0)
            world.append(local if parent < 0 else world[parent] @ local)
        for v in range(vertices.shape[1]):
            blend = torch.zeros(4, 4, dtype=pose.dtype)
            for j in range(5):
                away = torch.eye(4, dtype=pose.dtype)
                away[:3, 3] = -joints[b, j]
                blend += weights[v, j] * (world[j] @ away)
            posed[b, v] = (blend @ torch.cat([shaped[v], torch.ones(1, dtype=pose.dtype)]))[:3]
    return posed


def test_agrees_with_the_formula_in_loops():
    vertices, joints, pose, weights, _ = example()
    assert torch.allclose(skin(vertices, joints, pose, weights, PARENTS), loops(vertices, joints, pose, weights), atol=1e-12)


def test_pose_correctives_agree_with_the_formula():
    vertices, joints, pose, weights, normal = example(batch=2, count=5)
    correctives = normal(36, 15)
    assert torch.allclose(skin(vertices, joints, pose, weights, PARENTS, correctives),
                          loops(vertices, joints, pose, weights, correctives), atol=1e-12)


def test_no_pose_changes_nothing():
    vertices, joints, pose, weights, normal = example()
    assert torch.allclose(skin(vertices, joints, pose * 0, weights, PARENTS, normal(36, 51)), vertices, atol=1e-12)


def test_root_rotation_turns_everything_about_the_root():
    vertices, joints, pose, weights, _ = example()
    still = torch.cat([pose[:, :3] * 0, pose[:, 3:]], 1)
    rotation, root = axis_angle_to_matrix(pose[:, :3]), joints[:, :1]
    expected = (skin(vertices, joints, still, weights, PARENTS) - root) @ rotation.transpose(1, 2) + root
    assert torch.allclose(skin(vertices, joints, pose, weights, PARENTS), expected, atol=1e-12)


def test_moving_everything_moves_the_result():
    vertices, joints, pose, weights, normal = example()
    shift = normal(3, 1, 3)
    moved = skin(vertices + shift, joints + shift, pose, weights, PARENTS)
    assert torch.allclose(moved, skin(vertices, joints, pose, weights, PARENTS) + shift, atol=1e-12)


def test_transforms_carry_each_joint_to_the_end_of_its_bone():
    _, joints, pose, _, _ = example()
    transforms = joint_transforms(axis_angle_to_matrix(pose.view(3, 5, 3)), joints, PARENTS)
    placed = (transforms[..., :3] @ joints[..., None])[..., 0] + transforms[..., 3]
    for joint, parent in enumerate(PARENTS[1:], 1):
        by_parent = (transforms[:, parent, :, :3] @ joints[:, joint, :, None])[..., 0] + transforms[:, parent, :, 3]
        assert torch.allclose(placed[:, joint], by_parent, atol=1e-12)
    assert torch.allclose(placed[:, 0], joints[:, 0], atol=1e-12)
