"""Which panels the studio has."""

from __future__ import annotations

from pathlib import Path

from diffusionrig.studio.album_panel import AlbumPanel
from diffusionrig.studio.camera import Camera
from diffusionrig.studio.clips import Clips
from diffusionrig.studio.session import Session


def add_panels(session: Session, folder: Path, listener: str = "") -> None:
    """Register the panels, a line each; what they keep lies in ``folder``, and ``listener`` is a model that reacts to speakers."""
    session.panels.append(AlbumPanel(session, folder))
    session.panels.append(Clips(session, listener))
    session.panels.append(camera := Camera(session))
    session.receiver = camera
