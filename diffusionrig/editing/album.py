"""Further photographs of the person, which lend an edit what its source does not show: teeth, open eyes, the other cheek."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.data.batches import scale_images
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.editing.background import turned
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.matting import person_matte
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.render.carrying import Carried, carry
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.layers import split_layers
from diffusionrig.render.merging import merged
from diffusionrig.render.posing import Posed, pose_heads

LENDERS = 2
"""Photographs that one edit takes from, at most: that with the nearest mouth and eyes, and that with the nearest pose."""

CLIP_FRAMES = 200
"""Frames of a clip, evenly spread, by which its lenders are chosen."""

LACKING = 0.002
"""Share of the picture, in the face, that the source must fail to show before others are asked."""

TURN = 12.0
"""Degrees of rotation that weigh as much as a difference of one in the weights of mouth and eyes."""

FEATURES = ("jaw", "mouth", "eye")
"""Beginnings of the names of the actions that show or hide teeth and eyes."""

LENT = ("face", "lips", "eyelids", "eyes", "inner_mouth", "teeth", "tongue", "brows")
"""Regions of the head that are lent."""

INSIDE = ("inner_mouth", "teeth", "tongue")
OUTSIDE = tuple(name for name in LENT if name not in INSIDE)
"""Of them, what is inside of the mouth, and the rest."""

MOUTH_FRAMES, WHOLE = 12, 0.5
"""Frames of a clip in which it is asked whether a lender shows the inside of the mouth, and the mean confidence from which it does.
"""

ACTS = ({"jawOpen": 0.2}, {"jawOpen": 0.5}, {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7},
        {"jawOpen": 0.3, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
"""By which the lenders of frames are chosen that are not known beforehand."""

LIPS, PARTED = (62, 66), 2e-3
"""The middles of the inner lips among the 68 landmarks, and metres between them from which a mouth counts as open."""

SAME = 1e-3
"""Largest difference of expression and pose between two captures of one photograph."""

MOST = 200
"""Photographs an album may have here; each is held posed, at a few megabytes."""


@dataclasses.dataclass(frozen=True)
class Lenders:
    """Of a clip: the photographs' ``rows`` in the album, and whether they lend the inside of the ``mouth`` too."""

    rows: list[int]
    mouth: bool


def acting(code: FaceCode, head: HeadModel) -> FaceCode:
    """What a face (batch 1) may come to do: as it is, and with each of ACTS in its place; itself where the head knows none."""
    rows = [code]
    for act in ACTS:
        known = [(head.expression_names.index(name), weight) for name, weight in act.items() if name in head.expression_names]
        expression = code.expression.clone()
        for column, weight in known:
            expression[:, column] = weight
        rows += [code.replace(expression=expression)] if known else []
    return FaceCode.concatenate(rows)


