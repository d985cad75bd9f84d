"""Photographs and frames of videos by names of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stamped_clips import greys, write_stamped

from diffusionrig.capture.inputs import count_pictures, listed_inputs, read_pictures
from diffusionrig.errors import UsageError
from diffusionrig.io.images import write_png


def write_clip(path: Path, frames: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())


def test_photographs_and_videos_of_a_folder_come_in_order_with_unique_names(tmp_path: Path) -> None:
    write_png(tmp_path / "b.png", np.zeros((4, 4, 3), np.uint8))
    write_png(tmp_path / "clip_frame0000.png", np.zeros((4, 4, 3), np.uint8))
    write_clip(tmp_path / "clip.mp4", 5)
    (tmp_path / "a.mov").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    files = listed_inputs([str(tmp_path), str(tmp_path / "b.png")])
    assert [file.name for file in files] == ["a.mov", "b.png", "clip.mp4", "clip_frame0000.png"]
    pictures = list(read_pictures(files, 1.0, every=2))
    assert [picture.name for picture in pictures] == ["a", "b", "clip_frame_0000", "clip_frame_0002", "clip_frame_0004",
                                                      "clip_frame0000"]
    assert count_pictures(files, every=2) == len(pictures)
    assert [picture.source for picture in pictures[2:4]] == [f"{tmp_path / 'clip.mp4'}#0", f"{tmp_path / 'clip.mp4'}#2"]
    assert "cannot be decoded" in pictures[0].failure
    assert pictures[0].image is None
    assert pictures[1].image is not None


def test_frames_say_when_the_video_shows_them(tmp_path: Path) -> None:
    path = write_stamped(tmp_path / "clip.mp4", greys(4), [0, 0.04, 0.32, 0.36])
    pictures = list(read_pictures([path], 1.0))
    assert [(picture.frame, picture.seconds) for picture in pictures] == [(0, 0.0), (1, 0.04), (2, 0.32), (3, 0.36)]
    assert [picture.seconds for picture in read_pictures([path], 1.0, every=2)] == [0.0, 0.32]


def test_nothing_to_capture_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No image files were found in"):
        listed_inputs([str(tmp_path)])
    with pytest.raises(UsageError, match="There is no file or folder"):
        listed_inputs([str(tmp_path / "absent.mp4")])
