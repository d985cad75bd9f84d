"""A prediction says itself what it was made for; flags that contradict it are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from diffusionrig.cli import main
from diffusionrig.errors import UsageError
from diffusionrig.io.wav import write_wav
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.corpus.attributes import COLUMNS
from diffusionrig.reactions.frames.described import origin_of
from diffusionrig.reactions.interface import Prediction
from diffusionrig.reactions.predicting import Request, write_predictions

FRAMES = 4


class Still:
    """A generator of resting faces."""

    name = "still"

    def generate(self, speaker, listener, k, seed, mode):
        rows = np.zeros((k, FRAMES, 58), np.float32)
        rows[..., 52], rows[..., 57] = math.pi, 1.8
        return Prediction(np.zeros((k, FRAMES, 25), np.float32), rows)


def make_corpus(root: Path, number: str) -> Path:
    """One pair of NoXI, attributes and coefficients and the speaker's sound, no pictures."""
    for role, renamed in (("Expert_video", "P1"), ("Novice_video", "P2")):
        stem = Path(f"NoXI/{number}") / role
        for folder in ("3D_FV_files", "Audio_files"):
            (root / "val" / folder / stem).mkdir(parents=True)
        np.save(root / "val" / "3D_FV_files" / stem / "1.npy", np.full((FRAMES, 1, 58), 0.125, np.float32))
        if role == "Expert_video":
            write_wav(root / "val" / "Audio_files" / stem / "1.wav", np.zeros((FRAMES * 640, 1), np.int16), 16000)
        emotion = root / "val" / "Emotion" / "NoXI" / number / renamed / "1.csv"
        emotion.parent.mkdir(parents=True)
        emotion.write_text("\n".join([",".join(COLUMNS), *[",".join(["0"] * 25)] * FRAMES]) + "\n")
    pair = f"NoXI/{number}/Expert_video/1,NoXI/{number}/Novice_video/1"
    (root / "val.csv").write_text(f",speaker_path,listener_path\n0,{pair}\n")
    mean = np.zeros(58, np.float32)
    mean[52], mean[57] = math.pi, 1.8
    np.save(root / "mean_face.npy", mean)
    np.save(root / "neighbour_emotion_val.npy", np.eye(2, dtype=np.int64))
    return root


@pytest.fixture
def prediction(tmp_path):
    split = Corpus.open(make_corpus(tmp_path / "react", "001")).split("val")
    write_predictions(split, Still(), Request(samples=2), tmp_path / "still.npy")
    return tmp_path / "still.npy"


def test_the_file_beside_gives_corpus_split_and_rate(prediction, tmp_path, capsys):
    about = json.loads((tmp_path / "still.json").read_text())
    assert (about["data"], about["split"], about["fps"]) == (str(tmp_path / "react"), "val", 25)
    words = ["react", "render", str(tmp_path / "still_3dmm.npy"), "--mesh_only", "True", "--output_dir", str(tmp_path / "out"),
             "--item", "1", "--k", "1", "--panel", "16", "--device", "cpu"]
    assert main(words) == 0
    err = capsys.readouterr().err
    report = json.loads((tmp_path / "out/still_3dmm/version_0/val/only_submit_video/report.json").read_text())
    assert report["clips"]["b2_ind2"]["request"]["neutral"] == "mean"
    # The second item is the pair with its roles exchanged, whose speaker has no sound.
    assert "There is no sound of NoXI/001/Novice_video/1; the video is silent." in err
    for flags, sentence in ((["--split", "test"], "--split test contradicts still.json, by which the prediction is one of"),
                            (["--fps", "30"], "--fps 30 contradicts still.json, by which the prediction has 25 frames a second"),
                            (["--data", str(make_corpus(tmp_path / "other", "002"))], "has other clips than those that still.json"),
                            (["--columns", "mesh,face"], "--columns mesh,face names face; choose from speaker, listener, mesh")):
        assert main([*words, *flags]) == 2
        assert sentence in capsys.readouterr().err
    # Flags that say the same are no contradiction.
    assert main([*words, "--split", "val", "--fps", "25", "--data", str(tmp_path / "react")]) == 0


def test_an_item_is_to_be_chosen_and_a_corpus_that_is_gone_is_said_to_be(prediction, tmp_path):
    assert origin_of(prediction, "", "", None, None).split is None
    found = origin_of(prediction, "", "", 0, 25.0)
    assert found.split is not None
    assert (len(found.split), found.name) == (2, "val")
    with pytest.raises(UsageError, match="--item 2 is not among 0 to 1"):
        origin_of(prediction, "", "", 2, None)
    (tmp_path / "react").rename(tmp_path / "moved")
    gone = origin_of(prediction, "", "", 0, None)
    assert gone.split is None
    assert "react, which still.json names, is not there" in gone.note
    assert origin_of(prediction, str(tmp_path / "moved"), "", 0, None).split is not None


def test_a_prediction_without_such_a_file_is_told_by_the_flags(tmp_path):
    origin = origin_of(tmp_path / "p.npy", "", "", 3, 12.5)
    assert (origin.split, origin.name, origin.note) == (None, "val", "")
    (tmp_path / "p.json").write_text("[1]")
    assert origin_of(tmp_path / "p_3dmm.npy", "", "test", None, None).name == "test"
