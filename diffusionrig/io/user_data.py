"""Where a user's own results are kept that no working folder was named for."""

from __future__ import annotations

import os
from pathlib import Path

from diffusionrig.errors import UsageError


def user_data() -> Path:
    """``$XDG_DATA_HOME/diffusionrig``, or ``~/.local/share/diffusionrig``; it may not be there yet. UsageError without a home."""
    if os.environ.get("XDG_DATA_HOME"):
        return Path(os.environ["XDG_DATA_HOME"]) / "diffusionrig"
    try:
        return Path.home() / ".local" / "share" / "diffusionrig"
    except RuntimeError as error:  # a user without a home, as in containers
        raise UsageError("There is no home folder to keep albums and models in; name a folder for them.") from error
