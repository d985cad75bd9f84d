"""From re-enacted pairs to figures per mode, contestant and clip, to a table of every picture, and to lines on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffusionrig.evaluation.reenactment.contestants import CONTESTANTS
from diffusionrig.evaluation.reenactment.drawing import Reenacted
from diffusionrig.evaluation.reenactment.figures import MEASURES

COLUMNS = ("mode", "clip", "source", "truth", "contestant", *MEASURES, "face_lost")

ON_TERMINAL = ("psnr_head", "ssim_head", "lpips", "identity", "landmarks", "pose", "expression")


def quartiles(values: Sequence[float | None]) -> dict[str, float | int] | None:
    """Median, quartiles, mean and count of what was measured; ``missing`` counts the rest. None when nothing was measured."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return None
    low, middle, high = np.percentile(known, [25, 50, 75])
    return {"median": _short(middle), "q1": _short(low), "q3": _short(high), "mean": _short(known.mean()), "count": len(known),
            "missing": len(values) - len(known)}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def summarise(items: Sequence[Reenacted]) -> dict[str, Any]:
    """{mode: {contestant: {measure: quartiles, pictures, faces_lost}}}."""
    modes = dict.fromkeys(item.mode for item in items)
    return {mode: _of([item for item in items if item.mode == mode]) for mode in modes}


def by_clip(items: Sequence[Reenacted]) -> dict[str, Any]:
    """{clip: what ``summarise`` gives of its pairs}; empty where pairs belong to no clip."""
    clips = dict.fromkeys(item.pair.clip for item in items if item.pair.clip)
    return {clip: summarise([item for item in items if item.pair.clip == clip]) for clip in clips}


def _of(items: Sequence[Reenacted]) -> dict[str, Any]:
    return {one.name: {**{name: quartiles([item.figures[one.name][name] for item in items]) for name in MEASURES},
                       "pictures": len(items), "faces_lost": sum(one.name in item.lost for item in items)} for one in CONTESTANTS}


def rows(items: Sequence[Reenacted]) -> list[list[object]]:
    """One row under COLUMNS for every picture that was compared; a figure that does not exist is empty."""
    return [[item.mode, item.pair.clip, item.pair.source_name, item.pair.truth_name, name,
             *("" if figures[key] is None else f"{figures[key]:.6g}" for key in MEASURES), int(name in item.lost)]
            for item in items for name, figures in item.figures.items()]


def terminal_table(report: dict[str, Any]) -> str:
    """Medians of every contestant, mode by mode."""
    shown = [name for name in ON_TERMINAL if any(entry[name] for mode in report["summary"].values() for entry in mode.values())]
    whole = list(report["summary"].items())
    parts = [(f"{group}, {mode}", entry) for group, modes in report["by_group"].items() for mode, entry in modes.items()]
    titled = [(f"{mode}: {name}", entry) for mode, contestants in whole + parts for name, entry in contestants.items()]
    wide = max(24, *(len(title) for title, _ in titled)) + 2
    lines = [f"{'median':<{wide}}" + "".join(f"{name:>12}" for name in shown) + f"{'faces lost':>14}"]
    for title, entry in titled:
        cells = ("-" if entry[key] is None else f"{entry[key]['median']:.{MEASURES[key].digits}f}" for key in shown)
        lost = f"{entry['faces_lost']} of {entry['pictures']}"
        lines.append(f"{title:<{wide}}" + "".join(f"{cell:>12}" for cell in cells) + f"{lost:>14}")
    return "\n".join(lines)
