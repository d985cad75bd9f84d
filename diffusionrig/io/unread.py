"""What a folder holds beside what is read of it: pictures and videos of other kinds, and pictures whose names do not say so."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from diffusionrig.io.images import IMAGE_SUFFIXES, find_files
from diffusionrig.io.paths import real
from diffusionrig.io.video import VIDEO_SUFFIXES
from diffusionrig.shown import one_line

PICTURES = (*IMAGE_SUFFIXES, ".jp2", ".j2k", ".jxl", ".jxr", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef",
            ".srw", ".psd", ".xcf", ".tga", ".exr", ".hdr", ".pcx", ".ppm", ".pgm", ".pnm", ".ico", ".svg", ".eps")
VIDEOS = (*VIDEO_SUFFIXES, ".3gp", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".m2ts", ".ogv")
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*", b"\x00\x00\x00\x0cjP  ",
           b"\x00\x00\x00\x0cJXL ", b"8BPS")
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
SHOWN = 5


def unread_files(folder: str | Path, read: Iterable[Path], without: str | Path = "", recursive: bool = True) -> list[Path]:
    """Files under ``folder`` that are pictures or videos, by their ending or what they begin with, but not among those ``read``;
    and folders that may not be searched.

    What lies in the folder ``without``, a command's own results, is left out. Sorted by path.
    """
    known, results = set(read), real(without) if str(without) else None
    return [file for file in find_files(folder, recursive)
            if file not in known and (results is None or results not in real(file).parents)
            and (file.suffix.lower() in PICTURES + VIDEOS or os.path.isdir(file) or _begins_as_picture(file))]


def unread_sentence(files: Sequence[str | Path]) -> str:
    """One sentence that counts and names them, the first few where there are many; "" when there are none."""
    if not files:
        return ""
    named = ", ".join(one_line(file) for file in files[:SHOWN])
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    kind = "1 picture or video of another kind was" if len(files) == 1 else f"{len(files)} pictures or videos of other kinds were"
    return f"{kind} not read: {named}{more}."


def _begins_as_picture(file: Path) -> bool:
    if not os.path.isfile(file):  # to open a pipe or a device would wait for it
        return False
    try:
        with open(file, "rb") as stream:
            head = stream.read(16)
    except OSError:
        return False
    return (head.startswith(_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
            or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS))
