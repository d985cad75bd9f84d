"""All measures of one set of predictions, in either mode or both, a clip at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from diffusionrig.reactions.metrics import concordance, distance, diversity, synchrony
from diffusionrig.reactions.metrics.score import MetricMode, Score
from diffusionrig.reactions.metrics.truth import Truth
from diffusionrig.reactions.metrics.warping import warp
from diffusionrig.reactions.metrics.warping_torch import warp_on

METRICS = ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn")
BETTER = {"FRCorr": "higher", "FRDist": "lower", "FRDiv": "higher", "FRVar": "higher", "FRDvs": "higher", "FRSyn": "lower",
          "FRRea": "lower"}
MENDED: dict[str, tuple[str, ...]] = {"FRCorr": concordance.MENDED, "FRDist": distance.MENDED, "FRSyn": synchrony.MENDED,
                                      **diversity.MENDED, "FRRea": ()}
"""What fixed mode does otherwise than the published code, by measure."""


def measures(truth: Truth, device: torch.device | str = "cpu",
             threads: int = 1) -> dict[str, Callable[[np.ndarray, MetricMode], Score]]:
    """By name, functions of predictions (N, K, T, 25) and mode. FRDist runs on ``device``, or on ``threads`` of the CPU."""
    cpu = torch.device(device).type == "cpu"
    warping: distance.Warp = partial(warp, threads=threads) if cpu else partial(warp_on, device)

    def frcorr(made: np.ndarray, mode: MetricMode) -> Score:
        return concordance.frcorr(made, truth.listeners, truth.neighbours, mode)

    def frdist(made: np.ndarray, mode: MetricMode) -> Score:
        return distance.frdist(made, truth.listeners, truth.neighbours, mode, warping)

    def frsyn(made: np.ndarray, mode: MetricMode) -> Score:
        return synchrony.frsyn(made, truth.speakers, mode)

    return {"FRCorr": frcorr, "FRDist": frdist, "FRDiv": diversity.frdiv, "FRVar": diversity.frvar, "FRDvs": diversity.frdvs,
            "FRSyn": frsyn}


def evaluate(predictions: np.ndarray, truth: Truth, modes: Sequence[MetricMode], names: Sequence[str] = METRICS,
             device: torch.device | str = "cpu", threads: int = 1,
             tell: Callable[[str, MetricMode], None] = lambda name, mode: None) -> list[Score]:
    """The scores of ``predictions`` (N, K, T, 25), mode by mode in the order of ``names``; ``tell`` is called before each.

    FRDist is searched for once: its two modes differ by the factor K.
    """
    functions = measures(truth, device, threads)
    found: list[Score] = []
    for mode in modes:
        for name in names:
            tell(name, mode)
            done = next((one for one in found if one.name == name == "FRDist"), None)
            found.append(distance.in_mode(done, mode, predictions.shape[1]) if done else functions[name](predictions, mode))
    return found
