"""Copies, links and moves of whole files: complete or not at all, and never over a file that is there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from diffusionrig.errors import RigError
from diffusionrig.io.files import atomic_path, make_folder


def copy_file(source: Path, target: Path, link: bool = False) -> None:
    """Copy ``source`` (with its times) to ``target``, whose folder is made; ``link`` makes a symbolic link instead."""
    make_folder(target.parent)
    with atomic_path(target) as temporary:
        if link:
            temporary.symlink_to(source.resolve())
        else:
            shutil.copy2(source, temporary)


def move_file(source: Path, target: Path) -> None:
    """Move ``source`` to ``target``, whose folder is made. RigError when ``target`` exists: nothing is ever lost."""
    make_folder(target.parent)
    if target.exists() or target.is_symlink():
        raise RigError(f"{source} cannot be moved to {target}, where there is a file already; rename one of them.")
    try:
        os.rename(source, target)
    except OSError:  # another disk
        copy_file(source, target)
        try:
            source.unlink()
        except OSError as error:
            raise RigError(f"{source} was copied to {target}, but cannot be removed ({error.strerror or error}).") from error
