"""Files that a program needs while it runs: in a folder of its own, gone when it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from diffusionrig.io.files import atomic_path, cannot_write
from diffusionrig.io.temporary_files import temporary_name


class Scratch:
    """A folder in the system's place for temporary files, which nobody else may read. What killed programs left is swept."""

    def __init__(self, name: str) -> None:
        """RigError when it cannot be made."""
        self.place = temporary_name(Path(tempfile.gettempdir()) / name)
        try:
            os.mkdir(self.place, 0o700)
        except OSError as error:
            raise cannot_write(self.place, error) from error

    def folder(self, name: str) -> Path:
        """A folder in it, empty."""
        place = self.place / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.place, ignore_errors=True)


@contextlib.contextmanager
def growing_file(path: str | Path) -> Iterator[Callable[[bytes], object]]:
    """Yields what appends to the file ``path``, which is there when the block ends well, else not at all. RigError when the disk is
    full."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        yield file.write
