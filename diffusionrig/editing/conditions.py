"""The kinds of condition that networks draw under, and which steps of drawing each takes."""

from __future__ import annotations

import dataclasses

from diffusionrig.errors import RigError

BUFFERS = "buffers"
"""Physical buffers of the edited code: the published condition."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """noise       drawn from noise, step by step; else from zeros in one call, in which the network predicts the clean image
    keep        inverted noise of the source may take part in the noise, as ``Sampling.keep`` says
    background  the source's own pixels are then laid around the edited head
    """

    noise: bool = True
    keep: bool = True
    background: bool = True


KINDS = {BUFFERS: Kind()}


def kind_of(name: str) -> Kind:
    """The kind called ``name``; RigError when this version knows none of that name."""
    if name not in KINDS:
        raise RigError(f"The model was trained on the condition {name!r}, but this version of diffusionrig knows only "
                       f"{', '.join(KINDS)}; install the version that trained it.")
    return KINDS[name]
