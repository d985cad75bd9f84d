"""FaceAIS from a corpus to scores, by the published scripts and by the toolkit's commands, at the smallest size."""

import json

import numpy as np
import pytest
from reaction_corpora import written

from diffusionrig.cli import main, run_command
from diffusionrig.cli.react.faceais_tokenizer import shorter
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.reactions.corpus import Corpus

SIZES = ["tokenizer.block", "8", "tokenizer.width", "16", "tokenizer.heads", "2", "tokenizer.frames", "40", "emotion.frames", "40",
         "predictor.patch", "8", "predictor.width", "16", "predictor.heads", "2", "predictor.context", "16", "predictor.steps", "2"]
STEPS = [f"{phase}_train.{name}" for phase in ("tokenizer", "emotion", "predictor")
         for name in ("max_steps 3", "batch_size 2", "warmup_steps 0", "decay_steps 0", "device cpu")]
CHANGES = SIZES + [word for change in STEPS for word in change.split()]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faceais") / "tokens"
    command = ["--run_name", "face_tokenizer", "--quantize_type", "fsq", "--output_dir", str(folder), "--dataset_path",
               str(written()), "--config", "faceais", *CHANGES]
    assert run_command("react faceais_tokenizer", command) == 0
    return folder


@pytest.fixture(scope="module")
def predicted(tokens):
    folder = tokens.parent / "output"
    command = ["--output_dir", str(folder), "--tokenizer_checkpoint", str(tokens), "--dataset_path", str(written()), "--samples",
               "2", "--config", "faceais", *CHANGES]
    assert run_command("react faceais_predictor", command) == 0
    return folder


def test_the_first_script_trains_both_phases_and_measures(tokens):
    whole, about = load_checkpoint(tokens / "tokenizer" / "model000003.safetensors")
    after, later = load_checkpoint(tokens / "emotion" / "model000003.safetensors")
    assert (about["phase"], later["phase"], later["model"]) == ("tokenizer", "emotion", about["model"])
    changed = {name.removeprefix("tokenizer.") for name, tensor in after.items()
               if not np.array_equal(tensor, whole[name.removeprefix("tokenizer.")])}
    assert changed
    assert all(name.startswith(("decoder_to_emotion.", "lm_head_emotion.")) for name in changed)
    report = json.loads((tokens / "reconstruction.json").read_text())
    assert report["run_name"] == "face_tokenizer"
    assert 0 < report["coefficients"] < 2
    assert 1 <= report["perplexity"] <= report["used"] <= 1000


def test_the_second_script_trains_answers_and_scores(predicted, tokens):
    (run,) = [path for path in predicted.iterdir() if path.name.startswith("fsq-logmel26-patch8-context16-vocab1000")]
    for split in ("val", "test"):
        folder = run / "k64-1-p8-output" / split / "render_for_fid"
        made = np.load(folder / "listener_pred.npy")
        assert made.shape == (4, 2, 48, 25)
        assert np.load(folder / "listener_pred_3dmm.npy").shape == (4, 2, 48, 58)
        assert "FRCorr" in (folder / "scores.txt").read_text()
        assert np.abs(made[:, 0] - made[:, 1]).max() > 0
    tensors, about = load_checkpoint(predicted / "predictor" / "model000003.safetensors")
    assert about["phase"] == "predictor"
    held = load_checkpoint(tokens / "emotion" / "model000003.safetensors")[0]
    assert all(np.array_equal(tensors[name], tensor) for name, tensor in held.items())


def test_the_toolkit_generates_from_what_the_scripts_trained(predicted, tmp_path, capsys):
    command = ["react", "generate", "--model_path", str(predicted), "--data", str(written()), "--device", "cpu", "--samples", "3",
               "--mode", "online", "--output"]
    assert main([*command, str(tmp_path / "a.npy")]) == 0
    assert main([*command, str(tmp_path / "b.npy"), "--seed", "1"]) == 0
    assert not np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    about = json.loads((tmp_path / "a.json").read_text())
    assert (about["generator"], about["mode"], about["samples"]) == ("faceais", "online", 3)


def test_test_mode_scores_without_training(predicted, tokens, tmp_path, capsys):
    command = ["--test", "--test_checkpoint", str(predicted / "predictor"), "--tokenizer_checkpoint", str(tokens), "--output_dir",
               str(tmp_path), "--dataset_path", str(written()), "--samples", "1"]
    assert run_command("react faceais_predictor", command) == 0
    assert not (tmp_path / "predictor").exists()


@pytest.mark.parametrize(("command", "words", "sentence"), [
    ("react faceais_tokenizer", ["--output_dir", "x"], "No --dataset_path"),
    ("react faceais_tokenizer", ["--test", "True"], "--test needs"),
    ("react faceais_tokenizer", ["--resume_ckpt", "other/epoch=1.ckpt"], "outside of --output_dir"),
    ("react faceais_predictor", ["--output_dir", "x"], "--tokenizer_checkpoint"),
    ("react faceais_predictor", ["--test", "--tokenizer_checkpoint", "t"], "--test needs")])
def test_misuse_is_one_sentence(command, words, sentence, tmp_path, capsys):
    given = [] if words[0] == "--output_dir" else ["--output_dir", str(tmp_path / "run"), "--dataset_path", str(written())]
    assert run_command(command, [*given, *words, *(["--quantize_type", "fsq"] if "tokenizer" in command else [])]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_examples_are_cut_to_short_clips():
    corpus = Corpus.open(written())
    assert shorter("faceais_published", corpus) == ["data.frames", "48", "tokenizer.frames", "48", "emotion.frames", "48"]
    assert shorter("faceais", Corpus.open(written(), length=200)) == []
