"""A face that moves as somebody before a camera does: the live edit of ``editing.live``, for one sitting of the page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import torch

from diffusionrig.editing.composites import Pairs
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.live import Drawn, LiveEdit
from diffusionrig.editing.live_driving import Driven, Driver
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.jpeg import jpeg_bytes
from diffusionrig.studio.sitting import Sitting

QUALITY = 88
FPS = 15.0
"""About how many frames a page sends a second."""

Send = Callable[[int, bytes, str], None]
"""Takes the number of a frame, its picture as a JPEG, and what is doubtful about it."""


class CameraFace:
    """Made and ended outside the event loop, since it prepares and waits; the rest takes no time."""

    def __init__(self, rig: Rig, sitting: Sitting, taken: Pairs, seed: int, send: Send) -> None:
        """``taken`` says whether the light will be; ``send`` is called in a thread of this object."""
        self._sitting, self._light = sitting, _lit(taken)
        self._driven = Driven(rig, sitting.prepared.faces, Edit("camera"), Sampling(seed=seed), relative=True)
        self._doubt, self._last = "", np.zeros((rig.size, rig.size, 3), np.uint8)

        def show(drawn: Drawn) -> None:
            send(drawn.number, jpeg_bytes(drawn.picture, QUALITY), self._doubt)

        driver = Driver(rig.encoder(), FPS, light=self._light)
        self._live: LiveEdit[FaceCode] = LiveEdit(driver, self._paint, show, pipelined=torch.get_num_threads() > 1)

    def serves(self, sitting: Sitting, taken: Pairs) -> bool:
        """Whether it can go on for this sitting and what is ``taken`` now."""
        return self._sitting is sitting and self._light == _lit(taken)

    @property
    def unseen(self) -> int:
        """Frames so far that did not show a face."""
        return self._live.summary().unseen

    def ask(self, edit: Edit) -> None:
        """Draw by this edit from now on."""
        self._driven.ask(edit)

    def rest(self) -> None:
        """The next face is the one at rest, as which the photograph is shown."""
        self._driven.rest()

    def offer(self, image: np.ndarray) -> int:
        """Hand over a frame (H, W, 3) uint8; returns its number. RigError when drawing failed."""
        return self._live.offer(image)

    def end(self) -> None:
        """Returns when nothing is drawn any more. What went wrong since the last frame was offered concerns nobody now."""
        with contextlib.suppress(Exception):
            self._live.finish(forget=True)

    def _paint(self, driver: FaceCode) -> np.ndarray:
        try:
            self._last, self._doubt = self._driven(driver), ""
        except UsageError as error:  # turned farther than can be drawn: the last picture stays
            self._doubt = str(error)
        return self._last


def _lit(taken: Pairs) -> bool:
    return bool(dict(taken).get("light"))
