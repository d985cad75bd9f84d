"""What a synthetic dyadic corpus is made from."""

from __future__ import annotations

import dataclasses
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.reactions.corpus.clips import ROLES
from diffusionrig.reactions.corpus.cropping import FULL_LENGTH
from diffusionrig.reactions.corpus.layout import SPLITS

CHOICES = {"au_mode": ("soft", "binary"), "appropriateness": ("class", "circle"), "layout": ("react", "mars"),
           "video": ("none", "frames", "mp4"), "audio": ("stereo", "mono", "none"),
           "look": ("buffers", "photographs")}
MOST_CLIPS = 99
MOST_DYADS = 299


@dataclasses.dataclass(frozen=True)
class Options:
    """seed             which random world
    sites            names whose paths and roles are used, in turn
    dyads            pairs of people in train, val and test; all are different people
    clips            clips of each pair
    frames           T, rows of attributes; frames and coefficients have one more
    classes          situation classes, beside the clips that are like no other
    jitter           events move by up to so many frames from clip to clip
    noise            deviation of an AR(1) disturbance of every control
    micro            amplitude of a slow movement of every control, so that no channel is constant
    au_mode          ``soft`` intensities or ``binary`` occurrences (above 0.25) in the action units
    appropriateness  ``class``: clips of one class suit one another; ``circle``: clips at nearby angles do
    layout           ``react`` or ``mars`` (30 frames a second, lengths vary)
    video            ``none``, ``frames`` (folders of PNG files) or ``mp4``, of ``video_size`` pixels
    look             ``buffers``: the lit head before a backdrop; ``photographs``: with hair, shadows and clothes, slower
    audio            ``stereo`` (44.1 kHz), ``mono`` (16 kHz) or ``none``
    """

    seed: int = 0
    sites: tuple[str, ...] = ("NoXI", "RECOLA")
    dyads: tuple[int, int, int] = (6, 3, 3)
    clips: int = 3
    frames: int = 128
    classes: int = 4
    jitter: int = 1
    noise: float = 0.0
    micro: float = 0.0
    au_mode: str = "soft"
    appropriateness: str = "class"
    layout: str = "react"
    video: str = "none"
    video_size: int = 64
    look: str = "buffers"
    audio: str = "stereo"

    def __post_init__(self) -> None:
        unknown = [site for site in self.sites if site not in ROLES]
        if unknown or not self.sites or len(set(self.sites)) < len(self.sites):
            raise UsageError(f"The sites {', '.join(self.sites) or '(none)'} are not a choice of different ones among "
                             f"{', '.join(ROLES)}.")
        if len(self.dyads) != len(SPLITS) or not all(0 < count <= MOST_DYADS for count in self.dyads):
            raise UsageError(f"The dyads are {', '.join(map(str, self.dyads))}, but three numbers from 1 to {MOST_DYADS} are "
                             "needed: for train, val and test.")
        for name, low, high in (("clips", 1, MOST_CLIPS), ("frames", 32, 60 * FULL_LENGTH), ("classes", 1, 64), ("jitter", 0, 8),
                                ("video_size", 32, 512)):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"--{name} is {getattr(self, name)}, but it must lie from {low} to {high}.")
        for name, most in (("noise", 0.5), ("micro", 0.2)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"--{name} is {getattr(self, name)}, but it must lie from 0 to {most}.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"--{name} is {getattr(self, name)!r}; choose from {', '.join(choices)}.")

    @property
    def fps(self) -> int:
        return 30 if self.layout == "mars" else 25

    def request(self) -> dict[str, Any]:
        """The options as JSON has them: what must agree for a run to continue another."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()}
