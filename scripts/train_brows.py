"""Teach FIT to read brows from pixels; write ``diffusionrig/assets/fit_brows.npz``.

Run after ``scripts/calibrate_fit.py``. Bare heads (quickly made) and full photographs of synthetic people, whose codes are known,
train the network of ``capture/fit/brows.py``. An hour and a half on one core with AMX, most of it for the pictures, which are kept
in --cache in pieces, so that a run that was stopped goes on; no photograph of a person is used.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from calibrate_fit import bare_heads
from torch import Tensor

from diffusionrig.capture.fit.brows import (
    ASSET,
    BROWS,
    OTHER_SIDE,
    BrowNetwork,
    brow_features,
    brow_strip,
    mirrored_face,
    read_both_ways,
    regression_digest,
    standardised,
)
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.fit.frames import level
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.io.assets import PACKAGE_ASSETS
from diffusionrig.io.files import make_folder
from diffusionrig.progress import Progress

SIZE = 256
PIECE = 400
PEOPLE = {"bare": {500: 4_000, 510: 12_000}, "photograph": {700: 3_000, 710: 8_800, 720: 4_800}}
"""How many people of each seed."""

N_GUESSED_SHAPE, GUESSED_SHAPE_SCALE, GUESS_WEIGHT = 40, 0.25, 0.2
"""While it learns, the network also says the other expressions and the identity, which share what a strip shows."""

BATCH, RATE, DECAY, DROPOUT = 64, 2e-3, 0.05, 0.2
SHRINKS = (1.0, 1.0, 1.0, 1.5, 2.5, 4.0)
"""Pictures are made coarser by one of these, so that the network knows how much less a small face tells."""

HELD_OUT = 1_200
"""Photographs, the last ones, that the errors are measured on."""


def pictures(head: HeadModel, kind: str, seed: int, start: int, count: int) -> Iterator[tuple[FaceCode, np.ndarray]]:
    if kind == "bare":
        yield from bare_heads(head, seed, start, start + count, "brow picture")
        return
    for i in range(start, start + count):
        person = sample_person(seed, i, head)
        scene = sample_scene(person, seed, 0, head)
        yield scene.code, render_photographs([person], [scene], head, SIZE)[0]


def collect(head: HeadModel, kind: str, seed: int, start: int, count: int, progress: Progress) -> dict[str, np.ndarray]:
    """Of the faces found: strips, landmarks (M, 478, 3), reported coefficients (M, 52), true expression and shape."""
    landmarker = FaceLandmarker()
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("strips", "points", "reported", "expression", "shape")}
    for code, picture in pictures(head, kind, seed, start, count):
        face = find_face(picture, landmarker)
        progress.update()
        if face is not None and face.points is not None and face.coefficients is not None:
            for name, value in (("strips", brow_strip(picture, face.points)), ("points", face.points),
                                ("reported", face.coefficients), ("expression", code.expression[0].numpy()),
                                ("shape", code.shape[0].numpy())):
                rows[name].append(value)
    return {name: np.stack(values) for name, values in rows.items()}


def collect_all(head: HeadModel, cache: Path, kind: str, limit: int) -> dict[str, np.ndarray]:
    """All of ``kind``, or the first ``limit``; pieces that are there already are read."""
    make_folder(cache)
    pieces = [(seed, start, min(PIECE, count - start)) for seed, count in PEOPLE[kind].items() for start in range(0, count, PIECE)]
    pieces = pieces[:-(-limit // PIECE)] if limit else pieces
    parts = []
    with Progress(sum(count for *_, count in pieces), kind) as progress:
        for seed, start, count in pieces:
            file = cache / f"{kind}_{seed}_{start:06d}.npz"
            if file.is_file():
                progress.update(count)
            else:
                write_array_file(file, collect(head, kind, seed, start, count, progress))
            parts.append(read_array_file(file))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Examples:
    """Strips, features and answers of N faces, and features and answers of their mirror images."""

    def __init__(self, encoder: FitEncoder, found: dict[str, np.ndarray]) -> None:
        assert encoder.learned is not None
        self.strips = torch.from_numpy(found["strips"])[:, None]
        points = torch.from_numpy(found["points"]).double()
        points[..., :2] += 0.5
        target, seen = level(points)[0], torch.from_numpy(found["reported"]).double()
        self.features = brow_features(encoder.learned.regression, encoder.model, target, seen)
        self.mirrored = brow_features(encoder.learned.regression, encoder.model, *mirrored_face(target, seen))
        expression = torch.from_numpy(found["expression"]).float()
        self.brows = expression[:, [ARKIT_NAMES.index(name) for name in BROWS]]
        shape = torch.from_numpy(found["shape"][:, :N_GUESSED_SHAPE]).float()
        self.others = torch.cat([expression, GUESSED_SHAPE_SCALE * shape], 1)

    def __len__(self) -> int:
        return len(self.strips)


def altered(strips: Tensor, generator: torch.Generator) -> Tensor:
    """Strips as other cameras and lamps would have shown them."""
    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    count, _, rows, columns = strips.shape
    dx, dy = torch.randint(-2, 3, (2,), generator=generator).tolist()
    strips = torch.roll(strips, (dy, dx), (2, 3)) / 255
    shrink = SHRINKS[int(torch.randint(len(SHRINKS), (1,), generator=generator))]
    if shrink > 1:
        small = F.interpolate(strips, (round(rows / shrink), round(columns / shrink)), mode="area")
        strips = F.interpolate(small, (rows, columns), mode="bilinear", align_corners=False)
    strips = strips.clamp_min(1e-3) ** uniform(0.7, 1.4, count, 1, 1, 1)
    across = torch.linspace(-1, 1, columns) * uniform(-0.3, 0.3, count, 1, 1, 1)
    down = torch.linspace(-1, 1, rows)[:, None] * uniform(-0.3, 0.3, count, 1, 1, 1)
    strips = standardised(255 * strips * (1 + across + down))
    noise = torch.randn(strips.shape, generator=generator)
    return strips + 0.08 * uniform(0, 1, count, 1, 1, 1) * noise


def batch_loss(network: BrowNetwork, examples: Examples, rows: Tensor, generator: torch.Generator) -> Tensor:
    strips, brows, inputs = examples.strips[rows].float(), examples.brows[rows], examples.features[rows]
    flip = torch.rand(len(rows), generator=generator) < 0.5
    strips = torch.where(flip[:, None, None, None], strips.flip(3), strips)
    brows = torch.where(flip[:, None], brows[:, OTHER_SIDE], brows)
    inputs = torch.where(flip[:, None], examples.mirrored[rows], inputs)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = network.hidden(altered(strips, generator), inputs)
        assert network.guess is not None
        guesses, (value, _), (_, error) = network.guess(hidden), network.read(hidden, inputs), network.read(hidden.detach(), inputs)
    miss = value.float() - brows
    others = ((guesses.float() - examples.others[rows]) * ~flip[:, None]).square().mean()
    # The error is learned beside the answer and does not disturb it (negative logarithm of the Gaussian's density).
    likelihood = (error.float() + 0.5 * (miss.detach() / error.float().exp()).square()).mean()
    return miss.square().mean() + GUESS_WEIGHT * others + 0.01 * likelihood


def train(network: BrowNetwork, examples: Examples, count: int, epochs: int, generator: torch.Generator) -> None:
    """On the first ``count`` examples."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    rounds = count // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * rounds + 1)
    start = time.monotonic()
    for epoch in range(epochs):
        order, total = torch.randperm(count, generator=generator), 0.0
        for i in range(rounds):
            loss = batch_loss(network, examples, order[i * BATCH:(i + 1) * BATCH], generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1} of {epochs}: loss {total / rounds:.4f}, {time.monotonic() - start:.0f} s", flush=True)


