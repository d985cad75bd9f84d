"""``diffusionrig align``: photographs to FFHQ-aligned faces."""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from diffusionrig import __version__
from diffusionrig.cli.arguments import boolean, positive_int
from diffusionrig.errors import RigError, UsageError
from diffusionrig.shown import some_lines

if TYPE_CHECKING:
    from diffusionrig.faces.backends import FaceFinder

DESCRIPTION = """Cut FFHQ-aligned faces out of photographs.

NAME.jpg gives NAME.png, further faces of the same photograph NAME_1.png, NAME_2.png ... (largest first); sub-folders are
kept. report.json in the output folder says what became of every file."""

EXAMPLES = """  diffusionrig align -i imgs -o imgs_align -s 256
  diffusionrig align -i holiday -o faces --faces 1 --min_face 80
  diffusionrig align -i scans -o faces --max_megapixels 400 --thorough true"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--input_imgs_path", default="imgs", help="folder of photographs, or one (imgs)")
    parser.add_argument("-o", "--output_imgs_path", default="imgs_align", help="folder for the faces (imgs_align)")
    parser.add_argument("-s", "--output_size", type=positive_int, default=256, help="side of the results, pixels (256)")
    parser.add_argument("--detector", default="mediapipe", help="mediapipe (shipped), dlib or fan (extras)")
    parser.add_argument("--recursive", type=boolean, default=True, help="walk sub-folders too (true)")
    parser.add_argument("--min_face", type=positive_int, default=40, help="smallest face to keep, pixels (40)")
    parser.add_argument("--max_outside", type=_share, default=0.5,
                        help="largest share of the square that may lie beyond the photo, 0..1 (0.5)")
    parser.add_argument("--faces", type=_count, default=0, help="at most so many faces per photo, largest first (0: all)")
    parser.add_argument("--thorough", type=boolean, default=False,
                        help="look for small faces beside large ones too (false; slower)")
    parser.add_argument("--max_megapixels", type=_megapixels, default=100.0, help="refuse larger photographs (100)")
    parser.add_argument("--overwrite", type=boolean, default=False,
                        help="replace faces of another size in the output folder (false)")
    parser.add_argument("--workers", type=_count, default=0, help="photographs at a time (0: one per core)")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _megapixels(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return value


def run(args: argparse.Namespace) -> int:
    from diffusionrig.faces.backends import make_finder
    from diffusionrig.io.folder_lock import folder_lock
    from diffusionrig.io.own_files import own_report, require_own

    source, target = Path(args.input_imgs_path), Path(args.output_imgs_path)
    root, photos, ignored = _photos(source, target, args.recursive)
    finder = make_finder(args.detector)
    require_own(target, {"report.json": own_report("align")}, "--output_imgs_path")
    with folder_lock(target, "align"):
        return _align(args, root, photos, ignored, finder)


def _align(args: argparse.Namespace, root: Path, photos: list[Path], ignored: list[str], finder: FaceFinder) -> int:
    import cv2

    from diffusionrig.faces.album import ALIGNED, STATUSES, AlignOptions, align_photos
    from diffusionrig.io.files import write_json
    from diffusionrig.progress import Progress

    source, target = Path(args.input_imgs_path), Path(args.output_imgs_path)
    options = AlignOptions(args.output_size, args.min_face, args.max_outside, args.faces, args.thorough,
                           args.max_megapixels, args.overwrite)
    # Pillow warns of odd tags in files that it reads all the same; what it cannot read is reported per file.
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
    # Threads work on whole photographs; OpenCV's own would only get in their way.
    cv2.setNumThreads(1)
    reports = []
    started = time.monotonic()
    with Progress(len(photos), "align", "photo") as progress:
        for report in align_photos(photos, root, target, finder, options, args.workers or _cores()):
            reports.append(report)
            if report.status != ALIGNED:
                progress.write(f"{report.file}: {report.status}: {report.note}")
            else:
                for reason in ([report.note] if report.note else []) + report.left_out:
                    progress.write(f"{report.file}: {reason}")
            progress.update()
    seconds = time.monotonic() - started
    left_out = [f"{file}: not an image by its ending, left out" for file in ignored]
    for line in some_lines(left_out, where=str(target / "report.json")):
        print(line)
    counts = Counter(report.status for report in reports)
    faces = sum(len(report.faces) for report in reports)
    write_json(target / "report.json", {
        "command": "align", "version": __version__, "options": {key: value for key, value in vars(args).items()
                                                                if key not in {"workers", "overwrite"}},
        "photos": len(photos), "faces": faces, "counts": {name: counts[name] for name in STATUSES},
        "ignored": ignored, "files": [report.as_json() for report in reports]})
    told = ", ".join(f"{counts[name]} {name}" for name in STATUSES if counts[name])
    summary = f"{len(photos)} photographs: {told}" + (f", {len(ignored)} other files left out" if ignored else "")
    if not faces:
        raise RigError(f"No face could be aligned in {source} ({summary}); {target / 'report.json'} says why.")
    print(f"{summary}; {faces} faces written to {target} ({len(photos) / max(seconds, 1e-9):.1f} photographs/s)")
    return 0


def _photos(source: Path, target: Path, recursive: bool) -> tuple[Path, list[Path], list[str]]:
    """The folder that names are relative to, the photographs, and the files that are none."""
    from diffusionrig.io.images import IMAGE_SUFFIXES, find_files
    from diffusionrig.io.paths import real

    if source.exists() and not source.is_dir():
        return source.parent, [source], []
    if not source.is_dir():
        raise UsageError(f"There is no folder of photographs at {source}; give one with --input_imgs_path.")
    if real(source) == real(target):
        raise UsageError(f"{source} is both input and output; choose another --output_imgs_path.")
    inside = real(target)
    files = [file for file in find_files(source, recursive) if inside not in real(file).parents]
    photos = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not photos:
        raise RigError(f"There are no photographs in {source} (looked for {', '.join(IMAGE_SUFFIXES)}).")
    return source, photos, [file.relative_to(source).as_posix() for file in files
                            if file.suffix.lower() not in IMAGE_SUFFIXES]


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1
