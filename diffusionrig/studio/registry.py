"""Which panels the studio has."""

from __future__ import annotations

from diffusionrig.studio.panels import Panel
from diffusionrig.studio.session import Session


def add_panels(session: Session) -> None:
    """Register the panels, a line each."""
    panels: list[Panel] = []
    session.panels.extend(panels)
