"""The meshes of one photograph: head, lashes, glasses and body in one layer, hair and beard in another."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.synthetic.anatomy import Anatomy, neutral_code, study
from diffusionrig.data.synthetic.body import build_body
from diffusionrig.data.synthetic.fittings import build_glasses, build_lashes
from diffusionrig.data.synthetic.hair import HairMesh, build_hair
from diffusionrig.data.synthetic.people import Person
from diffusionrig.data.synthetic.scenes import Scene
from diffusionrig.data.synthetic.skin import beard_zone, paint_skin
from diffusionrig.data.synthetic.skull import measure_skull
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_euler_degrees
from diffusionrig.render.physical import placed_vertices

SKIN, LASH, GLASSES, BODY = range(4)
"""Materials of the solid layer."""


@dataclasses.dataclass(frozen=True, eq=False)
class Wardrobe:
    """What all photographs of a person share, worked out once.

    texture (1, 3, 256, 256) true albedo; detail (1, 4, T, T) factors and gloss; rest (V, 3); hair; glasses (vertices,
    faces) at rest; beard faces (K, 3) of the head with growth (V,) 0..1; neck (3,) colour of the skin at the collar.
    """

    anatomy: Anatomy
    texture: Tensor
    detail: Tensor
    rest: np.ndarray
    hair: HairMesh | None
    glasses: tuple[np.ndarray, np.ndarray] | None
    beard_faces: np.ndarray
    beard_growth: np.ndarray
    neck: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """vertices (V, 3) metres, faces (F, 3), uv_faces (F, 3) into the head's coordinates, values (V, C) per vertex,
    closed (F,) bool where the back of a face can never be seen."""

    vertices: np.ndarray
    faces: np.ndarray
    uv_faces: np.ndarray
    values: np.ndarray
    closed: np.ndarray


SOLID_VALUES = ("material", "eye", "inner", "cloth", "along", "around", "eye_x", "eye_y", "eye_z")
HAIR_VALUES = ("tangent_x", "tangent_y", "tangent_z", "strand", "along", "remaining", "fray", "beard")


@dataclasses.dataclass(frozen=True)
class _Order:
    """What a wardrobe is made for; equal orders, by ``key`` alone, share one."""

    key: tuple[object, ...]
    person: Person = dataclasses.field(compare=False)
    head: HeadModel = dataclasses.field(compare=False)
    detail_size: int


def wardrobe(person: Person, head: HeadModel, detail_size: int) -> Wardrobe:
    """The wardrobe of ``person``; the most recent few are kept."""
    key = (head.hash, person.shape.numpy().tobytes(), person.albedo.numpy().tobytes(), person.hair, person.beard, person.skin,
           person.glasses)
    return _wardrobe(_Order(key, person, head, detail_size))


@lru_cache(maxsize=8)
def _wardrobe(order: _Order) -> Wardrobe:
    person, head = order.person, order.head
    anatomy = study(head)
    code = neutral_code(head, person.shape)
    vertices = head.vertices(code)
    rest, points = vertices[0].numpy(), head.landmarks(vertices, code)[0].numpy()
    skull = measure_skull(rest, anatomy.rays, points)
    texture = head.texture(person.albedo)
    detail = torch.from_numpy(paint_skin(anatomy, person, order.detail_size)).permute(2, 0, 1)[None]
    glasses = None
    if person.glasses is not None:
        eyes = np.stack([rest[ball].mean(0) for ball in anatomy.eyeballs])
        # Temples end above the ears, a little outside the widest part of the head at that height.
        side = np.abs(rest[(np.abs(rest[:, 1] - eyes[0, 1]) < 0.02) & (rest[:, 2] < eyes[0, 2] - 0.06), 0])
        wide = float(np.quantile(side, 0.6)) if len(side) else 0.075
        ears = np.array([[sign * wide, eyes[0, 1] + 0.008, eyes[0, 2] - 0.085] for sign in (-1, 1)])
        frame = person.glasses
        # The rims clear everything they stand before: brows, cheeks and the bridge of the nose.
        behind = anatomy.skin & (np.abs(np.abs(rest[:, 0]) - eyes[1, 0]) < frame.width) & (
            np.abs(rest[:, 1] - eyes[0, 1]) < frame.height + 0.004)
        front = float(max(points[27, 2], np.quantile(rest[behind, 2], 0.97))) + 0.005
        glasses = build_glasses(frame, eyes, front, ears)
    growth = beard_zone(rest, points) if person.beard > 0 else np.zeros(len(rest))
    growth = (growth * anatomy.skin * (anatomy.inner == 0)).astype(np.float32)
    beard_faces = anatomy.faces[(growth[anatomy.faces] > 0.05).all(1)]
    low = anatomy.skin_texels & (anatomy.position[..., 1] < anatomy.position[anatomy.skin_texels][:, 1].min() + 0.03)
    step = low.shape[0] // texture.shape[-1]
    neck = np.median(texture[0].numpy()[:, low[::step, ::step]], axis=1)
    return Wardrobe(anatomy, texture, detail, rest, build_hair(person.hair, skull), glasses, beard_faces,
                    growth, neck)


def set_stage(person: Person, scene: Scene, head: HeadModel, kit: Wardrobe) -> tuple[Layer, Layer | None]:
    """Everything solid, and hair with beard (None where there is neither), posed for ``scene``."""
    code, anatomy = scene.code, kit.anatomy
    placed, _ = placed_vertices(head, code, scene.centre)
    points = head.landmarks(placed, code)[0].numpy()
    skin = placed[0].numpy()
    turn = axis_angle_to_matrix(code.pose[:, :3])
    rotation = turn[0].numpy()
    fixed = anatomy.scalp
    shift = skin[fixed].mean(0) - rotation @ kit.rest[fixed].mean(0)
    eyeballs = np.stack([skin[ball].mean(0) for ball in anatomy.eyeballs])

    parts = [(skin, anatomy.faces, SKIN)]
    lash = 0.0045 + 0.003 * person.skin.makeup
    parts.append((*build_lashes(points, eyeballs, lash), LASH))
    if kit.glasses is not None:
        parts.append((kit.glasses[0] @ rotation.T + shift, kit.glasses[1], GLASSES))
    yaw = float(np.deg2rad(matrix_to_euler_degrees(turn)[0, 1]))
    ring = skin[anatomy.ring]
    body = build_body(person.clothes, ring, 0.35 * yaw)
    parts.append((body.vertices, body.faces, BODY))
    starts = np.cumsum([0] + [len(part[0]) for part in parts])
    values = np.zeros((starts[-1], len(SOLID_VALUES)), np.float32)
    for start, (vertices, _, material) in zip(starts, parts):
        values[start:start + len(vertices), 0] = material
    values[:len(skin), 1], values[:len(skin), 2] = anatomy.eye, anatomy.inner
    values[starts[-2]:, 3:6] = np.stack([body.cloth, body.along, body.around], 1)
    for ball, centre in zip(anatomy.eyeballs, eyeballs, strict=True):
        away = skin[ball] - centre
        values[ball, 6:9] = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    faces = np.concatenate([faces + start for start, (_, faces, _) in zip(starts, parts)])
    uv_faces = np.zeros_like(faces)
    uv_faces[:len(anatomy.uv_faces)] = anatomy.uv_faces
    solid = Layer(np.concatenate([part[0] for part in parts]).astype(np.float32), faces, uv_faces, values,
                  np.arange(len(faces)) < len(anatomy.faces))
    return solid, _hair_layer(person, kit, skin, rotation, shift)


def _hair_layer(person: Person, kit: Wardrobe, skin: np.ndarray, rotation: np.ndarray,
                shift: np.ndarray) -> Layer | None:
    vertices, faces, uv_faces, values = [], [], [], []
    count = 0
    if kit.hair is not None:
        hair = kit.hair
        vertices.append(hair.vertices @ rotation.T + shift)
        faces.append(hair.faces)
        uv_faces.append(np.zeros_like(hair.faces))
        values.append(np.concatenate([hair.tangent @ rotation.T, np.stack(
            [hair.strand, hair.along, hair.remaining, hair.fray, np.zeros(len(hair.strand))], 1)], 1))
        count = len(hair.vertices)
    if len(kit.beard_faces):
        normal = vertex_normals(torch.from_numpy(skin)[None], torch.from_numpy(kit.anatomy.faces))[0].numpy()
        growth = kit.beard_growth
        vertices.append(skin + normal * (growth ** 1.5 * (0.0015 + 0.0085 * person.beard))[:, None])
        faces.append(kit.beard_faces + count)
        wanted = (growth[kit.anatomy.faces] > 0.05).all(1)
        uv_faces.append(kit.anatomy.uv_faces[wanted])
        down = np.tile(-rotation[:, 1] + 0.3 * rotation[:, 2], (len(skin), 1))
        place = np.stack([kit.rest[:, 0], -kit.rest[:, 1], 0.012 * (growth - 0.15), np.full(len(skin), 0.006),
                          np.ones(len(skin))], 1)
        values.append(np.concatenate([down, place], 1))
    if not vertices:
        return None
    return Layer(np.concatenate(vertices).astype(np.float32), np.concatenate(faces), np.concatenate(uv_faces),
                 np.concatenate(values).astype(np.float32), np.zeros(sum(map(len, faces)), bool))
