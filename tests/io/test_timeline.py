"""Time in videos is what the stamps say: rates, starts of sound, edit lists, hidden pictures."""

import re
from fractions import Fraction

import numpy as np
import pytest
from stamped_clips import click, greys, onset, set_edit, which, write_sound, write_stamped

from diffusionrig.errors import RigError
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.frame_sequences import FrameSequence
from diffusionrig.io.movies import movie_info, write_movie
from diffusionrig.io.sound import fit_sound, read_sound
from diffusionrig.io.timeline import read_timeline
from diffusionrig.io.timing import timing_of
from diffusionrig.io.video import all_frames, frame_count, frames_at, pictures
from diffusionrig.io.wav import read_wav, wav_info

VARYING = [0, 0.04, 0.08, 0.36, 0.4, 0.44, 0.9, 0.94, 0.98, 1.02]
CONTAINERS = ["mp4", "mov", "mkv", "webm"]


def shown_at(times, seconds):
    """Numbers of the pictures that a clip with these stamps shows."""
    return np.searchsorted(np.asarray(times), np.asarray(seconds), side="right") - 1


@pytest.mark.parametrize("kind", CONTAINERS)
def test_pictures_at_varying_distances_stand_where_their_stamps_say(tmp_path, kind):
    path = write_stamped(tmp_path / f"a.{kind}", greys(10), VARYING)
    clip = ClipFrames(path)
    assert (clip.fps, clip.retimed) == (25, True)
    # The last picture stays as long as pictures usually do, if the file does not say.
    assert len(clip) / clip.fps == pytest.approx(1.06, abs=0.021)
    frames = [which(frame, 10) for frame in clip]
    middles = (np.arange(len(clip)) + 0.5) / clip.fps
    assert frames == shown_at(VARYING, middles).tolist()
    assert frame_count(path) == 10
    assert [number for number, _ in all_frames(path)] == list(range(10))
    assert clip.addresses(len(clip))[8:10] == [f"{path}#2", f"{path}#3"]


