"""What heads have in common that are linear in identity, expression and albedo and posed by FLAME's five joints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.geometry.skinning import skin

TEXTURE_SIZE = 256


class LinearHead(nn.Module):
    """Base of the head models; a subclass registers the buffers and says what its landmarks are.

    basis (C, 3 V) and joint_basis (C, 3 J)  displacement per coefficient, identity then expression
    correctives                              FLAME's ``posedirs`` (9 (J - 1), 3 V), or None
    rotate                                   axis-angle (..., 3) -> matrices (..., 3, 3)
    """

    name: str
    n_shape: int
    n_expression: int
    n_albedo: int
    region_names: tuple[str, ...]
    parents: Sequence[int]
    v_template: Tensor
    basis: Tensor
    joints_template: Tensor
    joint_basis: Tensor
    weights: Tensor
    albedo_mean: Tensor
    albedo_basis: Tensor
    region_masks: Tensor
    correctives: Tensor | None
    rotate: Callable[[Tensor], Tensor] = staticmethod(axis_angle_to_matrix)

    @property
    def regions(self) -> dict[str, Tensor]:
        """Vertex masks (V,) in 0..1 by name."""
        return dict(zip(self.region_names, self.region_masks))

    def vertices(self, code: FaceCode) -> Tensor:
        """(B, V, 3) posed vertices in metres. Rotation is about the root joint at the base of the neck; the neck never turns."""
        self._check(code)
        batch = len(code)
        coefficients = torch.cat([code.shape, code.expression], 1)
        shaped = (coefficients @ self.basis).view(batch, -1, 3) + self.v_template
        # Joints after shape and expression, before the correctives: the regressor is linear, so it was applied once.
        joints = (coefficients @ self.joint_basis).view(batch, -1, 3) + self.joints_template
        pose = torch.cat([code.pose[:, :3], torch.zeros_like(code.pose[:, :3]), code.pose[:, 3:], code.eyes], 1)
        rotations = self.rotate(pose.view(batch, len(self.parents), 3))
        return skin(shaped, joints, rotations, self.weights, self.parents, self.correctives)

    def texture(self, albedo: Tensor) -> Tensor:
        """(B, n_albedo) -> (B, 3, 256, 256) albedo, RGB about 0..1, row 0 at v = 1; linear and not clamped."""
        if albedo.shape[1] != self.n_albedo:
            raise RigError(f"The head model {self.name} has {self.n_albedo} albedo coefficients, not {albedo.shape[1]}.")
        return (albedo @ self.albedo_basis + self.albedo_mean).view(-1, 3, TEXTURE_SIZE, TEXTURE_SIZE)

    def _check(self, code: FaceCode) -> None:
        if code.head != self.name:
            raise RigError(f"A face code of the head model {code.head!r} cannot drive {self.name!r}; "
                           "capture the photographs again with this head model.")
        for what, found, wanted in (("shape", code.shape.shape[1], self.n_shape),
                                    ("expression", code.expression.shape[1], self.n_expression)):
            if found != wanted:
                raise RigError(f"The head model {self.name} has {wanted} {what} coefficients, not {found}.")
