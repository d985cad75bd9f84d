"""What every command that loads a personal model says first."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def show_consent(command: str, meta: Mapping[str, Any]) -> None:
    """Print the consent recorded in a personal model as one line to standard error; nothing for other models."""
    from diffusionrig.editing.consent import consent_line

    line = consent_line(meta)
    if line:
        print(f"diffusionrig {command}: {line}", file=sys.stderr)
