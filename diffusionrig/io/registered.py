"""Which of the files a user has registered for are there."""

from __future__ import annotations

from collections.abc import Sequence

from diffusionrig.io.assets import user_assets


def missing_files(patterns: Sequence[str]) -> list[str]:
    """Those ``patterns`` (names or globs relative to the folder of registered files) that match no file."""
    folder = user_assets()
    return [pattern for pattern in patterns if not any(path.is_file() for path in folder.glob(pattern))]
