"""The clips that lie in a corpus's folders, whatever its lists say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from diffusionrig.io.video import VIDEO_SUFFIXES
from diffusionrig.reactions.corpus.clips import ROLES, ClipId, side
from diffusionrig.reactions.corpus.layout import MARS_SITE, Layout

_SESSION_PARTS = {"UDIVA": 2}
_TWIN = "_full"
"""Ending of coefficient files that repeat their neighbour."""


@dataclasses.dataclass(frozen=True)
class Found:
    """One entry: ``clip``, whose role is the one that the folder has, or None when the name is wrong, as ``complaint`` says."""

    path: Path
    clip: ClipId | None
    complaint: str = ""


def clips_on_disk(layout: Layout, root: Path, split: str, modality: str) -> Iterator[Found]:
    """The entries of a modality of a split, by path; twins of coefficient files and hidden files are left out."""
    folder = layout.folder(root, split, modality)
    if not folder.is_dir():
        return
    for site in sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")):
        levels = 2 if layout.name == "mars" else _SESSION_PARTS.get(site.name, 1) + 2
        for path in sorted(site.glob("/".join("*" * levels))):
            if path.name.startswith(".") or (modality == "coefficients" and path.stem.endswith(_TWIN)):
                continue
            yield _found(layout, folder, path, modality)


def _found(layout: Layout, folder: Path, path: Path, modality: str) -> Found:
    parts = path.relative_to(folder).parts
    name = path.name
    if modality == "video":
        if not path.is_dir() and path.suffix.lower() not in VIDEO_SUFFIXES:
            return Found(path, None, f"ends in {path.suffix or 'nothing'}, but a folder of frames or a video is needed")
        name = path.name if path.is_dir() else path.stem
    elif path.suffix != layout.suffixes[modality]:
        return Found(path, None, f"ends in {path.suffix or 'nothing'}, but {layout.suffixes[modality]} is needed")
    else:
        name = path.stem
    if layout.name == "mars":
        clip = ClipId(MARS_SITE, parts[1], parts[0], name)
        known = clip.role in ("speaker", "listener")
    else:
        clip = ClipId(parts[0], "/".join(parts[1:-2]), parts[-2], name)
        known = clip.site not in ROLES or side(clip) is not None
    if not known:
        return Found(path, None, f"has the role {clip.role}, which {clip.site} does not know")
    if clip.site in ROLES and not name.isdecimal():
        return Found(path, None, f"is called {name}, but clips of {clip.site} are numbered")
    return Found(path, clip)
