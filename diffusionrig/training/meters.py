"""Figures between two log lines: means, rates, times."""

from __future__ import annotations

import time
from typing import Any

from diffusionrig.training.base_trainer import BaseTrainer, Update


class Meters:
    """Collects updates; ``row`` empties it into one line of the log with the published keys and a few more."""

    def __init__(self, samples_per_step: int, unit: str = "images") -> None:
        self.samples_per_step, self.unit = samples_per_step, unit
        self.begun = self._row_began = time.monotonic()
        self.updates = 0
        self.first_loss: float | None = None
        self.last_loss: float | None = None
        self._held: list[Update] = []
        self._tried = 0
        self._waited = self._first_update = 0.0

    def add(self, update: Update) -> None:
        """Note one update; those that were skipped count for the time only."""
        self.updates += 1
        self._tried += 1
        if self.updates == 1:  # fills the queue of batches, and may compile
            self._first_update = time.monotonic() - self.begun
        else:
            self._waited += update.waited
        if update.applied:
            self._held.append(update)

    def row(self, trainer: BaseTrainer, save_interval: int) -> dict[str, float | int | str]:
        """Means since the last row. ``step`` is the number of updates done, ``samples`` the photographs shown."""
        now = time.monotonic()
        count = len(self._held)
        seconds = (now - self._row_began) / self._tried
        loss = sum(update.loss for update in self._held) / count
        self.first_loss = loss if self.first_loss is None else self.first_loss
        self.last_loss = loss
        terms = {name: sum(update.terms[name] for update in self._held) / count for name in self._held[0].terms}
        row: dict[str, float | int | str] = {
            "step": trainer.step, "samples": trainer.samples, "loss": loss, **terms,
            "grad_norm": sum(update.grad_norm for update in self._held) / count,
            "lr": self._held[-1].lr, "skipped": trainer.skipped,
            f"{self.unit}/s": self.samples_per_step / seconds,
            "time elapsed": _clock(now - self.begun), "time est.(10k)": _clock(10_000 * seconds),
            "time est.(next ckpt)": _clock((save_interval - trainer.step % save_interval) * seconds),
        }
        self._held, self._tried, self._row_began = [], 0, now
        return row

    def summary(self) -> dict[str, Any]:
        """Figures of the whole run, for its report. ``waited_for_data``: share of the time after the first update in which the
        model had no batch."""
        seconds = time.monotonic() - self.begun
        after_first = max(seconds - self._first_update, 1e-9)
        return {"seconds": round(seconds, 3), f"{self.unit}_per_second": round(self.updates * self.samples_per_step / seconds, 3),
                "waited_for_data": round(self._waited / after_first, 4),
                "first_logged_loss": self.first_loss, "last_logged_loss": self.last_loss}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
