"""The folder of an EMOCA model: its settings, and which of its checkpoints counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import existing_file
from diffusionrig.io.yaml_text import read_yaml

SETTINGS = "cfg.yaml"


def best_checkpoint(folder: Path) -> Path:
    """The checkpoint of the smallest loss below ``detail/checkpoints`` of an EMOCA model; UsageError when there is none."""
    found = checkpoints_in(folder)
    if not found:
        raise UsageError(f"There is no checkpoint (*.ckpt) below {folder / 'detail' / 'checkpoints'}; download the model "
                         "again from https://emoca.is.tue.mpg.de.")
    scored = [(float(match[1]), str(path), path) for path in found
              if (match := re.search(r"=(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:-v\d+)?$", path.stem))]
    if scored:
        return min(scored)[2]
    others = [path for path in found if not path.stem.startswith("last")] or found
    if len(others) == 1:
        return others[0]
    raise UsageError(f"None of the {len(others)} checkpoints below {folder / 'detail' / 'checkpoints'} has its loss in its name "
                     "(…=3.50.ckpt); leave only the one to use there.")


def checkpoints_in(folder: Path) -> list[Path]:
    """All checkpoints below ``detail/checkpoints`` but the last one of training, which counts only when it is alone."""
    found = sorted((folder / "detail" / "checkpoints").rglob("*.ckpt"))
    kept = [path for path in found if path.is_file() and not path.stem.startswith("last")]
    return kept or [path for path in found if path.is_file()]


def read_emoca_settings(file: Path) -> dict[str, Any]:
    """The tree in ``cfg.yaml``, plain values only. UsageError when it is absent, RigError when it is no such file."""
    tree = read_yaml(existing_file(file, "file of settings"), "download the model again")
    if not isinstance(tree, dict):
        raise RigError(f"{file} holds no settings; download the model again.")
    return tree
