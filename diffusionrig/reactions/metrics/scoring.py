"""Scoring one file of predictions against a split of a corpus, with everything a reader needs to know about the figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import UsageError
from diffusionrig.io.files import make_folder, write_json, write_text
from diffusionrig.io.histograms import histograms
from diffusionrig.io.images import write_png
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.progress import Progress
from diffusionrig.reactions.corpus import Split
from diffusionrig.reactions.metrics import realism, results
from diffusionrig.reactions.metrics.evaluation import METRICS, evaluate
from diffusionrig.reactions.metrics.predictions import check_predictions
from diffusionrig.reactions.metrics.score import MetricMode, Score
from diffusionrig.reactions.metrics.truth import read_truth
from diffusionrig.reactions.predicting import about_predictions, clips_hash


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Folders of frames, or features as .npy; every ``step``-th frame counts. ``features`` names the network of .npy files."""

    real: Path
    made: Path
    step: int = realism.EVERY
    features: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to score, in which modes; ``frames`` cuts every clip, ``renderer`` is a word on how the pictures were drawn."""

    modes: Sequence[MetricMode] = ("official", "fixed")
    metrics: Sequence[str] = METRICS
    frames: int | None = None
    pictures: Pictures | None = None
    renderer: str = ""
    device: str = "cpu"
    threads: int = 1


def score_file(path: Path, split: Split, plan: Plan) -> tuple[dict[str, Any], list[Score]]:
    """The results as JSON has them, and the scores. UsageError or RigError when the file does not belong to the split."""
    made, about = map_npy(path, "prediction file"), _about(path, split)
    truth = read_truth(split, plan.frames)
    if plan.frames is not None and made.ndim == 4:
        made = made[:, :, :plan.frames]
    facts = check_predictions(made, len(split), truth.frames, str(path))
    scores: list[Score] = []
    if plan.metrics:
        with Progress(len(plan.modes) * len(plan.metrics), "scoring", "measure") as progress:
            scores = evaluate(made, truth, plan.modes, plan.metrics, plan.device, plan.threads,
                              lambda name, mode: progress.update(note=f"{name} {mode}"))
    features, unread = "", list[str]()
    if plan.pictures is not None:
        shown = plan.pictures
        value, features = realism.frrea(shown.real, shown.made, shown.step, shown.features, plan.device)
        unread = realism.unread_in(shown.real, shown.made)
        scores += [Score("FRRea", mode, value, np.array([value])) for mode in plan.modes]
    conditions = {"name": about.get("generator", path.stem), "predictions": path.name, "split": split.name, "items": len(split),
                  "samples": facts.samples, "frames": facts.frames, "scale": facts.scale, "binary_aus": facts.binary_aus,
                  "still_tail": facts.still_tail, "matrix": truth.matrix, "renderer": plan.renderer or "not stated"}
    found = results.as_json(conditions, scores)
    for scored in found["modes"].values():
        if "FRRea" in scored:
            scored["FRRea"] |= {"features": features, "unread": unread}
    return found, scores


def _about(path: Path, split: Split) -> dict[str, Any]:
    """What the JSON beside the predictions says, when there is one; UsageError when it speaks of other clips."""
    about = about_predictions(path)
    if "clips" in about and about["clips"] != clips_hash(split):
        raise UsageError(f"{path} was predicted for other clips than those of {split.name}, or for the same in another order (it "
                         f"was the split {about.get('split')} of its corpus); give the corpus and split that it was made for.")
    return about


def heading(found: dict[str, Any]) -> str:
    """K, T, scale, matrix and renderer in two lines."""
    known = found["conditions"]
    tail = (f"\nThe last {known['still_tail']} frames of every prediction are 0, which counts as movement and as distance; score "
            f"without them by --frames {known['frames'] - known['still_tail']}." if known["still_tail"] else "")
    features = next((scored["FRRea"]["features"] for scored in found["modes"].values() if "FRRea" in scored), "")
    return (f"{known['name']}: {known['items']} items of {known['split']}, K = {known['samples']}, T = {known['frames']}, "
            f"scale: {known['scale']}\nmatrix {known['matrix'][:12]}, renderer: {known['renderer']}"
            f"{f', features: {features}' if features else ''}{tail}")


def write_results(folder: Path, found: dict[str, Any], scores: Sequence[Score], text: str) -> None:
    """``scores.json``, ``scores.txt`` and ``scores.png`` in ``folder``."""
    make_folder(folder)
    write_json(folder / "scores.json", found)
    write_text(folder / "scores.txt", text + "\n")
    panels = results.panels(scores)
    if panels:
        write_png(folder / "scores.png", histograms(panels))
