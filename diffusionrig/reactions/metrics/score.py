"""What a measure returns: one number, and the number of every item it was made of."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

MetricMode = Literal["official", "fixed"]


@dataclasses.dataclass(frozen=True)
class Score:
    """name      FRCorr, FRDist, ...
    mode      "official": equal to the published code; "fixed": its defects mended
    value     the mean of ``items`` that are defined; NaN when none is
    items     (N,) float64, one per directed item in mirrored order; NaN where the measure is not defined
    details   further figures by name
    """

    name: str
    mode: MetricMode
    value: float
    items: np.ndarray
    details: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def undefined(self) -> int:
        """How many items the measure is not defined for; they are left out of ``value``."""
        return int(np.isnan(self.items).sum())


def score(name: str, mode: MetricMode, items: np.ndarray, **details: float) -> Score:
    """The Score whose value is the mean of the defined items."""
    defined = items[~np.isnan(items)]
    return Score(name, mode, float(defined.mean()) if len(defined) else float("nan"), items, details)
