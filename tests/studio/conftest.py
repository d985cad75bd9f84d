"""Fixtures: a studio with a small untrained network and the shipped capture."""

import importlib.util

import pytest
from seed_rig import reference_checkpoint, reference_rig

# Without the extra "studio" there is nothing to test here.
collect_ignore_glob = [] if all(map(importlib.util.find_spec, ("starlette", "uvicorn", "websockets", "httpx"))) else ["test_*.py"]

__all__ = ["reference_checkpoint", "reference_rig"]


@pytest.fixture
def studio(reference_rig, reference_checkpoint, tmp_path):
    from starlette.testclient import TestClient
    from studio_pages import PORT, TOKEN, Studio

    from diffusionrig.studio.app import make_app
    from diffusionrig.studio.recipes import Origin
    from diffusionrig.studio.registry import add_panels
    from diffusionrig.studio.session import Session

    session = Session(reference_rig, max_megapixels=5.0, origin=Origin(str(reference_checkpoint)))
    add_panels(session, tmp_path / "work")
    with TestClient(make_app(session, TOKEN, PORT, most_upload=2_000_000), base_url=f"http://127.0.0.1:{PORT}") as client:
        yield Studio(client, session)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The folder in which the studio that browsers ask keeps albums."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def address(reference_checkpoint, work):
    """Of a studio in a process of its own, for browsers."""
    from browsing import serving

    with serving(reference_checkpoint, work) as address:
        yield address
