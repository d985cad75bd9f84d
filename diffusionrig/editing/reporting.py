"""Reporting: what a run was asked, by what it was done, and what came of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from diffusionrig import __version__
from diffusionrig.editing.order import REPORT
from diffusionrig.editing.pretrained import Pretrained
from diffusionrig.io.files import write_json


def write_begun(folder: Path, request: dict[str, Any]) -> None:
    """Write a ``report.json`` that says whose results lie in ``folder`` until they are complete: the same request, started again
    after a kill, knows them by it."""
    write_json(folder / REPORT, {"command": "edit", "request": request, "software": f"diffusionrig {__version__}",
                                 "unfinished": True, "outputs": []})


def write_report(folder: Path, request: dict[str, Any], model: Pretrained, outputs: list[dict[str, Any]],
                 problems: list[dict[str, str]], began: float, **further: Any) -> dict[str, Any]:
    """Write ``report.json``, all that is needed to repeat the run, and return it. ``began`` is a ``time.monotonic()``."""
    report = {"command": "edit", "request": request, "software": f"diffusionrig {__version__}", "torch": torch.__version__,
              "model": {"hash": model.hash, "config": model.model.to_dict(), "diffusion": model.diffusion.to_dict(),
                        "head": model.head, "consent": model.meta.get("consent")},
              **further, "outputs": outputs, "problems": problems, "seconds": round(time.monotonic() - began, 2)}
    write_json(folder / REPORT, report)
    return report
