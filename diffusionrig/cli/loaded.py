"""What every command that loads a model says first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusionrig.editing.pretrained import Pretrained


def show_loaded(command: str, pretrained: Pretrained) -> None:
    """Print to standard error, a line each, that another file than the one named was taken, and the consent recorded in a personal
    model; nothing where there is nothing to say."""
    from diffusionrig.editing.consent import consent_line

    for line in (pretrained.note, consent_line(pretrained.meta)):
        if line:
            print(f"diffusionrig {command}: {line}", file=sys.stderr)
