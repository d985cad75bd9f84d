"""Whether the figures that a training logs order pictures as they should, what they cost, and how the models of a run score.

``python benchmarks/metrics.py`` degrades the photographs of a fixed set of synthetic people more and more. With ``--run LOG_DIR``
and ``--store STORE`` it measures every model of that run as well and writes a metrics.csv to ``--output``. Kept in docs.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.synthetic.series import Series, write_series
from diffusionrig.editing.pretrained import load_pretrained
from diffusionrig.io.journal import CsvTable
from diffusionrig.progress import track
from diffusionrig.randomness import torch_stream
from diffusionrig.training.batches import Faces
from diffusionrig.training.metrics import FixedSet, fixed_records
from diffusionrig.training.run_folder import RunFolder

COLUMNS = ("texture_frechet", "face_psnr", "face_ssim", "colour_error", "landmark_error", "landmarks_found")
LOWER_IS_BETTER = {"texture_frechet", "colour_error", "landmark_error"}


def blurred(images: Tensor, sigma: float) -> Tensor:
    reach = int(3 * sigma) + 1
    weight = torch.exp(-torch.arange(-reach, reach + 1).float() ** 2 / (2 * sigma**2))
    weight = (weight / weight.sum()).repeat(3, 1)
    padded = F.pad(images, [reach] * 4, mode="reflect")
    rows = F.conv2d(padded, weight[:, None, None, :], groups=3)
    return F.conv2d(rows, weight[:, None, :, None], groups=3)


def noisy(images: Tensor, levels: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch_stream("metrics benchmark"))
    return images + noise * levels / 127.5


def tinted(images: Tensor, levels: float) -> Tensor:
    return images + torch.tensor([1.0, 0.0, -1.0])[:, None, None] * levels / 127.5


def moved(images: Tensor, pixels: int) -> Tensor:
    return F.pad(images, [pixels, 0, 0, 0], mode="replicate")[..., :images.shape[-1]]


def degradations(images: Tensor, others: Tensor) -> dict[str, tuple[tuple[float, ...], Callable[[float], Tensor]]]:
    """Name: (degrees, mild to severe; the pictures at a degree)."""
    return {
        "blur, sigma in pixels": ((0.5, 0.8, 1.2, 2.0), lambda sigma: blurred(images, sigma)),
        "noise, levels": ((2, 5, 10, 20), lambda levels: noisy(images, levels)),
        "tint, levels": ((5, 10, 20, 40), lambda levels: tinted(images, levels)),
        "other people, of 16": ((2, 4, 8, 16), lambda count: torch.cat([others[:int(count)], images[int(count):]])),
        "one person repeated, of 16": ((4, 8, 15), lambda count: torch.cat([images[-1:].expand(int(count), -1, -1, -1),
                                                                            images[int(count):]])),
        "moved, pixels": ((1, 2, 4), lambda pixels: moved(images, int(pixels))),
    }


def line(name: str, figures: dict[str, float]) -> str:
    return f"{name:<32}" + "".join(f"{figures.get(column, float('nan')):>17.4g}" for column in COLUMNS)


def ordered(rows: list[dict[str, float]], column: str) -> bool:
    values = [row[column] if column in LOWER_IS_BETTER else -row[column] for row in rows if column in row]
    return all(a <= b + 1e-9 for a, b in itertools.pairwise(values))


def show_degradations(fixed: FixedSet, others: Tensor) -> None:
    for name, (degrees, make) in degradations(fixed.images, others).items():
        rows = [fixed.compare(make(degree)) for degree in degrees]
        for degree, row in zip(degrees, rows):
            print(line(f"{name} {degree:g}", row))
        wrong = [column for column in COLUMNS if not ordered(rows, column)]
        print(f"{'':<32}{'every figure worsens with the degree' if not wrong else 'not in order: ' + ', '.join(wrong)}\n")


def show_run(fixed: FixedSet, run: Path, output: Path) -> None:
    table = CsvTable(output / "metrics.csv")
    for step, path in track(RunFolder(run).found("model").items(), "models", unit="model"):
        model = load_pretrained(path)
        began = time.monotonic()
        figures = fixed.measure(model.network, model.network.state_dict(), model.diffusion)
        print(line(f"step {step} ({time.monotonic() - began:.1f} s)", figures))
        table.append({"step": step, **figures})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="", help="face store; default: 48 synthetic people of 64 pixels, made now")
    parser.add_argument("--run", type=Path, default=None, help="folder of a training on that store")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for metrics.csv")
    parser.add_argument("--count", type=int, default=16)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = args.store or str(Path(folder) / "store")
        if not args.store:
            write_series(Series(48, 64, 0), store, lmdb=True)
        faces = Faces(FaceStoreDataset(store))
        fixed = FixedSet(faces, args.count)
        others = faces.images(fixed_records(2 * args.count, len(faces))[args.count:])
        print(" " * 32 + "".join(f"{column:>17}" for column in COLUMNS))
        show_degradations(fixed, others)
        if args.run is not None:
            show_run(fixed, args.run, args.output)


if __name__ == "__main__":
    main()
