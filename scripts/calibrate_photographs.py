"""Learn what tells photographed faces from drawn ones, and what the identity takes of their smiles; write
``diffusionrig/assets/fit_photographs.npz``.

    python scripts/calibrate_photographs.py FACES/congress FACES/generated_sd3 FACES/generated_sfhq

Run after ``scripts/calibrate_fit.py``. The folders hold aligned photographs, one face each; of a picture nothing is kept but what
the landmarker says. Drawn heads, bare ones and photographs of synthetic people, are rendered. Fifteen minutes on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from calibrate_fit import bare_heads
from torch import Tensor

from diffusionrig.capture.fit.brows import regression_digest
from diffusionrig.capture.fit.encoder import N_SHAPE, FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.fit.frames import level
from diffusionrig.capture.fit.photographs import ACTIONS, ASSET, Photographs, action_matrix, signs
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.assets import PACKAGE_ASSETS
from diffusionrig.io.images import IMAGE_SUFFIXES, read_image
from diffusionrig.progress import Progress

SIZE, BATCH = 256, 16
SEED = 30_000
RIDGE = 1.0
"""Added to the variances, which are about 1: components that hardly vary among the examples must not decide."""


def drawn_pictures(head: HeadModel, bare: int, photographs: int) -> Iterator[np.ndarray]:
    for _, picture in bare_heads(head, SEED, 0, bare, "photograph signs"):
        yield picture
    for i in range(photographs):
        person = sample_person(SEED + 1, i, head)
        yield render_photographs([person], [sample_scene(person, SEED + 1, 0, head)], head, SIZE)[0]


@dataclasses.dataclass(frozen=True)
class Told:
    """What the landmarker says of M faces: levelled landmarks (M, 478, 3), coefficients (M, 52), folder of each (M,)."""

    target: Tensor
    seen: Tensor
    folder: Tensor


def told(encoder: FitEncoder, pictures: Iterator[tuple[int, np.ndarray]], count: int, label: str) -> Told:
    """Of the faces found in pictures, each with the number of its folder."""
    rows = []
    with Progress(count, label) as progress:
        for folder, picture in pictures:
            face = find_face(picture, encoder.landmarker)
            progress.update()
            if face is not None and face.points is not None and face.coefficients is not None:
                points, seen = (torch.from_numpy(values).double()[None] for values in (face.points, face.coefficients))
                rows.append((level(points)[0], seen, torch.tensor([folder])))
    return Told(*(torch.cat(values) for values in zip(*rows)))


def described(encoder: FitEncoder, faces: Told) -> Tensor:
    """Signs (M, F)."""
    assert encoder.learned is not None
    return signs(encoder.learned.regression, encoder.model, faces.target, faces.seen).double()


def discriminant(photographed: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (F,) and bias () of the logarithm of the odds for two Gaussians of one covariance, either as likely as the other."""
    covariance = (torch.cov(photographed.T) + torch.cov(drawn.T)) / 2 + RIDGE * torch.eye(drawn.shape[1], dtype=drawn.dtype)
    first, second = photographed.mean(0), drawn.mean(0)
    weights = torch.linalg.solve(covariance, first - second)
    return weights, -(first + second) @ weights / 2


def left_out(photographed: Tensor, drawn: Tensor, folds: int = 5) -> tuple[float, float]:
    """Shares of photographed and of drawn faces that a discriminant learned without them takes for the other."""
    wrong = [0, 0]
    for fold in range(folds):
        parts = [(rows[torch.arange(len(rows)) % folds != fold], rows[torch.arange(len(rows)) % folds == fold])
                 for rows in (photographed, drawn)]
        weights, bias = discriminant(parts[0][0], parts[1][0])
        wrong[0] += int((parts[0][1] @ weights + bias < 0).sum())
        wrong[1] += int((parts[1][1] @ weights + bias > 0).sum())
    return wrong[0] / len(photographed), wrong[1] / len(drawn)


def absorption(encoder: FitEncoder, faces: Told) -> tuple[Tensor, Tensor]:
    """Mean actions (A,) of photographs, and the change (A, S) of the fitted identity per unit of each, both with the means of
    every folder taken out: people of different collections differ in more than in their smiles."""
    parts, coefficients = encoder.model.parts, []
    with Progress(len(faces.target), "fit") as progress:
        for start in range(0, len(faces.target), BATCH):
            rows = slice(start, start + BATCH)
            share = encoder.photographed(faces.target[rows], faces.seen[rows])
            pose, _, _ = encoder.fit_landmarks(faces.target[rows], faces.seen[rows], share=share)
            coefficients.append(pose.coefficients)
            progress.update(len(share))
    found = torch.cat(coefficients)
    actions = found[:, parts["expression"]] @ action_matrix(encoder.head.expression_names).T
    own = torch.nn.functional.one_hot(faces.folder).double()
    inside, identity = (values - own @ torch.linalg.lstsq(own, values).solution for values in (actions, found[:, parts["shape"]]))
    absorbed = torch.linalg.lstsq(inside, identity).solution
    share = 1 - (identity - inside @ absorbed).square().sum() / identity.square().sum()
    print(f"smile and jaw tell {share:.1%} of the identity's spread; a smile of 1 moves it by {absorbed[0].norm():.2f} standard "
          f"deviations, an open jaw by {absorbed[1].norm():.2f}")
    return actions.mean(0), absorbed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="aligned photographs of people")
    parser.add_argument("--bare", type=int, default=400, help="bare heads")
    parser.add_argument("--photographs", type=int, default=600, help="photographs of synthetic people")
    parser.add_argument("--output", default=str(PACKAGE_ASSETS / ASSET))
    args = parser.parse_args()
    head = load_head()
    encoder = FitEncoder(head, read_brows=False, tell_photographs=False)
    assert encoder.learned is not None
    paths = [(number, path) for number, folder in enumerate(args.folders) for path in sorted(folder.iterdir())
             if path.suffix.lower() in IMAGE_SUFFIXES]
    people = told(encoder, ((number, read_image(path)) for number, path in paths), len(paths), "photographs")
    drawn = described(encoder, told(encoder, ((0, picture) for picture in drawn_pictures(head, args.bare, args.photographs)),
                                    args.bare + args.photographs, "drawn heads"))
    photographed = described(encoder, people)
    missed, mistaken = left_out(photographed, drawn)
    print(f"left out: {missed:.1%} of {len(photographed)} photographs taken for drawn, {mistaken:.1%} of {len(drawn)} drawn "
          "heads for photographs")
    weights, bias = discriminant(photographed, drawn)
    nothing = torch.zeros(len(ACTIONS), N_SHAPE, dtype=torch.float64)
    encoder.photographs = Photographs(weights, bias, nothing[:, 0], nothing, action_matrix(head.expression_names))
    usual, absorbed = absorption(encoder, people)
    write_array_file(args.output, {name: value.numpy().astype(np.float32) for name, value in (
        ("weights", weights), ("bias", bias), ("usual", usual), ("absorbed", absorbed))}
        | {"regression": np.array(regression_digest(encoder.learned.regression))})


if __name__ == "__main__":
    main()
