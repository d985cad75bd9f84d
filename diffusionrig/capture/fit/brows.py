"""What the pixels about the eyes say of the brows, which the landmarker hardly follows.

A small convolutional network reads a strip of the photograph beside the features of the regression, and answers the five brow
expressions with an error for each (Nix and Weigend 1994). Together they join the prior of the fit, so that a brow read as raised is
not explained by a face whose brows sit high. ``scripts/train_brows.py`` makes the file from synthetic people.
"""

from __future__ import annotations

import dataclasses
import hashlib

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.regression import Regression, aligned_landmarks, features
from diffusionrig.capture.fit.solver import Prior
from diffusionrig.errors import RigError
from diffusionrig.faces.canonical import mirrored_landmarks
from diffusionrig.geometry.arkit import ARKIT_NAMES, mirrored_name
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.io.assets import PACKAGE_ASSETS, read_asset
from diffusionrig.io.npz import read_arrays

ASSET = "fit_brows.npz"
BROWS = ("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight")
OTHER_SIDE = [BROWS.index(mirrored_name(name)) for name in BROWS]

STRIP = (72, 143)
"""Rows and columns; the bridge of the nose lies in the middle one."""

ANCHORS = (33, 133, 362, 263, 168, 6)
ANCHOR_PLACES = np.array([[26, 36], [54, 36], [88, 36], [116, 36], [71, 38], [71, 50]], np.float32)
"""Landmarks that no brow moves (corners of the eyes, bridge of the nose), and the pixels of the strip they are brought to."""

ERRORS = (0.03, 0.4)
"""Least and greatest standard deviation the network may claim."""

FINEST = 0.6
"""Pixels of the strip for one of the picture, below which the picture is shrunk first."""

FARTHEST = 6.0
"""Standard deviations."""

SHRINK = 0.5
"""Of the claimed errors, in the prior: the colours of the fit weigh more than they should (their errors go together) and would pull
the brows back. Chosen on synthetic photographs: with 1 the correlation of browInnerUp is 0.04 lower."""


