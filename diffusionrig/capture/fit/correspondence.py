"""Which place of a head's surface each of the 478 landmarks marks: render the head, run the landmarker, cast back.

A landmark is the place whose projection follows the detected point best over many views (several people, expressions and
small turns at once). One view could not tell the upper from the lower lip of a closed mouth, nor a place of the surface
from the silhouette that happens to hide it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.landmark_model import has_bounded_expression, neutral_code, surface_points
from diffusionrig.errors import RigError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.geometry.rotations import euler_degrees_to_axis_angle
from diffusionrig.io.array_files import read_array_file
from diffusionrig.io.assets import read_asset, user_assets
from diffusionrig.io.npz import read_arrays
from diffusionrig.randomness import numpy_stream
from diffusionrig.render.physical import rasterize_points, render_buffers

VIEWS = 60
VIEW_SIZE = 512
SEED = 0
OFF_SCALE = 0.03
"""Distance, in units of the eye distance, at which a view's vote for a place is worth half."""


NEUTRAL_TOLERANCE = 3e-3
"""Metres by which the neutral head's landmarks may lie elsewhere before a tie counts as another head's."""


@dataclasses.dataclass(frozen=True)
class LandmarkTie:
    """face (N,) int64, barycentric (N, 3) float32, reliability (N,) float32 in 0..1."""

    face: Tensor
    barycentric: Tensor
    reliability: Tensor


def tie_views(head: HeadModel, count: int = VIEWS) -> FaceCode:
    """``count`` heads to look at: the mean first, then random people, expressions, small turns and plain lights."""
    code = neutral_code(head, count, torch.zeros(()))
    for i in range(1, count):
        stream = numpy_stream("landmark tie", SEED, i)
        turn = euler_degrees_to_axis_angle(stream.normal(0, 5), stream.uniform(-22, 22), stream.normal(0, 4))
        code.pose[i, :3] = turn.float()
        code.shape[i] = torch.from_numpy(0.7 * stream.standard_normal(head.n_shape)).float()
        if i % 3:
            if has_bounded_expression(head):
                active = stream.random(head.n_expression) < 0.08
                code.expression[i] = torch.from_numpy(active * stream.uniform(0.2, 0.8, head.n_expression)).float()
            else:
                code.expression[i] = torch.from_numpy(0.7 * stream.standard_normal(head.n_expression)).float()
                code.pose[i, 3] = float(stream.uniform(0, 0.25))
        if i % 4 == 1 and "jawOpen" in head.expression_names:
            # An open mouth parts the lips, which are one line in the image otherwise.
            code.expression[i, head.expression_names.index("jawOpen")] = float(stream.uniform(0.2, 0.7))
        code.light[i, 1, :] = float(stream.normal(0, 0.25))
        code.light[i, 2, :] = float(stream.normal(0.1, 0.2))
        code.camera[i, 0] = float(stream.uniform(6.0, 8.0))
    code.light[:, 3] = 0.35
    centre = head.landmarks(head.vertices(code), code)[..., :2].mean(1)
    code.camera[:, 1:] = -centre
    return code


