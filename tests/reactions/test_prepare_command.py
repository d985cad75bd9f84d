"""``react prepare`` end to end: what is written, continued, shown and refused."""

from __future__ import annotations

import dataclasses
import json
import runpy
import sys
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from reaction_corpora import SMALL, copied, scratch, written

from diffusionrig.cli import main
from diffusionrig.errors import UsageError
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.frame_sequences import write_frame_folder
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus import ClipId, Corpus, Split
from diffusionrig.reactions.corpus.unifr import UnifrFile
from diffusionrig.reactions.features import prepare as preparing
from diffusionrig.reactions.features.choosing import Settings
from diffusionrig.reactions.features.hearing import Mfcc
from diffusionrig.reactions.features.logmel import log_mel
from diffusionrig.reactions.features.resampling import resample
from diffusionrig.reactions.generators.unifr.inputs import PreparedFeatures
from diffusionrig.reactions.synthetic.faces import draw_faces
from diffusionrig.reactions.synthetic.plan import clip_plans, perform

ROOT = Path(__file__).resolve().parents[2]
T = 6
OPTIONS = dataclasses.replace(SMALL, sites=("NoXI",), clips=1, frames=32, dyads=(1, 1, 1))


@lru_cache(maxsize=1)
def filmed() -> Path:
    """A corpus whose val clips have T frames of 112 pixels, the third of the first speaker's without a face; the second speaker has
    neither coefficients nor attributes."""
    root = copied(scratch() / "corpus", OPTIONS)
    split = Corpus.open(root).split("val")
    (plan,) = clip_plans(OPTIONS, "val")
    for role, clip in enumerate(plan.ids):
        performance = perform(OPTIONS, plan, role)
        frames = list(draw_faces(performance.person, performance.coefficients[:5 * T:5], 112, "buffers"))
        if role == 0:
            frames[2] = np.full_like(frames[2], 90)
        folder = split.path("video", clip)
        folder.parent.mkdir(parents=True)
        write_frame_folder(folder, frames)
    for modality in ("coefficients", "emotion"):
        split.path(modality, plan.ids[1]).unlink()
    return root


def heard(split: Split, clip: ClipId) -> tuple[np.ndarray, int]:
    return resample(*split.audio(clip), 44100), 44100


def run(*words: str) -> int:
    return main(["react", "prepare", *words])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    assert run("--data", str(filmed()), "--split", "val", "--output_dir", str(folder), "--length", str(T), "--face_size", "32",
               "--frames_every", "5", "--device", "cpu") == 0
    assert [file.name for file in folder.iterdir()] == ["val_sequential.h5"]  # no parts are left
    return folder / "val_sequential.h5"


