"""The tiny rig of the editing tests, whose encoder reads the code from the pixels."""

import pytest
from editing.conftest import checkpoint, rig
from seed_faces import SeedEncoder

from diffusionrig.editing import capturing as capturing_module
from diffusionrig.editing import rig as rig_module
from diffusionrig.geometry.heads import DEFAULT_HEAD

__all__ = ["checkpoint", "rig", "shared_rig"]


@pytest.fixture(scope="module")
def shared_rig(checkpoint):
    """The same for all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capturing_module, "make_encoder", lambda name, head, device, options: SeedEncoder())
        for module in (capturing_module, rig_module):
            patch.setattr(module, "best_encoder", lambda head="": "SEED")
        patch.setattr(rig_module, "usual_head", lambda name: DEFAULT_HEAD)
        yield rig_module.Rig.from_pretrained(checkpoint, device="cpu")