def look(head: HeadModel, code: FaceCode, landmarker: FaceLandmarker) -> tuple[Tensor, Tensor, Tensor]:
    """Render every view and find its landmarks.

    Returns the points (B, 478, 2) in the image plane, whether a face was found (B,), and which vertices were seen in at
    least one view (V,).
    """
    points, found = torch.zeros(len(code), 478, 2), torch.zeros(len(code), dtype=torch.bool)
    seen = torch.zeros(head.vertices(code[0]).shape[1], dtype=torch.bool)
    for start in range(0, len(code), 4):
        part = code[start:start + 4]
        buffers = render_buffers(head, part, VIEW_SIZE)
        picture = buffers.rendered + 0.45 * (1 - buffers.alpha)
        images = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        fragments = rasterize_points(image_points(head.vertices(part), part), head.faces, VIEW_SIZE // 2)
        shown = fragments.face[fragments.face >= 0].unique()
        seen[head.faces[shown].reshape(-1).cpu()] = True
        for i, image in enumerate(images, start):
            faces = landmarker.detect(np.ascontiguousarray(image))
            if faces and faces[0].points is not None:
                found[i] = True
                points[i] = torch.from_numpy((faces[0].points[:, :2] + 0.5) / VIEW_SIZE * 2 - 1)
    return points, found, seen


def _votes(distance: Tensor, scale: Tensor) -> Tensor:
    # Geman-McClure, one minus: 1 for a perfect match, 1/2 at ``scale``.
    return scale.square() / (scale.square() + distance.square())


def tie_landmarks(head: HeadModel, landmarker: FaceLandmarker | None = None) -> LandmarkTie:
    """Find the place of every landmark on ``head``; about ten seconds, no randomness beyond fixed streams.

    RigError when the landmarker sees no face in most renders of the head.
    """
    code = tie_views(head).to(head.faces.device)
    points, found, seen = look(head, code, landmarker or FaceLandmarker())
    if int(found.sum()) < len(code) // 2:
        raise RigError(f"The landmarker found a face in only {int(found.sum())} of {len(code)} renders of the head model "
                       f"{head.name!r}; it cannot be captured by fitting.")
    code, points = code[found], points[found]
    vertices = head.vertices(code)
    plane = image_points(vertices, code)[..., :2].cpu()
    facing = vertex_normals(vertices, head.faces)[..., 2].cpu()
    faces = head.faces.cpu()
    eyes = (points[:, 33] - points[:, 263]).norm(dim=-1)
    scale = OFF_SCALE * eyes[:, None]
    candidates = seen.nonzero()[:, 0]
    visible = (facing[:, candidates] > -0.1).float()

    triangles_of: dict[int, list[int]] = {}
    for index, corners in enumerate(faces.tolist()):
        for corner in corners:
            triangles_of.setdefault(corner, []).append(index)

    face = torch.zeros(points.shape[1], dtype=torch.int64)
    barycentric = torch.zeros(points.shape[1], 3)
    score = torch.zeros(points.shape[1])
    for n in range(points.shape[1]):
        distance = (plane[:, candidates] - points[:, n, None]).norm(dim=-1)
        support = (_votes(distance, scale) * visible).mean(0)
        nearby = candidates[support.topk(4).indices].tolist()
        around = torch.tensor(sorted({index for vertex in nearby for index in triangles_of[vertex]}))
        corners = plane[:, faces[around]]
        weights, value = _place_in_triangles(corners, points[:, n], facing[:, faces[around]].mean(-1) > -0.1, scale[:, 0])
        best = int(value.argmax())
        face[n], barycentric[n], score[n] = around[best], weights[best], value[best]
    return LandmarkTie(face, barycentric, score.clamp(0, 1))


def _place_in_triangles(corners: Tensor, target: Tensor, visible: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Best barycentric place in each triangle over all views, by robust least squares held inside the triangle.

    ``corners`` (K, T, 3, 2), ``target`` (K, 2), ``visible`` (K, T), ``scale`` (K,) -> weights (T, 3), votes (T,) in 0..1.
    """
    edges = corners[:, :, 1:] - corners[:, :, :1]
    offset = target[:, None] - corners[:, :, 0]
    place = torch.full((corners.shape[1], 2), 1 / 3)
    for _ in range(6):
        off = offset - torch.einsum("tc,ktcd->ktd", place, edges)
        weight = (_votes(off.norm(dim=-1), scale[:, None]).square() * visible) / scale[:, None].square()
        normal = torch.einsum("kt,ktcd,kted->tce", weight, edges, edges)
        side = torch.einsum("kt,ktcd,ktd->tc", weight, edges, offset)
        ridge = 1e-4 * torch.diagonal(normal, dim1=1, dim2=2).mean(1) + 1e-9
        place = torch.linalg.solve(normal + ridge[:, None, None] * torch.eye(2), side + ridge[:, None] / 3)
        place = place.clamp_min(0)
        place = place / place.sum(1, keepdim=True).clamp_min(1)
    off = offset - torch.einsum("tc,ktcd->ktd", place, edges)
    votes = (_votes(off.norm(dim=-1), scale[:, None]) * visible).mean(0)
    return torch.cat([1 - place.sum(1, keepdim=True), place], 1), votes


def landmark_points(tie: LandmarkTie, head: HeadModel, vertices: Tensor) -> Tensor:
    """(B, V, 3) posed vertices -> (B, 478, 3) landmarks."""
    return surface_points(vertices, head.faces, tie.face.to(vertices.device), tie.barycentric.to(vertices.device))


ASSET = "open_head_landmarks.npz"
_FOUND: dict[str, LandmarkTie] = {}


def find_tie(head: HeadModel, landmarker: FaceLandmarker | None = None) -> LandmarkTie:
    """The tie of ``head``: the shipped one or one in the folder of registered files where it fits, else found now and
    remembered."""
    if head.hash not in _FOUND:
        shipped, landmarks = shipped_tie()
        kept = user_assets() / tie_file_name(head)
        if fits(shipped, landmarks[:1], head, NEUTRAL_TOLERANCE):
            _FOUND[head.hash] = shipped
        elif kept.is_file():
            _FOUND[head.hash], _ = _read_tie(read_array_file(kept), str(kept), head)
        else:
            _FOUND[head.hash] = tie_landmarks(head, landmarker)
    return _FOUND[head.hash]


def tie_file_name(head: HeadModel) -> str:
    """Name, in the folder of registered files, of a tie made for this edition of the head by scripts/bake_landmark_tie.py."""
    return f"landmark_tie_{head.hash[:12]}.npz"


def shipped_tie() -> tuple[LandmarkTie, Tensor]:
    """The tie that ships with the package, made by ``scripts/bake_landmark_tie.py``, and the ``probe`` of its head."""
    return _read_tie(read_arrays(read_asset(ASSET), f"assets/{ASSET}"), f"assets/{ASSET}")


def _read_tie(arrays: dict[str, np.ndarray], name: str, head: HeadModel | None = None) -> tuple[LandmarkTie, Tensor]:
    """Tie and probe; RigError, calling the file ``name``, when they are none or lie on triangles ``head`` does not have."""
    try:
        tie = LandmarkTie(torch.from_numpy(arrays["face"].astype(np.int64)), torch.from_numpy(arrays["barycentric"]),
                          torch.from_numpy(arrays["reliability"]))
        if tie.barycentric.shape != (len(tie.face), 3) or (head is not None and int(tie.face.max()) >= len(head.faces)):
            raise ValueError("shape")
        return tie, torch.from_numpy(arrays["probe"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RigError(f"{name} is no landmark tie of this head; delete it, or make it again with "
                       "scripts/bake_landmark_tie.py.") from error


def probe(tie: LandmarkTie, head: HeadModel) -> Tensor:
    """(2, 478, 3) landmarks of the neutral head and of one with every coefficient at a quarter: enough to tell heads apart."""
    code = neutral_code(head, 2, torch.zeros((), device=head.faces.device))
    code.shape[1], code.expression[1] = 0.25, 0.25
    return landmark_points(tie, head, head.vertices(code)).cpu()


def fits(tie: LandmarkTie, landmarks: Tensor, head: HeadModel, tolerance: float) -> bool:
    """Whether ``landmarks``, rows of the ``probe`` of the head a tie was made on, lie within ``tolerance`` metres on ``head``.

    A comparison of places rather than of files: a new skin texture leaves the tie as good as it was.
    """
    if int(tie.face.max()) >= len(head.faces):
        return False
    return bool((probe(tie, head)[:len(landmarks)] - landmarks).abs().max() < tolerance)
