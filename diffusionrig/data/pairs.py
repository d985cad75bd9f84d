"""What a network learns to finish carried photographs from: pairs of pictures of one person, and single photographs there and back.

Which example is shown as sample n of a run is a function of (seed, n) alone, as the order of records is (``data.sampling``).
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig import __version__
from diffusionrig.data.batches import scale_images
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.sampling import record_of
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.matting import person_matte
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.randomness import numpy_stream
from diffusionrig.render.carrying import Carried, carry, sampled
from diffusionrig.render.condition import reference_condition
from diffusionrig.render.layers import split_layers
from diffusionrig.render.posing import Posed, pose_heads

RETURNS = 0.3
"""Share of the samples of an album that are there and back all the same: they know what is behind the person."""

PLAIN = 0.75
"""Share of the edits that are shown beside the photograph they were made from; the rest beside another edit of it, from which they
differ in several parts at once."""

PARTS = ({"pose"}, {"exp"}, {"pose", "exp"}, {"pose", "exp", "light"}, {"light"})
ODDS = (0.28, 0.3, 0.18, 0.12, 0.12)
"""What changes on the way there, and how often."""

DISTURBED = 0.5
"""Share of the samples whose codes are disturbed as a capture errs."""

ERRORS = {"shape": 0.25, "expression": 0.03, "pose": 0.02, "eyes": 0.02}
"""Standard deviations of such an error, in the units of a face code."""

HEAD_WEIGHT, FEATURE_WEIGHT = 3.0, 2.0
"""How much more a pixel counts on the head, and that times how much more around mouth and eyes."""

MOST_WEIGHT = (1 + HEAD_WEIGHT) * (1 + FEATURE_WEIGHT)

JITTER = 0.08
"""Largest change of brightness and of the colours' balance."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """What sample n is: ``record`` of ``store`` is the truth; ``partner`` of the same store is carried to it, or None for there and
    back over the code of ``other`` (store, record) with ``parts`` at ``strength``. ``scene`` says that the background is common."""

    store: int
    record: int
    partner: int | None
    scene: bool
    other: tuple[int, int]
    parts: frozenset[str]
    strength: float


@dataclasses.dataclass
class Examples:
    """``condition`` (B, 21, S, S), ``truth`` (B, 3, S, S) in [-1, 1], ``weight`` (B, 1, S, S) of its pixels, and ``records`` (B,),
    counted over all stores."""

    condition: Tensor
    truth: Tensor
    weight: Tensor
    records: Tensor


class PairMaker:
    """Makes the samples of a run from one store or several of one head model, drawn from by ``shares``. Samples with a negative
    number are shown as they are: neither mirrored nor jittered, and their codes not disturbed."""

    def __init__(self, stores: Sequence[FaceStoreDataset], head: HeadModel, seed: int, shares: Sequence[float] = (),
                 album: bool = False) -> None:
        self.stores, self.head, self.seed, self.album = list(stores), head, seed, album
        require_codes(self.stores)
        self.size = stores[0].image_size
        if shares and (len(shares) != len(stores) or min(shares) < 0 or not sum(shares) > 0):
            raise UsageError(f"--data_shares gives {len(shares)} shares for {len(stores)} stores; give one number above zero for "
                             "each.")
        weights = np.asarray(shares or [len(store) for store in stores], np.float64)
        self.shares = weights / weights.sum()
        self.scenes = [_scenes(store) for store in self.stores]
        self.starts = np.cumsum([0, *(len(store) for store in self.stores)])

    def origin(self) -> dict[str, Any]:
        """What the samples depend on, for JSON: others of the same origin are the same, as long as the program is."""
        return {"program": __version__, "seed": self.seed, "album": self.album, "size": self.size, "head": self.head.hash,
                "shares": [float(share) for share in self.shares], "stores": [_fingerprint(store) for store in self.stores]}

    def number_of(self, choice: Choice) -> int:
        """The truth's record, counted over all stores."""
        return int(self.starts[choice.store]) + choice.record

    def choose(self, sample: int) -> Choice:
        """What sample number ``sample`` of the run is."""
        rng = numpy_stream(self.seed, "pair", sample)
        store = int(rng.choice(len(self.stores), p=self.shares))
        return self._choice(rng, store, record_of(self.seed + store, sample, len(self.stores[store])))

    def _choice(self, rng: np.random.Generator, store: int, record: int) -> Choice:
        scene = self.scenes[store].get(record, [record])
        same = [other for other in scene if other != record]
        partner = same[int(rng.integers(len(same)))] if same else None
        if partner is not None and scene[0] != record and rng.random() < PLAIN:
            partner = scene[0]
        if partner is None and self.album and len(self.stores[store]) > 1 and rng.random() >= RETURNS:
            partner = (record + 1 + int(rng.integers(len(self.stores[store]) - 1))) % len(self.stores[store])
        elsewhere = int(rng.choice(len(self.stores), p=self.shares))
        parts = PARTS[int(rng.choice(len(PARTS), p=ODDS))]
        return Choice(store, record, partner, bool(same), (elsewhere, int(rng.integers(len(self.stores[elsewhere])))),
                      frozenset(parts), float(rng.uniform(0.4, 1.1)))

    def make(self, samples: Sequence[int], mirrored: bool = True) -> Examples:
        """The samples, on the CPU; half of them mirrored, unless that is to be done later."""
        made = self._make([self.choose(sample) for sample in samples], samples)
        return self.mirror(made, samples) if mirrored else made

    def mirror(self, examples: Examples, samples: Sequence[int]) -> Examples:
        """``examples`` with those mirrored, in place, that are so in these samples of the run."""
        for row, sample in enumerate(samples):
            if numpy_stream(self.seed, "mirror", sample).random() < 0.5:
                examples.condition[row] = mirrored_condition(examples.condition[row])
                examples.truth[row], examples.weight[row] = examples.truth[row].flip(-1), examples.weight[row].flip(-1)
        return examples

    def make_records(self, records: Sequence[int]) -> Examples:
        """One example of each of these records, counted over all stores: the same whatever the run's seed."""
        choices, numbers = [], []
        for record in records:
            store = int(np.searchsorted(self.starts, record, side="right")) - 1
            choices.append(self._choice(numpy_stream("shown pair", record), store, record - int(self.starts[store])))
            numbers.append(-1 - record)
        return self._make(choices, numbers)

    def _make(self, choices: list[Choice], samples: Sequence[int]) -> Examples:
        groups: list[tuple[list[int], Examples]] = []
        for paired in (True, False):
            rows = [row for row, choice in enumerate(choices) if (choice.partner is not None) == paired]
            if rows:
                make = self._pairs if paired else self._returns
                groups.append((rows, make([choices[row] for row in rows], [samples[row] for row in rows])))
        order = torch.tensor([row for rows, _ in groups for row in rows]).argsort()
        return Examples(*(torch.cat([getattr(part, field.name) for _, part in groups])[order]
                          for field in dataclasses.fields(Examples)))

    def _pairs(self, choices: list[Choice], samples: list[int]) -> Examples:
        truth, target = self._read([(choice.store, choice.record) for choice in choices], samples)
        photo, code = self._read([(choice.store, choice.partner or 0) for choice in choices], samples)
        centre = ffhq_centre(self.head.landmarks(self.head.vertices(target), target))
        # Shape and skin are captured from the source alone, and where the head is from the target.
        edited = target.replace(shape=code.shape, albedo=code.albedo)
        code, edited = self._disturbed([code, edited], samples)
        source, aim = pose_heads(self.head, code, self.size), pose_heads(self.head, edited, self.size, centre)
        carried = self._carried(photo, source, aim)
        common = torch.tensor([choice.scene for choice in choices])[:, None, None, None]
        seen = torch.where(common, torch.ones_like(carried.buffers.alpha), carried.buffers.alpha)
        return self._examples(carried, truth, edited, seen, choices)

    def _returns(self, choices: list[Choice], samples: list[int]) -> Examples:
        photo, code = self._read([(choice.store, choice.record) for choice in choices], samples)
        others = FaceCode.concatenate([self.stores[choice.other[0]].code(choice.other[1]) for choice in choices])
        code = self._disturbed([code], samples)[0]
        away = FaceCode.concatenate([_swapped(code[row], others[row], choice) for row, choice in enumerate(choices)])
        centre = ffhq_centre(self.head.landmarks(self.head.vertices(code), code))
        home, abroad = pose_heads(self.head, code, self.size), pose_heads(self.head, away, self.size, centre)
        there = self._carried(photo, home, abroad)
        back = self._carried(there.picture, abroad, home)
        # What was lost on the way there is not known on the way back.
        lost = sampled(torch.cat([there.confidence, there.change], 1), back.flow).clamp(0, 1)
        back.confidence = back.confidence * lost[:, :1]
        back.change = torch.maximum(back.change, back.buffers.alpha * torch.maximum(1 - back.confidence, lost[:, 1:]))
        return self._examples(back, photo, code, torch.ones_like(back.confidence), choices)

    def _carried(self, photo: Tensor, source: Posed, edited: Posed) -> Carried:
        return carry(self.head, photo, split_layers(photo, source.buffers.alpha, person_matte(photo)), source, edited)

    def _read(self, places: Sequence[tuple[int, int]], samples: Sequence[int]) -> tuple[Tensor, FaceCode]:
        held = [self.stores[store].item(record) for store, record in places]
        codes = [sample.code for sample in held if sample.code is not None]
        photos = torch.stack([scale_images(sample.image) if number < 0 else _jittered(scale_images(sample.image), self.seed, number)
                              for sample, number in zip(held, samples)])
        return photos, FaceCode.concatenate(codes)

    def _disturbed(self, codes: list[FaceCode], samples: Sequence[int]) -> list[FaceCode]:
        """All ``codes`` of a sample with the same error, as a capture misjudges one person in all photographs alike."""
        errors: dict[str, list[Tensor]] = {name: [] for name in ERRORS}
        for sample in samples:
            rng = numpy_stream(self.seed, "capture error", sample)
            share = float(sample >= 0 and rng.random() < DISTURBED)
            for name, spread in ERRORS.items():
                width = getattr(codes[0], name).shape[1]
                errors[name].append(torch.from_numpy(share * spread * rng.standard_normal(width)).float())
        moved = {name: torch.stack(rows) for name, rows in errors.items()}
        disturbed = []
        for code in codes:
            wrong = code.replace(**{name: getattr(code, name) + error.to(code.pose) for name, error in moved.items()})
            wrong = wrong.replace(pose=torch.cat([wrong.pose[:, :3], code.pose[:, 3:]], 1))
            # A capture puts even a misjudged head where the face is.
            away = [ffhq_centre(self.head.landmarks(self.head.vertices(one), one))[:, :2] for one in (code, wrong)]
            camera = torch.cat([code.camera[:, :1], code.camera[:, 1:] + away[0] - away[1]], 1)
            disturbed.append(wrong.replace(camera=camera))
        return disturbed

    def _examples(self, carried: Carried, truth: Tensor, code: FaceCode, seen: Tensor,
                  choices: Sequence[Choice]) -> Examples:
        weight = seen * (1 + HEAD_WEIGHT * carried.buffers.alpha) * (1 + FEATURE_WEIGHT * features(self.head, code, self.size))
        records = torch.tensor([self.number_of(choice) for choice in choices])
        return Examples(reference_condition(carried), truth, weight, records)


