"""Files that ship inside the package (``diffusionrig/assets``)."""

from __future__ import annotations

from importlib.resources import files

from diffusionrig.errors import RigError


def read_asset(name: str) -> bytes:
    """The bytes of ``diffusionrig/assets/<name>``; RigError when the installation lacks it."""
    try:
        return files("diffusionrig").joinpath("assets", name).read_bytes()
    except OSError as error:
        raise RigError(f"This installation lacks its file assets/{name}; install diffusionrig again.") from error
