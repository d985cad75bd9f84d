"""Presets: what an edit asks for, as a small JSON file that ``--set @FILE`` and the page read alike."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from diffusionrig.editing.composites import Pairs
from diffusionrig.editing.controls import CODE_PARTS, LARGEST, SLIDERS, UNCHANGED, Edit, parse_sliders
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import existing_file, read_bytes

KIND = "diffusionrig preset"
MOST_BYTES = 100_000
MOST_NAMES = 200


@dataclasses.dataclass(frozen=True)
class Preset:
    """sliders set to values and ``moves`` as in ``controls.Edit``; ``taken`` are parts of the target and how strongly."""

    sliders: Pairs = ()
    moves: Pairs = ()
    taken: Pairs = ()

    def edit(self, target: bool) -> Edit:
        """The edit it asks for of a source, with a ``target`` or without; UsageError when it takes parts and there is none."""
        parts = tuple(part for part in CODE_PARTS if dict(self.taken).get(part))
        if parts and not target:
            raise UsageError(f"The preset takes {', '.join(parts)} from a second photograph; give one with --target.")
        if parts:
            strengths = tuple((part, dict(self.taken)[part]) for part in parts)
            return Edit("+".join(parts), parts, 1.0, self.sliders, self.moves, strengths)
        return Edit(SLIDERS, (), 1.0, self.sliders, self.moves) if self.sliders or self.moves else Edit(UNCHANGED)

    def to_json(self) -> dict[str, Any]:
        """A JSON value that ``preset_from`` reads back as the same preset."""
        return {"kind": KIND, "version": 1, "set": dict(self.sliders), "move": dict(self.moves), "take": dict(self.taken)}


def preset_from(value: Any, name: str = "the preset") -> Preset:
    """A preset from its JSON value, whatever that is; UsageError says what is wrong with it."""
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise UsageError(f"{name} is not a preset of diffusionrig; save one from the page, or write "
                         f'{{"kind": "{KIND}", "move": {{"smile": 0.4}}}}.')
    groups = [_pairs(value.get(key, {}), key, name) for key in ("set", "move", "take")]
    for part, _ in groups[2]:
        if part not in CODE_PARTS:
            raise UsageError(f"{name} takes {part!r}; choose from {', '.join(CODE_PARTS)}.")
    return Preset(*groups)


def read_preset(path: str | Path) -> Preset:
    """The preset in a file; UsageError or RigError when it cannot be read or holds something else."""
    file = existing_file(path, "preset")
    try:
        return preset_from(json.loads(read_bytes(file, MOST_BYTES).decode("utf-8")), str(file))
    except (ValueError, RecursionError) as error:
        raise RigError(f"{file} is not valid JSON ({error}); save the preset again.") from error


def asked_for(text: str) -> Preset:
    """What ``--set`` asks for: sliders as in ``controls.parse_sliders``, and ``@FILE`` for those of a preset; a slider that is
    written out counts instead of the preset's."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    sliders, moves = parse_sliders(",".join(word for word in words if not word.startswith("@")))
    named = {name for name, _ in (*sliders, *moves)}
    taken: Pairs = ()
    for word in words:
        if word.startswith("@"):
            read = read_preset(word[1:])
            sliders += tuple(pair for pair in read.sliders if pair[0] not in named)
            moves += tuple(pair for pair in read.moves if pair[0] not in named)
            taken = tuple(dict((*taken, *read.taken)).items())
    return Preset(sliders, moves, taken)


def _pairs(value: Any, key: str, name: str) -> Pairs:
    if not isinstance(value, dict) or len(value) > MOST_NAMES:
        raise UsageError(f'"{key}" of {name} must hold names with numbers, at most {MOST_NAMES} of them.')
    for word, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= LARGEST:
            raise UsageError(f'"{key}" of {name} gives {word[:40]!r} no number within {LARGEST:g}.')
    return tuple((word, float(number)) for word, number in value.items())
