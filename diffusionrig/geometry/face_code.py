"""FaceCode: everything the rig knows about a batch of faces, as tensors. Editing is swapping its parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.rotations import interpolate_rotation

CROP_SIZE = 224
"""Side of the square crop whose image plane the camera refers to, as in DECA."""

PARTS = ("pose", "exp", "light", "shape", "albedo", "camera")
"""The parts an edit can swap; ``exp`` is expression, jaw and eyes together, ``pose`` is the head's rotation alone."""

_TENSORS = ("shape", "albedo", "expression", "pose", "eyes", "camera", "light", "crop", "frame", "confidence")


@dataclasses.dataclass
class FaceCode:
    """A batch of B faces.

    shape       (B, n_shape)       identity coefficients of the head model, unit standard deviation
    albedo      (B, n_albedo)      albedo coefficients, unit standard deviation
    expression  (B, n_expression)  open head: ARKit-52 weights, 0..1; FLAME: 50 coefficients
    pose        (B, 6)             axis-angle in radians: head rotation (3), jaw rotation (3)
    eyes        (B, 6)             axis-angle in radians: left eye (3), right eye (3), relative to the head
    camera      (B, 3)             scaled orthographic: scale (1/metre), tx, ty (metres)
    light       (B, 9, 3)          spherical-harmonic light, bands x RGB
    crop        (B, 3, 3)          takes pixels of the whole image to pixels of the 224-pixel crop
    frame       (B, 2)             width and height, in pixels, of the image ``crop`` starts from
    confidence  (B,)               0..1, how far the capture can be trusted
    head        name of the head model the coefficients belong to

    Optional tensors are filled in: eyes zero, crop the whole frame, frame 224 x 224, confidence one.
    """

    shape: Tensor
    albedo: Tensor
    expression: Tensor
    pose: Tensor
    camera: Tensor
    light: Tensor
    head: str
    eyes: Tensor = None  # type: ignore[assignment]
    crop: Tensor = None  # type: ignore[assignment]
    frame: Tensor = None  # type: ignore[assignment]
    confidence: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        batch, like = self.pose.shape[0], self.pose
        if self.eyes is None:
            self.eyes = like.new_zeros(batch, 6)
        if self.frame is None:
            self.frame = like.new_full((batch, 2), float(CROP_SIZE))
        if self.crop is None:
            self.crop = whole_frame_crop(self.frame)
        if self.confidence is None:
            self.confidence = like.new_ones(batch)
        expected = {"pose": (batch, 6), "eyes": (batch, 6), "camera": (batch, 3), "light": (batch, 9, 3),
                    "crop": (batch, 3, 3), "frame": (batch, 2), "confidence": (batch,)}
        for name in _TENSORS:
            tensor: Tensor = getattr(self, name)
            if tensor.shape[0] != batch or tuple(tensor.shape) != expected.get(name, tuple(tensor.shape)):
                raise RigError(f"A face code of {batch} faces has {name} of shape {tuple(tensor.shape)}; "
                               f"expected {expected.get(name, f'({batch}, n)')}.")

    def __len__(self) -> int:
        return self.pose.shape[0]

    def __iter__(self) -> Iterator[FaceCode]:
        """The faces one by one, each a FaceCode of batch 1."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> FaceCode:
        """A sub-batch; an integer keeps the batch axis."""
        if isinstance(index, int):
            index = [range(len(self))[index]]
        return self.replace(**{name: getattr(self, name)[index] for name in _TENSORS})

    def replace(self, **changes: Tensor | str) -> FaceCode:
        """A copy with some fields replaced."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> FaceCode:
        """The same code on another device or in another precision."""
        return self.replace(**{name: getattr(self, name).to(device=device, dtype=dtype) for name in _TENSORS})

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name, for storing; ``FaceCode(head=..., **tensors)`` is the inverse."""
        return {name: getattr(self, name) for name in _TENSORS}

    def repeat(self, count: int) -> FaceCode:
        """Each face ``count`` times in a row (a, a, b, b, ...)."""
        return self.replace(**{name: getattr(self, name).repeat_interleave(count, 0) for name in _TENSORS})

    def swap(self, part: str, other: FaceCode, strength: float = 1.0) -> FaceCode:
        """Take ``part`` (one of PARTS) from ``other``, which has the same batch size or batch 1.

        ``strength`` moves from this code (0) to the other (1), beyond 1 exaggerates; rotations turn along the geodesic,
        everything else is linear. Camera, crop and every other part stay. UsageError on an unknown part or when the
        coefficients belong to different head models.
        """
        if part not in PARTS:
            raise UsageError(f"There is no part {part!r} in a face code; choose from {', '.join(PARTS)}.")
        if part in {"exp", "shape", "albedo"} and self.head != other.head:
            raise UsageError(f"Cannot take {part!r} from a code of the head model {other.head!r} into one of {self.head!r}: "
                             "their coefficients mean different things; capture both with the same head model.")
        if len(other) != len(self):
            if len(other) != 1:
                raise UsageError(f"Cannot swap {part!r} between {len(self)} and {len(other)} faces.")
            other = other.repeat(len(self))
        if part == "pose":
            turned = interpolate_rotation(self.pose[:, :3], other.pose[:, :3], strength)
            return self.replace(pose=torch.cat([turned, self.pose[:, 3:]], 1))
        if part == "exp":
            jaw = interpolate_rotation(self.pose[:, 3:], other.pose[:, 3:], strength)
            eyes = [interpolate_rotation(self.eyes[:, i:i + 3], other.eyes[:, i:i + 3], strength) for i in (0, 3)]
            return self.replace(expression=torch.lerp(self.expression, other.expression, strength),
                                pose=torch.cat([self.pose[:, :3], jaw], 1), eyes=torch.cat(eyes, 1))
        return self.replace(**{part: torch.lerp(getattr(self, part), getattr(other, part), strength)})

    @staticmethod
    def concatenate(codes: Sequence[FaceCode]) -> FaceCode:
        """Codes of one head model, joined along the batch."""
        heads = {code.head for code in codes}
        if len(heads) != 1:
            raise RigError(f"Cannot join face codes of different head models: {', '.join(sorted(heads)) or 'none given'}.")
        return codes[0].replace(**{name: torch.cat([getattr(code, name) for code in codes]) for name in _TENSORS})


def whole_frame_crop(frame: Tensor) -> Tensor:
    """Crop transform (B, 3, 3) under which the 224-pixel crop is the whole image of size ``frame`` (B, 2)."""
    crop = frame.new_zeros(frame.shape[0], 3, 3)
    crop[:, 0, 0] = CROP_SIZE / frame[:, 0]
    crop[:, 1, 1] = CROP_SIZE / frame[:, 1]
    crop[:, 2, 2] = 1
    return crop
