"""The findings of a check as a table to read, and as a file."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from diffusionrig.io.files import make_folder, write_json
from diffusionrig.io.tables import write_text_table
from diffusionrig.reactions.corpus.checking import KINDS, Finding
from diffusionrig.shown import one_line

_COLUMNS = ("split", "row", "modality", "kind", "detail", "file")


def table(findings: Sequence[Finding]) -> str:
    """One line per finding, in aligned columns."""
    cells = ((one.split, "" if one.row is None else one.row, one.modality, one.kind, one.detail, one.file) for one in findings)
    rows = [_COLUMNS, *(tuple(map(one_line, row)) for row in cells)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), f"{row[4]}  {row[5]}"]) for row in rows)


def summary(findings: Sequence[Finding], counts: dict[str, int]) -> str:
    """One sentence: what was looked at, and how many findings of each kind there are."""
    seen = f"{counts['files']} files of {counts['items']} directed items in {counts['splits']} splits"
    kinds = Counter(finding.kind for finding in findings)
    problems, notes = (sum(finding.problem is flag for finding in findings) for flag in (True, False))
    if not findings:
        return f"{seen}: no problem."
    by_kind = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    return f"{seen}: {_count(problems, 'problem')}, {_count(notes, 'note')} ({by_kind})."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def write_report(path: str | Path, findings: Sequence[Finding], counts: dict[str, int]) -> None:
    """All findings as csv, or as JSON together with the counts."""
    file = Path(path)
    make_folder(file.parent)
    if file.suffix == ".csv":
        names = [field.name for field in dataclasses.fields(Finding)]
        write_text_table(file, [*names, "problem"], [[*dataclasses.astuple(finding), finding.problem] for finding in findings])
    else:
        write_json(file, {"counts": counts, "findings": [dataclasses.asdict(finding) | {"problem": finding.problem}
                                                         for finding in findings]})
