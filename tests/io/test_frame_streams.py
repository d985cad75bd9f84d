"""Pictures as they come: raw and JPEG streams, cameras that are not there."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.frame_streams import (
    DAMAGED,
    camera_frames,
    jpegs,
    mjpeg_frames,
    parse_size,
    raw_frames,
    standard_frames,
    standard_writer,
)


def jpeg(level: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((24, 32, 3), level, np.uint8)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


class Drops(io.RawIOBase):
    """A stream that hands over a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._inner, self._size = io.BytesIO(data), size

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, self._size) if size > 0 else self._size)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_jpegs_are_told_apart_whatever_the_blocks(size: int) -> None:
    thumbnail = jpeg(9)
    exif = b"Exif\0\0" + thumbnail
    inside = jpeg(80)
    with_thumbnail = inside[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + inside[2:]
    noise = io.BytesIO()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    picture.save(noise, "JPEG", quality=97, progressive=True)
    stream = [jpeg(20), with_thumbnail, noise.getvalue(), jpeg(200, progressive=True)]
    data = b"junk".join(stream) + jpeg(4)[:-2]
    assert list(jpegs(Drops(data, size))) == stream
    if size > 1:
        assert [round(float(image.mean())) for image in mjpeg_frames(Drops(data, size))][::3] == [20, 200]


def test_damaged_pictures_are_left_out_until_there_are_too_many() -> None:
    bad = jpeg(20)[:60] + b"\xff\xda\0\x02xx\xff\xd9"
    assert len(list(mjpeg_frames(io.BytesIO(bad + jpeg(30) + bad + jpeg(40))))) == 2
    with pytest.raises(RigError, match=f"{DAMAGED} pictures of the input in a row"):
        list(mjpeg_frames(io.BytesIO(bad * (DAMAGED + 1))))


def test_raw_pictures_have_the_size_that_is_said() -> None:
    frames = np.random.default_rng(1).integers(0, 255, (3, 6, 8, 3), np.uint8)
    data = frames.tobytes()
    assert np.array_equal(np.stack(list(raw_frames(Drops(data, 11), 8, 6))), frames)
    with pytest.raises(RigError, match="ends within a picture, after 1 of 144 bytes"):
        list(raw_frames(io.BytesIO(data + b"x"), 8, 6))
    assert parse_size("640x480") == (640, 480)
    for text in ("640", "0x3", "ax3", "640x99999", "6\u00b2x4"):
        with pytest.raises(UsageError, match="no size of pictures"):
            parse_size(text)


def test_what_is_written_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.full((4, 4, 3), 77, np.uint8)
    for kind in ("raw", "mjpeg"):
        out = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
        write = standard_writer(kind)
        write(image)
        write(image)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(out.getvalue())))
        back = list(standard_frames(kind, (4, 4)))
        assert len(back) == 2
        assert np.abs(back[1].astype(int) - 77).max() <= 1
    with pytest.raises(UsageError, match="give --frame_size"):
        standard_frames("raw")


def test_a_camera_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="No camera can be opened at /dev/no-such-camera"):
        next(camera_frames("/dev/no-such-camera"))
    with pytest.raises(UsageError, match="No camera can be opened at 7 "):
        next(camera_frames("7", platform="darwin"))
    with pytest.raises(UsageError, match="Cameras have names here"):
        next(camera_frames(platform="win32"))
