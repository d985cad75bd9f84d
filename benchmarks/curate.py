"""Precision and recall of ``diffusionrig curate`` on synthetic albums with planted faults. Prints one table.

``python benchmarks/curate.py`` (3 albums); ``--identity dlib`` with another embedding. Figures are kept in docs/curate.md.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from diffusionrig.capture.curation.album import Curation, curate_album
from diffusionrig.capture.curation.looking import BLURRED, KEPT, OTHER, REPEATED, TURNED, Limits
from diffusionrig.data.synthetic import render_photographs, sample_person, sample_scene
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import euler_degrees_to_axis_angle
from diffusionrig.io.images import write_png

SEED, SIDE = 8_000, 256
GOOD, EACH = 12, 4
"""Photographs that should stay, and planted ones of each kind of fault, per album."""


def changed_copy(photo: np.ndarray, number: int) -> np.ndarray:
    """The same photograph smaller, larger, strongly compressed, or brighter."""
    picture = Image.fromarray(photo)
    if number % 4 == 0:
        return np.asarray(picture.resize((180, 180), Image.Resampling.LANCZOS))
    if number % 4 == 1:
        return np.asarray(picture.resize((400, 400), Image.Resampling.BICUBIC))
    if number % 4 == 2:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=40)
        return np.asarray(Image.open(buffer))
    return np.clip(photo * 1.12 + 4, 0, 255).astype(np.uint8)


def blurred(photo: np.ndarray, number: int) -> np.ndarray:
    """Out of focus by 2.5 to 4 pixels, with some noise of the sensor on top."""
    soft = cv2.GaussianBlur(photo, (0, 0), 2.5 + 0.5 * number)
    return np.clip(soft + np.random.default_rng(number).normal(0, 2, soft.shape), 0, 255).astype(np.uint8)


def plant(folder: Path, head: HeadModel, album: int) -> dict[str, str]:
    """Write one album; returns the verdict each photograph should get."""
    crowd = 100 * album
    person = sample_person(SEED, crowd, head)
    truth: dict[str, str] = {}

    def save(name: str, image: np.ndarray, verdict: str) -> None:
        write_png(folder / f"{name}.png", image)
        truth[f"{name}.png"] = verdict

    def take(index: int, yaw: float | None = None) -> np.ndarray:
        scene = sample_scene(person, SEED, index, head, yaw_limit=35)
        if yaw is not None:
            turn = euler_degrees_to_axis_angle(0, yaw, 0).float()[None]
            scene = scene.replace_code(scene.code.replace(pose=torch.cat([turn, scene.code.pose[:, 3:]], 1)))
        return render_photographs([person], [scene], head, SIDE)[0]

    good = [take(index) for index in range(GOOD)]
    for index, photo in enumerate(good):
        save(f"good{index:02d}", photo, KEPT)
    for k in range(EACH):
        save(f"copy{k}", changed_copy(good[k], k), REPEATED)
        save(f"soft{k}", blurred(take(GOOD + k), k), BLURRED)
        save(f"side{k}", take(2 * GOOD + k, (55 + 5 * k) * (-1) ** k), TURNED)
        guest = sample_person(SEED, crowd + 1 + k, head)
        save(f"guest{k}", render_photographs([guest], [sample_scene(guest, SEED, 0, head, yaw_limit=35)], head, SIDE)[0], OTHER)
    return truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--albums", type=int, default=3)
    parser.add_argument("--identity", default="fit")
    args = parser.parse_args()
    head = load_head()
    planted: Counter[str] = Counter()
    out: Counter[str] = Counter()
    given: Counter[str] = Counter()
    right: Counter[str] = Counter()
    mistakes: list[str] = []
    for album in range(args.albums):
        with tempfile.TemporaryDirectory() as place:
            truth = plant(Path(place), head, album)
            looks, notes = curate_album(Curation(place, identity=args.identity), Limits())
        for note in notes:
            print(f"album {album}: {note}")
        verdicts = {look.file: look.verdict for look in looks}
        for k in range(EACH):
            if (verdicts[f"good{k:02d}.png"], verdicts[f"copy{k}.png"]) == (REPEATED, KEPT):
                truth[f"good{k:02d}.png"], truth[f"copy{k}.png"] = REPEATED, KEPT  # of two equal pictures either may stay
        for look in looks:
            wanted = truth[look.file]
            planted[wanted] += 1
            given[look.verdict] += 1
            out[wanted] += look.verdict != KEPT
            right[wanted] += look.verdict == wanted
            if look.verdict != wanted:
                mistakes.append(f"album {album}: {look.file} is {look.verdict}: {look.why} {look.numbers}")
    print("\n".join(mistakes))
    print("| verdict | planted | precision | recall | left out for any reason |\n| --- | --- | --- | --- | --- |")
    for verdict in (KEPT, REPEATED, BLURRED, OTHER, TURNED):
        print(f"| {verdict} | {planted[verdict]} | {right[verdict] / max(given[verdict], 1):.2f} | "
              f"{right[verdict] / max(planted[verdict], 1):.2f} | {out[verdict] / max(planted[verdict], 1):.2f} |")


if __name__ == "__main__":
    main()
