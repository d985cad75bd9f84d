"""What every parametric head offers. FLAME and the open head are both HeadModels; nothing else knows which it has."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode


@runtime_checkable
class HeadModel(Protocol):
    """A head in metres: x towards the subject's left, y up, z out of the face. Implementations are nn.Modules whose
    arrays are buffers, so ``.to(device)`` and ``.double()`` move them.

    name            e.g. "open-head-1"; stored in every FaceCode and checkpoint
    hash            SHA-256 (hex) of the arrays, so that a store or checkpoint knows which head made it
    faces           (F, 3) int64 vertex indices, counter-clockwise seen from outside
    uv              (T, 2) texture coordinates, v = 1 at the top row of the texture
    uv_faces        (F, 3) int64 indices into ``uv``
    expression_names  one name per expression coefficient ("jawOpen", ... for the open head; "exp000", ... for FLAME)
    regions         masks by name, (V,) float in 0..1: "face", "lips", "eyes", ... (may be empty)
    """

    name: str
    hash: str
    faces: Tensor
    uv: Tensor
    uv_faces: Tensor
    n_shape: int
    n_expression: int
    n_albedo: int
    expression_names: tuple[str, ...]

    @property
    def regions(self) -> dict[str, Tensor]:
        """Masks by name, see above."""
        ...

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """As nn.Module.to: moves the arrays in place and returns the head."""
        ...

    def vertices(self, code: FaceCode) -> Tensor:
        """(B, V, 3) posed vertices, metres; rotation is about the root joint, translation belongs to the camera."""
        ...

    def landmarks(self, vertices: Tensor, code: FaceCode) -> Tensor:
        """(B, 68, 3) iBUG-68 points of posed ``vertices``, contour following the head's yaw where the model has that."""
        ...

    def texture(self, albedo: Tensor) -> Tensor:
        """(B, n_albedo) -> (B, 3, 256, 256) albedo texture, RGB about 0..1, row 0 is v = 1; not clamped."""
        ...
