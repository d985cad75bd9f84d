"""Who is seen in a clip: ids of the REACT corpora, and the names that their roles go by."""

from __future__ import annotations

import dataclasses

from diffusionrig.errors import RigError


@dataclasses.dataclass(frozen=True, order=True)
class ClipId:
    """One participant in one clip, written ``site/session/role/clip``; a session may itself have several parts, as in
    ``UDIVA/talk/023102/FC1/8``. Everything but the path resolver treats it as opaque."""

    site: str
    session: str
    role: str
    clip: str

    def __str__(self) -> str:
        return f"{self.site}/{self.session}/{self.role}/{self.clip}"

    @classmethod
    def parse(cls, text: str) -> ClipId:
        """The id of ``site/session.../role/clip``; RigError when it is none (or would leave the corpus)."""
        parts = text.strip().replace("\\", "/").split("/")
        if len(parts) < 4 or any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise RigError(f"{text!r} is no clip of the form site/session/role/clip; correct it.")
        return cls(parts[0], "/".join(parts[1:-2]), parts[-2], parts[-1])

    @property
    def pair(self) -> tuple[str, str, str]:
        """What the two participants of a clip have in common."""
        return self.site, self.session, self.clip

    @property
    def chat_index(self) -> str:
        """The session as ``data_indices.csv`` writes it: ``talk/023102`` becomes ``023102_talk``."""
        return "_".join(reversed(self.session.split("/")))


ROLES: dict[str, tuple[tuple[str, str], ...]] = {
    "NoXI": (("Expert_video", "Novice_video"), ("Expert", "Novice"), ("P1", "P2")),
    "RECOLA": (("P25", "P26"), ("P41", "P42"), ("P45", "P46"), ("P1", "P2")),
    "UDIVA": (("FC1", "FC2"),),
}
"""Per site, the names of the first and the second participant."""

RENAMED_IN_EMOTION = ("NoXI", "RECOLA")
"""Sites whose Emotion folders call the participants P1 and P2."""


def side(clip: ClipId) -> int | None:
    """0 for the first participant of a site's pairs, 1 for the second, None for a role that no table knows."""
    for names in ROLES.get(clip.site, ()):
        if clip.role in names:
            return names.index(clip.role)
    return None


def other_role(clip: ClipId) -> str | None:
    """The partner's role, by the site's table; None when it knows no such role."""
    for names in ROLES.get(clip.site, ()):
        if clip.role in names:
            return names[1 - names.index(clip.role)]
    return None


def emotion_roles(clip: ClipId) -> tuple[str, ...]:
    """Names under which the clip's Emotion file may lie, the likelier first."""
    number = side(clip)
    if clip.site in RENAMED_IN_EMOTION and number is not None:
        renamed = ("P1", "P2")[number]
        return (renamed, clip.role) if renamed != clip.role else (renamed,)
    return (clip.role,)
