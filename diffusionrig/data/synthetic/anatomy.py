"""What must be known of a head model once: its parts, and where on the skin each texel of the texture lies."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import cv2
import numpy as np
import torch

from diffusionrig.data.synthetic.body import neck_ring
from diffusionrig.data.synthetic.skull import SkullRays, cast_rays
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.resting import resting_code
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.rasterizer import rasterize
from diffusionrig.render.texture import texture_plane

MAP_SIZE = 512
FRONT_REACH = 0.13


@dataclasses.dataclass(frozen=True, eq=False)
class Anatomy:
    """Parts of a head, in the numbering of its vertices and faces; positions in metres on its mean shape at rest.

    faces, uv, uv_faces  the head's own, NumPy
    skin          (V,) bool: vertices of the outer skin (and the mouth's lining that hangs on it)
    rays          for measuring the skull
    scalp         (V,) bool: vertices that no expression moves
    eyeballs      two arrays of vertex indices, the subject's right and left
    eye, inner    (V,) float: 1 on eyeballs; 1 inside the mouth (teeth, tongue, cavity)
    ring          vertices round the lower end of the neck
    position      (T, T, 3) place of each texel of the texture, row 0 at v = 1
    skin_texels   (T, T) bool: texels of the skin
    points        (68, 3) landmarks
    tone          (n_albedo + 1, 3) mean colour of the skin: what each albedo coefficient adds, and that of the mean last
    front         (G, G, 2) texture coordinates of the front of the face, seen straight on, FRONT_REACH metres to each side
    """

    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    skin: np.ndarray
    rays: SkullRays
    scalp: np.ndarray
    eyeballs: tuple[np.ndarray, np.ndarray]
    eye: np.ndarray
    inner: np.ndarray
    ring: np.ndarray
    position: np.ndarray
    skin_texels: np.ndarray
    points: np.ndarray
    tone: np.ndarray
    front: np.ndarray

    def texels(self, places: np.ndarray, size: int) -> np.ndarray:
        """Column and row (N, 2) float, in a texture of ``size``, of the points of the face in front of ``places`` (N, 3)."""
        grid = self.front.shape[0]
        column = (places[:, 0] / FRONT_REACH + 1) / 2 * grid - 0.5
        row = (1 - places[:, 1] / FRONT_REACH) / 2 * grid - 0.5
        uv = cv2.remap(self.front, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)[:, 0]
        return np.stack([uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5], 1)


def neutral_code(head: HeadModel, shape: torch.Tensor | None = None) -> FaceCode:
    """A face at rest (batch 1), of the mean identity or of ``shape`` (1, n_shape)."""
    rest = resting_code(head)
    return rest if shape is None else rest.replace(shape=shape)


@dataclasses.dataclass(frozen=True)
class _Known:
    """A head model, the same as another of equal ``hash``."""

    hash: str
    head: HeadModel = dataclasses.field(compare=False)


def study(head: HeadModel) -> Anatomy:
    """The anatomy of ``head``, worked out once per model."""
    return _study(_Known(head.hash, head))


@lru_cache(maxsize=4)
def _study(known: _Known) -> Anatomy:
    head = known.head
    code = neutral_code(head)
    rest = head.vertices(code)
    points = head.landmarks(rest, code)[0].numpy()
    vertices, faces = rest[0].numpy(), head.faces.numpy()
    part = _components(faces, len(vertices))
    skin = part == np.bincount(part).argmax()
    eyeballs = tuple(_eyeball(part, skin, vertices, points[lid].mean(0)) for lid in (slice(36, 42), slice(42, 48)))
    eye = np.zeros(len(vertices), np.float32)
    eye[np.concatenate(eyeballs)] = 1.0
    inner = np.maximum.reduce([_region(head, name) for name in ("inner_mouth", "teeth", "tongue")])
    ears = _region(head, "ears") > 0.5
    outside = skin[faces].all(1) & ~ears[faces].any(1)
    position, texels = _position_map(head, rest, skin)
    front = _front_map(head, rest, skin)
    return Anatomy(faces, head.uv.numpy(), head.uv_faces.numpy(), skin,
                   cast_rays(vertices, faces[outside], points),
                   skin & (vertices[:, 1] > points[17:27, 1].max() + 0.06), eyeballs, eye,  # type: ignore[arg-type]
                   inner, neck_ring(faces[skin[faces].all(1)], vertices), position, texels, points, _tone(head, texels), front)


def _region(head: HeadModel, name: str) -> np.ndarray:
    """(V,) float32 mask of a region, 0 everywhere when the head has none of that name."""
    if name in head.regions:
        return head.regions[name].numpy().astype(np.float32)
    return np.zeros(len(head.regions["face"]), np.float32)


def _components(faces: np.ndarray, count: int) -> np.ndarray:
    """(V,) label of the connected piece each vertex belongs to."""
    label = np.arange(count)
    while True:
        smallest = label[faces].min(1)
        grown = label.copy()
        for corner in range(3):
            np.minimum.at(grown, faces[:, corner], smallest)
        grown = grown[grown]
        if (grown == label).all():
            return label
        label = grown


def _eyeball(part: np.ndarray, skin: np.ndarray, vertices: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Vertices of the separate pieces whose middle lies at one eye."""
    pieces = [piece for piece in np.unique(part[~skin])
              if np.linalg.norm(vertices[part == piece].mean(0) - near) < 0.025]
    return np.flatnonzero(np.isin(part, pieces))


def _position_map(head: HeadModel, rest: torch.Tensor, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    plane = texture_plane(head.uv)
    flat = torch.cat([plane, torch.ones(len(plane), 1)], 1)[None]
    fragments = rasterize(flat, head.uv_faces, MAP_SIZE, MAP_SIZE)
    attributes = torch.cat([rest[0], torch.from_numpy(skin).float()[:, None]], 1)
    image = interpolate(fragments, head.faces, attributes)[0].permute(1, 2, 0).numpy()
    return image[..., :3].copy(), image[..., 3] > 0.5


def _front_map(head: HeadModel, rest: torch.Tensor, skin: np.ndarray) -> np.ndarray:
    keep = torch.from_numpy(skin)[head.faces].all(1)
    flat = torch.stack([rest[0, :, 0] / FRONT_REACH, -rest[0, :, 1] / FRONT_REACH, 1 - rest[0, :, 2]], 1)[None]
    fragments = rasterize(flat, head.faces[keep], 256, 256)
    return interpolate(fragments, head.uv_faces[keep], head.uv)[0].permute(1, 2, 0).contiguous().numpy()


def _tone(head: HeadModel, texels: np.ndarray) -> np.ndarray:
    plain = head.texture(torch.zeros(1, head.n_albedo))
    step = texels.shape[0] // plain.shape[-1]
    skin = torch.from_numpy(texels[::step, ::step])
    mean = plain[0, :, skin].mean(1)
    rows = [head.texture(row[None])[0, :, skin].mean(1) - mean for row in torch.eye(head.n_albedo)]
    return torch.stack([*rows, mean]).numpy()
