"""Fixtures: a studio with a small untrained network and the shipped capture."""

import pytest
from seed_rig import reference_checkpoint, reference_rig

pytest.importorskip("starlette", reason="the studio needs starlette")

from starlette.testclient import TestClient
from studio_pages import PORT, TOKEN, Studio

from diffusionrig.studio.app import make_app
from diffusionrig.studio.session import Session

__all__ = ["reference_checkpoint", "reference_rig"]


@pytest.fixture
def studio(reference_rig):
    session = Session(reference_rig, max_megapixels=5.0)
    app = make_app(session, TOKEN, PORT, most_upload=2_000_000)
    with TestClient(app, base_url=f"http://127.0.0.1:{PORT}") as client:
        yield Studio(client, session)
