"""Control error: how far what is captured from a picture lies from what the picture was asked to show.

The protocol of DiffusionRig (Ding et al. 2023, table 1; after GIF, Ghosh et al. 2020): draw a picture from edited parameters,
capture it again, compare. Each part is measured in a unit that can be imagined, on what the part alone decides.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.render.shading import sh_basis

UNITS = {"pose": "degrees", "exp": "mm", "light": "%", "shape": "mm"}
"""The parts that can be measured, each with the unit of its error."""

MEANINGS = {
    "pose": "angle between the head's rotations",
    "exp": "mean distance of the face's vertices when both expressions (with jaw and eyes) are put on the requested head",
    "light": "root mean square difference of a white sphere under both lights over its visible half, relative to the requested",
    "shape": "mean distance of the vertices of both faces at rest, after the best shift and scale: size cannot be seen",
}

VISIBLE = ("face", "lips", "eyelids")
SPHERE = 41
"""The sphere is shaded at points of a grid of this many rows."""


def pose_error(head: HeadModel, found: FaceCode, wanted: FaceCode) -> Tensor:
    """Degrees (B,) between the rotations of the heads."""
    first, second = (axis_angle_to_matrix(code.pose[:, :3].double()) for code in (found, wanted))
    return torch.rad2deg(matrix_to_axis_angle(first.transpose(1, 2) @ second).norm(dim=1)).float()


def light_error(head: HeadModel, found: FaceCode, wanted: FaceCode) -> Tensor:
    """Per cent (B,): relative root mean square difference of spheres shaded by both lights."""
    steps = torch.linspace(-1, 1, SPHERE, device=found.light.device)
    x, y = torch.meshgrid(steps, steps, indexing="xy")
    inside = x * x + y * y < 1
    x, y = x[inside], y[inside]
    bands = sh_basis(torch.stack([x, y, (1 - x * x - y * y).sqrt()], -1))
    got, asked = bands @ found.light, bands @ wanted.light
    return 100 * ((got - asked).square().sum((1, 2)) / asked.square().sum((1, 2))).sqrt()


def expression_error(head: HeadModel, found: FaceCode, wanted: FaceCode) -> Tensor:
    """Millimetres (B,): both expressions on the head of ``wanted``, looking straight ahead."""
    still = _unturned(wanted)
    jaw = torch.cat([still.pose[:, :3], found.pose[:, 3:]], 1)
    moved = still.replace(expression=found.expression, eyes=found.eyes, pose=jaw)
    return 1000 * (_face(head, moved) - _face(head, still)).norm(dim=-1).mean(1)


def shape_error(head: HeadModel, found: FaceCode, wanted: FaceCode) -> Tensor:
    """Millimetres (B,) between the faces at rest, shifted and scaled onto each other."""
    got, asked = (_centred(_face(head, _at_rest(code))) for code in (found, wanted))
    got = got * ((got * asked).sum((1, 2)) / got.square().sum((1, 2)))[:, None, None]
    return 1000 * (got - asked).norm(dim=-1).mean(1)


MEASURES: dict[str, Callable[[HeadModel, FaceCode, FaceCode], Tensor]] = {
    "pose": pose_error, "exp": expression_error, "light": light_error, "shape": shape_error}


@torch.no_grad()
def control_errors(head: HeadModel, found: FaceCode, wanted: FaceCode) -> dict[str, Tensor]:
    """Every measure of codes that were captured against those that were asked for, {part: (B,)}, in UNITS."""
    return {part: measure(head, found, wanted) for part, measure in MEASURES.items()}


def _unturned(code: FaceCode) -> FaceCode:
    return code.replace(pose=torch.cat([torch.zeros_like(code.pose[:, :3]), code.pose[:, 3:]], 1))


def _at_rest(code: FaceCode) -> FaceCode:
    return code.replace(**{name: torch.zeros_like(getattr(code, name)) for name in ("expression", "pose", "eyes")})


def _face(head: HeadModel, code: FaceCode) -> Tensor:
    """The vertices of the face (B, N, 3); all of them where the head does not say which these are."""
    vertices = head.vertices(code)
    masks = [head.regions[name] for name in VISIBLE if name in head.regions]
    return vertices[:, torch.stack(masks).amax(0) > 0.5] if masks else vertices


def _centred(points: Tensor) -> Tensor:
    return points - points.mean(1, keepdim=True)