def test_what_is_written_of_such_a_clip_is_as_long_and_shows_the_same(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", greys(10), VARYING)
    clip = ClipFrames(path)
    write_movie(tmp_path / "b.mp4", clip, clip.fps)
    info = movie_info(tmp_path / "b.mp4")
    assert info.seconds == pytest.approx(movie_info(path).seconds, abs=0.021)
    written = [which(frame, 10) for _, frame in all_frames(tmp_path / "b.mp4")]
    for time in np.arange(0.005, 1.06, 0.01):
        near = shown_at(VARYING, np.clip([time - 0.02, time, time + 0.02], 0, None))
        assert written[min(int(time * 25), len(written) - 1)] in near


@pytest.mark.parametrize(("kind", "rate"), [("mp4", 1000), ("mkv", 1000), ("webm", 1000), ("mkv", 5)])
def test_a_rate_that_contradicts_the_stamps_is_not_believed(tmp_path, kind, rate):
    path = write_stamped(tmp_path / f"a.{kind}", greys(12), [number / 30 for number in range(12)], rate=rate)
    clip = ClipFrames(path)
    assert (clip.fps, clip.retimed, len(clip)) == (pytest.approx(30, abs=0.05), False, 12)
    info = movie_info(path)
    assert (info.fps, info.frames) == (clip.fps, 12)
    assert info.seconds == pytest.approx(0.4, abs=0.002)


def test_rounded_stamps_are_no_varying_rate(tmp_path):
    path = write_stamped(tmp_path / "a.mkv", greys(40), [number * 1001 / 30000 for number in range(40)], rate=30)
    clip = ClipFrames(path)
    assert not clip.retimed
    assert clip.fps == pytest.approx(29.98, abs=0.03)


def test_a_clip_of_any_rate_is_read_at_the_rate_that_is_asked_for(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", greys(30), [number / 30 for number in range(30)], rate=30)
    for clip in (ClipFrames(path, fps=25), FrameSequence(path, fps=25)):
        assert [which(frame, 30) for frame in clip] == shown_at(np.arange(30) / 30, (np.arange(25) + 0.5) / 25).tolist()
    sequence = FrameSequence(path, 20, 25)
    assert len(sequence) == 20
    assert which(sequence[19], 30) == int(19.5 / 25 * 30)
    assert len(FrameSequence(path)) == 30
    assert which(FrameSequence(path)[29], 30) == 29
    with pytest.raises(RigError, match="has 25 frames, but 26 are needed"):
        FrameSequence(path, 26, 25)
    assert [which(frame, 30) for frame in ClipFrames(path, fps=25, retime=False)] == list(range(30))


def test_one_shot_at_another_rate_is_another_clip(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", greys(30), [number / 30 for number in range(30)], rate=30)
    assert len({ClipFrames(path).identity(), ClipFrames(path, fps=25).identity(), ClipFrames(path, fps=10).identity()}) == 3


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("start", [0.0, 0.5, -0.5])
def test_sound_stays_with_the_pictures(tmp_path, kind, start):
    times = [number / 25 + max(-start, 0) for number in range(50)]
    path = write_stamped(tmp_path / f"a.{kind}", greys(50), times, sound=click(1.5, 0.8), sound_start=max(start, 0))
    sound = read_sound(path)
    assert sound.start == pytest.approx(start, abs=0.025)
    assert sound.start + onset(sound.samples, sound.rate) == pytest.approx(0.8 + start, abs=0.004)
    fitted, note = fit_sound(sound, 2.0)
    assert (fitted.start, len(fitted.samples)) == (0, 2 * fitted.rate)
    assert onset(fitted.samples, fitted.rate) == pytest.approx(0.8 + start, abs=0.004)
    # Codecs fill their last block, so that a sound may end a little later than it should.
    said = {0.5: r"", 0.0: r"The sound is 0\.(50|49|48) s shorter than the 2\.00 s of pictures; its end is silent\.",
            -0.5: r"The first 0\.50 s of the sound come before the pictures and are left out\. "
                  r"The sound ends (1\.00|0\.99|0\.98) s before the 2\.00 s of pictures do; the rest is silent\."}
    assert re.fullmatch(said[start], note)
    info = movie_info(path)
    assert info.sound_start == pytest.approx(start, abs=0.025)
    assert info.sound_seconds == pytest.approx(1.5, abs=0.05)


def test_a_video_taken_for_its_sound_begins_with_the_pictures(tmp_path):
    times = [number / 25 for number in range(30)]
    for start in (0.2, -0.2):
        path = write_stamped(tmp_path / "a.mp4", greys(30), [time + max(-start, 0) for time in times], sound=click(1.0, 0.5),
                             sound_start=max(start, 0))
        samples, rate = read_wav(path)
        assert onset(samples, rate) == pytest.approx(0.5 + start, abs=0.004)
        assert wav_info(path).seconds == pytest.approx(1.0 + start, abs=0.03)


def test_bare_aac_is_heard_without_the_encoders_delay(tmp_path):
    for kind in ("aac", "m4a"):
        sound = read_sound(write_sound(tmp_path / f"a.{kind}", click(1.0, 0.5)))
        assert sound.start == 0
        assert onset(sound.samples, sound.rate) == pytest.approx(0.5, abs=0.002)


def test_a_sound_file_starts_where_its_edit_list_says(tmp_path):
    path = tmp_path / "a.m4a"
    write_sound(path, click(1.0, 0.5), 0.25)
    sound = read_sound(path)
    assert sound.start + onset(sound.samples, sound.rate) == pytest.approx(0.75, abs=0.003)
    samples, rate = read_wav(path)
    assert onset(samples, rate) == pytest.approx(0.75, abs=0.003)


def test_a_pause_in_the_sound_is_silence(tmp_path):
    import av

    path = tmp_path / "a.mkv"
    whole = click(1.0, 0.75)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        for begin in range(0, 48000, 4800):
            block = av.AudioFrame.from_ndarray((whole[None, begin:begin + 4800] * 32767).astype(np.int16), format="s16",
                                               layout="mono")
            block.sample_rate, block.time_base = 48000, Fraction(1, 48000)
            block.pts = begin + (24000 if begin >= 24000 else 0)
            container.mux(stream.encode(block))
        container.mux(stream.encode())
    sound = read_sound(path)
    assert sound.seconds == pytest.approx(1.5, abs=0.003)
    assert onset(sound.samples, sound.rate) == pytest.approx(1.25, abs=0.003)


def test_pictures_that_an_edit_list_hides_are_not_there(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", greys(20), [number / 25 for number in range(20)])
    set_edit(path, 5, 10)
    assert frame_count(path) == movie_info(path).frames == len(FrameSequence(path)) == len(ClipFrames(path)) == 10
    for frames in ([frame for _, frame in all_frames(path)], list(FrameSequence(path)), list(ClipFrames(path))):
        assert [which(frame, 20) for frame in frames] == list(range(5, 15))
    assert [which(frame, 20) for frame in frames_at(path, [0.0, 0.5, 0.95])] == [5, 10, 14]
    assert movie_info(path).seconds == pytest.approx(0.4)
    with pytest.raises(RigError, match="has 10 frames, but 11 are needed"):
        FrameSequence(path, 11)


def test_pictures_that_only_help_to_predict_are_not_counted(tmp_path):
    import av

    hiding = tmp_path / "b.webm"
    whole = write_stamped(tmp_path / "a.webm", greys(12), [number / 25 for number in range(12)], codec="libvpx")
    with av.open(str(whole)) as container, av.open(str(hiding), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(packet for packet in container.demux(video=0) if packet.size):
            data = bytearray(bytes(packet))
            if number in (4, 7):
                data[0] &= 0xEF  # VP8's bit for being shown
            other = av.Packet(bytes(data))
            other.pts, other.dts, other.time_base, other.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
            other.stream = stream
            copy.mux(other)
    assert frame_count(hiding) == len(list(all_frames(hiding))) == 10
    assert [which(frame, 12) for frame in ClipFrames(hiding)] == [0, 1, 2, 3, 3, 5, 6, 6, 8, 9, 10, 11]


def test_shares_are_shares_of_time(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", greys(10), VARYING)
    whole = movie_info(path).seconds
    shares = [0.0, 0.2, 0.3, 0.5, 0.8, 0.99]
    assert [which(frame, 10) for frame in frames_at(path, shares)] == shown_at(VARYING, np.array(shares) * whole).tolist()


def test_a_container_without_stamps_keeps_the_order_of_its_pictures(tmp_path):
    # They are stored in another order than shown.
    path = write_stamped(tmp_path / "a.avi", greys(12), [number / 25 for number in range(12)], sound=click(0.4, 0.2))
    sound = read_sound(path)
    assert sound.start + onset(sound.samples, sound.rate) == pytest.approx(0.2, abs=0.03)
    clip = ClipFrames(path)
    assert (clip.fps, len(clip)) == (25, 12)
    assert [which(frame, 12) for frame in clip] == list(range(12))


def test_a_cover_is_no_picture_of_the_clip(tmp_path):
    import av
    from av.stream import Disposition

    path = tmp_path / "a.mp4"
    cover = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 250, np.uint8), format="rgb24")
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=1)
        picture.width = picture.height = 32
        picture.pix_fmt = "yuvj420p"
        picture.disposition = Disposition.attached_pic
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(picture.encode(cover))
        container.mux(picture.encode())
        for number, grey in enumerate(greys(5)):
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert [which(frame, 5) for frame in ClipFrames(path)] == list(range(5))


def test_pictures_that_fail_to_decode_are_stood_in_for_unless_many(tmp_path):
    path, longer = (write_stamped(tmp_path / f"{count}.mp4", greys(50)[:count], [number / 25 for number in range(count)])
                    for count in (40, 50))
    timeline = read_timeline(longer)
    # The same pictures, of which the last ten are lost: 0.4 s.
    assert [which(frame, 50) for frame in pictures(path, timeline, np.arange(50))] == list(range(40)) + [39] * 10
    short = write_stamped(tmp_path / "short.mp4", greys(50)[:30], [number / 25 for number in range(30)])
    seen = pictures(short, timeline, np.arange(50))
    assert [which(next(seen), 50) for _ in range(30)] == list(range(30))
    with pytest.raises(RigError, match=r"ends after 30 of 50 pictures; copy it again"):
        next(seen)
    # Within the clip, a picture that is not there leaves its place to the one before it.
    holed = write_stamped(tmp_path / "holed.mp4", [*greys(50)[:20], *greys(50)[23:]],
                          [number / 25 for number in range(50) if not 20 <= number < 23])
    assert [which(frame, 50) for frame in pictures(holed, timeline, np.arange(18, 26))] == [18, 19, 19, 19, 19, 23, 24, 25]


def test_stamps_that_span_days_are_damaged(tmp_path):
    path = write_stamped(tmp_path / "a.mkv", greys(4), [0, 0.04, 0.08, 200000])
    with pytest.raises(RigError, match="span 56 hours by their time stamps"):
        ClipFrames(path)


def test_the_timing_of_stamps():
    steady = timing_of(np.arange(10) / 24, None, [])
    assert (steady.rate, steady.steady, steady.seconds) == (24, True, pytest.approx(10 / 24))
    assert timing_of(np.arange(300) * 1001 / 30000, None, []).rate == Fraction(30000, 1001)
    odd = timing_of(np.arange(20) / 17.3, None, [])
    assert (odd.steady, float(odd.rate)) == (True, pytest.approx(17.3))
    # Stamps in the order of storage, a header that is wrong, a last picture of a millisecond.
    mixed = timing_of(np.array([5.0, 5.12, 5.04, 5.08]), 0.001, [Fraction(1000)])
    assert (mixed.rate, mixed.steady, mixed.seconds) == (25, True, pytest.approx(0.16))
    assert mixed.times.tolist() == pytest.approx([0, 0.04, 0.08, 0.12])
    # A last picture that stays is waited for.
    stays = timing_of(np.arange(5) / 25, 1.0, [])
    assert not stays.steady
    assert stays.numbers(25).tolist() == [0, 1, 2, 3] + [4] * 25
    slow = timing_of(np.array([0, 1.0, 2.5]), None, [])
    assert (slow.rate, slow.steady) == (10, False)
    assert slow.numbers(10).tolist() == [0] * 10 + [1] * 15 + [2] * 13  # 3.75 s: the last stays as long as usual
    one = timing_of(np.array([3.0]), None, [Fraction(12)])
    assert (len(one), one.rate, one.numbers(12).tolist()) == (1, 12, [0])
    assert timing_of(np.array([0.0]), 1e6, []).rate > 0


def test_the_timeline_of_a_clip_without_sound(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", greys(5), [number / 25 for number in range(5)])
    timeline = read_timeline(path)
    assert (timeline.sound, timeline.codec, timeline.stamped, timeline.origin) == (None, "h264", True, 0)
    assert movie_info(path).sound_seconds is None
