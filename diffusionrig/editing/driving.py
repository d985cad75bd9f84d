"""What drives a clip: the faces of a video's frames, captured in batches, gaps filled, smoothed, carried over to another face."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import Encoder
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
    """T faces: ``code`` on the CPU, and ``found`` (T,) bool; where no face was found, the code lies between its neighbours."""

    code: FaceCode
    found: Tensor

    @property
    def gaps(self) -> list[int]:
        """Frames without a face."""
        return (~self.found).nonzero().flatten().tolist()


def capture_clip(frames: Iterable[np.ndarray], count: int, encoder: Encoder, batch_size: int, name: str) -> Driving:
    """The face in each of ``frames``, whole pictures as the camera saw them. RigError when none shows a face."""
    codes, found = [], []
    with Progress(count, "capture clip", "frame") as progress:
        for batch in _batches(frames, batch_size):
            captured = encoder.encode(batch)
            codes.append(captured.code.to("cpu", torch.float32))
            found.append(captured.found)
            progress.update(len(batch))
    if not codes or not bool(torch.cat(found).any()):
        raise RigError(f"No face was found in any frame of {name}; give a clip that shows one.")
    return fill_gaps(FaceCode.concatenate(codes), torch.cat(found))


def fill_gaps(code: FaceCode, found: Tensor) -> Driving:
    """Frames without a face go evenly from the last face before them to the first after them; at either end the nearest stays."""
    seen = found.nonzero().flatten()
    numbers = torch.arange(len(code))
    after = torch.searchsorted(seen, numbers).clamp(max=len(seen) - 1)
    before = (torch.searchsorted(seen, numbers, right=True) - 1).clamp(min=0)
    span = (seen[after] - seen[before]).clamp(min=1)
    share = ((numbers - seen[before]) / span).clamp(0, 1).float()
    first, second = code[seen[before]], code[seen[after]]
    between = {name: torch.lerp(tensor, getattr(second, name), share.reshape(-1, *[1] * (tensor.dim() - 1)).to(tensor))
               for name, tensor in first.tensors().items()}
    return Driving(first.replace(**between), found)


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


def _batches(frames: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    stream = iter(frames)
    while batch := list(islice(stream, size)):
        yield batch
