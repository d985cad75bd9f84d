"""Files that ship inside the package, and the folder of files a user has registered for."""

from __future__ import annotations

import os
from pathlib import Path

from diffusionrig.errors import RigError

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
    """Folder of registered files: ``$DIFFUSIONRIG_DATA``, else ``data`` in the working folder."""
    return Path(os.environ.get("DIFFUSIONRIG_DATA") or "data")
