"""Animated pictures are clips: each frame stays as long as the file says."""

import numpy as np
import pytest
from PIL import Image
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
