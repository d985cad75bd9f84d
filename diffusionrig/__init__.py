"""diffusionrig: two-stage, personalised diffusion editing of faces.

``import diffusionrig`` stays light: the Rig and everything below it are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["FaceCode", "PhysicalBuffers", "Rig", "RigError", "UsageError", "__version__"]

if TYPE_CHECKING:
    from diffusionrig.editing.rig import Rig
    from diffusionrig.errors import RigError, UsageError
    from diffusionrig.geometry.face_code import FaceCode
    from diffusionrig.render.buffers import PhysicalBuffers

_WHERE = {
    "FaceCode": "diffusionrig.geometry.face_code",
    "PhysicalBuffers": "diffusionrig.render.buffers",
    "Rig": "diffusionrig.editing.rig",
    "RigError": "diffusionrig.errors",
    "UsageError": "diffusionrig.errors",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'diffusionrig' has no attribute {name!r}")
