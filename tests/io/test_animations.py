"""Animated pictures are clips: each frame stays as long as the file says."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from stamped_clips import greys, which

from diffusionrig.errors import RigError
from diffusionrig.io.animations import animation_frames, is_animated
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.images import read_image
from diffusionrig.io.video import is_moving, is_video

STAYS = [40, 40, 280, 40, 120]


def write_animation(path, stays=STAYS):
    first, *others = (Image.fromarray(picture) for picture in greys(len(stays)))
    first.save(path, save_all=True, append_images=others, duration=stays)
    return path


@pytest.mark.parametrize("kind", ["gif", "webp", "avif", "png"])
def test_frames_stay_as_long_as_the_file_says(tmp_path, kind):
    path = write_animation(tmp_path / f"a.{kind}")
    assert is_animated(path)
    assert is_moving(path)
    assert not is_video(path)
    clip = ClipFrames(path)
    assert (clip.fps, clip.retimed, len(clip)) == (pytest.approx(25), True, 13)
    assert [which(frame, 5) for frame in clip] == [0, 1] + [2] * 7 + [3] + [4] * 3
    assert clip.sound() is None
    assert clip.addresses(4) == [f"{path}#0", f"{path}#1", f"{path}#2", f"{path}#2"]


def test_frames_of_even_length_are_all_there_is(tmp_path):
    clip = ClipFrames(write_animation(tmp_path / "a.gif", [100] * 6))
    assert (clip.fps, clip.retimed, len(clip)) == (10, False, 6)
    # No time at all is a tenth of a second in every browser.
    assert [seconds for seconds, _ in animation_frames(write_animation(tmp_path / "b.gif", [0] * 3))] == [0.1] * 3


def test_pictures_that_stand_still_are_pictures(tmp_path):
    for kind in ("gif", "webp", "png"):
        Image.fromarray(greys(2)[0]).save(tmp_path / f"still.{kind}")
        assert not is_moving(tmp_path / f"still.{kind}")
        assert ClipFrames(tmp_path / f"still.{kind}").fps is None
    (tmp_path / "damaged.gif").write_bytes(b"GIF89a")
    assert not is_moving(tmp_path / "damaged.gif")
    assert not is_moving(tmp_path / "absent.gif")
    assert not is_moving(tmp_path)
    # Read as a picture, it is its first frame.
    assert which(read_image(write_animation(tmp_path / "a.gif")), 5) == 0


def test_a_damaged_or_huge_animation_is_one_sentence(tmp_path):
    path = write_animation(tmp_path / "a.gif")
    with pytest.raises(RigError, match=r"more than the limit of 0\.001"):
        list(animation_frames(path, 0.001))
    noise = [Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)) for seed in range(4)]
    noise[0].save(tmp_path / "b.webp", save_all=True, append_images=noise[1:], duration=40)
    data = (tmp_path / "b.webp").read_bytes()
    (tmp_path / "b.webp").write_bytes(data[:len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(RigError, match=r"b\.webp is damaged at frame"):
        list(animation_frames(tmp_path / "b.webp"))


def long_gif(side: int, count: int) -> bytes:
    frame = b"\x21\xf9\x04\x04\x0a\0\0\0" + b"," + bytes(4) + b"\x01\0\x01\0\0" + b"\x02\x02\x44\x01\0"
    return b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6) + frame * count + b";"


def long_png(side: int, count: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj()
    page = b"".join([*(packer.compress(bytes(side + 1)) for _ in range(side)), packer.flush()])
    frames = [chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 40, 1000, 0, 0)), chunk(b"IDAT", page)]
    for number in range(1, 2 * count - 1, 2):
        frames += [chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 1, 1, 0, 0, 40, 1000, 0, 0)),
                   chunk(b"fdAT", struct.pack(">I", number + 1) + zlib.compress(bytes(2)))]
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
                     chunk(b"acTL", struct.pack(">II", count, 0)), *frames, chunk(b"IEND", b"")])


def long_webp(side: int, count: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    def number(value: int) -> bytes:
        return struct.pack("<I", value)[:3]

    stream = io.BytesIO()
    Image.new("RGB", (1, 1)).save(stream, "WEBP", lossless=True)
    frame = chunk(b"ANMF", bytes(12) + number(40) + b"\0" + stream.getvalue()[12:])
    body = b"WEBP" + chunk(b"VP8X", b"\x02\0\0\0" + 2 * number(side - 1)) + chunk(b"ANIM", bytes(6)) + frame * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(("kind", "written"), [("gif", long_gif), ("png", long_png), ("webp", long_webp)])
def test_thousands_of_large_frames_are_refused_before_any_is_decoded(tmp_path, kind, written):
    path = tmp_path / f"long.{kind}"
    path.write_bytes(written(3000, 6000))
    assert path.stat().st_size < 1e6
    refused(lambda: ClipFrames(path), f"long.{kind} has 6000 frames of 3000 x 3000 pixels, which count as 54000 megapixels, more "
                                      "than the 4000 that an animated picture may have")
    # The same with few frames is as good as any: what is refused above is their number.
    path.write_bytes(written(30, 3))
    assert [frame.shape for frame in ClipFrames(path)] == [(30, 30, 3)] * 3


def test_a_long_avif_is_refused(tmp_path):
    path = write_animation(tmp_path / "long.avif", [40] * 50)
    refused(lambda: ClipFrames(path, 0.01), "has 50 frames of .* more than the 0.4 that")
    assert len(ClipFrames(path)) == 50


def test_very_many_frames_of_one_pixel_are_refused(tmp_path):
    (tmp_path / "long.gif").write_bytes(long_gif(1, 5000))
    refused(lambda: ClipFrames(tmp_path / "long.gif", 1.0), "has 5000 frames of 1 x 1 pixels, which count as 50 megapixels")


def test_an_ordinary_animation_of_a_minute_is_no_long_one(tmp_path):
    path = tmp_path / "minute.webp"
    path.write_bytes(long_webp(1000, 1500))
    assert next(animation_frames(path))[1].shape == (1000, 1000, 3)
