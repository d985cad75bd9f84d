"""From a person and a scene to the photograph: what the physical buffers show, and everything they leave out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch.nn.functional import interpolate as interpolate_maps

from diffusionrig.data.synthetic.backdrop import sample_backdrop
from diffusionrig.data.synthetic.effects import ambient_occlusion, shine
from diffusionrig.data.synthetic.lens import expose
from diffusionrig.data.synthetic.people import Person
from diffusionrig.data.synthetic.scenes import Scene
from diffusionrig.data.synthetic.stage import BODY, GLASSES, LASH, SKIN, Layer, Wardrobe, set_stage, wardrobe
from diffusionrig.data.synthetic.strands import paint_hair
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.mouth import mouth_inside
from diffusionrig.render.physical import rasterize_points
from diffusionrig.render.posing import pose_heads
from diffusionrig.render.shading import shade
from diffusionrig.render.shadows import SCATTER, key_light, light_reaching
from diffusionrig.render.texture import sample_texture, texture_plane

Array = np.ndarray

_WORKING = 160  # pixels of the copy on which shadows are worked out
_FINE, _COARSE = 2.0, 1.5  # pixels drawn per pixel kept, across: small pictures need more
_LASH_COLOUR = np.array([0.045, 0.035, 0.03], np.float32)


def render_photographs(persons: Sequence[Person], scenes: Sequence[Scene], head: HeadModel, size: int) -> list[Array]:
    """One photograph (size, size, 3) uint8 per pair of person and scene.

    Drawn larger and shrunk. Photographs are made one by one, so each has the same bytes whatever its
    neighbours. UsageError when ``size`` is below 16; RigError when a person belongs to another head model.
    """
    if size < 16:
        raise UsageError(f"A synthetic photograph of {size} pixels shows nothing; the side must be at least 16.")
    if len(persons) != len(scenes):
        raise RigError(f"There are {len(persons)} people for {len(scenes)} scenes; give one person for each scene.")
    return [_photograph(person, scene, head, size) for person, scene in zip(persons, scenes, strict=True)]


@torch.inference_mode()
def _photograph(person: Person, scene: Scene, head: HeadModel, size: int) -> Array:
    if person.head != head.name:
        raise RigError(f"A person of the head model {person.head!r} cannot be photographed with {head.name!r}.")
    kit = wardrobe(person, head, 512 if size >= 128 else 256)
    solid, hair = set_stage(person, scene, head, kit)
    canvas = round((_FINE if size < 192 else _COARSE) * size)
    front = Picture(solid, scene.code, canvas, kit)
    back = Picture(hair, scene.code, canvas, kit) if hair is not None else None
    per_metre = float(scene.code.camera[0, 0]) * canvas / 2
    direction, colour = (values[0].numpy() for values in key_light(scene.code.light)[:2])
    height, covered = front.height, front.covered
    if back is not None:
        height = np.where(back.covered & (back.height > height), back.height, height)
        covered = covered | back.covered
    ambient = ambient_occlusion(height, covered, per_metre, _WORKING)
    lit = Light(direction, colour, ambient, _direct(height, covered, per_metre, scene.code.light))

    image = sample_backdrop(np.random.default_rng(scene.backdrop_seed), canvas)
    colours = _solid(front, kit, person, scene, lit)
    colours = _mouth(scene, head, colours, np.clip(front.values[..., 2], 0, 1) * (np.rint(front.values[..., 0]) == SKIN))
    image = np.where(front.covered[..., None], colours, image)
    if back is not None:
        coat, alpha = paint_hair(back.values, back.normal, back.shading, back.covered, person.hair, lit.ambient * lit.direct,
                                 front.covered, lit.direction, per_metre)
        alpha = alpha * back.covered * (back.height > front.height - 0.0005)
        image += alpha[..., None] * (coat - image)
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return expose(small, scene.lens, np.random.default_rng(scene.noise_seed))


def _direct(height: Array, covered: Array, per_metre: float, light: torch.Tensor) -> Array:
    """Share (S, S) in 0..1 of the light that cast shadows leave to what is seen."""
    heights, seen = (torch.from_numpy(values)[None, None] for values in (height.astype(np.float32), covered))
    maps = light_reaching(heights, seen, torch.tensor([per_metre]), light, _WORKING)
    return interpolate_maps(maps[:, :1], height.shape, mode="bilinear", align_corners=False)[0, 0].numpy()


def _mouth(scene: Scene, head: HeadModel, image: Array, shown: Array) -> Array:
    """``image`` (S, S, 3) with teeth in the mouth, where that is ``shown`` (S, S) in 0..1."""
    if not shown.any():
        return image
    posed = pose_heads(head, scene.code, len(image), scene.centre)
    inside = mouth_inside(head, posed, torch.from_numpy(shown)[None, None], torch.ones(1, 1, 1, 1))
    return image + shown[..., None] * (inside[0].permute(1, 2, 0).numpy() - image)


class Light:
    """The key light's ``direction`` and ``colour`` (3,), and maps (S, S) of ambient and direct visibility, 0..1."""

    def __init__(self, direction: Array, colour: Array, ambient: Array, direct: Array) -> None:
        self.direction, self.colour, self.ambient, self.direct = direction.astype(np.float32), colour, ambient, direct


