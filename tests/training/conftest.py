"""Fixtures of this folder."""

from collections.abc import Iterator

import pytest
from training.tiny import NARROW

from diffusionrig.model import encoder


@pytest.fixture(autouse=True, scope="module")
def narrow_encoders() -> Iterator[None]:
    """ResNets as narrow as those of ``training.tiny.command``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "WIDTH", NARROW)
        yield
