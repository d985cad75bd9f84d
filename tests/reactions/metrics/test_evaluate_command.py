import json

import numpy as np
import pytest

from diffusionrig.cli import main
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.images import read_image, write_png


def react(*words):
    return main(["react", *map(str, words)])


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    """Predictions of val by mime five frames late, and by the truth; two samples each."""
    folder = tmp_path_factory.mktemp("predictions")
    for name, more in (("mime", ["--lag", 5]), ("ground_truth", [])):
        words = ["--data", corpus.root, "--predictor", name, *more, "--samples", 2]
        assert react("predict", *words, "--output", folder / f"{name}.npy") == 0
    return folder


def evaluate(corpus, path, *words):
    return react("evaluate", path, "--data", corpus.root, "--device", "cpu", "--threads", 1, *words)


def test_predictions_carry_what_they_were_made_for(corpus, made):
    about = json.loads((made / "mime.json").read_text())
    assert (about["items"], about["samples"], about["frames"], about["split"]) == (8, 2, 110, "val")
    assert np.load(made / "mime_3dmm.npy").shape == (8, 2, 110, 58)


def test_the_scores_are_printed_written_and_drawn(corpus, made, tmp_path, capsys):
    assert evaluate(corpus, made / "mime.npy", "--output_dir", tmp_path / "scores", "--renderer", "none") == 0
    text = capsys.readouterr().out
    assert "mime: 8 items of val, K = 2, T = 110, scale: raw, -" in text
    assert "renderer: none" in text
    assert "channels that are constant in a window are left out" in text
    found = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert found["modes"]["fixed"]["FRSyn"]["value"] == 5
    assert found["modes"]["fixed"]["FRSyn"]["details"]["signed_lag"] == 5
    assert found["modes"]["official"]["FRDist"]["value"] == pytest.approx(2 * found["modes"]["fixed"]["FRDist"]["value"])
    assert len(found["modes"]["official"]["FRCorr"]["items"]) == 8
    assert (tmp_path / "scores" / "scores.txt").read_text() == text
    assert read_image(tmp_path / "scores" / "scores.png").shape == (680, 900, 3)


def test_the_truth_is_perfect_and_stands_beside_others(corpus, made, tmp_path, capsys):
    assert evaluate(corpus, made / "mime.npy", "--output_dir", tmp_path, "--metrics", "FRCorr,FRDist") == 0
    capsys.readouterr()
    assert evaluate(corpus, made / "ground_truth.npy", "--mode", "fixed", "--metrics", "FRCorr,FRDist",
                    "--against", tmp_path / "scores.json") == 0
    rows = capsys.readouterr().out.splitlines()
    assert "fixed (mime)" in next(row for row in rows if row.startswith("measure"))
    assert next(row for row in rows if row.startswith("FRCorr")).split()[2] == "1"
    assert next(row for row in rows if row.startswith("FRDist")).split()[2] == "0"


def test_unlike_scores_are_not_compared(corpus, made, tmp_path, capsys):
    assert evaluate(corpus, made / "mime.npy", "--output_dir", tmp_path, "--metrics", "FRVar", "--mode", "official") == 0
    known = json.loads((tmp_path / "scores.json").read_text())
    for key, word in (("samples", "K is 2 here and 10 there"), ("frames", "T is 110 here and 736 there"),
                      ("matrix", "matrix is")):
        other = {**known, "conditions": {**known["conditions"], key: {"samples": 10, "frames": 736, "matrix": "abcd"}[key]}}
        (tmp_path / "other.json").write_text(json.dumps(other))
        assert evaluate(corpus, made / "mime.npy", "--metrics", "FRVar", "--against", tmp_path / "other.json") == 2
        error = capsys.readouterr().err
        assert "cannot be compared" in error
        assert word in error
    assert evaluate(corpus, made / "mime.npy", "--metrics", "FRVar", "--mode", "fixed", "--against", tmp_path / "scores.json") == 2
    assert "the modes are fixed here and official there" in capsys.readouterr().err
    (tmp_path / "other.json").write_text('{"format": 3}')
    assert evaluate(corpus, made / "mime.npy", "--metrics", "FRVar", "--against", tmp_path / "other.json") == 1
    assert "holds no scores" in capsys.readouterr().err


def spoilt(kind, array):
    if kind == "nan":
        array[3, 1, 7, 15] = np.nan
    return {"nan": array, "items": array[:4], "frames": array[:, :, :96], "columns": array[..., :24], "flat": array[0, 0]}[kind]


