"""What the faces of each photograph are called, so that no two photographs ever write the same file.

The rule: a photograph ``sub/name.jpg`` gives ``sub/name.png``, its further faces ``sub/name_1.png``, ``name_2.png`` ...
When that name already belongs to another photograph (``name.png`` beside ``name.jpg``, ``Name.jpg`` on a disk that
ignores case, a picture of someone else in the output folder), it becomes ``name-jpg``, then ``name-jpg-2`` ...
Photographs are served in sorted order, so the same folders give the same names.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import read_bytes, sha256_of
from diffusionrig.io.images import read_png_text
from diffusionrig.io.png import png_size
from diffusionrig.io.temporary_files import LONGEST, fitting

SOURCE, SOURCE_PATH, SOURCE_HASH = "Source", "Source-Path-Hash", "Source-SHA256"


def source_text(photo: Path, relative: str, digest: str) -> dict[str, str]:
    """The text kept in each aligned face: which photograph it came from. The full path goes in as a hash only, as
    folder names may tell more about a person than the picture does."""
    return {SOURCE: relative, SOURCE_PATH: _path_hash(photo), SOURCE_HASH: digest}


def _path_hash(photo: Path) -> str:
    return hashlib.sha256(os.path.realpath(photo).encode("utf-8", "surrogateescape")).hexdigest()[:32]


class OutputNames:
    """Names below ``folder`` for photographs below ``root``; made for one run, asked before the work begins.

    UsageError when an earlier run left faces of another ``size`` (pixels; None: any may be replaced) of the same photographs.
    """

    def __init__(self, root: Path, folder: Path, photos: list[Path], size: int | None = None) -> None:
        self._folder, self._size = folder, size
        self._taken: set[str] = set()
        self.bases: dict[Path, str] = {}
        for photo in photos:
            base = next(name for name in _bases(photo.relative_to(root))
                        if name.casefold() not in self._taken and self._ours(name, photo))
            self._taken.add(base.casefold())
            self.bases[photo] = base
        others = [side for base in self.bases.values() if (side := self._other_side(self._folder / f"{base}.png"))]
        if others:
            raise UsageError(f"{folder} holds {len(others)} faces of {others[0]} pixels that were cut out of these photographs, "
                             f"but {size} were asked for; choose another output folder, or --overwrite True to replace them.")

    def of(self, photo: Path, count: int) -> list[Path]:
        """Files for the ``count`` faces of a photograph, the first one's name without a number."""
        base = self.bases[photo]
        further = (_fit(f"{base}_{number}") for number in itertools.count(1))
        free = (name for name in further if name.casefold() not in self._taken and self._ours(name, photo)
                and not self._other_side(self._folder / f"{name}.png"))
        return [self._folder / f"{name}.png" for name in (base, *itertools.islice(free, count - 1))][:count]

    def _other_side(self, path: Path) -> int:
        """The side of a face that is there in another size than asked for, pixels; 0 when there is none."""
        if self._size is None or not os.path.isfile(path):
            return 0
        width, height = png_size(read_bytes(path)[:33])
        return 0 if (width, height) == (self._size, self._size) else width

    def _ours(self, name: str, photo: Path) -> bool:
        """Whether the file may be written: it does not exist, or was made from this very photograph."""
        path = self._folder / f"{name}.png"
        if not os.path.lexists(path):
            return True
        try:
            text = read_png_text(path)
        except RigError:
            return False
        if text.get(SOURCE_PATH) == _path_hash(photo):
            return True
        # A photograph that was moved together with its folder is still the same photograph.
        return SOURCE_HASH in text and text[SOURCE_HASH] == sha256_of(photo)


def _bases(relative: Path) -> Iterator[str]:
    plain = relative.with_suffix("").as_posix()
    yield _fit(plain)
    marked = f"{plain}-{relative.suffix[1:].lower()}"
    yield _fit(marked)
    for number in itertools.count(2):
        yield _fit(f"{marked}-{number}")


def _fit(name: str) -> str:
    """``name``, below folders, so that with ``.png`` behind it the file system takes it."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{fitting(last, most=LONGEST - len('.png'))}"
