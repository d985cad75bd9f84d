"""Where the files of a clip lie: the tree of REACT 2023 and 2024, and that of MARS (REACT 2025 and 2026)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from diffusionrig.io.video import VIDEO_SUFFIXES
from diffusionrig.reactions.corpus.clips import ClipId, emotion_roles

SPLITS = ("train", "val", "test")
MODALITIES = ("video", "audio", "emotion", "coefficients")
MARS_SITE = "MARS"
"""Put before MARS's own ids, which have no site, so that they read ``MARS/session0/speaker/Camera-...``."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """name       ``react`` or ``mars``
    fps        video frames a second
    folders    per modality, the names its folder goes by, the usual one first
    suffixes   per modality but video, which may be a folder of pictures or a file of any kind
    """

    name: str
    fps: int
    folders: Mapping[str, tuple[str, ...]]
    suffixes: Mapping[str, str]

    def folder(self, root: Path, split: str, modality: str) -> Path:
        """The folder of a modality: the first of its names that exists, else the usual one."""
        places = [root / split / name for name in self.folders[modality]]
        return next((place for place in places if place.is_dir()), places[0])

    def path(self, root: Path, split: str, modality: str, clip: ClipId) -> Path:
        """The file (or folder of frames) of a clip; where there is none, the one that should be."""
        choices = self.choices(self.folder(root, split, modality), modality, clip)
        return next((choice for choice in choices if choice.exists()), choices[0])

    def choices(self, folder: Path, modality: str, clip: ClipId) -> list[Path]:
        """Every place in ``folder`` where a clip may lie, the likelier first."""
        if self.name == "mars":
            stems = [folder / clip.role / clip.session / clip.clip]
        else:
            roles = emotion_roles(clip) if modality == "emotion" else (clip.role,)
            stems = [folder / clip.site / clip.session / role / clip.clip for role in roles]
        if modality != "video":
            return [stem.with_name(stem.name + self.suffixes[modality]) for stem in stems]
        return [place for stem in stems for place in (stem, *(stem.with_name(stem.name + suffix) for suffix in VIDEO_SUFFIXES))]


REACT = Layout("react", 25, {"video": ("Video_files", "cropped_face"), "audio": ("Audio_files",), "emotion": ("Emotion",),
                             "coefficients": ("3D_FV_files",)},
               {"audio": ".wav", "emotion": ".csv", "coefficients": ".npy"})
"""``train/Emotion/NoXI/001_2016-03-17_Paris/P1/21.csv`` and so on."""

MARS = Layout("mars", 30, {"video": ("video-face-crop", "video-raw"), "audio": ("audio",), "emotion": ("facial-attributes",),
                           "coefficients": ("coefficients",)},
              {"audio": ".wav", "emotion": ".npy", "coefficients": ".npy"})
"""``train/facial-attributes/speaker/session0/Camera-....npy`` and so on, clips of any length."""


def find_layout(root: Path) -> Layout | None:
    """The layout of the corpus at ``root``, by the folders of its splits; None when there is neither."""
    for layout in (REACT, MARS):
        names = {name for folders in layout.folders.values() for name in folders}
        if any((root / split / name).is_dir() for split in SPLITS for name in names):
            return layout
        if layout is REACT and any((root / f"{split}.csv").is_file() for split in SPLITS):
            return layout
    return None
