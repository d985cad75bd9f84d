"""The folder of an EMOCA model: its settings, and which of its checkpoints counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import existing_file, read_bytes

SETTINGS = "cfg.yaml"
_MOST_BYTES, _MOST_VALUES = 1 << 18, 20_000


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
    import yaml

    data = read_bytes(existing_file(file, "file of settings"), _MOST_BYTES)
    try:
        tree = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RigError(f"{file} is no plain YAML file of settings ({str(error).splitlines()[0]}); download the model "
                       "again.") from error
    if not isinstance(tree, dict):
        raise RigError(f"{file} holds no settings; download the model again.")
    # Names for repeated parts (&a, *a) let a short file stand for any number of values.
    waiting, count = [tree], 0
    while waiting:
        value = waiting.pop()
        parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        count += len(parts)
        if count > _MOST_VALUES:
            raise RigError(f"{file} repeats its parts without end, as no file of settings does; download the model again.")
        waiting += parts
    return tree
