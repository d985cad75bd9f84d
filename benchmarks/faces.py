"""Speed of faces: milliseconds per stage, and photographs per second of ``diffusionrig align``'s work.

    python benchmarks/faces.py [--photos 64] [--workers 2]

Portraits of 512 pixels are cut from the picture that scikit-image carries. On a shared machine compare the ratios:
the one-thread baseline and the threaded run are measured in turns, in the same process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from diffusionrig.faces.album import ALIGNED, AlignOptions, align_photos
from diffusionrig.faces.alignment import align
from diffusionrig.faces.coefficients import coefficients
from diffusionrig.faces.detector import detect_once
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.faces.mesh import points_in, region_of_points
from diffusionrig.faces.networks import COEFFICIENTS, DETECTOR, MESH, Network
from diffusionrig.io.images import find_images, png_bytes, read_image


def portraits(folder: Path, count: int) -> None:
    """``count`` different 512-pixel JPEG portraits whose face fills about half of the picture."""
    from skimage import data

    whole = Image.fromarray(data.astronaut())
    for index in range(count):
        side = 180 + 2 * (index % 32)
        left, top = 222 - side // 2 + index % 5, 110 - side // 2 + index % 7
        box = (left, max(0, top), left + side, max(0, top) + side)
        whole.resize((512, 512), Image.Resampling.BICUBIC, box=box).save(folder / f"{index:04d}.jpg", quality=92)


def milliseconds(work: Callable[[], object], repeats: int = 20) -> tuple[float, float]:
    """(wall, processor) milliseconds of one call, medians after one warm-up."""
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return 1e3 * float(np.median(wall)), 1e3 * float(np.median(cpu))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "imgs"
        folder.mkdir()
        portraits(folder, args.photos)
        photos = find_images(folder)
        image, finder = read_image(photos[0]), FaceLandmarker()
        face = finder.detect(image)[0]
        assert face.points is not None
        points, region = face.points, region_of_points(face.points)
        detector, mesh, expression = Network(DETECTOR), Network(MESH), Network(COEFFICIENTS)
        aligned = align(image, face.points68, 256).image
        group = np.tile(cv2.resize(image, (150, 150), interpolation=cv2.INTER_AREA), (4, 6, 1))
        stages: list[tuple[str, Callable[[], object]]] = [
            ("read 512 px JPEG", lambda: read_image(photos[0])),
            ("detector, one view", lambda: detect_once(detector, image)),
            ("mesh, one region", lambda: points_in(mesh, image, region)),
            ("coefficients", lambda: coefficients(expression, points)),
            ("detect, portrait", lambda: finder.detect(image)),
            ("detect, 24 faces in 900 x 600", lambda: finder.detect(group)),
            ("detect, nothing to find", lambda: finder.detect(np.zeros_like(image))),
            ("align to 256", lambda: align(image, face.points68, 256)),
            ("align to 256 as published (4096)", lambda: align(image, face.points68, 256, exact=True)),
            ("PNG of 256", lambda: png_bytes(aligned)),
        ]
        print(f"{'stage':<36}{'wall ms':>9}{'cpu ms':>9}")
        for title, work in stages:
            wall, cpu = milliseconds(work)
            print(f"{title:<36}{wall:>9.2f}{cpu:>9.2f}")
        rates: dict[int, list[float]] = {1: [], args.workers: []}
        used: list[float] = []
        for turn in range(3):
            for workers, seen in rates.items():
                target = Path(name) / f"out{workers}-{turn}"
                start, before = time.perf_counter(), time.process_time()
                reports = list(align_photos(photos, folder, target, finder, AlignOptions(), workers))
                seen.append(len(photos) / (time.perf_counter() - start))
                used.append(1e3 * (time.process_time() - before) / len(photos))
                assert all(report.status == ALIGNED for report in reports)
        base = max(rates[1])
        for workers, seen in rates.items():
            print(f"photographs/s with {workers} worker(s): best {max(seen):.1f}, median {np.median(seen):.1f} "
                  f"({max(seen) / base:.2f} x one thread)")
        print(f"processor time per photograph: {min(used):.1f} ms, so at most {1e3 / min(used):.0f} photographs/s a core")


if __name__ == "__main__":
    main()
