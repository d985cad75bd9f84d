"""The geometric half of the bake: template, identity and expression bases, joints, weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from diffusionrig.geometry.arkit import ARKIT_NAMES

from . import mouth, people, skeleton
from .crop import Crop, crop_head
from .skeleton import PARENTS
from .source import load_base_mesh, load_target, mirror_map

__all__ = ["PARENTS", "Geometry", "build"]

COMPONENTS, PEOPLE, HELD_OUT = 100, 12000, 500


@dataclasses.dataclass
class Geometry:
    """Everything in metres, float64, origin midway between the eyes of the mean head."""

    crop: Crop
    template: np.ndarray
    id_basis: np.ndarray
    exp_basis: np.ndarray
    joints_template: np.ndarray
    joints_id: np.ndarray
    joints_exp: np.ndarray
    weights: np.ndarray
    ring: np.ndarray
    explained: float
    held_out: np.ndarray
    held_out_joints: np.ndarray


def build(data: Path, seed: int = 0) -> Geometry:
    """Read, sample people, fit."""
    mesh = load_base_mesh(data)
    count = len(mesh.vertices)
    mirror = mirror_map(data, count)
    crop = crop_head(data, mesh, mirror)
    helpers = skeleton.joint_helpers(mesh, data)
    # Work on the crop followed by the helper vertices that carry joints.
    extra = np.setdiff1d(np.unique(np.concatenate(list(helpers.values()))), crop.base)
    extra = np.union1d(extra, np.setdiff1d(mirror[extra], crop.base))
    rows = np.concatenate([crop.base, extra])
    number = np.full(count, -1)
    number[rows] = np.arange(len(rows))
    local = {joint: number[index] for joint, index in helpers.items()}
    fitted = np.arange(len(crop.base))
    ring = skeleton.neck_ring(crop, mesh.vertices[crop.base])

    base = np.concatenate([mouth.set_teeth_back(mesh.vertices[crop.base], crop), mesh.vertices[extra]])
    targets = people.load_targets(data, count, rows, fitted)
    rng = np.random.default_rng(seed)
    weights = people.sample_people(targets, PEOPLE + HELD_OUT, rng)
    shapes = targets.rows
    closing, closed = mouth.lip_closing(base, shapes, weights, crop)
    shapes, weights = np.concatenate([shapes, closing[None]]), np.concatenate([weights, closed[:, None]], 1)
    # Everyone is placed with the eyes' middle at the origin, which is linear too.
    base, shapes = (shape - skeleton.joints_of(shape, ring, local)[..., None, 3:5, :].mean(-2) for shape in (base, shapes))
    space = people.fit_identity(base, shapes, weights[:PEOPLE], number[mirror[rows]], fitted, COMPONENTS)
    held_out = base + np.tensordot(weights[PEOPLE:], shapes, 1)

    folder = data / "faceunits01/targets/faceunits"
    actions = np.stack([load_target(folder / f"{name}.target", count)[rows] for name in ARKIT_NAMES])
    # The root is a ring of skin, which a jaw action would drag along; bones do not move with the skin over them.
    joints_exp = skeleton.joints_of(actions, ring, local) * np.array([0, 1, 1, 1, 1])[:, None]
    return Geometry(
        crop=crop, template=space.mean[fitted], id_basis=space.basis[:, fitted], exp_basis=actions[:, fitted],
        joints_template=skeleton.joints_of(space.mean, ring, local),
        joints_id=skeleton.joints_of(space.basis, ring, local), joints_exp=joints_exp,
        weights=skeleton.bone_weights(data, crop), ring=ring, explained=space.explained,
        held_out=held_out[:, fitted], held_out_joints=skeleton.joints_of(held_out, ring, local))
