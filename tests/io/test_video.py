import numpy as np
import pytest

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.video import all_frames, find_videos, frame_count, frames_at


@pytest.fixture
def clip(tmp_path):
    import av

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for grey in range(10, 210, 10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_frames_are_those_at_the_asked_shares(clip):
    frames = list(frames_at(clip, [0.0, 0.5, 0.97]))
    assert [frame.shape for frame in frames] == [(64, 64, 3)] * 3
    assert [round(float(frame.mean())) for frame in frames] == pytest.approx([10, 110, 200], abs=3)


def test_a_file_that_is_no_video_is_one_sentence(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"not a video")
    with pytest.raises(RigError, match="cannot be decoded"):
        list(frames_at(path, [0.0]))
    with pytest.raises(UsageError, match="There is no video"):
        list(frames_at(tmp_path / "absent.mp4", [0.0]))


def test_all_frames_come_with_their_numbers(clip):
    assert frame_count(clip) == 20
    numbers, frames = zip(*all_frames(clip, every=6))
    assert numbers == (0, 6, 12, 18)
    assert [round(float(frame.mean())) for frame in frames] == pytest.approx([10, 70, 130, 190], abs=3)


def test_a_cut_video_gives_one_sentence(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"not a video")
    for read in (frame_count, lambda file: list(all_frames(file))):
        with pytest.raises(RigError, match="cannot be decoded"):
            read(path)


def test_videos_are_found_by_their_ending(clip):
    (clip.parent / "notes.txt").write_text("x")
    (clip.parent / ".hidden.mp4").write_bytes(b"")
    assert find_videos(clip.parent) == [clip]


@pytest.mark.parametrize(("matrix", "quarters"), [
    ((0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30), 3),   # to be turned clockwise, as telephones held upright write it
    ((0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30), 1),
    ((-(1 << 16), 0, 0, 0, -(1 << 16), 0, 0, 0, 1 << 30), 2),
])
def test_frames_are_turned_as_players_turn_them(tmp_path, matrix, quarters):
    import struct

    import av

    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = 255  # the top left corner is bright
    with av.open(str(plain), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(plain.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # the track's matrix, after version, times, number, length, layer and volume
    data[place:place + 36] = struct.pack(">9i", *matrix)
    turned.write_bytes(data)
    for path, expected in ((plain, picture), (turned, np.rot90(picture, quarters))):
        [(_, frame)] = all_frames(path)
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 12
