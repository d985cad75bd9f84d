"""What all generators stand on: configurations, examples by sample number, clips, loading. FaceAIS stands for any of them."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reaction_corpora import SMALL, copied, written

from diffusionrig.cli import main
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_checkpoint, save_checkpoint
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.generators.clips import AUDIO, Clips, person_of
from diffusionrig.reactions.generators.config import config_path, read_config, shipped_configs
from diffusionrig.reactions.generators.examples import DataSettings, Examples
from diffusionrig.reactions.generators.running import about_model, load_generator, newest_model
from diffusionrig.reactions.generators.system import SYSTEMS, find_system
from diffusionrig.reactions.generators.unifr.published import read_plan


@pytest.fixture(scope="module")
def split():
    return Corpus.open(written()).split("train")


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_configuration_is_sound(name):
    config = read_config(name)
    assert config.system.name in SYSTEMS
    assert set(config.settings) == {phase.name for phase in config.system.phases}


def test_changes_come_in_pairs_on_top_of_the_file(tmp_path):
    config = read_config("faceais", ["data.frames", "96", "predictor_train.lr", "1e-4", "tokenizer.levels", "5,5,5"])
    assert config.data.frames == 96
    assert config.options("predictor", tmp_path).lr == 1e-4
    assert config.settings["tokenizer"].tokens == 125
    assert config_path("configs/faceais.yaml") == config_path("faceais")


def test_files_that_published_commands_name_have_a_stand_in_unless_they_are_there(tmp_path, monkeypatch):
    for named, system in (("./configs/diffusion_model.yaml", "perfrdiff"), ("./configs/rewrite_weight.yaml", "perfrdiff"),
                          ("./configs/pretrain-cos-keeplr.yaml", "unifr"), ("./configs/cos-keeplr.yaml", "unifr")):
        assert config_path(named) == config_path(f"{system}_published")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cos-keeplr.yaml").write_text("system: {name: unifr}\n")
    assert config_path("cos-keeplr.yaml") == Path("cos-keeplr.yaml")


def test_training_and_testing_configurations_of_one_experiment_share_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plans = [read_plan(f"./configs/{kind}cos-keeplr.yaml", []) for kind in ("pretrain-", "", "finetune-")]
    assert {plan.run for plan in plans} == {Path("ckpts/cos-keeplr")}
    assert [plan.phase for plan in plans] == ["", "", "finetune"]


@pytest.mark.parametrize(("changes", "sentence"), [
    (["data.frames"], "come in pairs"), (["frames", "3"], "write section.name"), (["colour.red", "1"], "has a section 'colour'"),
    (["data.red", "1"], "does not know: red"), (["data.frames", "many"], "must be of type int"),
    (["predictor_train.lr", "fast"], "must be of type float"), (["predictor_train.batch_size", "0"], "batch_size must be 1"),
    (["data.appropriate", "2"], "a share in 0..1"), (["data.frames", "[1"], "no value for data.frames")])
def test_wrong_changes_are_one_sentence(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        read_config("faceais", changes)


def test_a_configuration_must_exist_and_name_its_system(tmp_path):
    with pytest.raises(UsageError, match="no configuration nowhere"):
        read_config("nowhere")
    (tmp_path / "mine.yaml").write_text("data: {frames: 3}\n")
    with pytest.raises(UsageError, match="whose configuration"):
        read_config(str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("system: {name: oracle}\n")
    with pytest.raises(UsageError, match="no system 'oracle'"):
        read_config(str(tmp_path / "mine.yaml"))
    with pytest.raises(UsageError, match="no phase 'dance'"):
        find_system("faceais").phase("dance")


def test_an_example_is_a_function_of_its_number(split):
    one, two = (Examples(split, DataSettings(frames=20), seed=4) for _ in range(2))
    forward, backward = [one.draw(n) for n in range(12)], [two.draw(n) for n in reversed(range(12))][::-1]
    for a, b in zip(forward, backward):
        assert (a.item, a.target, a.start) == (b.item, b.target, b.start)
        assert a.listener.emotion.equal(b.listener.emotion)
    assert len({(example.item.index, example.start) for example in forward}) > 6
    assert {Examples(split, DataSettings(), 5).draw(n).item.index for n in range(len(split))} == set(range(len(split)))


def test_targets_suit_the_speaker_and_rows_are_the_clips(split):
    settings = DataSettings(frames=20, appropriate=1.0)
    examples = Examples(split, settings)
    for number in range(12):
        example = examples.draw(number)
        assert split.matrix()[example.item.index, example.target.index]
        rows = slice(example.start, example.start + 20)
        shown = split.coefficients(example.target.listener)[rows] - split.mean_face
        np.testing.assert_array_equal(example.listener.coefficients.numpy(), shown)
        np.testing.assert_array_equal(example.speaker.emotion.numpy(), split.emotion(example.item.speaker)[rows])
    own = Examples(split, dataclasses.replace(settings, appropriate=0.0))
    assert all(own.draw(number).target == own.draw(number).item for number in range(12))
    assert len(own.draw(0, frames=0).speaker) == 48
    with pytest.raises(UsageError, match=r"set data\.frames lower"):
        own.draw(0, frames=49)


def test_clips_are_kept_as_long_as_they_fit(split):
    clips = Clips(split, megabytes=0.0)
    first, second = split.items[0].speaker, split.items[0].listener
    kept = clips(first)
    assert clips(first) is kept
    clips(second)
    assert clips(first) is not kept
    roomy = Clips(split)
    assert roomy(first) is roomy(first)
    assert all(roomy(second) is not None for _ in range(2))
    assert roomy(first) is roomy(first)


def test_a_speaker_is_told_with_absolute_coefficients_and_sound(split):
    clip = split.items[0].speaker
    told = Clips(split).speaker(clip)
    # To the bit, whatever the mean face is.
    assert split.mean_face is not None
    assert split.mean_face.any()
    np.testing.assert_array_equal(told.coefficients, split.coefficients(clip))
    assert told.coefficients.dtype == np.float32
    assert told.audio[AUDIO].shape == (48, 26)
    assert Clips(split, audio=False).speaker(clip).audio == {}


def test_histories_are_the_same_persons_other_clips_or_anothers(split):
    clips = Clips(split)
    clip = split.items[0].listener
    own, other = clips.history(clip), clips.stranger(clip)
    assert own.name == person_of(clip) != other.name
    assert len(own.emotion) == SMALL.clips - 1
    assert not any(np.array_equal(rows, split.emotion(clip)) for rows in own.emotion)
    for rows, known in zip(own.coefficients, clips.others(clip), strict=True):
        np.testing.assert_array_equal(rows, split.coefficients(known))


def test_sound_that_ends_early_is_one_sentence(tmp_path):
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("train")
    clip = split.items[0].speaker
    sound = split.path("audio", clip)
    data = sound.read_bytes()
    sound.write_bytes(data[:len(data) // 2])
    with pytest.raises(RigError):
        Clips(split)(clip)


def test_only_generators_are_loaded(tmp_path):
    with pytest.raises(UsageError, match="no model or run"):
        newest_model(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no model"):
        newest_model(tmp_path)
    save_checkpoint(tmp_path / "model000001.safetensors", {}, {"kind": "something else"})
    with pytest.raises(UsageError, match="no model of a reaction generator"):
        load_generator(tmp_path)


def test_the_newest_model_of_the_last_phase_is_taken(tmp_path):
    for phase, steps in (("predictor", (5, 20)), ("tokenizer", (30,)), ("emotion", (40,))):
        for step in steps:
            (tmp_path / phase).mkdir(exist_ok=True)
            save_checkpoint(tmp_path / phase / f"model{step:06d}.safetensors", {}, about_model("faceais", phase, DataSettings()))
    assert newest_model(tmp_path) == tmp_path / "predictor" / "model000020.safetensors"
    assert newest_model(tmp_path / "tokenizer") == tmp_path / "tokenizer" / "model000030.safetensors"


TINY = ["tokenizer.block", "8", "tokenizer.width", "8", "tokenizer.heads", "2", "tokenizer_train.batch_size", "2",
        "tokenizer.frames", "40", "tokenizer_train.warmup_steps", "0", "tokenizer_train.decay_steps", "0",
        "tokenizer_train.device", "cpu"]


def trained(folder, steps, *words):
    return main(["react", "train", "--config", "faceais", "--data", str(written()), "--log_dir", str(folder), "--phase",
                 "tokenizer", *TINY, "tokenizer_train.max_steps", str(steps), *words])


def test_a_phase_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    assert trained(tmp_path / "whole", 4) == 0
    assert trained(tmp_path / "parts", 2) == 0
    assert trained(tmp_path / "parts", 4) == 0
    whole, parts = (load_checkpoint(tmp_path / name / "tokenizer" / "model000004.safetensors")[0] for name in ("whole", "parts"))
    assert all(whole[name].equal(parts[name]) for name in whole)


def test_other_settings_do_not_continue_a_run(tmp_path, capsys):
    assert trained(tmp_path, 1) == 0
    assert trained(tmp_path, 2, "tokenizer.layers", "2") == 2
    assert "choose another log_dir" in capsys.readouterr().err


def test_a_later_phase_needs_the_earlier_ones(tmp_path, capsys):
    words = ["react", "train", "--config", "faceais", "--data", str(written()), "--log_dir", str(tmp_path)]
    assert main([*words, "--phase", "predictor"]) == 2
    assert "train the phases tokenizer and emotion first" in capsys.readouterr().err
    assert main([*words, "--phase", "dance"]) == 2
    assert main(words[:4]) == 2


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path):
    assert trained(tmp_path / "one", 2, "tokenizer_train.batch_size", "4") == 0
    command = ["react", "train", "--config", "faceais", "--data", str(written()), "--log_dir", str(tmp_path / "two"), "--phase",
               "tokenizer", *TINY, "tokenizer_train.max_steps", "2"]
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "diffusionrig", *command],
                   check=True)
    one, two = (load_checkpoint(tmp_path / name / "tokenizer" / "model000002.safetensors")[0] for name in ("one", "two"))
    assert all(np.allclose(one[name], two[name], atol=1e-4) for name in one)
