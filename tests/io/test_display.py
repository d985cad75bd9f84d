"""Pictures as players show them: square pixels, the eight turns and mirrorings, colours as tagged."""

from fractions import Fraction

import numpy as np
import pytest
from stamped_clips import MATRICES, greys, set_matrix, write_stamped

from diffusionrig.errors import RigError
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.display import square_size, upright
from diffusionrig.io.frame_sequences import FrameSequence
from diffusionrig.io.movies import movie_info, write_movie
from diffusionrig.io.video import all_frames, frames_at


def corners() -> np.ndarray:
    """Every corner of another colour, so that each of the eight ways to lay it is told from the others."""
    picture = np.full((64, 96, 3), 30, np.uint8)
    picture[:32, :48], picture[:32, 48:], picture[32:, :48] = (230, 30, 30), (30, 200, 30), (40, 40, 220)
    return picture


def laid(picture: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Pixel by pixel: the column x, row y goes to (a x + c y, b x + d y)."""
    a, b, c, d = matrix
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    result = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    result[down, across] = picture
    return result


@pytest.mark.parametrize("name", list(MATRICES))
def test_turned_and_mirrored_clips_come_out_as_players_show_them(tmp_path, name):
    path, expected = tmp_path / "a.mp4", laid(corners(), MATRICES[name])
    write_stamped(path, [corners()] * 3, [0, 0.04, 0.08])
    set_matrix(path, MATRICES[name])
    for frame in (next(all_frames(path))[1], next(frames_at(path, [0.5])), FrameSequence(path)[0], ClipFrames(path).first()):
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 6
    assert [frame.shape for frame in ClipFrames(path)] == [expected.shape] * 3
    assert all(np.abs(frame.astype(int) - expected).mean() < 6 for frame in ClipFrames(path))
    assert (movie_info(path).height, movie_info(path).width) == expected.shape[:2]


def test_a_matrix_that_is_none_changes_nothing():
    picture = corners()
    for matrix in ((0, 0, 0, 0), (65536, 0, 0, 65536), (60000, 20000, -20000, 60000)):
        assert np.array_equal(upright(picture, matrix), picture)


@pytest.mark.parametrize(("size", "pixel", "square"), [((64, 96), Fraction(4, 3), (64, 128)), ((64, 96), Fraction(8, 9), (72, 96)),
                                                       ((64, 96), Fraction(1), (64, 96)), ((64, 90), Fraction(16, 15), (64, 96))])
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_pixels_that_are_not_square_are_stretched(tmp_path, size, pixel, square, kind):
    height, width = size
    y, x = np.mgrid[:height, :width] + 0.5
    # A disc on the screen, 40 square pixels across at the size of the stretched picture.
    across, down = (x - width / 2) * square[1] / width, (y - height / 2) * square[0] / height
    picture = np.where((across**2 + down**2 < 400)[..., None], 235, 20).astype(np.uint8).repeat(3, 2)
    path = write_stamped(tmp_path / f"a.{kind}", [picture] * 3, [0, 0.04, 0.08], pixel=pixel)
    frame = ClipFrames(path).first()
    assert frame.shape[:2] == square
    bright = frame[..., 1] > 128
    assert bright.any(1).sum() == pytest.approx(40, abs=2)
    assert bright.any(0).sum() == pytest.approx(40, abs=2)
    assert (movie_info(path).height, movie_info(path).width) == square


def test_squashed_clips_are_stretched_before_they_are_turned(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", [corners()] * 2, [0, 0.04], pixel=Fraction(4, 3))
    set_matrix(path, MATRICES["clockwise"])
    assert ClipFrames(path).first().shape[:2] == (128, 64)


def test_pixels_of_a_shape_that_no_camera_has_are_refused():
    assert square_size(64, 48, None) == square_size(64, 48, Fraction(0)) == (64, 48)
    for pixel, said in ((Fraction(200), "200"), (Fraction(1, 50), r"0\.02"), (Fraction(-1), "-1")):
        with pytest.raises(RigError, match=f"{said} times wider than high; convert"):
            square_size(64, 48, pixel)


@pytest.mark.parametrize("height", [96, 720])
def test_colours_that_we_write_are_bt709_and_said_to_be(tmp_path, height):
    import av

    colours = ((200, 30, 40), (30, 160, 60), (40, 60, 210), (220, 180, 40))
    frames = [np.full((height, 128, 3), colour, np.uint8) for colour in colours]
    write_movie(tmp_path / "a.mp4", frames, 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        # Matrix, primaries and curve of BT.709, video levels.
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        decoded = [frame.to_ndarray().astype(float) for frame in container.decode(video=0)]
    assert b"colr" in (tmp_path / "a.mp4").read_bytes()
    for colour, planes in zip(colours, decoded):
        red, green, blue = (value / 255 for value in colour)
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert planes[0, 0] == pytest.approx(16 + 219 * luma, abs=2.5)
        assert planes[height, 0] == pytest.approx(128 + 224 * (blue - luma) / 1.8556, abs=2.5)
    for (_, frame), colour in zip(all_frames(tmp_path / "a.mp4"), colours):
        assert np.abs(frame.reshape(-1, 3).mean(0) - colour).max() < 4


def test_grey_stays_grey(tmp_path):
    write_movie(tmp_path / "a.mp4", greys(8), 25)
    for (_, frame), picture in zip(all_frames(tmp_path / "a.mp4"), greys(8)):
        assert np.abs(frame.astype(int) - picture).max() <= 3
