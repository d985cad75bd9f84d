"""The two steps of a live edit, from the parts that clips are edited by: seeing a driver, and painting a source as it moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from diffusionrig.capture.encoder import Encoder
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.tracking.causal import Steadier
from diffusionrig.capture.tracking.live import LiveTracker
from diffusionrig.capture.tracking.tracker import TRACKS
from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.controls import Edit, edited_code
from diffusionrig.editing.driving import SMOOTHED, relative_to
from diffusionrig.editing.live import Drawn, Frame, LiveEdit
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.sheets import to_uint8

Look = Callable[[Frame], FaceCode | None]
"""What a frame shows of the driver, (batch 1), on the CPU; None when the driver is not seen. From frames up to it alone."""


class Driver:
    """Sees the driver in frames that come: tracked where the encoder can (``LiveTracker``), else captured frame by frame and
    steadied."""

    def __init__(self, encoder: Encoder, fps: float = 25.0, track: str = TRACKS[0], light: bool = True) -> None:
        """``fps`` is about how many frames come a second; ``track`` out of TRACKS; without ``light`` it is looked for once."""
        self._encoder, self._steady, self._at = encoder, Steadier(), 0.0
        self._tracker = LiveTracker(encoder, fps, light) if track == "auto" and isinstance(encoder, FitEncoder) else None

    def __call__(self, frame: Frame) -> FaceCode | None:
        if self._tracker is not None:
            shown = self._tracker(frame.image, frame.at)
            return None if shown is None else shown.code
        captured = self._encoder.encode([frame.image])
        if not bool(captured.found[0]):
            self._steady.restart()
            return None
        code = captured.code.to("cpu", torch.float32)
        parts = {name: getattr(code, name) for name in SMOOTHED}
        calm = self._steady(torch.cat([part.flatten() for part in parts.values()]).double().numpy(), frame.at - self._at)
        self._at = frame.at
        pieces = torch.from_numpy(calm).float().split([part.numel() for part in parts.values()])
        return code.replace(**{name: piece.reshape(part.shape) for (name, part), piece in zip(parts.items(), pieces)})

    def forget(self) -> None:
        """Whoever is seen next is the driver."""
        self._steady.restart()
        if self._tracker is not None:
            self._tracker.forget()


class Driven:
    """Paints one source as a driver moves, by the code of ``edit``; the source is analysed and prepared once."""

    def __init__(self, rig: Rig, source: Analysis, edit: Edit, sampling: Sampling, relative: bool = False) -> None:
        """``source`` has one face. ``relative`` carries over what differs from the driver's first face."""
        self.ask(edit)
        self._rig, self._sampling, self._relative = rig, sampling, relative
        self._prepared = rig.painter.prepare(source, sampling)
        self._lenders = rig.painter.usual_lenders(self._prepared)
        self._reference: FaceCode | None = None
        # Kernels are chosen and memory is laid out the first time, while nobody waits yet.
        rig.painter.paint(self._prepared, source.code, source.centre, sampling, lenders=self._lenders)

    @property
    def prepared(self) -> Prepared:
        return self._prepared

    def ask(self, edit: Edit) -> None:
        """Paint by this edit from the next picture on; UsageError when it takes the latent."""
        if "latent" in edit.parts:
            raise UsageError(f"The mode {edit.name!r} cannot follow a camera: its latent changes with every frame, which flickers; "
                             "use pose, exp or light.")
        self._edit = edit

    def rest(self) -> None:
        """The driver's next face is the one that ``relative`` movement is counted from."""
        self._reference = None

    def __call__(self, driver: FaceCode) -> np.ndarray:
        """(S, S, 3) uint8."""
        faces, rig = self._prepared.faces, self._rig
        target = driver.to(rig.device)
        if self._relative:
            self._reference = target if self._reference is None else self._reference
            target = relative_to(faces.code, target, self._reference, rig.head)
        code = edited_code(faces.code, target, self._edit, rig.head)
        painted = rig.painter.paint(self._prepared, code, faces.centre, self._sampling, lenders=self._lenders)
        return to_uint8(painted.pictures.cpu().numpy(), -1, 1)[0]


@dataclasses.dataclass(frozen=True)
class Drive:
    """How frames drive: ``relative`` as for clips, ``track`` out of TRACKS, ``fps`` about how many come a second; ``room``,
    ``patient`` and ``pipelined`` as ``LiveEdit`` takes them."""

    relative: bool = False
    track: str = TRACKS[0]
    fps: float = 25.0
    room: int = 1
    patient: bool = False
    pipelined: bool = True


def live_edit(rig: Rig, source: Analysis, edit: Edit, sampling: Sampling, show: Callable[[Drawn], None], drive: Drive | None = None,
              encoder: str | None = None) -> LiveEdit[FaceCode]:
    """A ``LiveEdit`` that paints ``source`` (one face) by ``edit`` as the person in the frames moves; ``encoder`` sees them."""
    drive = drive or Drive()
    driver = Driver(rig.encoder(encoder), drive.fps, drive.track, light="light" in edit.parts)
    return LiveEdit(driver, Driven(rig, source, edit, sampling, drive.relative), show, drive.room, drive.pipelined, drive.patient)
