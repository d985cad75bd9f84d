"""The studio's pictures, all made by the code of ``edit``: previews, the network's pictures, and the files to take away."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.conditions import REFERENCE
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.outputs import buffer_pictures
from diffusionrig.editing.photographs import whole_picture
from diffusionrig.editing.pictures import draw_prepared, preview_prepared
from diffusionrig.editing.provenance import edited_png
from diffusionrig.editing.request import Request, Result
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.io.jpeg import jpeg_bytes
from diffusionrig.studio.sitting import Sitting

PREVIEW_QUALITY, QUALITY = 88, 92


class Cancelled(Exception):
    """A picture that nobody waits for any more."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """One picture: a face, a second one or none, the edit, and the seed."""

    sitting: Sitting
    target: Sitting | None
    edit: Edit
    seed: int = 0

    def request(self, rig: Rig) -> Request:
        """As ``edit`` asks for it when it writes a whole photograph."""
        return Request(0, None if self.target is None else 0, self.edit, rig.pretrained.condition == REFERENCE)


def preview(rig: Rig, asked: Asked, inset: str) -> tuple[np.ndarray, bytes, bytes]:
    """The carried face (S, S, 3) uint8, and JPEGs of it and of its ``inset``, a name of ``editing.outputs.buffer_pictures``."""
    (result,) = preview_prepared(rig.painter, {0: asked.sitting.prepared}, _faces(asked), [asked.request(rig)])
    # Models that draw from buffers carry nothing.
    pictures = buffer_pictures(result, (inset,)) or buffer_pictures(result, ("rendered",))
    shown = (result.image, *pictures.values())
    one, other = (jpeg_bytes(image, PREVIEW_QUALITY) for image in shown)
    return result.image, one, other


def draw(rig: Rig, asked: Asked, cancelled: threading.Event, on_call: Callable[[], None]) -> Result:
    """The network's picture; ``on_call`` is told after each of its calls. Cancelled once that event is set."""

    def called(_: int) -> None:
        if cancelled.is_set():
            raise Cancelled
        on_call()

    return draw_prepared(rig.painter, {0: asked.sitting.prepared}, _faces(asked), [asked.request(rig)], Sampling(seed=asked.seed),
                         called)[0]


def on_screen(asked: Asked, result: Result) -> bytes:
    """JPEG of the copy on the screen with the result in it."""
    sitting = asked.sitting
    return jpeg_bytes(whole_picture(sitting.screen_cut, sitting.screen, result, sitting.prepared.faces), QUALITY)


def to_take_away(rig: Rig, asked: Asked, result: Result) -> bytes:
    """PNG of the photograph in its own resolution with the result in it and its provenance: the file that ``edit`` writes."""
    sitting, edit = asked.sitting, asked.edit
    details: dict[str, Any] = {"seed": asked.seed, **edit.record(), "photo": sitting.photograph.name}
    picture = whole_picture(sitting.cut, sitting.photograph.image, result, sitting.prepared.faces)
    return edited_png(picture, model_hash=rig.pretrained.hash, mode=edit.name, **details)


def _faces(asked: Asked) -> Analysis | None:
    return None if asked.target is None else asked.target.prepared.faces
