"""How well an identity embedding tells people apart: on synthetic people, or on a folder with one folder per person.

``python benchmarks/identity.py --identity fit`` (40 synthetic people, 4 photographs each, in changing pose and light);
``python benchmarks/identity.py --folder PEOPLE --identity dlib``. Figures are kept in docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from diffusionrig.capture.identity.embedding import NAMES, make_identity
from diffusionrig.data.synthetic import render_photographs, sample_person, sample_scene
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.resize import resize_square
from diffusionrig.progress import track

SEED = 6_000


def synthetic(people: int, photographs: int, size: int) -> Iterator[tuple[str, np.ndarray]]:
    """Photographs of 256 pixels, shrunk to ``size``."""
    head = load_head()
    for number in range(people):
        person = sample_person(SEED, number, head)
        for index in range(photographs):
            photo = render_photographs([person], [sample_scene(person, SEED, index, head)], head, 256)[0]
            yield str(number), resize_square(photo, size)


def photographs_of(folder: Path, margin: float) -> Iterator[tuple[str, np.ndarray]]:
    """Every picture in a folder of ``folder``, with ``margin`` of its side mirrored around it (for tight crops)."""
    for file in find_images(folder):
        image = read_image(file)
        border = round(margin * max(image.shape[:2]))
        yield file.relative_to(folder).parts[0], cv2.copyMakeBorder(image, *(border,) * 4, cv2.BORDER_REFLECT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="", help="one folder per person inside; synthetic people when empty")
    parser.add_argument("--margin", type=float, default=0.0, help="share of the side to mirror around tight crops")
    parser.add_argument("--identity", default="fit", help=", ".join(NAMES))
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--photographs", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    args = parser.parse_args()
    pictures = list(track(photographs_of(Path(args.folder), args.margin) if args.folder
                          else synthetic(args.people, args.photographs, args.size), "pictures"))
    identity = make_identity(args.identity)
    began = time.perf_counter()
    rows = torch.cat([identity.embed([image]) for _, image in track(pictures, "embed")])
    seconds = (time.perf_counter() - began) / len(rows)
    found = rows.any(1)
    who = np.array([name for name, _ in pictures])[found.numpy()]
    cosines = (rows[found] @ rows[found].T).numpy()
    first, second = np.triu_indices(len(who), 1)
    one = who[first] == who[second]
    same, other = cosines[first, second][one], np.sort(cosines[first, second][~one])
    curve = float((np.searchsorted(other, same) / len(other)).mean())
    limit = np.quantile(other, 0.99)
    print(f"{identity.name}: {len(who)} of {len(rows)} faces found, {len(np.unique(who))} people; area under the curve "
          f"{curve:.4f}; same person median {np.median(same):.2f}, other median {np.median(other):.2f}; at 1 % false matches "
          f"(cosine {limit:.2f}) {(same >= limit).mean():.1%} recognised; {1000 * seconds:.0f} ms a face")


if __name__ == "__main__":
    main()
