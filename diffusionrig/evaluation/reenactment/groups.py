"""Figures of groups of people apart: what is good on the whole may be bad for some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from diffusionrig.errors import RigError
from diffusionrig.evaluation.reenactment.drawing import Reenacted
from diffusionrig.evaluation.reenactment.summary import summarise
from diffusionrig.io.tables import read_text_table

Groups = dict[str, set[str]]


def read_groups(path: str) -> Groups:
    """{group: names} from a csv file with the columns ``name`` and ``group``, a line for every group that a name belongs to; a
    name is that of a picture or clip, with or without its ending. Nothing for "". UsageError or RigError when it is none."""
    if not path:
        return {}
    header, lines = read_text_table(path, "table of groups")
    if header != ["name", "group"]:
        raise RigError(f"{path} must have the columns name,group, not {','.join(header)}.")
    groups: Groups = {}
    for number, line in enumerate(lines, 2):
        if len(line) != 2 or not all(cell.strip() for cell in line):
            raise RigError(f"{path}, line {number}: a name and a group are needed, such as 001.jpg,beard.")
        groups.setdefault(line[1].strip(), set()).add(line[0].strip())
    return groups


def by_group(items: Sequence[Reenacted], groups: Groups) -> dict[str, Any]:
    """{group: what ``summarise`` gives of its pairs}, without groups that have none."""
    found = {group: [item for item in items if _names(item) & names] for group, names in groups.items()}
    return {group: summarise(members) for group, members in found.items() if members}


def absent(items: Sequence[Reenacted], groups: Groups) -> list[str]:
    """Names of the groups that belong to no pair."""
    known: set[str] = set().union(*(_names(item) for item in items))
    return sorted(set().union(*groups.values()) - known) if groups else []


def _names(item: Reenacted) -> set[str]:
    paths = [PurePath(name.partition("#")[0]) for name in (item.pair.clip, item.pair.source_name, item.pair.truth_name) if name]
    return {part for path in paths for part in (path.name, path.stem)}
