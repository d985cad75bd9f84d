"""Files that ship inside the package, and the folder of files a user has registered for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from diffusionrig.errors import RigError, UsageError

_VARIABLE = "DIFFUSIONRIG_DATA"
PACKAGE_ASSETS = Path(__file__).resolve().parent.parent / "assets"


def asset_path(name: str) -> Path:
    """Path of a file shipped in ``diffusionrig/assets``; RigError when the installation is incomplete."""
    path = PACKAGE_ASSETS / name
    if not path.is_file():
        raise RigError(f"The package file {path} is missing; install diffusionrig again.")
    return path


def read_asset(name: str) -> bytes:
    """The bytes of a file shipped in ``diffusionrig/assets``; RigError when that cannot be read."""
    path = asset_path(name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise RigError(f"Cannot read the package file {path}: {error.strerror or error}.") from error


def user_assets() -> Path:
    """Folder of registered files: ``--assets`` or ``$DIFFUSIONRIG_DATA``, else ``data`` in the working folder."""
    return Path(os.environ.get(_VARIABLE) or "data")


@contextlib.contextmanager
def assets_in(folder: str | Path) -> Iterator[None]:
    """Within the ``with`` block, also in processes that it starts, registered files lie in ``folder``; "" changes nothing.

    UsageError when there is no such folder.
    """
    if not str(folder):
        yield
        return
    if not Path(folder).is_dir():
        raise UsageError(f"There is no folder {folder} of registered files; check the path given as --assets.")
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
