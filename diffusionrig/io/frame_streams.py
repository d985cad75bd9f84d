"""Pictures that come and go as they are made: from a camera, and through standard input and output, raw or as JPEGs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.damage import short_reason
from diffusionrig.io.images import decode_image
from diffusionrig.io.jpeg import jpeg_bytes

KINDS = ("raw", "mjpeg")
"""raw: (H, W, 3) uint8 RGB, row by row, nothing between pictures. mjpeg: one JPEG after the other."""

BLOCK = 1 << 16
LARGEST_JPEG = 1 << 26
"""Bytes of one picture, far more than a camera's take."""

QUALITY = 92
DAMAGED = 25
"""Pictures one after the other that cannot be decoded, at which the input is given up."""

_CAMERAS = {"linux": ("v4l2", "/dev/video0"), "darwin": ("avfoundation", "0"), "win32": ("dshow", "")}
"""By platform: the input of PyAV that cameras are read by, and the usual camera."""


def parse_size(text: str) -> tuple[int, int]:
    """``640x480`` as width and height; UsageError when it is none."""
    width, cross, height = text.lower().partition("x")
    if not cross or not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()) or not (
            0 < int(width) <= 1 << 14 and 0 < int(height) <= 1 << 14):
        raise UsageError(f"{text!r} is no size of pictures; write WIDTHxHEIGHT in pixels, such as 640x480.")
    return int(width), int(height)


def raw_frames(stream: BinaryIO, width: int, height: int) -> Iterator[np.ndarray]:
    """(height, width, 3) uint8 pictures; RigError when the last one is cut off."""
    size = width * height * 3
    while data := _exactly(stream, size):
        if len(data) < size:
            raise RigError(f"The input ends within a picture, after {len(data)} of {size} bytes; are they {width} x {height} "
                           "pixels of three bytes?")
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer at the end of the stream."""
    parts, left = [], size
    while left:
        part = stream.read(min(left, 1 << 20))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def mjpeg_frames(stream: BinaryIO, max_megapixels: float = 100.0) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 pictures. One that cannot be decoded is left out; RigError when many in a row cannot, or what comes is none.
    """
    damaged = 0
    for data in jpegs(stream):
        try:
            image = decode_image(data, "a picture of the input", max_megapixels)
        except RigError as error:
            damaged += 1
            if damaged >= DAMAGED:
                raise RigError(f"{DAMAGED} pictures of the input in a row cannot be read: {error}") from error
            continue
        damaged = 0
        yield image


def jpegs(stream: BinaryIO) -> Iterator[bytes]:
    """The JPEGs in a stream, whole ones only; bytes between them are passed over. RigError when one never ends."""
    held = bytearray()
    # BufferedReader.read1 gives what there is: a picture is shown when it came, not when a block is full.
    take: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    while block := take(BLOCK):
        held += block
        while True:
            begin = held.find(b"\xff\xd8")
            if begin < 0:
                del held[:max(len(held) - 1, 0)]
                break
            end = _end_of_jpeg(held, begin)
            if end is None:
                if len(held) - begin > LARGEST_JPEG:
                    raise RigError(f"A JPEG of the input does not end within {LARGEST_JPEG >> 20} megabytes; check what is sent.")
                break
            yield bytes(held[begin:end])
            del held[:end]


def _end_of_jpeg(data: bytearray, begin: int) -> int | None:
    """Where the JPEG that begins there is over; None when that has not come yet. Segments are stepped over by their lengths, since
    a thumbnail within one has an end of its own; picture data holds no marker but restarts."""
    place = begin + 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            # Damaged: what lies before the next picture is handed over, and found to be so.
            following = data.find(b"\xff\xd8\xff", begin + 2)
            return following if following > 0 else None
        marker = data[place + 1]
        if marker == 0xD9:
            return place + 2
        if marker == 0xFF:
            place += 1
            continue
        place += 2 + int.from_bytes(data[place + 2:place + 4], "big")
        if marker == 0xDA:  # the data of a scan runs up to the next marker
            while True:
                place = data.find(b"\xff", place)
                if place < 0 or place + 1 >= len(data):
                    return None
                if data[place + 1] != 0 and not 0xD0 <= data[place + 1] <= 0xD7:
                    break
                place += 2
            if data[place + 1] == 0xD9:
                return place + 2
    if place + 2 <= len(data) and bytes(data[place:place + 2]) == b"\xff\xd9":
        return place + 2
    return None


def standard_frames(kind: str, size: tuple[int, int] | None = None, max_megapixels: float = 100.0) -> Iterator[np.ndarray]:
    """Pictures of standard input; ``size`` (width, height) of raw ones. UsageError when it is wanting."""
    if kind == "mjpeg":
        return mjpeg_frames(sys.stdin.buffer, max_megapixels)
    if size is None:
        raise UsageError("Raw frames do not say how large they are; give --frame_size, such as 640x480.")
    return raw_frames(sys.stdin.buffer, *size)


def standard_writer(kind: str) -> Callable[[np.ndarray], None]:
    """What writes a picture (H, W, 3) uint8 to standard output at once; RigError when nobody reads it any more."""
    out = sys.stdout.buffer

    def write(image: np.ndarray) -> None:
        try:
            out.write(np.ascontiguousarray(image).tobytes() if kind == "raw" else jpeg_bytes(image, QUALITY))
            out.flush()
        except (BrokenPipeError, ValueError) as error:
            raise RigError("Nobody reads the frames on standard output any more.") from error

    return write


def camera_frames(name: str = "", size: tuple[int, int] | None = None, fps: float | None = None,
                  platform: str = sys.platform) -> Iterator[np.ndarray]:
    """Pictures of the camera called ``name`` in its system's way, the usual one when empty, (H, W, 3) uint8, as they are taken.

    ``size`` (width, height) and ``fps`` are asked of it. UsageError when there is none, RigError when it breaks off.
    """
    import av

    kind, usual = _CAMERAS.get(platform, _CAMERAS["linux"])
    place = name or usual
    if not place:
        raise UsageError("Cameras have names here; give one with --camera, such as --camera \"video=Integrated Camera\".")
    options = {**({"video_size": f"{size[0]}x{size[1]}"} if size else {}), **({"framerate": f"{fps:g}"} if fps else {})}
    try:
        container = av.open(place, format=kind, options=options, timeout=(10.0, 10.0))
    except (av.FFmpegError, ValueError) as error:
        raise UsageError(f"No camera can be opened at {place} ({short_reason(error)}); plug one in, name another with --camera, or "
                         "send frames to standard input with --target -.") from None
    try:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")
    except av.FFmpegError as error:
        raise RigError(f"The camera {place} broke off ({short_reason(error)}).") from error
    finally:
        container.close()
