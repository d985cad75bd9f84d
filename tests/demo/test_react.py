"""The drawn part of the demo of reactions: what is asked of which command."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diffusionrig.demo import react
from diffusionrig.demo.react import ALBUM, ReactSettings, draw
from diffusionrig.errors import RigError
from diffusionrig.io.images import find_images
from diffusionrig.io.movies import write_movie


@pytest.fixture
def steps(monkeypatch, tmp_path):
    asked: list[tuple[str, list[str]]] = []
    split = SimpleNamespace(items=[SimpleNamespace(speaker="someone")], fps=25,
                            coefficients=lambda clip: np.zeros((6, 58), np.float32))
    monkeypatch.setattr(react, "Corpus", SimpleNamespace(open=lambda root: SimpleNamespace(split=lambda name: split)))
    monkeypatch.setattr(react, "run_step", lambda command, *words: asked.append((command, [str(word) for word in words])))
    return asked


def value(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_the_listener_is_a_frame_of_the_video_with_an_album_of_others(steps, tmp_path):
    write_movie(tmp_path / "clip.mp4", [np.full((32, 32, 3), level, np.uint8) for level in range(0, 240, 8)], 10)
    draw(ReactSettings(str(tmp_path), drawn=4), tmp_path, tmp_path / "corpus", tmp_path / "clip.mp4")
    assert [command for command, _ in steps] == ["align", "create-data", "react render", "react render"]
    spoken, reacted = steps[2][1], steps[3][1]
    assert np.load(spoken[0]).shape == (4, 58)
    assert value(reacted, "--album") == value(steps[1][1], "--output_dir")
    # The speaker's column is what the step before draws.
    assert value(reacted, "--speaker").startswith(value(spoken, "--output_dir"))
    assert value(reacted, "--columns") == "speaker,photo"
    assert Path(value(reacted, "--listener")).is_file()
    assert len(find_images(tmp_path / "photos" / "album")) == ALBUM


def test_without_the_video_the_listener_is_the_portrait(steps, tmp_path, monkeypatch, capsys):
    def away(folder: Path) -> Path:
        raise RigError("pip could not download it.")

    monkeypatch.setattr(react, "fetch_video", away)
    assert react._video(tmp_path) is None
    assert "pip could not download it. Until then the listener is drawn as the portrait" in capsys.readouterr().out
    draw(ReactSettings(str(tmp_path), drawn=4), tmp_path, tmp_path / "corpus", None)
    assert [command for command, _ in steps] == ["react render", "react render"]
    assert value(steps[1][1], "--listener").endswith("portrait.jpg")
    assert "--album" not in steps[1][1]