def require_codes(stores: Sequence[FaceStoreDataset]) -> None:
    """RigError when one of the stores is a published one, which has rendered buffers alone."""
    for store in stores:
        if not store.has_codes:
            raise RigError(f"{store.path} is a published store, which holds no face codes to carry photographs by; create it "
                           "again with create-data.")


def features(head: HeadModel, code: FaceCode, size: int) -> Tensor:
    """(B, 1, S, S) in 0..1: soft discs around the mouth and both eyes."""
    points = image_points(head.landmarks(head.vertices(code), code), code)[..., :2]
    axis = (2 * torch.arange(size, dtype=points.dtype, device=points.device) + 1) / size - 1
    here = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    share = points.new_zeros(len(points), 1, size, size)
    for part, first, last, reach in ((slice(48, 68), 48, 54, 0.75), (slice(36, 42), 36, 39, 0.9), (slice(42, 48), 42, 45, 0.9)):
        middle, radius = points[:, part].mean(1), reach * (points[:, first] - points[:, last]).norm(dim=1)
        away = torch.hypot(*(here - middle[:, None, None]).unbind(-1)) / radius.clamp_min(1e-3)[:, None, None]
        share = torch.maximum(share, (1.5 - away).clamp(0, 1)[:, None])
    return share


def mirrored_condition(condition: Tensor) -> Tensor:
    """A condition (..., 21, S, S) of the mirror image: pixels, and what points left and right, change sides."""
    flipped = condition.flip(-1).clone()
    normal, flow = 11, 19
    flipped[..., normal, :, :] *= -1
    flipped[..., flow, :, :] *= -1
    return flipped