@torch.no_grad()
def answers(network: BrowNetwork, examples: Examples, rows: range) -> tuple[Tensor, Tensor]:
    """Brows and claimed errors of these examples."""
    network.eval()
    parts = [slice(start, min(start + BATCH, rows.stop)) for start in range(rows.start, rows.stop, BATCH)]
    found = [read_both_ways(network, examples.strips[part].float(), examples.features[part], examples.mirrored[part])
             for part in parts]
    value, error = (torch.cat(part) for part in zip(*found))
    return value, error


def report(value: Tensor, truth: Tensor) -> str:
    groups = {"browDown": (0, 1), "browInnerUp": (2,), "browOuterUp": (3, 4)}
    return ", ".join(f"{name} {np.corrcoef(value[:, columns].mean(1), truth[:, columns].mean(1))[0, 1]:.3f}"
                     for name, columns in groups.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=0, help="no more than this many bare heads and photographs each (0: all)")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("log/fit_brows"))
    parser.add_argument("--output", default=str(PACKAGE_ASSETS / ASSET))
    args = parser.parse_args()
    head = load_head()
    parts = [collect_all(head, args.cache, kind, args.limit) for kind in PEOPLE]
    encoder = FitEncoder(head, read_brows=False)
    assert encoder.learned is not None
    examples = Examples(encoder, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    torch.manual_seed(args.seed)
    network = BrowNetwork(examples.features.shape[1], examples.others.shape[1], dropout=DROPOUT)
    network.to(memory_format=torch.channels_last)
    known = len(examples) - HELD_OUT
    train(network, examples, known, args.epochs, torch.Generator().manual_seed(args.seed))
    value, error = answers(network, examples, range(known, len(examples)))
    miss = (value - examples.brows[known:]) / error
    print(f"{HELD_OUT} photographs left out: correlation with the truth {report(value, examples.brows[known:])}; "
          f"misses are {miss.square().mean().sqrt():.2f} of the errors claimed")
    arrays = {name: tensor.numpy().astype(np.float16 if tensor.ndim > 1 else tensor.numpy().dtype)
              for name, tensor in network.state_dict().items() if not name.startswith("guess.")}
    write_array_file(args.output, {**arrays, "misses": (miss.T @ miss / len(miss)).numpy(),
                                   "regression": np.array(regression_digest(encoder.learned.regression))})


if __name__ == "__main__":
    main()
