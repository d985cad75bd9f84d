"""Linear blend skinning as FLAME does it (Li et al. 2017, equation 2), for any skeleton."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def joint_transforms(rotations: Tensor, joints: Tensor, parents: Sequence[int]) -> Tensor:
    """Transforms that carry the rest pose into the posed one.

    rotations (B, J, 3, 3) relative to the parent, joints (B, J, 3) of the rest pose, ``parents`` with -1 for the root and
    every parent before its children. Returns (B, J, 3, 4): world rotation, and the translation that keeps each joint at
    the end of its parent's bone. The root turns about itself, so a pose never moves the root joint.
    """
    turned: list[Tensor] = []
    places: list[Tensor] = []
    for joint, parent in enumerate(parents):
        if parent < 0:
            turned.append(rotations[:, joint])
            places.append(joints[:, joint])
        else:
            bone = joints[:, joint] - joints[:, parent]
            turned.append(turned[parent] @ rotations[:, joint])
            places.append(places[parent] + (turned[parent] @ bone[..., None])[..., 0])
    rotation, place = torch.stack(turned, 1), torch.stack(places, 1)
    translation = place - (rotation @ joints[..., None])[..., 0]
    return torch.cat([rotation, translation[..., None]], -1)


def skin(vertices: Tensor, joints: Tensor, rotations: Tensor, weights: Tensor, parents: Sequence[int],
         correctives: Tensor | None = None) -> Tensor:
    """Pose shaped vertices (B, V, 3) -> (B, V, 3).

    joints (B, J, 3) after shape and expression; rotations (B, J, 3, 3) relative to the parent; weights (V, J), rows summing
    to 1; ``correctives`` (9 (J - 1), 3 V), FLAME's ``posedirs``, is added before skinning, driven by the entries of R - I of
    every joint but the root, row by row.
    """
    batch, count, _ = vertices.shape
    joint_count = joints.shape[1]
    if correctives is not None:
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        feature = (rotations[:, 1:] - identity).reshape(batch, -1)
        vertices = vertices + (feature @ correctives).view(batch, count, 3)
    transforms = joint_transforms(rotations, joints, parents).reshape(batch, joint_count, 12)
    blended = (weights @ transforms).view(batch, count, 3, 4)
    return (blended[..., :3] * vertices[..., None, :]).sum(-1) + blended[..., 3]
