"""Small stores to learn the reference condition from: single photographs, true edits, one person's album."""

from __future__ import annotations

from pathlib import Path

from diffusionrig.data.synthetic.series import Series, write_series

SIZE = 64


def singles(folder: Path, count: int = 5, seed: int = 2) -> Path:
    """One photograph each of ``count`` people."""
    write_series(Series(count, SIZE, seed), folder / "singles", lmdb=True)
    return folder / "singles"


def edits(folder: Path, moments: int = 3, seed: int = 6) -> Path:
    """``moments`` people, each photographed once and in two edits of that moment."""
    write_series(Series(3 * moments, SIZE, seed, edits=2), folder / "edits", lmdb=True)
    return folder / "edits"


def album(folder: Path, count: int = 4, seed: int = 2) -> Path:
    """``count`` photographs of one person."""
    write_series(Series(count, SIZE, seed, album=7), folder / "album", lmdb=True)
    return folder / "album"
