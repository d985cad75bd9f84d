"""What an array in a file should be, and the sentence when it is not."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.errors import RigError

_KINDS = {"f": "numbers", "iu": "whole numbers", "fiu": "numbers"}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """shape   lengths of the axes, None for any up to ``most``
    kind    NumPy's letters of the types that will do: "f" real numbers, "iu" whole ones, "fiu" both
    below   whole numbers must be smaller than this, and none negative
    """

    shape: tuple[int | None, ...]
    kind: str = "fiu"
    below: int | None = None
    most: int = 1 << 18


def fits(shape: tuple[int, ...], wanted: Wanted) -> bool:
    """Whether ``shape`` is the wanted one."""
    return len(shape) == len(wanted.shape) and all(n == w or (w is None and n <= wanted.most) for n, w in zip(shape, wanted.shape))


def shape_text(shape: tuple[int | None, ...]) -> str:
    """``(5023, 3)``, with ``n`` for any length."""
    inside = ", ".join("n" if n is None else str(n) for n in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def wrong_shape(where: str, key: str, wanted: Wanted, found: tuple[int, ...] | str) -> RigError:
    """The sentence for an array of another shape or kind."""
    text = found if isinstance(found, str) else f"has the shape {shape_text(found)}"
    return RigError(f"{key} of {where} {text}, but {_KINDS.get(wanted.kind, 'numbers')} of shape "
                    f"{shape_text(wanted.shape)} are needed; download the file again, or check that it is the right one.")


def check_array(array: np.ndarray, wanted: Wanted, where: str, key: str) -> np.ndarray:
    """``array`` when it is as ``wanted``, finite and within range; else RigError naming file, key, wanted and found."""
    if not fits(array.shape, wanted):
        raise wrong_shape(where, key, wanted, array.shape)
    if array.dtype.kind not in wanted.kind:
        raise wrong_shape(where, key, wanted, f"has the type {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise wrong_shape(where, key, wanted, "holds values that are not finite")
    if wanted.below is not None and array.size and (int(array.min()) < 0 or int(array.max()) >= wanted.below):
        raise RigError(f"{key} of {where} holds indices from {array.min()} to {array.max()}, but they must lie below "
                       f"{wanted.below}; download the file again.")
    return array
