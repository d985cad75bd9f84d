import numpy as np
import pytest
import torch
from PIL import Image

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.movies import write_movie
from diffusionrig.io.pt_files import read_pt, write_pt


def grey(level: int) -> np.ndarray:
    return np.full((32, 32, 3), level, np.uint8)


def test_a_folder_is_taken_in_the_order_of_its_numbers(tmp_path):
    for number in (2, 10, 1):
        Image.fromarray(grey(number)).save(tmp_path / f"frame_{number}.png")
    clip = ClipFrames(tmp_path)
    assert (len(clip), clip.fps) == (3, None)
    assert [int(frame[0, 0, 0]) for frame in clip] == [1, 2, 10]
    assert [int(frame[0, 0, 0]) for frame in clip.held(5)] == [1, 2, 10, 10, 10]
    assert [int(frame[0, 0, 0]) for frame in clip.held(2)] == [1, 2]
    assert clip.unread() == ""
    (tmp_path / "frame_3.dng").write_bytes(b"raw")
    (tmp_path / "journal.json").write_text("{}")
    assert clip.unread() == f"1 picture or video of another kind was not read: {tmp_path / 'frame_3.dng'}."
    names = [address.split("/")[-1] for address in clip.addresses(4)]
    assert names == ["frame_1.png", "frame_2.png", "frame_10.png", "frame_10.png"]


def test_a_video_knows_its_rate_and_numbers_its_frames(tmp_path):
    path = tmp_path / "clip.mp4"
    write_movie(path, [grey(level) for level in (50, 100, 150)], 12.5)
    clip = ClipFrames(path)
    assert (len(clip), clip.fps) == (3, 12.5)
    assert [float(frame.mean()) for frame in clip] == pytest.approx([50, 100, 150], abs=3)
    assert clip.addresses(2) == [f"{path}#0", f"{path}#1"]
    before = clip.identity()
    write_movie(path, [grey(level) for level in (50, 100, 151)], 12.5)
    assert ClipFrames(path).identity() != before


def test_nothing_there_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="There is no clip"):
        ClipFrames(tmp_path / "absent.mp4")
    with pytest.raises(UsageError, match="holds no pictures"):
        ClipFrames(tmp_path)


def test_tensors_are_read_as_plain_weights(tmp_path):
    tensor = torch.arange(6.0).reshape(2, 3).T
    write_pt(tmp_path / "a.pt", tensor)
    assert torch.equal(read_pt(tmp_path / "a.pt"), tensor)
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True), tensor)
    (tmp_path / "b.pt").write_bytes(b"none")
    with pytest.raises(RigError, match="not a torch file"):
        read_pt(tmp_path / "b.pt")