def test_every_field_is_there_with_what_it_is(prepared: Path) -> None:
    split = Corpus.open(filmed(), T).split("val")
    with UnifrFile(prepared) as file:
        assert file.clips == [item.speaker for item in split.items]
        shapes = {key: file.describe(key)["shape"][1:] for key in file.fields}
        assert shapes == {"is_face": (T,), "face_box": (T, 4), "s_face": (T, 32, 32, 3), "s_coefficients": (T, 58),
                          "coefficients_from": (T,), "s_MFCC": (T, 26), "s_mfcc78": (T, 78), "s_emotion": (T, 25),
                          "emotion_given": (), "length": ()}
        for key in file.fields:
            about = file.describe(key)
            assert {"dimension", "rate", "alignment", "source", "version"} <= set(about), key
        assert file.describe("s_mfcc78")["dimension"].tolist() == [78]
        assert file.describe("s_mfcc78")["rate"] == 25
        whole = file.describe()
        assert json.loads(whole["features"]) == ["face", "coefficients", "logmel", "mfcc", "emotion"]
        assert set(json.loads(whole["skipped"])) >= {"wav2vec2", "videomae", "unifr"}
        first, second = file.read(0), file.read(1)
    assert first["is_face"].tolist() == [1, 1, 0, 1, 1, 1]
    assert second["is_face"].all()
    assert (first["s_face"][2] == 0).all()
    assert (first["s_face"][0] > 0).mean() > 0.9
    box = first["face_box"][0]
    assert box[2] - box[0] == pytest.approx(box[3] - box[1], abs=1e-3)
    assert 30 < box[2] - box[0] < 112
    # Given ones as they are; captured ones about the truth that the frames were drawn from.
    np.testing.assert_array_equal(first["s_coefficients"], split.coefficients(split.items[0].speaker))
    assert (first["coefficients_from"] == 2).all()
    assert second["coefficients_from"].tolist() == [1, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(second["s_coefficients"][3], (2 * second["s_coefficients"][0] + 3 * second["s_coefficients"][5]) / 5,
                               atol=1e-5)
    (plan,) = clip_plans(OPTIONS, "val")
    truth = perform(OPTIONS, plan, 1).coefficients[[0, 25]]
    assert np.abs(second["s_coefficients"][[0, 5], 52:55] - truth[:, 52:55]).max() < np.radians(8)
    np.testing.assert_array_equal(first["s_emotion"], split.emotion(split.items[0].speaker))
    assert (first["emotion_given"], second["emotion_given"]) == (1, 0)
    assert np.isin(second["s_emotion"][:, :15], [0, 1]).all()
    np.testing.assert_array_equal(first["s_MFCC"], log_mel(*heard(split, split.items[0].speaker))[:T])


def test_the_file_is_shown_and_checked(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--check", str(prepared)) == 0
    out = capsys.readouterr().out
    assert "2 clips of val at 25.0 frames a second, mirrored order" in out
    assert "faces in 11 of 12 frames" in out
    assert "wav2vec2 is left out, since no weights were given" in out
    assert "no problem" in out
    assert main(["react", "check", str(prepared)]) == 0
    broken = tmp_path / "broken.h5"
    broken.write_bytes(prepared.read_bytes())
    with h5py.File(broken, "r+") as file:
        file["s_coefficients"][1, 2, 3] = np.nan
        file["is_face"][0] = 0
    assert run("--check", str(broken)) == 1
    out = capsys.readouterr().out
    assert "s_coefficients is not finite, first at [2, 3]." in out
    assert "No frame shows a face." in out


def test_processes_write_the_same_bytes(prepared: Path, tmp_path: Path) -> None:
    assert run("--data", str(filmed()), "--split", "val", "--output_dir", str(tmp_path), "--length", str(T), "--face_size", "32",
               "--frames_every", "5", "--device", "cpu", "--workers", "2") == 0
    assert (tmp_path / prepared.name).read_bytes() == prepared.read_bytes()


def test_a_stopped_run_continues_with_what_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(written()), "--split", "val", "--features", "logmel,mfcc", "--output_dir"]
    assert run(*words, str(tmp_path / "whole")) == 0
    clips = len(Corpus.open(written()).split("val"))
    made: list[str] = []
    real = Mfcc.extract

    def stopping(self: Mfcc, data) -> dict:
        made.append(str(data.clip))
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(self, data)

    monkeypatch.setattr(Mfcc, "extract", stopping)
    assert run(*words, str(tmp_path / "again")) == 130
    parts = tmp_path / "again" / ".val_sequential.h5.parts"
    assert sorted(part.name for part in parts.glob("*.npz")) == ["00000.npz", "00001.npz"]
    # What a kill within a write leaves: a temporary name, which counts for nothing.
    (parts / ".00002.npz.1-abc.tmp").write_bytes(b"half")
    assert not (tmp_path / "again" / "val_sequential.h5").exists()
    capsys.readouterr()
    assert run(*words, str(tmp_path / "again")) == 0
    assert f"{clips} clips ({clips - 2} made now)" in capsys.readouterr().out
    assert len(made) == 3 + clips - 2
    name = "val_sequential.h5"
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_clip_that_fails_is_named_and_the_others_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("val")
    sound = split.path("audio", split.items[1].speaker)
    kept = sound.read_bytes()
    sound.write_bytes(kept[:len(kept) // 2])
    words = ["--data", str(root), "--features", "logmel", "--output_dir", str(tmp_path / "out")]
    assert run(*words) == 1
    err = capsys.readouterr().err
    assert f"1 of {len(split)} clips could not be prepared, the first because: {split.items[1].speaker}: {sound} lasts" in err
    assert not (tmp_path / "out" / "val_sequential.h5").exists()
    assert run("--face_size", "64", *words) == 2
    assert "holds a begun run with other settings; continue it as it was, or delete the folder" in capsys.readouterr().err
    sound.write_bytes(kept)
    assert run(*words) == 0
    assert "(1 made now)" in capsys.readouterr().out
    capsys.readouterr()
    file = tmp_path / "out" / "val_sequential.h5"
    whole = file.read_bytes()
    assert run(*words) == 0
    assert f"{len(split)} clips (all done before), logmel" in capsys.readouterr().out
    for flag, value, what in (("--features", "logmel,mfcc", "features"), ("--smooth", "2", "settings"),
                              ("--length", "20", "length")):
        assert run(*words, flag, value) == 2
        assert f"exists already, made with other {what};" in capsys.readouterr().err
    # Killed between the whole file and the end: targets are written, parts go.
    parts = tmp_path / "out" / ".val_sequential.h5.parts"
    parts.mkdir()
    (parts / "00000.npz").write_bytes(b"whatever")
    assert run(*words, "--targets", "True") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["val_l_gt.npy", "val_s_gt.npy", "val_sequential.h5"]
    assert file.read_bytes() == whole
    file.write_bytes(b"mine")
    assert run(*words) == 2
    assert "exists already, not made by this command" in capsys.readouterr().err
    assert file.read_bytes() == b"mine"


def test_published_script_shuffles_training_with_its_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["-d", "train", "--data", str(written()), "--output_dir", str(tmp_path), "--features", "logmel", "--seed", "5"]
    monkeypatch.setattr(sys, "argv", ["scripts/react/Data_Script.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts/react/Data_Script.py"), run_name="__main__")
    assert ended.value.code == 0
    split = Corpus.open(written()).split("train")
    with UnifrFile(tmp_path / "train_shuffled.h5") as file:
        order = [[item.speaker for item in split.items].index(clip) for clip in file.clips]
        np.testing.assert_array_equal(file.read(1)["s_MFCC"], log_mel(*heard(split, file.clips[1]))[:split.length])
    assert order == numpy_stream(5, "prepare", "train").permutation(len(split)).tolist()
    assert order != sorted(order)
    np.testing.assert_array_equal(np.load(tmp_path / "train_appro_shuffled.npy"), split.matrix()[order][:, order])


def test_two_runs_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with folder_lock(tmp_path / "out", "react prepare"):
        assert run("--data", str(written()), "--features", "logmel", "--output_dir", str(tmp_path / "out")) == 1
    assert "out is in use by process" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_features_of_two_rates_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(written()), "--features", "logmel", "--output_dir", str(tmp_path)]
    assert run(*words) == 0
    with UnifrFile(tmp_path / "val_sequential.h5") as file:
        assert file.describe()["sound_rate"] == 44100
    assert run("--check", str(tmp_path / "val_sequential.h5")) == 0
    assert "sound at 44100 Hz" in capsys.readouterr().out
    assert run(*words, "--split", "test", "--sound_rate", "16000") == 2
    err = capsys.readouterr().err
    assert "val_sequential.h5 holds features of sound at 44100 Hz, which must not be mixed with those at 16000 Hz" in err
    assert run(*words, "--split", "test") == 0
    # As another version left it.
    with h5py.File(tmp_path / "test_sequential.h5", "r+") as file:
        del file.attrs["sound_rate"]
    with pytest.raises(UsageError, match=r"test_sequential\.h5 holds features of sound each at the rate of its own file"):
        PreparedFeatures(tmp_path, "val", 512)
    assert run(*words, "--split", "train", "--sound_rate", "7") == 2
    assert "--sound_rate 7 is not from 8000" in capsys.readouterr().err


def test_notes_of_clips_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = Mfcc.extract

    def noting(self: Mfcc, data) -> dict:
        data.notes.append("3 samples were clipped.")
        return real(self, data)

    monkeypatch.setattr(Mfcc, "extract", noting)
    assert run("--data", str(written()), "--features", "mfcc", "--output_dir", str(tmp_path)) == 0
    clip = Corpus.open(written()).split("val").items[0].speaker
    assert f"{clip}: 3 samples were clipped." in capsys.readouterr().err


def test_targets_are_those_of_the_split(tmp_path: Path) -> None:
    assert run("--data", str(written()), "--features", "logmel", "--targets", "True", "--output_dir", str(tmp_path)) == 0
    split = Corpus.open(written()).split("val")
    speakers, listeners = (np.load(tmp_path / f"val_{who}_gt.npy") for who in "sl")
    np.testing.assert_array_equal(listeners[1], split.emotion(split.items[1].listener))
    np.testing.assert_array_equal(speakers, np.roll(listeners, split.pairs, 0))


def test_clips_of_different_lengths_are_filled_up(tmp_path: Path) -> None:
    root = written(dataclasses.replace(SMALL, layout="mars"))
    assert run("--data", str(root), "--features", "logmel,emotion", "--output_dir", str(tmp_path)) == 0
    split = Corpus.open(root).split("val")
    with UnifrFile(tmp_path / "val_sequential.h5") as file:
        lengths = []
        for row, clip in enumerate(file.clips):
            made, truth = file.read(row), split.emotion(clip)
            lengths.append(int(made["length"]))
            assert len(truth) == made["length"]
            np.testing.assert_array_equal(made["s_emotion"], truth)
            assert len(made["s_MFCC"]) == len(truth)
        assert len(set(lengths)) > 1
    assert main(["react", "check", str(tmp_path / "val_sequential.h5")]) == 0


def test_every_flag_reaches_the_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple] = []

    def remembered(*words: object) -> dict:
        asked.append(words)
        return {"clips": 2, "made": 0, "features": ["mfcc"], "skipped": {"mfcc": "Told."}, "file": "x.h5"}

    monkeypatch.setattr(preparing, "prepare", remembered)
    assert run("--data", "root", "--split", "test", "--output_dir", "out", "--features", "mfcc,face", "--workers", "3", "--length",
               "9", "--face_size", "64", "--frames_every", "4", "--smooth", "2", "--smooth_beta", "0.5", "--recapture", "True",
               "--sound_rate", "16000", "--emotion_model", "mood", "--wav2vec2", "w", "--videomae", "v", "--shuffled", "True",
               "--seed", "6", "--targets", "True", "--device", "cpu") == 0
    settings = Settings(face_size=64, frames_every=4, smooth=2, smooth_beta=0.5, recapture=True, wav2vec2="w", videomae="v",
                        emotion_model="mood", device="cpu", sound_rate=16000)
    job = preparing.Job(root="root", split="test", features=("mfcc", "face"), settings=settings, length=9, shuffled=True, seed=6,
                        targets=True)
    assert asked == [(job, "out", 3)]
    assert capsys.readouterr().out == "Told.\n2 clips (all done before), mfcc: x.h5\n"


@pytest.mark.parametrize(("words", "sentence"), [
    (["--output_dir", "x"], "Give the corpus as --data."),
    (["--data", "{root}"], "Give the folder to write to as --output_dir."),
    (["--data", "{root}", "--output_dir", "{tmp}", "--features", "face,smell"], "There is no feature 'smell'; choose from face,"),
    (["--data", "{root}", "--output_dir", "{tmp}", "--features", "face"], "No feature can be made: face is left out, since"),
    (["--data", "{root}", "--output_dir", "{tmp}", "--face_size", "7"], "--face_size 7 is neither 0 (no crops) nor from 16"),
    (["--data", "{root}", "--output_dir", "{tmp}", "--emotion_model", "mood"], "There is no attribute model 'mood'"),
    (["--data", "{root}", "--output_dir", "{tmp}", "--smooth", "-1"], "Smoothing takes finite numbers of 0 or more")])
def test_misuse_is_one_sentence(words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*(word.format(root=written(), tmp=tmp_path) for word in words)) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1


def test_a_dead_process_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    class Dying:
        """A pool whose processes are killed."""

        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> Dying:
            return self

        def __exit__(self, *_: object) -> None: ...
        def map(self, *_: object) -> list[str]:
            raise preparing.BrokenProcessPool

    monkeypatch.setattr(preparing, "ProcessPoolExecutor", Dying)
    assert run("--data", str(written()), "--features", "logmel", "--output_dir", str(tmp_path), "--workers", "2") == 1
    assert "A worker process ended unexpectedly" in capsys.readouterr().err
