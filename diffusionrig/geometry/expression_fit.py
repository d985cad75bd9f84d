"""Fitting the expression map: the open head's actions, carried over to another head, by its expressions and jaw."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.closest import closest_places
from diffusionrig.geometry.expression_map import ExpressionMap
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame_landmarks import CONTOUR, points_on
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.geometry.warp import Similarity, similarity, thin_plate

JAW_SECANT = 0.2
"""Radians at which the jaw's rotation is linearised: about half of a wide open mouth."""

JAW_SPREAD = 0.4
ERROR = 1.5e-4
"""Metres, root mean square over the face, that weigh as much as one standard deviation of a coefficient."""

INNER_SLACK, CONTOUR_SLACK = 1e-3, 2e-2
"""The contour's landmarks of two heads agree less than those of eyes and mouth."""

LARGEST_GAP = 8e-3
"""Metres between the heads, once one is laid over the other, beyond which a vertex has no counterpart."""

SAME_SIDE = 0.5
NOT_SKIN = ("inner_mouth", "eyes", "teeth", "tongue")
ROUNDS = 4
_LANDMARK_SHARE = 0.5
_LEAST = 200


@dataclasses.dataclass(frozen=True)
class Counterparts:
    """N places of a head (``vertices``, then the 51 inner landmarks), the displacements ``actions`` (52, N, 3) wanted there,
    and their shares ``weight`` (N,), which sum to one."""

    vertices: Tensor
    actions: Tensor
    weight: Tensor


def fit_expression_map(head: HeadModel, guide: HeadModel | None = None) -> ExpressionMap:
    """The map from the actions of ``guide`` (the open head) to the expression and jaw of ``head``.

    Both neutral heads are laid over each other by their landmarks; each facial vertex of ``head`` is to move as the nearest
    place of the guide does. Ridge regression with unit normal coefficients, vertices that no combination explains losing
    weight (they are on the wrong lip or lid). Deterministic. RigError when the heads are too different.
    """
    head = copy.deepcopy(head).to("cpu").double()
    guide = copy.deepcopy(guide if guide is not None else load_head()).to("cpu").double()
    if guide.expression_names != ARKIT_NAMES:
        raise RigError(f"The head model {guide.name} does not have the 52 actions of ARKit; guide the map by the open head.")
    with torch.no_grad():
        wanted = counterparts(head, guide)
        basis = _displacements(head, wanted.vertices)
        ridge = torch.cat([torch.ones(head.n_expression), torch.full((3,), JAW_SPREAD**-2)]).double().diag() * ERROR**2
        trust = torch.ones_like(wanted.weight)
        for _ in range(ROUNDS):
            share = wanted.weight * trust / (wanted.weight * trust).sum()
            weighted = basis * share[:, None]
            normal = torch.einsum("cnk,dnk->cd", weighted, basis)
            actions = torch.linalg.solve(normal + ridge, torch.einsum("cnk,ank->ca", weighted, wanted.actions)).T
            left = (torch.einsum("ac,cnk->ank", actions, basis) - wanted.actions).square().sum((0, 2))
            trust = (1 + left / (9 * left.median())).square().reciprocal()
        return _judged(head, wanted, actions, normal)


