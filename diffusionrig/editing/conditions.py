"""The kinds of condition that networks draw under, and which steps of drawing each takes."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.carrying import Carried

BUFFERS = "buffers"
"""Physical buffers of the edited code: the published condition."""

REFERENCE = "reference"
"""The source photograph itself, carried by the mesh to the edited code; it keeps of the source what it shows."""


@dataclasses.dataclass
class Seen:
    """What can be shown of B pictures before a network draws them: ``buffers`` of the edited codes, and where the condition is the
    reference the ``carried`` photographs and, with an album, the names of the photographs that lent each what it lacks."""

    buffers: PhysicalBuffers
    carried: Carried | None = None
    lenders: list[list[str]] | None = None


@dataclasses.dataclass
class Condition(Seen):
    """What B pictures are drawn under: the ``values`` (B, C, S, S) that the network reads."""

    values: Tensor = dataclasses.field(kw_only=True)


@dataclasses.dataclass
class Painted:
    """``pictures`` (B, 3, S, S) in [-1, 1], and what they were drawn under."""

    pictures: Tensor
    condition: Condition


@dataclasses.dataclass(frozen=True)
class Kind:
    """keep        inverted noise of the source may take part in the noise, as ``Sampling.keep`` says
    background  the source's own pixels are then laid around the edited head
    """

    keep: bool = True
    background: bool = True


KINDS = {BUFFERS: Kind(), REFERENCE: Kind(keep=False, background=False)}


def kind_of(name: str) -> Kind:
    """The kind called ``name``; RigError when this version knows none of that name."""
    if name not in KINDS:
        raise RigError(f"The model was trained on the condition {name!r}, but this version of diffusionrig knows only "
                       f"{', '.join(KINDS)}; install the version that trained it.")
    return KINDS[name]