@pytest.mark.parametrize(("kind", "sentence"), [
    ("nan", "holds nan at item 3, sample 1, frame 7, valence"),
    ("items", "holds 4 items (the rows of the list, but not the same with the roles exchanged), but the split has 8"),
    ("frames", "has 96 frames a clip, but the corpus has 110; score the first 96 of both with --frames 96"),
    ("columns", "has the shape (8, 2, 110, 24), but (items, samples, frames, 25) is needed"),
    ("flat", "has the shape (110, 25), but"),
])
def test_bad_predictions_are_named_in_one_sentence(corpus, made, tmp_path, capsys, kind, sentence):
    write_npy(tmp_path / "bad.npy", np.array(spoilt(kind, np.load(made / "mime.npy"))))
    assert evaluate(corpus, tmp_path / "bad.npy", "--output_dir", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert "bad.npy" in error
    assert not (tmp_path / "out").exists()


def test_predictions_for_other_clips_are_refused(corpus, made, tmp_path, capsys):
    (tmp_path / "p.npy").write_bytes((made / "mime.npy").read_bytes())
    (tmp_path / "p.json").write_text(json.dumps({"clips": "0" * 64, "split": "test"}))
    assert evaluate(corpus, tmp_path / "p.npy") == 2
    assert "was predicted for other clips" in capsys.readouterr().err


def test_a_matrix_of_the_wrong_size_is_refused(corpus, made, tmp_path, capsys):
    import shutil

    shutil.copytree(corpus.root, tmp_path / "corpus")
    write_npy(tmp_path / "corpus" / "neighbour_emotion_val.npy", np.eye(6))
    assert react("evaluate", made / "mime.npy", "--data", tmp_path / "corpus") == 1
    assert "is 6 x 6, but" in capsys.readouterr().err


def test_shorter_predictions_are_scored_on_their_frames(corpus, made, tmp_path, capsys):
    write_npy(tmp_path / "short.npy", np.load(made / "ground_truth.npy")[:, :, :96])
    assert evaluate(corpus, tmp_path / "short.npy", "--frames", 96, "--metrics", "FRDist", "--mode", "official") == 0
    assert "T = 96" in capsys.readouterr().out


def test_a_tail_of_zeros_is_pointed_out(corpus, made, tmp_path, capsys):
    array = np.load(made / "mime.npy")
    array[:, :, -6:] = 0
    write_npy(tmp_path / "tail.npy", array)
    assert evaluate(corpus, tmp_path / "tail.npy", "--metrics", "FRVar") == 0
    assert "The last 6 frames of every prediction are 0" in capsys.readouterr().out


def test_realism_names_its_features(corpus, made, tmp_path, capsys):
    random = np.random.default_rng(0)
    for name, level in (("real", 128), ("fake", 60)):
        for clip in range(2):
            (tmp_path / name / str(clip)).mkdir(parents=True)
            for frame in range(4):
                noise = random.normal(level, 20, (40, 40, 3)).clip(0, 255).astype(np.uint8)
                write_png(tmp_path / name / str(clip) / f"{frame + 1}.png", noise)
    words = ["--metrics", "FRVar", "--mode", "fixed", "--real_frames", tmp_path / "real", "--frame_step", 2]
    assert evaluate(corpus, made / "mime.npy", *words, "--made_frames", tmp_path / "fake", "--output_dir", tmp_path / "out") == 0
    assert "features: random-convolutions-1" in capsys.readouterr().out
    entry = json.loads((tmp_path / "out" / "scores.json").read_text())["modes"]["fixed"]["FRRea"]
    assert entry["features"] == "random-convolutions-1"
    assert entry["value"] > 0.1
    assert entry["unread"] == []
    (tmp_path / "real" / "0" / "5.exr").write_bytes(b"raw")
    assert evaluate(corpus, made / "mime.npy", *words, "--made_frames", tmp_path / "real", "--output_dir", tmp_path / "out") == 0
    entry = json.loads((tmp_path / "out" / "scores.json").read_text())["modes"]["fixed"]["FRRea"]
    assert entry["unread"] == [str(tmp_path / "real" / "0" / "5.exr")] * 2  # of both sides, which are one folder here
    assert "2 pictures or videos of other kinds were not read" in (tmp_path / "out" / "scores.txt").read_text()
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("FRRea"))
    assert float(row.split()[2]) == pytest.approx(0, abs=1e-9)
    write_npy(tmp_path / "fake.npy", random.random((5, 3)))
    assert evaluate(corpus, made / "mime.npy", *words, "--made_frames", tmp_path / "fake.npy") == 2
    assert "both be folders of frames or both features" in capsys.readouterr().err


def test_misuse_of_the_flags_is_one_sentence(corpus, made, tmp_path, capsys):
    assert react("evaluate", made / "mime.npy") == 2
    assert evaluate(corpus, made / "mime.npy", "--metrics", "FRC") == 2
    assert evaluate(corpus, made / "mime.npy", "--real_frames", tmp_path) == 2
    assert evaluate(corpus, tmp_path / "absent.npy") == 2
    assert react("predict", "--data", corpus.root, "--predictor", "mime", "--output", made / "mime.npy") == 2
    assert react("predict", "--data", corpus.root, "--lag", -1, "--output", tmp_path / "x.npy") == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 6
    assert all(line.startswith("diffusionrig react ") for line in errors)
