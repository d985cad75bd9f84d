"""``diffusionrig react check``: every fault of a corpus is one row, notes are no faults."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from reaction_corpora import copied, written
from stamped_clips import greys, set_edit, write_stamped

from diffusionrig.cli import main
from diffusionrig.io.files import read_json
from diffusionrig.io.wav import write_wav
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.corpus.checking import check_corpus


def test_a_whole_corpus_has_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    findings, counts = check_corpus(written())
    assert counts == {"splits": 3, "items": 16, "files": 48}
    assert {finding.kind for finding in findings} == {"mono"}
    assert len(findings) == 16
    assert not any(finding.problem for finding in findings)
    assert main(["react", "check", str(written()), "--split", "val"]) == 0
    out = capsys.readouterr().out
    assert "12 files of 4 directed items in 1 splits: 0 problems, 4 notes (4 mono)." in out
    assert "The sound has one channel, at 16000 Hz." in out


def test_every_fault_is_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("train")
    clips = [clip for item in split.items[:split.pairs] for clip in (item.speaker, item.listener)]
    emotion, motion, sound = ({clip: split.path(name, clip) for clip in clips} for name in ("emotion", "coefficients", "audio"))
    emotion[clips[0]].unlink()
    lines = emotion[clips[1]].read_text().splitlines()
    emotion[clips[1]].write_text("\n".join(lines[:41]))
    emotion[clips[2]].write_text("\n".join([lines[0].replace(",Contempt", ""), *lines[1:]]))
    values = np.load(motion[clips[3]])
    values[5, 0, 7] = np.nan
    np.save(motion[clips[3]], values)
    np.save(motion[clips[4]], values[:, :, :57])
    motion[clips[5]].rename(motion[clips[5]].with_suffix(".NPY"))
    twin = motion[clips[6]]
    shutil.copy(twin, twin.with_name(twin.stem + "_full.npy"))
    write_wav(sound[clips[6]], np.zeros((30 * 1764, 2), np.int16), 44100)
    stranger = motion[clips[0]].with_name("17.npy")
    shutil.copy(motion[clips[0]], stranger)
    matrix = np.load(root / "neighbour_emotion_train.npy")
    matrix[0, 1] = 1 - matrix[0, 1]
    np.save(root / "neighbour_emotion_train.npy", matrix)
    np.save(root / "neighbour_emotion_val.npy", np.eye(6))
    (root / "test.csv").unlink()

    findings, _ = check_corpus(root)
    rows = {(finding.split, finding.modality, finding.kind, finding.row): finding for finding in findings if finding.kind != "mono"}
    assert set(rows) == {
        ("train", "emotion", "missing", 0), ("train", "emotion", "short", 0), ("train", "emotion", "damaged", 1),
        ("train", "coefficients", "damaged", 1), ("train", "coefficients", "damaged", 2), ("train", "coefficients", "missing", 2),
        ("train", "coefficients", "misnamed", None), ("train", "audio", "short", 3), ("train", "coefficients", "unlisted", None),
        ("train", "matrix", "matrix", None), ("val", "matrix", "matrix", None), ("test", "list", "list", None)}
    assert rows["train", "emotion", "short", 0].detail == "It has 40 of 48 frames."
    assert "has 24 columns (Contempt missing)" in rows["train", "emotion", "damaged", 1].detail
    assert "holds nan at row 5, column 7" in rows["train", "coefficients", "damaged", 1].detail
    assert "(49, 57)" in rows["train", "coefficients", "damaged", 2].detail
    assert "ends in .NPY, but .npy is needed" in rows["train", "coefficients", "misnamed", None].detail
    assert "lasts 1.20 s, its 49 frames take 1.96 s" in rows["train", "audio", "short", 3].detail
    assert rows["train", "coefficients", "unlisted", None].file == str(stranger)
    assert "row 0, column 1" in rows["train", "matrix", "matrix", None].detail
    assert "6 x 6, but the 2 pairs" in rows["val", "matrix", "matrix", None].detail

    for name in ("report.json", "report.csv"):
        assert main(["react", "check", str(root), "--report", str(tmp_path / name), "--most", "3"]) == 1
    out = capsys.readouterr().out
    assert "11 problems" in out
    assert "more" in out
    report = read_json(tmp_path / "report.json")
    assert sum(row["problem"] for row in report["findings"]) == 11
    with open(tmp_path / "report.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["detail"] for row in table] == [row["detail"] for row in report["findings"]]


def test_lists_that_pair_the_wrong_clips(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    lines = (root / "train.csv").read_text().splitlines()
    first, second = (line.split(",") for line in lines[1:3])
    (root / "train.csv").write_text("\n".join([lines[0], ",".join([*first[:2], second[2]]), *lines[2:]]) + "\n")
    wrong = [finding for finding in check_corpus(root, ["train"])[0] if finding.kind == "list"]
    assert [finding.row for finding in wrong] == [0, 1]
    assert "is of another clip" in wrong[0].detail
    assert wrong[1].detail == "It is in row 0 already."


def test_frames_and_roles_are_looked_at(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("val")
    clip = split.items[0].speaker
    place = root / "val" / "Video_files" / clip.site / clip.session
    (place / clip.role / clip.clip).mkdir(parents=True)
    (place / "Moderator").mkdir()
    (place / "Moderator" / "1.mp4").write_bytes(b"none")
    found = [finding for finding in check_corpus(root, ["val"])[0] if finding.modality == "video"]
    assert sorted((finding.kind, finding.detail) for finding in found) == [
        ("misnamed", "It has the role Moderator, which NoXI does not know."), *[("missing", "The file is absent.")] * 3,
        ("short", "It has 0 of 48 frames.")]


def test_a_video_of_another_rate_is_named_and_not_its_sound(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("val")
    item = split.items[0]
    steady, varying = (split.path("video", clip) for clip in (item.speaker, item.listener))
    for place, times in ((steady, np.arange(58) / 30), (varying, np.concatenate([np.arange(20) / 25, 1.48 + np.arange(11) / 25]))):
        place.parent.mkdir(parents=True)
        write_stamped(place.with_name(place.name + ".mp4"), greys(len(times)), list(times), rate=30)
    found = [finding for finding in check_corpus(root, ["val"])[0] if finding.kind not in ("mono", "missing")]
    assert sorted((finding.kind, finding.modality, finding.detail) for finding in found) == [
        ("rate", "video", "It has 30 frames a second, the corpus has 25; its 58 frames are read as 48, by their times."),
        ("rate", "video", "It has frames at varying distances, about 25 a second, the corpus has 25; its 31 frames are read as 48, "
                          "by their times.")]
    assert not any(finding.problem for finding in found)
    # A video that the edit list cuts is as long as what it shows.
    set_edit(steady.with_name(steady.name + ".mp4"), 3, 36, 30)
    short = [finding for finding in check_corpus(root, ["val"])[0] if finding.kind == "short"]
    assert [(finding.modality, finding.detail) for finding in short] == [("video", "It has 30 of 48 frames.")]


def test_sentences_of_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["react", "check", str(tmp_path)]) == 2
    assert "holds no corpus" in capsys.readouterr().err
    assert main(["react", "check", str(written()), "--report", "x.txt"]) == 2
    assert "neither .json nor .csv" in capsys.readouterr().err
