"""What is re-enacted: frames of clips, or photographs of the same name in two folders; source and truth show one person."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.evaluation.reenactment.framing import SURE, Framed, frame_source, frame_truth
from diffusionrig.faces.backends import FaceFinder
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.files import sha256_of
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.unread import unread_files, unread_sentence
from diffusionrig.progress import Progress, track


@dataclasses.dataclass(frozen=True)
class Pair:
    """``source`` and ``truth`` (SIDE, SIDE, 3) uint8 of one person in one framing, with their names; ``clip`` they belong to."""

    clip: str
    source_name: str
    truth_name: str
    source: np.ndarray
    truth: np.ndarray


@dataclasses.dataclass(frozen=True)
class Reenactments:
    """pairs     in the order of clips, and of frames within them
    about     what this is, for the report
    left_out  one sentence for every clip, frame or photograph that could not be used
    """

    pairs: list[Pair]
    about: dict[str, Any]
    left_out: list[str]


def clip_pairs(clips: Sequence[str], frames: int, framing: str, finder: FaceFinder) -> Reenactments:
    """Of every clip the first frame that shows a face is the source, ``frames`` of those after it, spread evenly, are truths.

    A clip that cannot be read or shows no face is left out. UsageError when one does not exist, RigError when none is left.
    """
    for clip in clips:
        if not Path(clip).exists():
            raise UsageError(f"There is no clip at {clip}; check --video.")
    pairs: list[Pair] = []
    told: list[dict[str, Any]] = []
    left_out: list[str] = []
    for name, clip in zip(short_names(clips), clips):
        try:
            shown = ClipFrames(clip, retime=False)
            entry, found, problems = _of_clip(name, shown, frames, framing, finder)
        except RigError as error:
            left_out.append(str(error) if clip in str(error) else f"{clip}: left out: {error}")
            continue
        told.append({"clip": name, "path": clip, **entry})
        pairs += found
        left_out += [*problems, *filter(None, [shown.unread()])]
    if not pairs:
        raise RigError(f"No clip could be used: {left_out[0] if left_out else 'none was given'}")
    return Reenactments(pairs, {"kind": "frames of clips", "clips": told, "framing": framing}, left_out)


def _of_clip(name: str, clip: ClipFrames, frames: int, framing: str,
             finder: FaceFinder) -> tuple[dict[str, Any], list[Pair], list[str]]:
    """One clip, read once from its beginning to the last frame that is needed; what a damaged clip shows before its end counts."""
    source, reason, at = None, "it holds no frames", -1
    wanted: list[int] = []
    pairs: list[Pair] = []
    problems: list[str] = []
    with Progress(frames, f"frames of {name}", "frame") as progress:
        for number, photo in _readable(clip, problems):
            if source is None:
                try:
                    source, at = frame_source(photo, finder, SURE), number
                except RigError as error:
                    reason = str(error)
                    continue
                wanted = spread(number + 1, len(clip), frames)
            elif number in wanted:
                try:
                    framed = frame_truth(photo, source, finder, framing, one_camera=True)
                    pairs.append(Pair(name, f"{name}#{at}", f"{name}#{number}", source.image, framed.image))
                except RigError as error:
                    problems.append(f"{name}#{number}: left out: {error}")
                progress.update()
            if source is not None and number >= max(wanted, default=number):
                break
    if source is None:
        raise RigError(problems[0] if problems else f"{clip.path} shows no face that could be the source ({reason}); give a clip "
                       "of one person's face.")
    if not pairs:
        raise RigError(f"{clip.path} has no frame after the source, its number {at}, that could be compared"
                       + (f" ({problems[0]})" if problems else "") + "; give a clip of two frames with a face or more.")
    return {"frames": len(clip), "source_frame": at, "asked": len(wanted), "used": len(pairs)}, pairs, problems


def _readable(clip: ClipFrames, problems: list[str]) -> Iterator[tuple[int, np.ndarray]]:
    """The numbered frames up to the first that cannot be read, which is told to ``problems``."""
    frames = enumerate(clip)
    while True:
        try:
            numbered = next(frames, None)
        except RigError as error:
            problems.append(str(error))
            return
        if numbered is None:
            return
        yield numbered


def spread(first: int, end: int, count: int) -> list[int]:
    """At most ``count`` whole numbers in [first, end), each in the middle of its share."""
    size = max(end - first, 0)
    count = min(count, size)
    return [first + int((k + 0.5) * size / count) for k in range(count)]


def short_names(paths: Sequence[str]) -> list[str]:
    """The files' names; where two are alike, whole paths. UsageError when a clip is named twice."""
    if len(set(paths)) != len(paths):
        raise UsageError(f"--video names {next(path for path in paths if list(paths).count(path) > 1)} twice; name it once.")
    names = [Path(path).name for path in paths]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths)]


def folder_pairs(first: str, second: str, count: int, framing: str, finder: FaceFinder) -> Reenactments:
    """Of every name that both folders have (whatever its ending) the picture in ``first`` is the source, that in ``second`` the
    truth; ``count`` of them, spread evenly, 0 for all. UsageError when no name is common, RigError when no pair can be used."""
    sources, truths = (_by_name(folder) for folder in (first, second))
    common = sorted(sources.keys() & truths.keys())
    if not common:
        raise UsageError(f"No picture in {first} has the same name as one in {second}; --pairs takes two folders in which the "
                         "same name is the same person.")
    chosen = [common[i] for i in spread(0, len(common), count or len(common))]
    pairs: list[Pair] = []
    left_out: list[str] = []
    for name in track(chosen, "align pairs", unit="pair"):
        path = sources[name]
        try:
            source: Framed = frame_source(read_image(path), finder)
            path = truths[name]
            framed = frame_truth(read_image(path), source, finder, framing, one_camera=False)
        except RigError as error:
            left_out.append(str(error) if str(path) in str(error) else f"{path}: left out: {error}")
            continue
        pairs.append(Pair("", _short(sources[name], first), _short(path, second), source.image, framed.image))
    if not pairs:
        raise RigError(f"No pair of {first} and {second} could be used: {left_out[0]}")
    left_out += filter(None, [unread_sentence([_short(file, folder) for folder, known in ((first, sources), (second, truths))
                                               for file in unread_files(folder, known.values())])])
    alone = len(sources) + len(truths) - 2 * len(common)
    return Reenactments(pairs, {"kind": "pairs of photographs", "paths": [first, second], "common": len(common), "alone": alone,
                                "asked": len(chosen), "used": len(pairs), "framing": framing}, left_out)


def _short(path: Path, folder: str) -> str:
    """A photograph's path from its folder's own name on."""
    return f"{Path(folder).resolve().name}/{path.relative_to(folder).as_posix()}"


def _by_name(folder: str) -> dict[str, Path]:
    """Pictures by their path within the folder without its ending."""
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"There is no folder at {folder}; --pairs takes two folders of photographs.")
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in find_images(root)}


def contents(clips: Sequence[str], folders: Sequence[str]) -> dict[str, str]:
    """What tells the material of one evaluation from another: a hash or list of each clip's or folder's files."""
    found: dict[str, str] = {}
    for clip in clips:
        try:
            found[clip] = ClipFrames(clip, retime=False).identity()
        except UsageError:
            raise
        except RigError:
            found[clip] = "unreadable"
    for folder in folders:
        found[folder] = ";".join(f"{name}:{sha256_of(path)}" for name, path in sorted(_by_name(folder).items()))
    return found
