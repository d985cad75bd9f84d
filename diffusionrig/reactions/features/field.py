"""What a dataset of prepared features is: its shape, how its rows lie in time, where it comes from."""

from __future__ import annotations

import dataclasses

import numpy as np

VERSION = 2
"""Of all features together: raised when any of them changes, so that files of different numbers are not continued."""


@dataclasses.dataclass(frozen=True)
class Field:
    """key        name of the dataset (clips, rows, ...) or, when ``rate`` is 0, (clips, ...)
    rate       rows a second; 0 for what describes the clip as a whole
    alignment  which moment row r belongs to, in one sentence
    source     what the numbers are and how they came about, in one sentence
    kind       numpy's name of the type stored
    packed     whether the dataset is worth compressing
    """

    key: str
    rate: float
    alignment: str
    source: str
    kind: str = "float32"
    packed: bool = False

    def attributes(self, shape: tuple[int, ...]) -> dict[str, object]:
        """What the file says of a dataset whose rows of one clip have ``shape``."""
        width = shape[1:] if self.rate else shape
        return {"dimension": np.array(width or (1,), np.int32), "rate": float(self.rate), "alignment": self.alignment,
                "source": self.source, "version": VERSION}


PER_FRAME = "Row t is video frame t."
