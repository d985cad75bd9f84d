"""Contact sheets of a run, written as its results come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffusionrig.editing.order import SHEET
from diffusionrig.io.images import write_png
from diffusionrig.io.sheets import contact_sheet

ROWS_PER_SHEET = 16


class ContactSheets:
    """Sheets of ROWS_PER_SHEET rows in ``folder``; a row is held until its sheet is full, no longer."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.folder, self.columns = folder, columns
        self.written: list[str] = []
        self._rows: list[list[np.ndarray]] = []
        self._titles: list[str] = []

    def add(self, row: list[np.ndarray], title: str) -> None:
        """One more row of (H, W, 3) uint8 pictures."""
        self._rows.append(row)
        self._titles.append(title)
        if len(self._rows) == ROWS_PER_SHEET:
            self.finish()

    def finish(self) -> list[str]:
        """Write the rows that are left; the names of all sheets."""
        if self._rows:
            name = f"contact_sheet_{len(self.written)}.png" if self.written else SHEET
            write_png(self.folder / name, contact_sheet(self._rows, self.columns, self._titles), {"Comment": "AI-edited"})
            self.written.append(name)
            self._rows, self._titles = [], []
        return self.written
