"""What a model's file says about itself, held against what such descriptions are: the file may come from anybody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionrig.errors import RigError

_NUMBER, _TEXT, _WORDS = (int, float), (str,), (str, type(None))
_PARTS: dict[str, Any] = {
    "model": {}, "diffusion": {}, "adapter": {}, "options": {}, "head": {"name": _WORDS, "hash": _WORDS},
    "data": {"records": (int,)},
    "best": {"step": (int,), "loss": _NUMBER, "held_out": (int,), "loss_at_start": _NUMBER},
    "base": {"name": _TEXT, "hash": _TEXT, "bytes": (int,), "path": _TEXT}, "stage": (int,), "step": (int,), "kind": _TEXT,
    "started_from": _TEXT, "consent": _TEXT, "preview": _TEXT, "encoder": _TEXT}
"""Parts of a description by name: types that each may have, or the parts that it has in turn. Any may be None or absent, but not
its parts."""


def checked_description(meta: Any, file: str | Path) -> dict[str, Any]:
    """``meta`` when its parts are of the kinds that a description has; else RigError naming the first that is not."""
    if not isinstance(meta, dict):
        raise RigError(f"The description in {file} is {type(meta).__name__}; the file is damaged or of another program.")
    for name, kind in _PARTS.items():
        value = meta.get(name)
        if value is None:
            continue
        if isinstance(kind, dict):
            right = isinstance(value, Mapping) and all(
                part in value and isinstance(value[part], types) for part, types in kind.items())
        else:
            right = isinstance(value, kind) and not (isinstance(value, bool) or (isinstance(value, int) and abs(value) > 1 << 62))
        if not right:
            raise RigError(f"What {file} says of its {name} is damaged; the file was changed or is of another program.")
    return meta
