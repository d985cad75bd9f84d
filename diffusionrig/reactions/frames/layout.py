"""Where rendered reactions lie, as FaceAIS lays them out: ``<output>/<run>/<version>/<split>/<purpose>/b*_ind*``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import read_json, write_json, write_text
from diffusionrig.io.pt_files import read_pt, write_pt

PURPOSES = ("only_submit_video", "render_for_fid")
"""Videos to be looked at and handed in; frames alone, to be compared with real ones."""

REPORT, METRICS = "report.json", "metrics.txt"
TENSORS = ("listener_pred_emotion", "listener_pred_3dmm", "listener_gt", "speaker_gt")


def clip_name(item: int, sample: int) -> str:
    """``b{item}_ind{sample}``, both counted from 1 there and from 0 here."""
    return f"b{item + 1}_ind{sample + 1}"


@dataclasses.dataclass(frozen=True)
class Place:
    """The folder of one split and purpose."""

    folder: Path

    @classmethod
    def below(cls, output_dir: str, run: str, version: str, split: str, purpose: str) -> Place:
        """That of these names. UsageError when a name would lead elsewhere."""
        if not output_dir:
            raise UsageError("No --output_dir was given; name a folder for the results.")
        if purpose not in PURPOSES:
            raise UsageError(f"--purpose {purpose} does not exist; choose from {', '.join(PURPOSES)}.")
        for flag, word in (("run", run), ("version", version), ("split", split)):
            if not word or word in {".", ".."} or "/" in word or "\\" in word:
                raise UsageError(f"--{flag} {word!r} cannot be the name of a folder; use letters, digits and dashes.")
        return cls(Path(output_dir) / run / version / split / purpose)

    def mesh(self, name: str) -> Path:
        return self.folder / f"mesh_video_{name}"

    def fake(self, name: str) -> Path:
        return self.folder / f"fake_video_{name}"

    def movie(self, name: str) -> Path:
        return self.folder / f"{name}.mp4"

    def strip(self, name: str) -> Path:
        return self.folder / f"{name}_strip.png"

    def report(self) -> dict[str, Any]:
        """What earlier runs reported, empty before the first."""
        path = self.folder / REPORT
        return read_json(path) if path.is_file() else {}

    def write_addresses(self, name: str, listener: list[str] | None, speaker: list[str] | None, fake: bool) -> None:
        """``b*_ind*.json``: where the frames of each column are; null for a column that is absent."""
        write_json(self.folder / f"{name}.json", {
            "lt_gt_frame_address": listener, "sp_gt_frame_address": speaker, "mesh_video_address": str(self.mesh(name)),
            "fake_video_address": str(self.fake(name)) if fake else None})

    def write_tensors(self, item: int, tensors: dict[str, Tensor], items: list[int]) -> list[int]:
        """Put the tensors of ``item`` into the ``.pt`` files, which hold one row per item of ``items``, in that order.

        ``tensors`` is keyed by words of TENSORS. Returns the items that are held now, sorted. RigError when the rows differ in
        shape from those of earlier items.
        """
        now = sorted({*items, item})
        for name in TENSORS:
            path = self.folder / f"{name}.pt"
            rows = dict(zip(items, read_pt(path))) if path.is_file() else {}
            if name in tensors:
                rows[item] = tensors[name]
            if len({row.shape for row in rows.values()}) > 1:
                raise RigError(f"Item {item} has {name} of shape {tuple(tensors[name].shape)}, but {path} holds others; choose "
                               "another --version for predictions of another K or T.")
            if len(rows) == len(now):
                write_pt(path, torch.stack([rows[key] for key in now]))
            elif rows:
                raise RigError(f"{path} would lack {name} of some items, because not all predictions have it; choose another "
                               "--version.")
        return now

    def write_report(self, report: dict[str, Any]) -> None:
        """``report.json``, and the figures of each clip as lines of ``metrics.txt``."""
        write_json(self.folder / REPORT, report)
        lines = [f"{name} {key}: {value}" for name, clip in sorted(report["clips"].items())
                 for key, value in (("frames", clip["frames"]), ("fps", clip["fps"]),
                                    *((f"jitter_{word}", number) for word, number in clip["jitter"].items()))]
        write_text(self.folder / METRICS, "\n".join(lines) + "\n")