def brow_strip(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """uint8 STRIP, grey, of an image (H, W, 3) with landmarks (478, 2 or more) in its pixels."""
    anchors = points[list(ANCHORS), :2].astype(np.float32)
    place = _placed(anchors)
    if place is not None and (scale := float(np.hypot(place[0, 0], place[1, 0]))) < FINEST:
        # Every pixel of a large picture counts, as in the smaller ones that the network has seen.
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        place = _placed((anchors + 0.5) * np.float32(scale) - 0.5)
    if place is None:
        return np.zeros(STRIP, np.uint8)
    strip = cv2.warpAffine(image, place, STRIP[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return strip.astype(np.float32).mean(-1).astype(np.uint8)


def _placed(anchors: np.ndarray) -> np.ndarray | None:
    """The similarity (2, 3) that takes ``anchors`` (6, 2) nearest to their places; None when they lie in one spot."""
    place, _ = cv2.estimateAffinePartial2D(anchors, ANCHOR_PLACES, method=cv2.LMEDS)
    return place


def standardised(strips: Tensor) -> Tensor:
    """(B, 1, *STRIP) of any brightness and contrast -> mean 0, spread nearly 1."""
    strips = strips - strips.mean((2, 3), keepdim=True)
    return strips / (strips.std((2, 3), keepdim=True) + 1)


def brow_features(learned: Regression, model: LandmarkModel, target: Tensor, seen: Tensor) -> Tensor:
    """(B, F) float32: the standardised features of the regression, from levelled landmarks (B, 478, 3) and reported
    coefficients (B, 52). Faces with misplaced landmarks are hundreds of deviations away; no number is larger than FARTHEST."""
    aligned, rotation = aligned_landmarks(model, target)
    inputs = features(aligned, rotation, seen, learned.point_mean, learned.point_basis)
    return ((inputs - learned.feature_mean) / learned.feature_scale).clamp(-FARTHEST, FARTHEST).float()


def mirrored_face(target: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Levelled landmarks (B, 478, 3) and reported coefficients (B, 52) of the mirrored picture."""
    turned = (target * target.new_tensor([-1.0, 1.0, 1.0]))[:, list(mirrored_landmarks())]
    return turned, seen[:, [ARKIT_NAMES.index(mirrored_name(name)) for name in ARKIT_NAMES]]


class BrowNetwork(nn.Module):
    """Standardised strips (B, 1, *STRIP) and features (B, F) -> the brows (B, 5) and the logarithm of their errors (B, 5).

    ``guesses`` further outputs (B, G) exist while it learns, to say what else the strip shows.
    """

    def __init__(self, n_features: int, guesses: int = 0, width: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        plan = ((1, 1, 2), (1, 2, 1), (2, 3, 2), (3, 4, 1), (4, 6, 2), (6, 6, 1))
        layers: list[nn.Module] = []
        for i, (before, after, stride) in enumerate(plan):
            layers += [nn.Conv2d(before * width if i else 1, after * width, 3, stride, 1, bias=False),
                       nn.BatchNorm2d(after * width), nn.ReLU()]
        self.look = nn.Sequential(*layers, nn.Conv2d(6 * width, 2 * width, 1), nn.Flatten(), nn.Dropout(dropout))
        self.place = nn.Linear(2 * width * -(-STRIP[0] // 8) * -(-STRIP[1] // 8), 128)
        self.think = nn.Sequential(nn.Linear(128 + n_features, 128), nn.ReLU(), nn.Dropout(dropout))
        self.answer = nn.Linear(128, len(BROWS))
        self.direct = nn.Linear(n_features, len(BROWS))
        self.error = nn.Linear(128, len(BROWS))
        self.guess = nn.Linear(128, guesses) if guesses else None

    def hidden(self, strips: Tensor, inputs: Tensor) -> Tensor:
        return self.think(torch.cat([self.place(self.look(strips)).relu(), inputs], 1))

    def read(self, hidden: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        low, high = (float(np.log(value)) for value in ERRORS)
        return self.answer(hidden) + self.direct(inputs), low + (high - low) * self.error(hidden).sigmoid()

    def forward(self, strips: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.read(self.hidden(strips, inputs), inputs)


def read_both_ways(network: BrowNetwork, strips: Tensor, inputs: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    """Brows (B, 5) in [0, 1] and the errors claimed (B, 5), each the mean over a face and its mirror image. ``strips``
    (B, 1, *STRIP) in grey levels; features (B, F) of both."""
    first, other = network(standardised(strips), inputs), network(standardised(strips.flip(3)), mirrored)
    value, error = ((one + two[:, OTHER_SIDE]) / 2 for one, two in zip(first, other))
    return value.clamp(0, 1), error.exp()


@dataclasses.dataclass(frozen=True)
class BrowReader:
    """A trained network, ``misses`` (5, 5), the second moments of its misses over the errors it claimed, on photographs that were
    left out, and the columns of the five brows among a head's expressions."""

    network: BrowNetwork
    misses: Tensor
    columns: list[int]

    @torch.no_grad()
    def read(self, learned: Regression, model: LandmarkModel, strips: Tensor, target: Tensor,
             seen: Tensor) -> tuple[Tensor, Tensor]:
        """Brows (B, 5) in [0, 1] and the covariance (B, 5, 5) to join them with."""
        inputs = brow_features(learned, model, target, seen)
        mirrored = brow_features(learned, model, *mirrored_face(target, seen))
        value, error = read_both_ways(self.network, strips, inputs, mirrored)
        error = SHRINK * error
        return value, error[:, :, None] * self.misses * error[:, None]


def with_brows(prior: Prior, columns: list[int], value: Tensor, covariance: Tensor) -> Prior:
    """``prior`` after the coefficients in ``columns`` were also read as ``value`` (B, K), with errors of ``covariance``
    (B, K, K): the product of both Gaussians. Its precision is per face, (B, 3 + C, 3 + C)."""
    told = torch.linalg.inv(covariance.to(prior.mean))
    pick = torch.eye(3 + prior.mean.shape[1]).to(prior.mean)[[3 + column for column in columns]]
    precision = prior.precision + pick.T @ told @ pick
    pull = pick.T @ told @ (value.to(prior.mean) - prior.mean[:, columns])[..., None]
    step = torch.linalg.solve(precision, pull)[..., 0]
    return Prior(prior.rotation @ axis_angle_to_matrix(step[:, :3]), prior.mean + step[:, 3:], precision)


def regression_digest(learned: Regression) -> str:
    """What the features of a reader depend on."""
    parts = (learned.point_mean, learned.point_basis, learned.feature_mean, learned.feature_scale)
    return hashlib.sha256(b"".join(part.cpu().double().numpy().tobytes() for part in parts)).hexdigest()


def shipped_reader(learned: Regression, names: tuple[str, ...], device: torch.device) -> BrowReader | None:
    """The reader that ships, for a head with these expressions; None when they lack the brows. RigError when it was made with
    another calibration."""
    if not (PACKAGE_ASSETS / ASSET).is_file() or not set(BROWS) <= set(names):
        return None
    arrays = read_arrays(read_asset(ASSET), f"assets/{ASSET}")
    if str(arrays.pop("regression")) != regression_digest(learned):
        raise RigError("The reader of brows was made with another calibration of FIT; run scripts/train_brows.py again.")
    misses = torch.from_numpy(arrays.pop("misses").astype(np.float32))
    network = BrowNetwork(len(learned.feature_mean), width=len(arrays["look.0.weight"]))
    network.load_state_dict({name: torch.from_numpy(np.asarray(array, np.float32)) if array.dtype == np.float16
                             else torch.from_numpy(np.asarray(array)) for name, array in arrays.items()})
    return BrowReader(network.to(device).eval(), misses.to(device), [names.index(name) for name in BROWS])
