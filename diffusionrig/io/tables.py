"""Comma-separated tables: numbers under known columns, and plain text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.damage import DAMAGE, raise_faults, reading
from diffusionrig.io.files import existing_file, read_bytes, write_text

MOST_BYTES = 1 << 26
"""Bytes of a table; an hour of 58 numbers at 30 frames a second has 40 MB."""


def read_number_table(path: str | Path, columns: Sequence[str], what: str = "table") -> np.ndarray:
    """Rows (n, len(columns)) float32 of a csv file whose header must name ``columns``, in that order.

    NaN is kept. UsageError when the file is absent; RigError naming file, column or line when anything else is in it.
    """
    file = existing_file(path, what)
    text = _text(file)
    header, _, body = text.partition("\n")
    _check_header(file, [name.strip().strip('"') for name in header.strip().split(",")], columns)
    if not body.strip():
        return np.zeros((0, len(columns)), np.float32)
    try:
        rows = np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2, dtype=np.float32, comments=None)
    except DAMAGE as error:
        raise_faults(error)
        raise _bad_line(file, body, len(columns)) from error
    if rows.shape[1] != len(columns):
        raise RigError(f"Line 2 of {file} has {rows.shape[1]} values under {len(columns)} columns; write the file again.")
    return rows


def _text(file: Path) -> str:
    with reading(file, "cannot be read"):
        return read_bytes(file, MOST_BYTES).decode("utf-8-sig")


def _check_header(file: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    if list(names) == list(columns):
        return
    missing = [name for name in columns if name not in names]
    if len(names) != len(columns):
        more = f" ({', '.join(missing[:4])} missing)" if missing else ""
        raise RigError(f"{file} has {len(names)} columns{more}, but {len(columns)} are needed: {columns[0]}, {columns[1]} ... "
                       f"{columns[-1]}; write the file again with all of them.")
    at = next(i for i, (name, wanted) in enumerate(zip(names, columns)) if name != wanted)
    raise RigError(f"Column {at + 1} of {file} is {names[at][:60]!r}, but {columns[at]!r} belongs there; put the columns into the "
                   f"order {columns[0]}, {columns[1]} ... {columns[-1]}.")


def _bad_line(file: Path, body: str, count: int) -> RigError:
    for number, line in enumerate(body.splitlines(), 2):
        values = line.split(",")
        if not line.strip():
            continue
        if len(values) != count:
            return RigError(f"Line {number} of {file} has {len(values)} values under {count} columns; repair or remove the file.")
        for value in values:
            try:
                float(value)
            except ValueError:
                return RigError(f"Line {number} of {file} holds {value.strip()[:20]!r}, which is no number; repair or remove the "
                                "file.")
    return RigError(f"{file} is not a table of {count} numbers per line; copy it again.")


def write_number_table(path: str | Path, columns: Sequence[str], rows: np.ndarray) -> None:
    """Write ``rows`` (n, len(columns)) under a header, with the six digits that float32 is worth."""
    buffer = io.StringIO()
    buffer.write(",".join(columns) + "\n")
    np.savetxt(buffer, rows, fmt="%.6g", delimiter=",")
    write_text(path, buffer.getvalue())


def read_text_table(path: str | Path, what: str = "table") -> tuple[list[str], list[list[str]]]:
    """Header and rows of a csv file; empty lines are left out. UsageError when it is absent, RigError when it is none."""
    file = existing_file(path, what)
    with reading(file, "cannot be read"):
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(_text(file), newline=""))
                 if any(cell.strip() for cell in line)]
    if not lines:
        raise RigError(f"{file} is empty; write it again.")
    return lines[0], lines[1:]


def write_text_table(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and rows as csv."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
