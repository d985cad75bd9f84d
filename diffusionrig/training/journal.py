"""The log of a run: ``log.txt``, ``progress.csv``, ``progress.json``, TensorBoard, with the published names and keys."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.io.journal import CsvTable, append_text, forget_lines
from diffusionrig.progress import Progress

_SHOWN = ("step", "loss", "grad_norm", "lr", "skipped", "held-out loss")
FORMATS = ("stdout", "log", "csv", "json", "tensorboard")


def chosen_formats(rank: int, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """``OPENAI_LOG_FORMAT`` (rank 0; default stdout, log, csv, and TensorBoard where it is installed) or
    ``OPENAI_LOG_FORMAT_MPI`` (other ranks; default log)."""
    have = os.environ if environment is None else environment
    name = "OPENAI_LOG_FORMAT" if rank == 0 else "OPENAI_LOG_FORMAT_MPI"
    usual = "log" if rank else "stdout,log,csv" + (",tensorboard" if _tensorboard_installed() else "")
    words = tuple(word.strip() for word in have.get(name, usual).split(",") if word.strip())
    for word in words:
        if word not in FORMATS:
            raise UsageError(f"{name} asks for the log format {word!r}; choose from {', '.join(FORMATS)}.")
    if "tensorboard" in words and not _tensorboard_installed():
        raise UsageError(f"{name} asks for tensorboard, which is not installed; pip install 'diffusionrig[log]'.")
    return words


def _tensorboard_installed() -> bool:
    return importlib.util.find_spec("tensorboard") is not None


class Journal:
    """Writes rows of figures and lines of text to every chosen format, of a run that goes on after ``step`` updates: rows beyond
    it, which an earlier course of the run left, are taken back, since they come again. The text of ``log.txt`` stays."""

    def __init__(self, folder: Path, rank: int, progress: Progress, formats: tuple[str, ...] | None = None,
                 step: int | None = None) -> None:
        self.formats = chosen_formats(rank) if formats is None else formats
        self.progress = progress
        suffix = f"-rank{rank:03d}" if rank else ""
        self.log, self.json = folder / f"log{suffix}.txt", folder / f"progress{suffix}.json"
        self.table = CsvTable(folder / f"progress{suffix}.csv") if "csv" in self.formats else None
        if step is not None:
            CsvTable(folder / f"progress{suffix}.csv").forget("step", step)
            forget_lines(self.json, "step", step)
        self.board: Any = None
        if "tensorboard" in self.formats:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / f"tb{suffix}"), purge_step=None if step is None else step + 1)  # type: ignore[no-untyped-call]

    def note(self, text: str) -> None:
        """One line of text."""
        if "stdout" in self.formats:
            self._show(text)
        if "log" in self.formats:
            append_text(self.log, text + "\n")

    def row(self, values: Mapping[str, float | int | str]) -> None:
        """One row of figures; ``values`` has the key ``step``."""
        if "stdout" in self.formats:
            self._show("  ".join(f"{name} {_short(values[name])}" for name in _SHOWN if name in values))
        if "log" in self.formats:
            append_text(self.log, _framed(values))
        if self.table is not None:
            self.table.append(values)
        if "json" in self.formats:
            append_text(self.json, json.dumps(dict(values)) + "\n")
        if self.board is not None:
            for name, value in values.items():
                if not isinstance(value, str):
                    self.board.add_scalar(name, value, global_step=values["step"])

    def _show(self, text: str) -> None:
        if sys.stdout.isatty():
            self.progress.write(text)
        else:
            print(text, flush=True)

    def close(self) -> None:
        """Flush what is buffered."""
        if self.board is not None:
            self.board.close()


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _framed(values: Mapping[str, float | int | str]) -> str:
    cells = [(name, _short(value)) for name, value in sorted(values.items())]
    wide, deep = max(len(name) for name, _ in cells), max(len(text) for _, text in cells)
    edge = "-" * (wide + deep + 7) + "\n"
    return edge + "".join(f"| {name:<{wide}} | {text:<{deep}} |\n" for name, text in cells) + edge