def _fingerprint(store: FaceStoreDataset) -> str:
    """Of the photographs and, since these can be captured anew, of their codes."""
    found = hashlib.blake2b(" ".join(store.marks()).encode(), digest_size=16)
    for record in range(len(store)):
        code = store.code(record)
        found.update(torch.cat([code.pose, code.camera, code.expression], 1).numpy().tobytes())
    return found.hexdigest()


def _scenes(store: FaceStoreDataset) -> dict[int, list[int]]:
    """For each record that has them the records of its scene, itself included: pictures of one moment, background and all. The
    photograph itself, which the edits were made from, is the first."""
    series = store.header.get("series")
    if not isinstance(series, dict) or not series.get("edits"):
        return {}
    members: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
    for record, fields in enumerate(store.fields()):
        if "scene" in fields:
            members[int(fields["person"]), int(fields["scene"])].append(record)
    return {record: records for records in members.values() for record in records}


def _swapped(code: FaceCode, other: FaceCode, choice: Choice) -> FaceCode:
    for part in sorted(choice.parts):
        code = code.swap(part, other, choice.strength)
    return code


def _jittered(photo: Tensor, seed: int, sample: int) -> Tensor:
    rng = numpy_stream(seed, "colours", sample)
    gain = 1 + JITTER * (rng.uniform(-1, 1) + 0.5 * rng.uniform(-1, 1, 3))
    return ((photo + 1) * torch.from_numpy(gain).float()[:, None, None] - 1).clamp(-1, 1)
