"""``diffusionrig react synth``: the corpus on disk, determinism, continuing, MARS's form, frames, and its sentences."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from reaction_corpora import SMALL, copied, written

from diffusionrig.cli import main
from diffusionrig.errors import UsageError
from diffusionrig.io.files import read_json, sha256_of
from diffusionrig.io.images import read_image
from diffusionrig.io.tables import read_text_table
from diffusionrig.io.wav import wav_info
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.corpus.checking import check_corpus
from diffusionrig.reactions.corpus.mars import target_lists
from diffusionrig.reactions.corpus.matrices import cut_blocks, pair_rows
from diffusionrig.reactions.synthetic.faces import draw_faces
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.people import sample_participant
from diffusionrig.reactions.synthetic.plan import clip_plans, perform, true_matrix
from diffusionrig.reactions.synthetic.writing import write_corpus


def _files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): sha256_of(path) for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_options_give_the_same_bytes_and_a_run_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("train")
    for modality in ("emotion", "coefficients", "audio"):
        split.path(modality, split.items[1].speaker).unlink()
    (root / "truth.json").unlink()
    arguments = ["react", "synth", "--output_dir", str(root), "--seed", "3", "--dyads", "2,1,1", "--clips", "2", "--frames", "48",
                 "--audio", "mono", "--sites", "NoXI,UDIVA"]
    assert main(arguments) == 0
    assert "8 clips of 8 people, 16 directed items" in (out := capsys.readouterr().out)
    assert "(1 written now)" in out
    assert _files(root) == _files(written())
    assert main([*arguments, "--micro", "0.1"]) == 2
    assert "with micro 0.0, not 0.1" in capsys.readouterr().err
    assert _files(root) == _files(written())


def test_every_list_and_matrix_agrees_with_the_truth() -> None:
    root = written()
    truth, corpus = read_json(root / "truth.json"), Corpus.open(written())
    everything = np.load(root / "Approprirate_facial_reaction.npy")
    listed = read_text_table(root / "data_indices.csv")[1]
    assert everything.shape == (2 * len(listed), 2 * len(listed)) == (16, 16)
    for name in corpus.splits:
        split, told = corpus.split(name), truth["splits"][name]
        plans = clip_plans(SMALL, name)
        assert [np.flatnonzero(row).tolist() for row in split.matrix()] == told["neighbours"]
        assert np.array_equal(split.matrix(), true_matrix(plans))
        assert np.array_equal(cut_blocks(everything, pair_rows([item.speaker for item in split.items[:split.pairs]], listed)),
                              split.matrix())
        for plan, clip in zip(plans, told["clips"]):
            assert [clip["speaker"], clip["listener"]] == list(map(str, plan.ids))
            assert clip["class"] == plan.situation.name
            for role, member in enumerate(clip["participants"]):
                shown = perform(SMALL, plan, role)
                assert truth["people"][member["person"]]["lag"] == shown.person.lag
                assert np.allclose(truth["people"][member["person"]]["baseline"], shown.person.baseline, atol=1e-6)
                assert len(member["events"]) == len(shown.events)
                still = set(member["constant"])
                values = corpus.split(name).emotion(plan.ids[role])
                assert {column for column, flag in zip(read_text_table(split.path("emotion", plan.ids[role]))[0],
                                                       np.ptp(values, axis=0) == 0) if flag} == still
    train = corpus.split("train")
    rows = np.concatenate([perform(SMALL, plan, role).coefficients for plan in clip_plans(SMALL, "train") for role in (0, 1)])
    assert train.mean_face is not None
    assert train.std_face is not None
    assert np.allclose(train.mean_face, rows.mean(0, dtype=np.float64), atol=1e-5)
    assert np.allclose(train.std_face, np.maximum(rows.std(0, dtype=np.float64), 1e-4), atol=1e-4)


def test_people_are_in_one_split_only() -> None:
    truth = read_json(written() / "truth.json")
    names = [{member["person"] for clip in truth["splits"][split]["clips"] for member in clip["participants"]}
             for split in ("train", "val", "test")]
    assert [len(some) for some in names] == [4, 2, 2]
    assert len(set.union(*names)) == len(truth["people"]) == 8


def test_full_length_and_stereo_are_those_of_react(tmp_path: Path) -> None:
    options = Options(seed=0, dyads=(1, 1, 1), clips=1, frames=750, sites=("RECOLA",))
    write_corpus(dataclasses.replace(options, audio="none"), tmp_path / "corpus")
    split = Corpus.open(tmp_path / "corpus").split("train")
    clip = split.items[0].speaker
    assert split.length == 750
    assert np.load(split.path("coefficients", clip)).shape == (751, 1, 58)
    assert len(split.path("emotion", clip).read_text().splitlines()) == 751
    assert (clip.role, split.path("emotion", clip).parent.name) == ("P41", "P1")


def test_sound_has_a_frame_more_as_the_video(tmp_path: Path) -> None:
    write_corpus(Options(seed=0, dyads=(1, 1, 1), clips=1, frames=40), tmp_path / "corpus")
    split = Corpus.open(tmp_path / "corpus").split("val")
    info = wav_info(split.path("audio", split.items[0].speaker))
    assert (info.rate, info.channels, info.samples) == (44100, 2, 41 * 1764)
    assert not any(finding for finding in check_corpus(tmp_path / "corpus")[0])


def test_the_form_of_mars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "mars"
    assert main(["react", "synth", "--output_dir", str(root), "--seed", "3", "--dyads", "4,1,1", "--clips", "3", "--frames", "40",
                 "--layout", "mars", "--audio", "mono"]) == 0
    corpus = Corpus.open(root)
    assert (corpus.layout.name, corpus.fps) == ("mars", 30)
    split = corpus.split("train")
    assert (len(split), split.length) == (24, None)
    lengths = {len(split.emotion(item.speaker)) for item in split.items}
    assert len(lengths) > 4
    assert all(24 <= length <= 56 for length in lengths)
    for item in split.items:
        length = len(split.emotion(item.speaker))
        assert split.coefficients(item.speaker).shape == (length + 1, 58)
        assert len(split.emotion(item.listener)) == length
    truth = read_json(root / "truth.json")["splits"]["train"]
    assert [np.flatnonzero(row).tolist() for row in split.matrix()] == truth["neighbours"]
    assert {item.speaker.session for item in split.items if item.index < 12} >= {"session0", "session1", "session2", "session3"}
    lists = target_lists(split, seed=1)
    assert all(len(targets) == 10 and targets[0] == index for index, targets in enumerate(lists))
    assert all(split.matrix()[index, targets].all() for index, targets in enumerate(lists))
    crowded = [index for index in range(24) if len(split.neighbours(index)) >= 3]
    assert crowded
    assert all(len(set(target_lists(split, 1, 3)[index])) == 3 for index in crowded)
    assert target_lists(split, seed=1) == lists != target_lists(split, seed=2)
    with pytest.raises(UsageError, match="at least 1"):
        target_lists(split, count=0)
    assert main(["react", "index", str(root), "--seed", "1"]) == 0
    header, rows = read_text_table(root / "targets_train.csv")
    assert header[-1] == "target_9"
    assert rows[0][1:4] == [str(split.items[0].speaker), str(split.items[0].listener), str(split.items[0].listener)]
    capsys.readouterr()
    assert main(["react", "check", str(root)]) == 0
    assert "0 problems" in capsys.readouterr().out


def test_frames_show_the_participant_moving(tmp_path: Path) -> None:
    person = sample_participant(0, "train", 0, 0)
    rest = np.zeros((4, 58), np.float32)
    rest[:, 52], rest[:, 57] = np.pi, 1.84
    rest[1, 24] = 1.0  # the jaw opens
    rest[2, 53] = 0.4  # the head turns to the right of the picture
    still, open_jaw, turned, again = draw_faces(person, rest, 48, "buffers")
    assert still.shape == (48, 48, 3)
    assert np.array_equal(still, again)
    assert np.array_equal(next(draw_faces(person, rest[2:3], 48, "buffers")), turned)
    moved = np.abs(open_jaw.astype(int) - still).sum(-1) > 30
    assert moved[28:].sum() > 3 * moved[:24].sum()
    other = next(draw_faces(sample_participant(0, "train", 0, 1), rest[:1], 48, "buffers"))
    assert np.abs(other.astype(int) - still).mean() > 10
    photograph = next(draw_faces(person, rest[:1], 48, "photographs"))
    assert photograph.shape == (48, 48, 3)


@pytest.mark.parametrize("video", ["frames", "mp4"])
def test_video_is_written_and_read(tmp_path: Path, video: str) -> None:
    options = Options(seed=0, dyads=(1, 1, 1), clips=1, frames=32, audio="none", video=video, video_size=32)
    write_corpus(options, tmp_path / "corpus")
    split = Corpus.open(tmp_path / "corpus").split("val")
    clip = split.items[0].speaker
    frames = split.frames(clip)
    assert len(frames) == 32
    plan = clip_plans(options, "val")[0]
    drawn = list(draw_faces(sample_participant(0, "val", 0, 0), perform(options, plan, 0).coefficients, 32, "buffers"))
    assert len(drawn) == 33
    for number, frame in enumerate(frames):
        difference = np.abs(frame.astype(int) - drawn[number]).mean()
        assert difference == 0 if video == "frames" else difference < 12
    assert read_image(tmp_path / "corpus" / "contact_sheet.png").ndim == 3
    assert check_corpus(tmp_path / "corpus")[0] == []


@pytest.mark.parametrize(("flags", "sentence"), [
    ([], "--output_dir"),
    (["--output_dir", "X", "--sites", "NoXI,Mars"], "NoXI, RECOLA, UDIVA"),
    (["--output_dir", "X", "--dyads", "6,3"], "three numbers from 1 to"),
    (["--output_dir", "X", "--dyads", "a,b,c"], "three whole numbers such as 6,3,3"),
    (["--output_dir", "X", "--frames", "12"], "--frames is 12, but it must lie from 32"),
    (["--output_dir", "X", "--noise", "-1"], "--noise is -1.0, but it must lie from 0"),
    (["--output_dir", "X", "--jitter", "9"], "--jitter is 9")])
def test_sentences_of_synth(tmp_path: Path, flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["react", "synth", *(str(tmp_path / "corpus") if flag == "X" else flag for flag in flags)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "corpus").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    assert main(["react", "synth", "--output_dir", str(tmp_path)]) == 2
    assert "not empty and holds no synthetic corpus" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
