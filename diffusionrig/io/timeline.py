"""The one timeline of a clip: when its pictures are shown, and when its sound is heard, as its stamps say and not its header."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.animations import animation_frames, is_animated
from diffusionrig.io.damage import reading
from diffusionrig.io.files import existing_file
from diffusionrig.io.images import MAX_MEGAPIXELS
from diffusionrig.io.timing import Timing, timing_of

LONGEST = 24 * 3600.0
"""Seconds; stamps that span more are damaged."""

SLOWEST = 60.0
"""Seconds that the pictures of a clip are shown on average; more are damaged stamps, and would be drawn hundreds of times."""

UNSTAMPED = ("avi",)
"""Containers without stamps: pictures follow each other at the header's rate, in the order in which they are decoded."""


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
    """timing   of the pictures that are shown, in seconds since the first of them
    origin   that moment on the file's own clock, seconds
    stamped  whether decoded pictures carry their times; otherwise they come in the order of ``timing``
    pixel    how many times wider than high a pixel is, as recorded; None where the file does not say
    codec    of the pictures
    comment  that the file carries
    sound    (start, end) in seconds since the first picture; None without
    """

    timing: Timing
    origin: float
    stamped: bool
    pixel: Fraction | None
    codec: str
    comment: str = ""
    sound: tuple[float, float] | None = None


@contextlib.contextmanager
def opened(file: Path, what: str = "video") -> Iterator[Any]:
    """A PyAV container; whatever fails while it is open is one RigError that calls the file a ``what``."""
    import av

    with reading(f"The {what} {file}", "cannot be decoded", f"convert it to {'MP4' if what == 'video' else 'WAV'}"), \
            av.open(str(file)) as container:
        yield container


def picture_stream(container: Any) -> Any:
    """The stream of moving pictures, past a cover; IndexError where there is none."""
    from av.stream import Disposition

    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    return moving[0]


def read_timeline(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Timeline:
    """The timeline of a video, whose packets are read, not decoded, or of an animated picture. RigError when it is none, shows no
    picture, its stamps span more than a day, or an animated picture is larger or longer than ``max_megapixels`` allows."""
    file = existing_file(path, "video")
    found = _of_animation(file, max_megapixels) if is_animated(file) else _of_video(file)
    if found.timing.seconds > LONGEST:
        raise RigError(f"The pictures of {file} span {found.timing.seconds / 3600:.0f} hours by their time stamps, which are "
                       "damaged; convert it to MP4 again.")
    if found.timing.seconds > SLOWEST * (len(found.timing) + 10):
        raise RigError(f"The {len(found.timing)} pictures of {file} span {found.timing.seconds:.0f} s by their time stamps, which "
                       "are damaged; convert it to MP4 again.")
    return found


def _of_animation(file: Path, max_megapixels: float) -> Timeline:
    stays = np.array([seconds for seconds, _ in animation_frames(file, max_megapixels)])
    if not len(stays):
        raise RigError(f"The video {file} holds no frames.")
    return Timeline(timing_of(np.cumsum(stays) - stays, float(stays[-1]), ()), 0.0, False, None, file.suffix[1:].lower())


def _of_video(file: Path) -> Timeline:
    stamps: list[tuple[int, int]] = []
    heard: list[tuple[int, int]] = []
    ordered = True
    with opened(file) as container:
        stream = picture_stream(container)
        sound = next(iter(container.streams.audio), None)
        name, decoded_before = stream.codec_context.name, None
        for packet in container.demux([stream] if sound is None else [stream, sound]):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None or packet.is_discard or not packet.size:
                continue
            if packet.stream.index != stream.index:
                heard.append((stamp, stamp + (packet.duration or 0)))
            elif not _hidden(name, packet):
                ordered &= decoded_before is None or stamp > decoded_before
                decoded_before = stamp
                stamps.append((stamp, packet.duration or 0))
        if not stamps:
            raise RigError(f"The video {file} holds no frames.")
        unit, stamped = stream.time_base, container.format.name not in UNSTAMPED
        first, last = min(stamps)[0], max(stamps)
        # Where pictures are stored in another order than shown, durations are those between stored neighbours.
        stays = float(last[1] * unit) if last[1] and ordered else None
        stated = (stream.average_rate, stream.guessed_rate)
        timing = timing_of(np.array([stamp for stamp, _ in stamps], np.float64) * float(unit), stays, stated)
        origin = float((first if stamped else stream.start_time or 0) * unit)
        span = None
        if heard and sound is not None:
            begin, end = (float(value * sound.time_base) - origin for value in (min(heard)[0], max(end for _, end in heard)))
            span = begin, begin + float(sound.duration * sound.time_base) if sound.duration else end
        return Timeline(timing, origin, stamped, stream.sample_aspect_ratio or None, name, container.metadata.get("comment", ""),
                        span)


def _hidden(codec: str, packet: Any) -> bool:
    """Whether a packet of VP8 or VP9 holds a picture that only helps to predict others."""
    if codec not in ("vp8", "vp9"):
        return False
    data = memoryview(packet)
    if codec == "vp8":
        return not data[0] & 0x10
    several, exists, shown = data[-1] & 0xE0 == 0xC0, data[0] & 0x08, data[0] & 0x02
    return not several and data[0] & 0x30 != 0x30 and not exists and not shown
