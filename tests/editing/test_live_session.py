"""``edit`` driven by frames that come: the clip, the pictures on standard output, what is refused."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from seed_faces import photo

from diffusionrig.cli import main
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.live import Drawn
from diffusionrig.editing.live_clip import LiveClip
from diffusionrig.editing.live_driving import Drive
from diffusionrig.editing.live_session import Flow, run_live
from diffusionrig.editing.order import Order
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError
from diffusionrig.io.frame_streams import raw_frames
from diffusionrig.io.movies import movie_info
from diffusionrig.io.video import all_frames

SEEN = 48
"""Side of the frames that come, pixels."""


def grey(level: int) -> np.ndarray:
    return np.full((8, 8, 3), level, np.uint8)


def test_a_clip_shows_each_picture_from_its_time_to_the_next(tmp_path: Path) -> None:
    clip = LiveClip(tmp_path / "a.mp4", 10)
    for at, level in ((5.0, 40), (5.3, 120), (5.34, 160), (5.6, 220)):
        clip.add(Drawn(grey(level), 0, at, 0.0))
    assert clip.close() == 7
    assert [round(float(frame.mean()) / 20) * 20 for _, frame in all_frames(tmp_path / "a.mp4")] == [40] * 3 + [160] * 3 + [220]
    assert LiveClip(tmp_path / "b.mp4", 10).close() == 0
    assert not (tmp_path / "b.mp4").exists()


def test_a_clip_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    clip = LiveClip(tmp_path / "none" / "a.mp4", 10)

    def film() -> None:
        for number in range(1000):
            clip.add(Drawn(grey(40), number, number / 10, 0.0))
        clip.close()

    with pytest.raises(RigError):
        film()


@pytest.fixture
def words(rig, checkpoint, tmp_path, monkeypatch):
    """The command, and four frames on standard input, the third without a face."""
    Image.fromarray(photo(1)).save(tmp_path / "me.png")
    frames = np.stack([photo(seed) for seed in (3, 4, 255, 5)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(frames.tobytes())))
    return ["edit", str(tmp_path / "me.png"), "--target", "-", "--frames_in", "raw", "--frame_size", f"{SEEN}x{SEEN}", "--fps",
            "10", "--model_path", str(checkpoint), "--timestep_respacing", "ddim2", "--seed", "1", "--precision", "fp32",
            "--device", "cpu", "--drop", "False", "--track", "off", "--output_dir", str(tmp_path / "out")]


def test_frames_on_standard_input_drive_the_source(rig, words, tmp_path, monkeypatch, capsys):
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    assert main([*words, "--frames_out", "raw"]) == 0
    shown = list(raw_frames(io.BytesIO(out.getvalue()), rig.size, rig.size))
    assert len(shown) == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {key: report["live"][key] for key in ("offered", "drawn", "dropped", "unseen")} == {
        "offered": 4, "drawn": 3, "dropped": 0, "unseen": 1}
    said = capsys.readouterr().err
    assert "4 frames came, 3 were drawn, 0 dropped, 1 did not show the person; the first picture was there" in said
    assert "(95th percentile)" in said
    # The third frame, without a face, keeps the second's picture; the mode is that of cameras.
    info = movie_info(tmp_path / "out" / "live.mp4")
    assert (info.frames, info.fps) == (4, 10)
    assert read_provenance(tmp_path / "out" / "live.mp4")["mode"] == "exp+pose"
    assert main(words) == 2
    assert "live.mp4 exists already" in capsys.readouterr().err


def test_an_interruption_keeps_what_was_drawn(rig, tmp_path):
    def frames():
        yield from [photo(3), photo(4)] * 4
        raise KeyboardInterrupt

    Image.fromarray(photo(1)).save(tmp_path / "me.png")
    order = Order(str(tmp_path / "me.png"), "camera", parse_modes("exp"), str(tmp_path / "out"), Sampling(respacing="ddim2"))
    report = run_live(rig, order, Drive(track="off", patient=True), Flow(frames()))
    # A patient run: at most one frame waits or is in work at each of four places.
    assert 4 <= report["live"]["drawn"] <= 8
    assert movie_info(tmp_path / "out" / "live.mp4").frames == report["outputs"][0]["frames"] > 0


@pytest.mark.parametrize(("flags", "sentence"), [
    (["--modes", "exp,pose"], "drives one mode at a time, not exp, pose"),
    (["--fps", "0"], "--fps 0 is not above zero"), (["--seconds", "nan"], "--seconds nan is no time"),
    (["--smooth", "1"], "belong to clips that are over"), (["--face", "2"], "align it first"),
    (["--frame_size", "big"], "no size of pictures"), (["--modes", "latent"], "cannot follow a camera")])
def test_misuse_is_one_sentence(words, flags, sentence, capsys):
    assert main([*words, *flags]) == 2
    assert sentence in capsys.readouterr().err


def test_a_camera_that_is_not_there_is_one_sentence(words, capsys):
    place = words.index("-")
    words[place:place + 1] = ["camera", "--camera", "/dev/no-such-camera"]
    assert main(words) == 2
    assert "A camera does not wait" in capsys.readouterr().err
    words[words.index("--drop") + 1] = "True"
    assert main(words) == 2
    assert "No camera can be opened at /dev/no-such-camera" in capsys.readouterr().err