class Album:
    """Photographs (N) of one person with their face codes, posed, at the size of the pictures that are drawn."""

    def __init__(self, images: Tensor, code: FaceCode, names: Sequence[str], head: HeadModel, rasterizer: str = "torch") -> None:
        """``images`` (N, 3, S, S) in [-1, 1]; RigError when the codes belong to another head model."""
        self.head, self.names, self.images = head, list(names), images
        with torch.inference_mode():
            self.posed = pose_heads(head, code, images.shape[-1], rasterizer=rasterizer)
            self.layers = split_layers(images, self.posed.buffers.alpha, person_matte(images))
        every = head.expression_names != ARKIT_NAMES
        self._features = torch.tensor([every or name.startswith(FEATURES) for name in head.expression_names])

    def __len__(self) -> int:
        return len(self.names)

    @staticmethod
    def read(path: str | Path, size: int, head: HeadModel, device: torch.device | str, rasterizer: str = "torch") -> Album:
        """The store (create-data) at ``path``. UsageError when it has no face codes or too many photographs."""
        store = FaceStoreDataset(path, size, head)
        if not store.has_codes:
            raise UsageError(f"--album {path} is a published store, which holds no face codes; create it again with create-data.")
        if len(store) > MOST:
            raise UsageError(f"--album {path} has {len(store)} photographs, more than {MOST}; choose the best with curate, or give "
                             "the store that the personal model was trained on.")
        held = [store.item(index) for index in range(len(store))]
        codes = FaceCode.concatenate([sample.code for sample in held if sample.code is not None]).to(device, torch.float32)
        images = scale_images(torch.stack([sample.image for sample in held])).to(device)
        return Album(images, codes, [sample.source for sample in held], head, rasterizer)

    def choose(self, code: FaceCode, source: FaceCode) -> list[list[int]]:
        """For each of B edited codes the photographs to take from, best first; never that of the ``source`` (B codes) itself."""
        chosen: list[list[int]] = []
        for one, before in zip(code, source):
            away = turned(one.repeat(len(self)), self.posed.code).to(one.pose) / TURN
            features = (self.posed.code.expression - one.expression)[:, self._features.to(one.expression.device)].norm(dim=1)
            held = self.posed.code
            same = torch.cat([held.expression - before.expression, held.pose - before.pose], 1).abs().amax(1) < SAME
            features, away = (torch.where(same, torch.inf, values) for values in (features, away))
            if bool(same.all()):
                chosen.append([])
                continue
            order = [int((features + 0.5 * away).argmin()), int((away + 0.2 * features).argmin())]
            chosen.append(list(dict.fromkeys(order))[:LENDERS])
        return chosen

    def serve(self, code: FaceCode, centre: Tensor, source: FaceCode) -> Lenders:
        """Who lends to all of a clip's codes (T), at ``centre`` (T, 3), of one ``source`` (batch 1): a lender for each frame would
        be another one every few frames, and flicker.

        Those are chosen whose nearer one is nearest over all frames, each counting by how far mouth and eyes are from the source's.
        The inside of the mouth is lent in every frame that shows one, or in none.
        """
        rows = torch.linspace(0, len(code) - 1, min(len(code), CLIP_FRAMES)).round().long().tolist()
        some, held = code[rows], self.posed.code
        acting = self._features.to(some.expression.device)
        weight = (some.expression - source.expression)[:, acting].norm(dim=1) + 0.05
        features = torch.cdist(some.expression[:, acting], held.expression[:, acting])
        away = torch.stack([turned(one.repeat(len(self)), held).to(one.pose) for one in some]) / TURN
        same = torch.cat([held.expression - source.expression, held.pose - source.pose], 1).abs().amax(1) < SAME
        cost = ((features + 0.5 * away) * weight[:, None]).masked_fill(same, torch.inf)
        if bool(same.all()):
            return Lenders([], False)
        pairs = torch.stack([torch.minimum(cost, cost[:, [row]]).sum(0) for row in range(len(self))])
        first, second = divmod(int(pairs.argmin()), len(self))
        chosen = sorted({first, second} - set(same.nonzero()[:, 0].tolist()), key=lambda row: float(cost[:, row].sum()))
        lips = self.head.landmarks(self.head.vertices(some), some)[:, list(LIPS)]
        apart = (lips[:, 0] - lips[:, 1]).norm(dim=1)
        order = [row for row in apart.argsort(descending=True).tolist() if float(apart[row]) > PARTED]
        asked = order[::max(1, len(order) // MOUTH_FRAMES)]
        return Lenders(chosen, all(self._shows_mouth(chosen, some[[row]], centre[[rows[row]]]) for row in asked))

    def _shows_mouth(self, lenders: Sequence[int], code: FaceCode, centre: Tensor) -> bool:
        """Whether one of the ``lenders`` shows the inside of the mouth that an edited code (batch 1) shows, if it shows one."""
        edited = pose_heads(self.head, code, self.images.shape[-1], centre)
        mouth = self._face(edited, INSIDE)
        if float(mouth.sum()) <= LACKING * mouth[0].numel():
            return True
        shown = [carry(self.head, self.images[[row]], self.layers[[row]], self.posed.rows([row]), edited).confidence
                 for row in lenders]
        return any(float((one * mouth).sum() / mouth.sum()) > WHOLE for one in shown)

    def _face(self, edited: Posed, names: Sequence[str] = LENT) -> Tensor:
        """(B, 1, S, S) in 0..1: face, eyes and mouth. Ears, neck and scalp are left out: hair covers them, each time otherwise."""
        regions = self.head.regions
        known = [regions[name] for name in names if name in regions]
        if not known:
            return edited.buffers.alpha
        mask = torch.stack(known).amax(0)[:, None].to(edited.points)
        return interpolate(edited.fragments, self.head.faces, mask).clamp(0, 1)

    def lend(self, base: Carried, source: FaceCode, edited: Posed,
             lenders: Lenders | None = None) -> tuple[Carried, list[list[str]]]:
        """``base`` (B), carried from the ``source`` codes, with what it lacks filled in, and for each picture the names of the
        photographs that were asked: the ``lenders`` of a clip (``serve``), else those that suit each picture, if it lacks enough.
        """
        if edited.code.head != self.posed.code.head:
            raise RigError(f"The album's codes belong to the head model {self.posed.code.head}, the edit's to {edited.code.head}; "
                           "create the album's store again with the same encoder.")
        face = self._face(edited, LENT if lenders is None or lenders.mouth else OUTSIDE)
        if lenders is None:
            lacking = ((1 - base.confidence) * face).sum((1, 2, 3)) > LACKING * face.shape[-1] ** 2
            chosen = [rows if bool(need) else [] for rows, need in zip(self.choose(edited.code, source), lacking)]
        else:
            chosen = [list(lenders.rows) for _ in face]
        for place in range(LENDERS):
            rows = [row for row, lenders in enumerate(chosen) if len(lenders) > place]
            if not rows:
                continue
            asked = [chosen[row][place] for row in rows]
            other = carry(self.head, self.images[asked], self.layers[asked], self.posed.rows(asked), edited.rows(rows))
            part = merged(base.rows(rows), [other], face[rows])
            where = torch.tensor(rows, device=base.picture.device)
            base = dataclasses.replace(base, picture=base.picture.index_copy(0, where, part.picture),
                                       confidence=base.confidence.index_copy(0, where, part.confidence))
        return base, [[self.names[lender] for lender in asked] for asked in chosen]
