"""Appropriateness matrices: what one must be, the block rule, and where they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reaction_corpora import copied, written

from diffusionrig.cli import main
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import read_json
from diffusionrig.io.tables import read_text_table
from diffusionrig.reactions.corpus import ClipId, Corpus
from diffusionrig.reactions.corpus.indexing import index_corpus, natural
from diffusionrig.reactions.corpus.matrices import class_matrix, cut_blocks, matrix_problems, pair_rows, read_matrix
from diffusionrig.reactions.corpus.similarity import DEFAULT_THRESHOLD, similar_speakers, speaker_concordance
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.plan import clip_plans, perform, true_matrix


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda m: m[:3], r"has the shape \(3, 4\), but a square"),
    (lambda m: np.eye(6), "is 6 x 6, but the 2 pairs of the csv file make 4 directed items"),
    (lambda m: m + 0.5 * (np.arange(16).reshape(4, 4) == 6), "holds 0.5 at row 1, column 2, but only 0 and 1"),
    (lambda m: np.where(np.arange(16).reshape(4, 4) == 6, np.nan, m), "holds nan at row 1, column 2"),
    (lambda m: m * (np.arange(16).reshape(4, 4) != 10), "is 0 on the diagonal at row 2"),
    (lambda m: np.maximum(m, np.arange(16).reshape(4, 4) == 6), "not symmetric: 1 at row 1, column 2, but 0 at row 2, column 1")])
def test_what_a_matrix_must_be(tmp_path: Path, change, sentence: str) -> None:
    good = np.eye(4)
    assert matrix_problems(good, 4, "m") == []
    path = tmp_path / "m.npy"
    np.save(path, change(good))
    with pytest.raises(RigError, match=sentence):
        read_matrix(path, 4)


def test_large_matrices_are_read_in_blocks(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 40, 700)
    truth = labels[:, None] == labels[None, :]
    np.save(tmp_path / "m.npy", truth.astype(np.float64))
    assert np.array_equal(read_matrix(tmp_path / "m.npy", 700), truth)
    broken = truth.copy()
    broken[690, 3] = not broken[690, 3]
    (problem,) = matrix_problems(broken, 700, "m")
    assert "at row 3, column 690" in problem
    assert "at row 690, column 3" in problem


def test_cutting_blocks_is_the_four_blocks() -> None:
    draw = np.random.default_rng(1)
    half = draw.random((10, 10)) < 0.3
    whole = np.block([[half, ~half], [half.T, half & half.T]])
    rows = [7, 0, 3]
    cut = cut_blocks(whole, rows)
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            assert cut[i, j] == whole[a, b]
            assert cut[i, j + 3] == whole[a, b + 10]
            assert cut[i + 3, j] == whole[a + 10, b]
            assert cut[i + 3, j + 3] == whole[a + 10, b + 10]
    with pytest.raises(RigError, match="Pair 10 is not among the 10"):
        cut_blocks(whole, [10])
    with pytest.raises(RigError, match="even square"):
        cut_blocks(whole[:7, :7], [0])


def test_pairs_are_found_in_the_list_of_all() -> None:
    clips = [ClipId.parse("UDIVA/talk/005013/FC1/16"), ClipId.parse("NoXI/001_Paris/Expert_video/2")]
    listed = [["NoXI", "001_Paris", "2"], ["UDIVA", "005013_talk", "16"], ["Recola", "group-1", "2"]]
    assert pair_rows(clips, listed) == [1, 0]
    assert pair_rows([ClipId.parse("RECOLA/group-1/P25/2")], listed) == [2]
    with pytest.raises(RigError, match=r"Row 0 of the split, NoXI/009/Expert_video/1, is not in data_indices\.csv"):
        pair_rows([ClipId.parse("NoXI/009/Expert_video/1")], listed)


def test_classes_are_transitive() -> None:
    matrix = class_matrix(["a", ("b",), "a", 3])
    assert matrix.astype(int).tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("rule", ["blocks", "truth"])
def test_an_index_built_anew_is_the_one_that_was_there(tmp_path: Path, rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    root, before = copied(tmp_path / "corpus"), Corpus.open(written())
    for split in ("train", "val", "test"):
        (root / f"{split}.csv").unlink()
        (root / f"neighbour_emotion_{split}.npy").unlink()
    assert main(["react", "index", str(root), "--rule", rule]) == 0
    assert "written  train.csv: 4 pairs by session and clip" in capsys.readouterr().out
    for name in ("train", "val", "test"):
        old, new = before.split(name), Corpus.open(root).split(name)
        order = [old.items.index(next(item for item in old.items if item.speaker == wanted.speaker)) for wanted in new.items]
        assert sorted(order) == list(range(len(old)))
        assert np.array_equal(new.matrix(), old.matrix()[np.ix_(order, order)])
    index = read_json(root / "index.json")
    assert "4 pairs" in index["files"]["train.csv"]
    assert main(["react", "index", str(root)]) == 0
    assert "written" not in capsys.readouterr().out
    assert read_json(root / "index.json") == index


def test_similar_speakers_are_mostly_those_of_a_class() -> None:
    options = Options(seed=1, dyads=(8, 1, 1), clips=2)
    plans = clip_plans(options, "train")
    shown = [[perform(options, plan, role).attributes for plan in plans] for role in (0, 1)]
    found, truth = similar_speakers(np.stack(shown[0] + shown[1]), DEFAULT_THRESHOLD), true_matrix(plans)
    apart = ~np.eye(len(truth), dtype=bool)
    assert found[truth & apart].mean() > 0.8
    assert found[~truth].mean() < 0.03
    assert (truth & apart).sum() >= 20


def test_our_own_rule_is_named_as_such(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    (root / "neighbour_emotion_train.npy").unlink()
    note = next(entry.note for entry in index_corpus(root, "similarity") if entry.written)
    assert "our own rule" in note
    assert "not published" in note
    matrix = Corpus.open(root).split("train").matrix()
    assert matrix.shape == (8, 8)
    split = Corpus.open(root).split("val")
    split.path("emotion", split.items[0].speaker).unlink()
    (root / "neighbour_emotion_val.npy").unlink()
    with pytest.raises(UsageError, match="There is no Emotion file"):
        index_corpus(root, "similarity")
    assert not (root / "neighbour_emotion_val.npy").exists()


def test_concordance_is_that_of_its_formula() -> None:
    draw = np.random.default_rng(2)
    behaviour = draw.random((3, 40, 25)).astype(np.float32)
    behaviour[0, :, 4] = behaviour[1, :, 4] = 0.1
    found = speaker_concordance(behaviour)
    a, b = behaviour[0].astype(np.float64), behaviour[1].astype(np.float64)
    shared = ((a - a.mean(0)) * (b - b.mean(0))).mean(0)
    each = 2 * shared / (a.var(0) + b.var(0) + (a.mean(0) - b.mean(0)) ** 2 + 1e-8)
    assert found[0, 1] == pytest.approx(np.delete(each, 4).mean(), abs=1e-6)
    assert np.array_equal(found, found.T)
    assert (np.diag(found) == 1).all()


def test_pairs_need_both_roles_and_every_modality(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("train")
    split.path("emotion", split.items[0].speaker).unlink()
    for modality in ("emotion", "coefficients", "audio"):
        split.path(modality, split.items[1].listener).unlink()
    twin = split.path("coefficients", split.items[2].speaker)
    twin.with_name(twin.stem + "_full.npy").write_bytes(twin.read_bytes())
    made = index_corpus(root, overwrite=True)
    assert made[0].note.startswith("2 pairs by session and clip; 2 left out")
    rows = read_text_table(root / "train.csv")[1]
    assert [row[1] for row in rows] == [str(split.items[2].speaker), str(split.items[3].speaker)]
    assert sorted(["10", "9", "1", "a10", "a9"], key=natural) == ["1", "9", "10", "a9", "a10"]


def test_sentences_of_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path / "corpus")
    (root / "train.csv").unlink()
    assert main(["react", "index", str(root)]) == 2
    assert "is there without train.csv, whose order it follows" in capsys.readouterr().err
    assert not (root / "train.csv").exists()
    (root / "data_indices.csv").unlink()
    assert main(["react", "index", str(root), "--rule", "blocks", "--overwrite"]) == 2
    assert "needs Approprirate_facial_reaction.npy and data_indices.csv" in capsys.readouterr().err
    assert main(["react", "index", str(root), "--threshold", "0"]) == 2
    assert "above 0" in capsys.readouterr().err
    assert main(["react", "index", str(tmp_path / "none")]) == 2
    (root / "data_indices.csv").write_text("site,chat_index,clip_index\nNoXI,1,1\n")
    with pytest.raises(RigError, match=r"is of 16 items, but data_indices\.csv lists 1 pairs"):
        index_corpus(root, "blocks", overwrite=True)
    (root / "truth.json").write_text("{}")
    with pytest.raises(RigError, match="does not tell of the items of"):
        index_corpus(root, "truth", overwrite=True)
    with pytest.raises(UsageError, match="no rule 'guess'"):
        index_corpus(root, "guess")