class Picture:
    """One rasterised layer: covered (S, S), height (S, S) metres towards the viewer (-1 where empty), unit normal,
    spherical-harmonic shading (S, S, 3), values (S, S, C), and the texture coordinates' sampling plane."""

    def __init__(self, layer: Layer, code: FaceCode, canvas: int, kit: Wardrobe) -> None:
        vertices, whole = torch.from_numpy(layer.vertices)[None], torch.from_numpy(layer.faces)
        points = image_points(vertices, code)
        seen = _may_be_seen(points[0].numpy(), layer)
        faces, uv_faces = whole[seen], torch.from_numpy(layer.uv_faces)[seen]
        fragments = rasterize_points(points, faces, canvas)
        attributes = torch.cat([vertices[0, :, 2:], vertex_normals(vertices, whole)[0], torch.from_numpy(layer.values)], 1)
        image = interpolate(fragments, faces, attributes)
        normal = image[:, 1:4]
        normal = normal * (normal * normal).sum(1, keepdim=True).clamp_min(1e-12).rsqrt()
        self.back_facing = (normal[0, 2] < 0).numpy()
        normal = torch.where(normal[:, 2:3] < 0, -normal, normal)
        plane = texture_plane(torch.from_numpy(kit.anatomy.uv))
        self.grid = interpolate(fragments, uv_faces, plane)
        self.covered = (fragments.face[0] >= 0).numpy()
        self.height = np.where(self.covered, image[0, 0].numpy(), -1.0)
        self.shading = shade(normal, code.light).clamp_min(0.04)[0].permute(1, 2, 0).numpy()
        self.normal = normal[0].permute(1, 2, 0).numpy()
        self.values = image[0, 4:].permute(1, 2, 0).numpy()


def _may_be_seen(points: Array, layer: Layer) -> torch.Tensor:
    """Faces (K,) that reach into the image and, where the layer is closed, are turned to the viewer."""
    x, y = points[layer.faces, 0], points[layer.faces, 1]
    inside = (x.max(1) > -1) & (x.min(1) < 1) & (y.max(1) > -1) & (y.min(1) < 1)
    turned = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) < (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    return torch.from_numpy(np.flatnonzero(inside & (turned | ~layer.closed)))


def _solid(front: Picture, kit: Wardrobe, person: Person, scene: Scene, light: Light) -> Array:
    """Colours (S, S, 3) of skin, eyes, mouth, lashes, glasses and clothes."""
    material, eye, inner = (front.values[..., channel] for channel in range(3))
    albedo = sample_texture(kit.texture, front.grid)[0].permute(1, 2, 0).numpy()
    detail = sample_texture(kit.detail, front.grid)[0].permute(1, 2, 0).numpy()
    body = np.rint(material) == BODY
    cloth = np.clip(front.values[..., 3] / 0.0012 + 0.5, 0, 1) * body
    colour = albedo * detail[..., :3]
    # An eyeball is set back between the lids, and never quite as bright as its paint.
    colour *= 1 - 0.22 * (eye * (material < 0.5))[..., None]
    colour = np.where(body[..., None], kit.neck.astype(np.float32), colour)
    colour += cloth[..., None] * (_cloth(front, person, scene) - colour)
    glossy = detail[..., 3] * (1 - cloth) * (material < 0.5)
    # Occlusion in skin is reddish: light that entered beside the shadow comes out in it.
    shadow = light.ambient * light.direct
    tinted = np.stack([shadow ** power for power in SCATTER], -1)
    dark = np.clip(1 - 0.55 * inner * np.clip(1.4 - light.ambient, 0, 1), 0.1, 1)
    image = colour * front.shading * tinted * dark[..., None]
    power = front.shading.mean(-1)
    oil = 0.25 + 0.75 * person.skin.oiliness
    lobe = 0.10 * shine(front.normal, light.direction, 12) + 0.22 * shine(front.normal, light.direction, 45)
    edge = 0.06 * (1 - front.normal[..., 2]) ** 3
    image += (glossy * oil * shadow * (lobe + edge) * np.minimum(power, 1.2))[..., None] * light.colour
    image += _eyes(front, eye, light) * (eye * (material < 0.5))[..., None]
    wet = inner * 0.25 * shine(front.normal, light.direction, 60) * light.ambient ** 2
    image += wet[..., None]
    kind = np.rint(material)
    image = np.where((kind == LASH)[..., None], _LASH_COLOUR, image)
    if person.glasses is not None:
        rim = np.asarray(person.glasses.colour, np.float32) * front.shading + 0.5 * shine(
            front.normal, light.direction, 40)[..., None]
        image = np.where((kind == GLASSES)[..., None], rim, image)
    return image.astype(np.float32)


def _cloth(front: Picture, person: Person, scene: Scene) -> Array:
    along, around = front.values[..., 4], front.values[..., 5]
    first, second = (np.asarray(colour, np.float32) for colour in scene.cloth_colours)
    if person.clothes.pattern == "stripes":
        return np.where((np.sin(along * 2 * np.pi / 0.024) > 0.2)[..., None], first, second)
    weave = 0.06 if person.clothes.pattern == "plain" else 0.16
    grain = np.sin(around * 2 * np.pi / 0.005) * np.sin(along * 2 * np.pi / 0.006)
    return first * (1 + weave * grain)[..., None]


def _eyes(front: Picture, eye: Array, light: Light) -> Array:
    """Highlights on the wet eyeball: the key light and a broad one from above."""
    normal = front.values[..., 6:9]
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    towards = 0.55 * light.direction + np.array([0.0, 0.25, 0.75], np.float32)
    towards = towards / np.linalg.norm(towards)
    spot = np.clip((shine(normal, towards, 1.0) - 0.9945) / 0.003, 0, 1)
    broad = 0.06 * shine(normal, light.direction, 20)
    return (0.6 * spot * np.clip(light.ambient * 1.6 - 0.4, 0, 1) + broad)[..., None] * (0.5 + 0.5 * light.colour)
