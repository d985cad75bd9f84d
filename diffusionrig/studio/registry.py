"""Which panels the studio has."""

from __future__ import annotations

from diffusionrig.studio.camera import Camera
from diffusionrig.studio.clips import Clips
from diffusionrig.studio.panels import Panel
from diffusionrig.studio.session import Session


def add_panels(session: Session) -> None:
    """Register the panels, a line each."""
    panels: list[Panel] = []
    panels.append(Clips(session))
    panels.append(camera := Camera(session))
    session.panels.extend(panels)
    session.receiver = camera
