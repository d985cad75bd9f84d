"""Make ``diffusionrig/assets/identity.npz``: what turns features of a FIT capture into an identity embedding.

Linear discriminants (Fisher 1936) of synthetic people in changing pose, light, expression and picture size; no photograph of a
person is used. Prints how well people that were left out are told apart. ``python scripts/train_identity.py`` (an hour of one
core; the features are kept in log/identity_features.npz).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from diffusionrig.capture.curation.people import likeness
from diffusionrig.capture.fit.encoder import N_SHAPE, FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.identity.features import IdentityFeatures
from diffusionrig.capture.identity.fit_identity import ASSET
from diffusionrig.data.synthetic import render_photographs, sample_person, sample_scene
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.io.assets import PACKAGE_ASSETS
from diffusionrig.io.files import make_folder
from diffusionrig.io.resize import resize_square
from diffusionrig.progress import Progress
from diffusionrig.randomness import numpy_stream

SEED = 5_000
SIDE, SIZES = 256, (256, 64, 128)
"""Photographs are taken with SIDE pixels and then shrunk to one of SIZES in turn, so that size tells nothing about who it is."""

COMPONENTS = 40
"""Principal components of the skin that join the coefficients of shape and albedo; more of them are mostly noise."""

SHRINK = 0.05
"""Weight of the mean variance in the within-person covariance (Ledoit and Wolf 2004): it is known from few photographs."""

FOLDS, WRONG = 5, 0.01
SAME = 0.5
"""Cosine with the mean of an album from which a face is the album's person. Printed: what it does to people left out."""


def collect(people: int, photographs: int) -> dict[str, np.ndarray]:
    """Features (N, D) of every photograph in which the face was found, and who is on it (N,)."""
    head = load_head()
    encoder = FitEncoder(head)
    features = IdentityFeatures(encoder)
    rows, who = [], []
    with Progress(people * photographs, "features") as progress:
        for number in range(people):
            person = sample_person(SEED, number, head)
            for index in range(photographs):
                photo = render_photographs([person], [sample_scene(person, SEED, index, head)], head, SIDE)[0]
                image = resize_square(photo, SIZES[index % len(SIZES)])
                face = find_face(image, encoder.landmarker)
                if face is not None:
                    rows.append(features([image], encoder.fit([image], [face]).code)[0].numpy())
                    who.append(number)
                progress.update()
    return {"rows": np.array(rows, np.float32), "who": np.array(who)}


def discriminants(rows: np.ndarray, who: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and matrix (D, width): fewer numbers for the skin, within-person whitening, the directions people differ in."""
    mean = rows.mean(0)
    centred, codes = rows - mean, N_SHAPE + load_head().n_albedo
    skin = centred[:, codes:]
    spread = skin.std(0) + 1e-6
    _, values, directions = np.linalg.svd(skin / spread, full_matrices=False)
    basis = np.zeros((rows.shape[1], codes + COMPONENTS))
    basis[:codes, :codes] = np.diag(1 / (centred[:, :codes].std(0) + 1e-6))
    basis[codes:, codes:] = directions[:COMPONENTS].T / (values[:COMPONENTS] / len(rows) ** 0.5) / spread[:, None]
    points = centred @ basis
    names, index = np.unique(who, return_inverse=True)
    middles = np.stack([points[who == name].mean(0) for name in names])
    within = np.cov((points - middles[index]).T)
    within = (1 - SHRINK) * within + SHRINK * np.trace(within) / len(within) * np.eye(len(within))
    variances, axes = np.linalg.eigh(within)
    whiten = axes / np.sqrt(variances)
    _, _, between = np.linalg.svd((middles - middles.mean(0)) @ whiten, full_matrices=False)
    return mean, basis @ whiten @ between[:width].T


def cosines(rows: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all pairs of embeddings: of one person, of two."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    first, second = np.triu_indices(len(rows), 1)
    values, one = (unit @ unit.T)[first, second], who[first] == who[second]
    return values[one], values[~one]


def area_under_curve(same: np.ndarray, other: np.ndarray) -> float:
    """The chance that a pair of one person is more alike than a pair of two (Mann and Whitney 1947)."""
    return float((np.searchsorted(np.sort(other), same) / len(other)).mean())


def unseen(rows: np.ndarray, who: np.ndarray, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each fifth of the people: their embeddings by discriminants of the others, and who they are."""
    folds = []
    for fold in range(FOLDS):
        left = who % FOLDS == fold
        mean, matrix = discriminants(rows[~left], who[~left], width)
        folds.append(((rows[left] - mean) @ matrix, who[left]))
    return folds


def album_rates(folds: list[tuple[np.ndarray, np.ndarray]], strangers: int = 2) -> tuple[float, float]:
    """Shares of strangers, and of the person's own photographs, that SAME rejects from albums with ``strangers`` in them."""
    rejected: tuple[list[bool], list[bool]] = [], []
    for rows, who in folds:
        unit = torch.nn.functional.normalize(torch.from_numpy(rows), dim=1).float()
        for person in np.unique(who):
            own, others = np.flatnonzero(who == person), np.flatnonzero(who != person)
            guests = numpy_stream("guests", int(person)).choice(others, strangers, replace=False)
            alike = likeness(unit[np.concatenate([guests, own])], SAME)
            if alike is not None:
                out = (alike < SAME).tolist()
                rejected[0].extend(out[:strangers])
                rejected[1].extend(out[strangers:])
    return float(np.mean(rejected[0])), float(np.mean(rejected[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=125)
    parser.add_argument("--photographs", type=int, default=5, help="of each")
    parser.add_argument("--width", type=int, default=40, help="numbers of an embedding")
    parser.add_argument("--cache", default="log/identity_features.npz")
    parser.add_argument("--output", default=str(PACKAGE_ASSETS / ASSET))
    args = parser.parse_args()
    cache = Path(args.cache)
    if not cache.is_file():
        make_folder(cache.parent)
        write_array_file(cache, collect(args.people, args.photographs))
    found = read_array_file(cache, "file of features")
    rows, who = found["rows"].astype(np.float64), found["who"]
    folds = unseen(rows, who, args.width)
    same, other = (np.concatenate(part) for part in zip(*(cosines(*fold) for fold in folds)))
    limit = np.quantile(other, 1 - WRONG)
    strangers, own = album_rates(folds)
    print(f"{len(rows)} photographs of {len(np.unique(who))} people. Left out: area under the curve "
          f"{area_under_curve(same, other):.4f}; where {WRONG:.0%} of pairs of two people pass (cosine {limit:.2f}), so do "
          f"{(same >= limit).mean():.1%} of one person. Of albums with two strangers {strangers:.1%} of the strangers are "
          f"rejected and {own:.1%} of the person's own.")
    mean, matrix = discriminants(rows, who, args.width)
    write_array_file(args.output, {"mean": mean.astype(np.float32), "matrix": matrix.astype(np.float16),
                                   "same": np.array(SAME, np.float32), "head_hash": np.array(load_head().hash)})


if __name__ == "__main__":
    main()
