"""What drives a clip: the face of one person in a video's frames, tracked or captured one by one, its gaps filled, smoothed,
carried over to another face."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import FLAG_BELOW, Encoder
from diffusionrig.capture.tracking.gaps import BRIDGED, HELD, SEEN, shown_instead, states
from diffusionrig.capture.tracking.tracker import TRACKS, tracker_of
from diffusionrig.editing.smoothing import Smoothing, one_euro
from diffusionrig.errors import RigError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.progress import Progress

SMOOTHED = ("expression", "pose", "eyes", "light")


@dataclasses.dataclass(frozen=True)
class Driving:
    """T faces: ``code`` on the CPU, ``state`` (T,) uint8 as ``capture.tracking.gaps`` says, and the first frames of ``others``,
    takes that show somebody else."""

    code: FaceCode
    state: np.ndarray
    others: list[int] = dataclasses.field(default_factory=list)

    @property
    def gaps(self) -> list[int]:
        """Frames without the face."""
        return np.flatnonzero(self.state != SEEN).tolist()

    @property
    def held(self) -> list[int]:
        """Those of them that show the last face before them (the first face, at the beginning), since nothing is known."""
        return np.flatnonzero(self.state == HELD).tolist()

    @property
    def doubtful(self) -> list[int]:
        """Frames with the face whose code may be wrong: in profile, mostly hidden, blurred."""
        return np.flatnonzero((self.state == SEEN) & (self.code.confidence.numpy() < FLAG_BELOW)).tolist()


def capture_clip(frames: Iterable[np.ndarray], count: int, encoder: Encoder, batch_size: int, name: str, fps: float,
                 track: str = TRACKS[0], on_frames: Callable[[int], None] | None = None) -> Driving:
    """The face in each of ``frames``, whole pictures as the camera saw them, ``fps`` a second. ``track`` out of TRACKS. RigError
    when none shows a face. ``on_frames`` is told of every few frames that were looked at, in place of a bar on standard error."""
    with Progress(count, "capture clip", "frame", enabled=on_frames is None) as progress:
        told = on_frames or progress.update
        tracker = tracker_of(encoder, track)
        if tracker is not None:
            tracked = tracker.track(frames, count, fps, name, told)
            return Driving(tracked.code, tracked.state, tracked.others)
        codes, found = [], []
        for batch in _batches(frames, batch_size):
            captured = encoder.encode(batch)
            codes.append(captured.code.to("cpu", torch.float32))
            found.append(captured.found)
            told(len(batch))
    if not codes or not bool(torch.cat(found).any()):
        raise RigError(f"No face was found in any frame of {name}; give a clip that shows one.")
    return fill_gaps(FaceCode.concatenate(codes), torch.cat(found), fps)


def fill_gaps(code: FaceCode, found: Tensor, fps: float) -> Driving:
    """Short gaps go evenly from the last face before them to the first after them; in longer ones, where nothing is known, the last
    face stays, and before the first that one."""
    state = states(found.numpy(), np.zeros(len(found), np.int64), fps)
    code = code[shown_instead(state).tolist()]
    seen, numbers = found.nonzero().flatten(), torch.from_numpy(np.flatnonzero(state == BRIDGED))
    after = torch.searchsorted(seen, numbers)
    before = after - 1
    share = ((numbers - seen[before]) / (seen[after] - seen[before])).float()
    changes = {}
    for name, tensor in code.tensors().items():
        between = torch.lerp(tensor[seen[before]], tensor[seen[after]], share.reshape(-1, *[1] * (tensor.dim() - 1)).to(tensor))
        changes[name] = tensor.index_copy(0, numbers, between)
    return Driving(code.replace(**changes), state)


def smoothed(code: FaceCode, fps: float, smoothing: Smoothing) -> FaceCode:
    """Expression, pose, gaze and light through the one-euro filter, coefficient by coefficient.

    Rotations are small enough (under a half turn) for their axis-angle vectors to be filtered.
    """
    changes = {}
    for name in SMOOTHED:
        tensor: Tensor = getattr(code, name)
        filtered = one_euro(tensor.flatten(1).numpy(), fps, smoothing)
        changes[name] = torch.from_numpy(filtered).to(tensor).reshape(tensor.shape)
    return code.replace(**changes)


def relative_to(source: FaceCode, driving: FaceCode, reference: FaceCode, head: HeadModel) -> FaceCode:
    """``driving`` (T faces) as seen from its ``reference`` (batch 1), taken over to ``source`` (batch 1): T faces.

    Where the driving face is as in the reference, the result is the source. Expressions and light differ by addition (ARKit
    weights stay in 0..1), rotations of head, jaw and eyes by composition. Everything else is the driving code's.
    """
    def turned(name: str, part: slice) -> Tensor:
        moving, still, own = (axis_angle_to_matrix(getattr(code, name)[:, part].double()) for code in (driving, reference, source))
        return matrix_to_axis_angle(moving @ still.transpose(1, 2) @ own).to(driving.pose)

    expression = source.expression + driving.expression - reference.expression
    if head.expression_names == ARKIT_NAMES:
        expression = expression.clamp(0, 1)
    halves = (slice(0, 3), slice(3, 6))
    return driving.replace(expression=expression, light=source.light + driving.light - reference.light,
                           pose=torch.cat([turned("pose", half) for half in halves], 1),
                           eyes=torch.cat([turned("eyes", half) for half in halves], 1))


def gap_sentences(frames: int, gaps: list[int], held: list[int], others: list[int], doubtful: list[int]) -> list[str]:
    """What is said of frames in which a clip does not show its person."""
    said = []
    if len(gaps) > len(held):
        said.append(f"{len(gaps) - len(held)} of {frames} frames show no face; they go from the face before to the face after.")
    if held:
        said.append(f"{len(held)} of {frames} frames, from frame {held[0]} on, do not show this person for longer than can be "
                    "bridged; they keep the last face.")
    if others:
        said.append(f"From frame {others[0]} on somebody else is seen ({len(others)} times in all); those frames are left out.")
    if doubtful:
        said.append(f"In {len(doubtful)} of {frames} frames, from frame {doubtful[0]} on, the face is hard to read (turned far, "
                    "hidden or blurred); look at them before you use the result.")
    return said


def _batches(frames: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    stream = iter(frames)
    while batch := list(islice(stream, size)):
        yield batch