def counterparts(head: HeadModel, guide: HeadModel) -> Counterparts:
    """Where and how ``head`` is to move; RigError when too few of its vertices have a counterpart on ``guide``."""
    codes = {model: _codes(model, 1) for model in (head, guide)}
    (mine, spots), (theirs, marks) = ((model.vertices(code), model.landmarks(model.vertices(code), code))
                                      for model, code in codes.items())
    laid = similarity(marks[0, CONTOUR:], spots[0, CONTOUR:])
    slack = torch.full((68,), INNER_SLACK).double()
    slack[:CONTOUR] = CONTOUR_SLACK
    over = thin_plate(laid.points(marks[0]), spots[0], slack, laid.points(theirs[0]))

    none = torch.zeros(len(over)).double()
    hidden = sum((guide.regions.get(name, none) for name in NOT_SKIN), none)
    skin = guide.faces[hidden[guide.faces].amax(1) < 0.5]
    face, bary, gap = closest_places(mine[0], over, skin)
    own, other = vertex_normals(mine, head.faces)[0], vertex_normals(over[None], guide.faces)
    same = (own * points_on(other, skin, face, bary)[0]).sum(-1) > SAME_SIDE
    in_face = (guide.regions["face"][skin[face]] * bary).sum(1) > 0.5
    eyes = head.regions.get("eyes", torch.zeros(len(own)).double())
    used = (same & in_face & (gap < LARGEST_GAP) & (eyes < 0.5)).nonzero()[:, 0]
    if len(used) < _LEAST:
        raise RigError(f"Only {len(used)} vertices of the head model {head.name!r} lie near the face of {guide.name!r}; "
                       "their expressions cannot be matched.")
    area = _areas(mine[0], head.faces)[used]
    weight = torch.cat([(1 - _LANDMARK_SHARE) * area / area.sum(), torch.full((68 - CONTOUR,), _LANDMARK_SHARE / 51).double()])
    return Counterparts(used, _carried(guide, laid, skin[face[used]], bary[used]), weight)


def _carried(guide: HeadModel, laid: Similarity, corners: Tensor, bary: Tensor) -> Tensor:
    """(52, N, 3) displacements of the guide's actions at places on it and at its landmarks, as the other head measures."""
    code = _codes(guide, len(ARKIT_NAMES) + 1)
    code.expression[1:] = torch.eye(len(ARKIT_NAMES)).double()
    vertices = guide.vertices(code)
    places = (vertices[:, corners] * bary[..., None]).sum(2)
    both = torch.cat([places, guide.landmarks(vertices, code)[:, CONTOUR:]], 1)
    return laid.vectors(both[1:] - both[:1])


def _places(head: HeadModel, code: FaceCode, used: Tensor) -> Tensor:
    vertices = head.vertices(code)
    return torch.cat([vertices[:, used], head.landmarks(vertices, code)[:, CONTOUR:]], 1)


def _displacements(head: HeadModel, used: Tensor) -> Tensor:
    """(E + 3, N, 3) per unit of each expression coefficient and per radian of the jaw."""
    count = head.n_expression
    code = _codes(head, count + 4)
    code.expression[1:count + 1] = torch.eye(count).double()
    code.pose[count + 1:, 3:] = JAW_SECANT * torch.eye(3).double()
    places = _places(head, code, used)
    step = torch.cat([torch.ones(count), torch.full((3,), JAW_SECANT)]).double()
    return (places[1:] - places[:1]) / step[:, None, None]


def _judged(head: HeadModel, wanted: Counterparts, actions: Tensor, metric: Tensor) -> ExpressionMap:
    """With what the head itself, jaw turned in earnest, leaves of each action."""
    code = _codes(head, len(actions) + 1)
    code.expression[1:], code.pose[1:, 3:] = actions[:, :-3], actions[:, -3:]
    places = _places(head, code, wanted.vertices)
    moved, missed = ((wanted.weight * field.square().sum(-1)).sum(1).sqrt()
                     for field in (wanted.actions, places[1:] - places[:1] - wanted.actions))
    return ExpressionMap(actions, metric, moved, missed, head.hash)


def _areas(vertices: Tensor, faces: Tensor) -> Tensor:
    """(V,) area around each vertex, metres squared."""
    corners = vertices[faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1).norm(dim=-1) / 6
    return torch.zeros(len(vertices)).double().index_add(0, faces.reshape(-1), area.repeat_interleave(3))


def _codes(head: HeadModel, batch: int) -> FaceCode:
    def zeros(*shape: int) -> Tensor:
        return torch.zeros(batch, *shape, dtype=torch.float64)

    return FaceCode(shape=zeros(head.n_shape), albedo=zeros(head.n_albedo), expression=zeros(head.n_expression),
                    pose=zeros(6), camera=zeros(3), light=zeros(9, 3), head=head.name)
