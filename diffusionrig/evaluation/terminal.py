"""The heart of an evaluation as a few lines of text."""

from __future__ import annotations

from typing import Any

from diffusionrig.evaluation.control import UNITS
from diffusionrig.evaluation.measure import CANDIDATES


def summary_table(report: dict[str, Any]) -> str:
    """Per mode and part that it changes: median control error of edit, true photograph, source and buffer, and PSNR."""
    lines = [f"{'median control error':<26}" + "".join(f"{name:>9}" for name in CANDIDATES) + f"{'PSNR':>9}{'identity':>10}"]
    for mode, values in report["summary"].items():
        for part in values["changes"]:
            errors = [values["control"][part][name] for name in CANDIDATES]
            lines.append(f"{mode + ': ' + part + ', ' + UNITS[part]:<26}" + "".join(f"{_median(error):>9}" for error in errors)
                         + f"{_median(values['psnr']['edit'], 1):>9}{_median(values['identity']['edit']):>10}")
    return "\n".join(lines)


def _median(entry: dict[str, float] | None, digits: int = 2) -> str:
    return "-" if entry is None else f"{entry['median']:.{digits}f}"
