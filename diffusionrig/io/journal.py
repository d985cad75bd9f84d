"""Files that grow by lines: a line cut off by a kill is closed before the next one; what a run does again is taken back first."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from diffusionrig.io.damage import parse_json, reading
from diffusionrig.io.files import cannot_write, read_bytes, utf8, write_text

_MOST = 1 << 26
"""Bytes of a table; a run of a million updates leaves less."""


def append_text(path: str | Path, text: str) -> None:
    """Append ``text``; RigError when the disk is full or the file cannot be written."""
    file = Path(path)
    try:
        with open(file, "ab+") as stream:
            if stream.tell() > 0:
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    text = "\n" + text
            stream.write(utf8(text))
    except OSError as error:
        raise cannot_write(file, error) from error


def read_table(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column; none when there is no file, and a last line that was cut off lacks its last columns."""
    rows = CsvTable(path).rows()
    return [dict(zip(rows[0], row)) for row in rows[1:] if row]


class CsvTable:
    """A CSV file with a header; new columns are added to it by writing the file anew (atomically)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        rows = self.rows()
        self.columns = rows[0] if rows else []

    def rows(self) -> list[list[str]]:
        """All lines, the header first."""
        if not self.path.exists():
            return []
        with reading(self.path, "cannot be read", "move it away to start a new one"):
            return list(csv.reader(io.StringIO(read_bytes(self.path, _MOST).decode("utf-8"), newline="")))

    def append(self, row: Mapping[str, object]) -> None:
        """Add one row; columns that are new join the header in alphabetical order, earlier rows stay empty there."""
        new = sorted(set(row) - set(self.columns))
        if new:
            rows = self.rows()[1:]
            self.columns += new
            write_text(self.path, _lines([self.columns, *rows], len(self.columns)))
        append_text(self.path, _lines([[row.get(name, "") for name in self.columns]], len(self.columns)))


    def forget(self, column: str, beyond: float) -> None:
        """Delete the rows whose number in ``column`` is above ``beyond``, and rows that a kill cut off. The file is written anew
        (atomically) where there is anything to delete."""
        rows = self.rows()
        if column not in self.columns:
            return
        place, whole = self.columns.index(column), _ends_with_line(self.path)
        kept = [row for row in (rows[1:] if whole else rows[1:-1])
                if len(row) == len(self.columns) and _at_most(row[place], beyond)]
        if len(kept) < len(rows) - 1:
            write_text(self.path, _lines([self.columns, *kept], len(self.columns)))


def forget_lines(path: str | Path, key: str, beyond: float) -> None:
    """The same in a file of one JSON object a line."""
    file = Path(path)
    if not file.is_file():
        return
    lines = read_bytes(file).decode("utf-8", "replace").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and _at_most(_value(line, key), beyond)]
    if len(kept) < len(lines):
        write_text(file, "".join(kept))


def _value(line: str, key: str) -> object:
    try:
        return parse_json(line)[key]
    except (ValueError, TypeError, LookupError):
        return None


def _at_most(value: object, beyond: float) -> bool:
    try:
        return float(str(value)) <= beyond
    except ValueError:
        return False


def _ends_with_line(path: Path) -> bool:
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _lines(rows: Sequence[Sequence[object]], width: int) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([*row, *[""] * (width - len(row))])
    return text.getvalue()
