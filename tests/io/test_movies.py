import numpy as np
import pytest

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.movies import movie_info, write_movie
from diffusionrig.io.sound import Sound, fit_sound, read_sound
from diffusionrig.io.video import all_frames


def tone(seconds: float, rate: int, channels: int = 1) -> Sound:
    wave = 0.5 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate).astype(np.float32)
    return Sound(np.stack([wave] * channels, 1), rate)


def greys(count: int, height: int = 64, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), 20 + 5 * number, np.uint8) for number in range(count)]


@pytest.mark.parametrize(("fps", "rate", "channels"), [(25, 44100, 2), (25, 16000, 1), (30000 / 1001, 48000, 1)])
def test_pictures_and_sound_come_back_as_long_as_they_were(tmp_path, fps, rate, channels):
    frames = greys(30)
    sound, note = fit_sound(tone(3, rate, channels), len(frames) / fps)
    assert note == ""
    assert write_movie(tmp_path / "a.mp4", iter(frames), fps, sound, "made by a test") == 30
    info = movie_info(tmp_path / "a.mp4")
    assert info.fps == pytest.approx(fps, rel=1e-6)
    assert (info.frames, info.width, info.height, info.comment) == (30, 64, 64, "made by a test")
    assert info.seconds == pytest.approx(30 / fps)
    assert abs(info.sound_seconds - info.seconds) < 1 / fps
    read = [float(frame.mean()) for _, frame in all_frames(tmp_path / "a.mp4")]
    assert read == pytest.approx([20 + 5 * number for number in range(30)], abs=3)
    back = read_sound(tmp_path / "a.mp4")
    assert (back.rate, back.samples.shape[1]) == (rate, channels)
    count = len(sound.samples)
    assert np.corrcoef(back.samples[:count, 0], sound.samples[:count, 0])[0, 1] > 0.99  # also: not shifted in time
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_odd_sides_are_made_even_and_a_rate_unknown_to_aac_is_resampled(tmp_path):
    write_movie(tmp_path / "a.mp4", greys(5, 33, 47), 25, fit_sound(tone(1, 11111), 0.2)[0])
    info = movie_info(tmp_path / "a.mp4")
    assert (info.width, info.height) == (48, 34)
    assert abs(info.sound_seconds - 0.2) < 0.04


def test_the_same_frames_give_the_same_file(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_movie(tmp_path / name, greys(5), 25, tone(0.2, 16000))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_sound_that_is_too_short_ends_in_silence_with_a_note():
    fitted, note = fit_sound(tone(1, 8000), 2.5)
    assert len(fitted.samples) == 20000
    assert not fitted.samples[8000:].any()
    assert "1.50 s shorter than the 2.50 s" in note
    assert fit_sound(tone(1, 8000), 1.05)[1] == ""
    assert len(fit_sound(tone(1, 8000), 0.5)[0].samples) == 4000


def test_what_is_no_sound_or_no_movie_is_one_sentence(tmp_path):
    write_movie(tmp_path / "silent.mp4", greys(3), 25)
    assert read_sound(tmp_path / "silent.mp4") is None
    (tmp_path / "text.wav").write_bytes(b"not a sound")
    with pytest.raises(RigError, match=r"sound of .*text\.wav cannot be decoded"):
        read_sound(tmp_path / "text.wav")
    with pytest.raises(UsageError, match="There is no sound or video file"):
        read_sound(tmp_path / "absent.wav")
    with pytest.raises(RigError, match=r"text\.wav cannot be decoded"):
        movie_info(tmp_path / "text.wav")
    with pytest.raises(RigError, match="no frames"):
        write_movie(tmp_path / "b.mp4", [], 25)
    with pytest.raises(RigError, match=r"Frame 1 of .* frames of one size"):
        write_movie(tmp_path / "b.mp4", [*greys(1), *greys(1, 32)], 25)
    assert not (tmp_path / "b.mp4").exists()
