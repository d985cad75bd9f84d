"""UniFR from a corpus to scored reactions, by its commands."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from reaction_corpora import SMALL, scratch, written

from diffusionrig.cli import main, run_command
from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.reactions.coefficients.network import AttributesToCoefficients
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.generators.clips import Clips
from diffusionrig.reactions.generators.config import read_config
from diffusionrig.reactions.generators.examples import DataSettings, Examples
from diffusionrig.reactions.generators.running import load_generator
from diffusionrig.reactions.generators.unifr.generator import coefficients_online
from diffusionrig.reactions.generators.unifr.inputs import of_row, of_speaker
from diffusionrig.reactions.generators.unifr.learning_words import learn_vocabulary
from diffusionrig.reactions.generators.unifr.model import UnifrModel
from diffusionrig.reactions.generators.unifr.network import fresh
from diffusionrig.reactions.generators.unifr.settings import Pretrain
from diffusionrig.reactions.generators.unifr.tasks import UnifrTask
from diffusionrig.reactions.interface import SpeakerClip

TINY = ["data.frames", "24", "coefficients_train.max_steps", "2", "coefficients_train.batch_size", "2", "pretrain.width", "12",
        "pretrain.layers", "1", "pretrain.heads", "2", "pretrain.exp_words", "16", "pretrain_train.batch_size", "2",
        "pretrain_train.max_steps", "3", "pretrain_train.log_interval", "1", "finetune_train.max_steps", "1",
        "finetune_train.batch_size", "2", "pretrain.offline", "steps 2 top_k 5"]
SETTINGS = Pretrain(width=12, layers=1, heads=2, dropout=0.0, exp_words=16, online_step=4, matching=0.5)


@functools.lru_cache(maxsize=1)
def trained() -> Path:
    """A run of all phases."""
    folder = scratch() / "run"
    command = ["react", "train", "--config", "unifr", "--data", str(written()), "--log_dir", str(folder)]
    assert main([*command, *TINY]) == 0
    assert main([*command, "--phase", "finetune", *TINY]) == 0
    return folder


def task(settings: Pretrain = SETTINGS, frames: int = 24) -> UnifrTask:
    split = Corpus.open(written()).split("train")
    vocabulary = learn_vocabulary(split, {"AU": 99, "exp": 16, "VA": 99}, 20, 0)
    model = UnifrModel(fresh(settings.sizes(vocabulary.sizes), 0), vocabulary, AttributesToCoefficients(), torch.zeros(58))
    return UnifrTask("pretrain", settings, Examples(split, DataSettings(frames=frames)), model, 0)


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_trained_model_answers_whole_clips_reproducibly(mode):
    generator = load_generator(trained(), "cpu")
    clips = Clips(Corpus.open(written()).split("val"))
    speaker = clips.speaker(clips.split.items[0].speaker)
    made = generator.generate(speaker, None, 3, 0, mode)
    assert made.emotion.shape == (3, SMALL.frames, 25)
    assert made.coefficients.shape == (3, SMALL.frames, 58)
    assert np.isfinite(made.coefficients).all()
    assert np.array_equal(made.emotion[:2], generator.generate(speaker, None, 2, 0, mode).emotion)
    assert not np.array_equal(made.emotion, generator.generate(speaker, None, 3, 1, mode).emotion)
    assert not np.array_equal(made.emotion[0], made.emotion[1])


def test_online_frames_depend_on_what_was_shown_before_them():
    generator = load_generator(trained(), "cpu")
    clips = Clips(Corpus.open(written()).split("val"))
    speaker = clips.speaker(clips.split.items[0].speaker)
    t = 21
    other = SpeakerClip(speaker.name, *(np.concatenate([part[:t], 1 - part[t:]])
                                        for part in (speaker.emotion, speaker.coefficients)),
                        {name: np.concatenate([part[:t], part[t:] + 2]) for name, part in speaker.audio.items()})
    one, two = (generator.generate(clip, None, 2, 0, "online") for clip in (speaker, other))
    assert np.array_equal(one.emotion[:, :t + 1], two.emotion[:, :t + 1])
    np.testing.assert_allclose(one.coefficients[:, :t + 1], two.coefficients[:, :t + 1], atol=1e-5)
    assert not np.array_equal(one.emotion, two.emotion)


def test_the_checkpoint_says_what_it_is_and_tuning_goes_on_from_it():
    tensors, meta = load_checkpoint(next((trained() / "finetune").glob("model*.safetensors")))
    assert (meta["system"], meta["phase"], meta["model"]["objectives"]) == ("unifr", "finetune", "matching masked")
    assert meta["model"]["width"] == 12
    before, _ = load_checkpoint(next((trained() / "pretrain").glob("model*.safetensors")))
    assert torch.equal(tensors["vocabulary.AU"], before["vocabulary.AU"])
    assert torch.equal(tensors["coefficients.fc.weight"], before["coefficients.fc.weight"])
    assert not torch.equal(tensors["transformer.heads.AU.weight"], before["transformer.heads.AU.weight"])
    # The offline objectives leave the online attention alone.
    assert torch.equal(tensors["transformer.blocks.0.causal.qkv.weight"], before["transformer.blocks.0.causal.qkv.weight"])


def test_a_batch_holds_what_its_items_hold_alone():
    one = task()
    together = one.batch([3, 4, 5, 6])
    for i in range(4):
        alone = one.batch([3 + i])
        assert all(torch.equal(alone[name][0], together[name][i]) for name in together)
    assert together["matched"].tolist() == [False, True, False, True]
    assert not torch.equal(together["other"][1], together["words"][1])
    assert torch.equal(together["other"][0], together["words"][0])
    losses = one.loss(together, [3, 4, 5, 6])
    apart = [one.loss(one.batch([n]), [n]) for n in (3, 4, 5, 6)]
    for name, value in losses.items():
        torch.testing.assert_close(value, torch.stack([each[name] for each in apart]).mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objectives", ["matching masked causal", "matching masked", "masked", "causal", "matching"])
def test_every_weight_has_a_gradient_whatever_is_learned(objectives):
    import dataclasses

    one = task(dataclasses.replace(SETTINGS, objectives=objectives), frames=8)
    one.loss(one.batch([1]), [1])["loss"].backward()  # nobody is matched in this batch
    idle = [name for name, p in one.network.transformer.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []
    used = {name for name, p in one.network.transformer.named_parameters() if p.requires_grad}
    assert ("blocks.0.causal.qkv.weight" in used) == ("causal" in objectives)


def test_checkpointing_changes_no_gradient():
    import dataclasses

    found = []
    for keep in (False, True):
        one = task(dataclasses.replace(SETTINGS, checkpointing=keep), frames=8)
        one.loss(one.batch([2]), [2])["loss"].backward()
        found.append(torch.cat([p.grad.flatten() for p in one.network.transformer.parameters()]))
    torch.testing.assert_close(*found)


def test_coefficients_online_come_from_windows_that_end_with_their_chunk():
    network = AttributesToCoefficients().eval()
    emotion = torch.rand(2, 50, 25)
    with torch.no_grad():
        made = coefficients_online(network, emotion, 4)
        torch.testing.assert_close(made[:, 40:44], network(emotion[:, 12:44])[:, -4:], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(made[:, 48:], network(emotion[:, 18:50])[:, -2:], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(made[:, :4], network(emotion[:, :4]), rtol=1e-5, atol=1e-6)


def test_prepared_rows_become_inputs():
    row = {"s_exp": np.ones((10, 512)), "s_AU": np.ones((10, 1024)), "s_VA": np.ones((10, 1408)),
           "s_pose": np.arange(2)[:, None] * np.ones((2, 1408)), "s_MFCC": np.ones((10, 26)), "is_face": np.arange(10) % 2,
           "s_GeMapfunc": np.full(6373, np.nan), "s_GeMaplld": np.zeros((3, 65))}
    made = of_row(row, 512)
    assert made["AU"].shape == (10, 512)
    assert made["pose"][:, 0].tolist() == [0] * 5 + [1] * 5
    assert not made["functionals"].any()
    assert made["descriptors"].shape == (195,)
    assert made["face"].tolist() == [False, True] * 5
    with pytest.raises(UsageError, match="map of action units has 1024 numbers a frame, but the model reads 25088"):
        of_row(row, 25088)
    with pytest.raises(UsageError, match="comes without s_exp"):
        of_speaker(SpeakerClip("a", np.zeros((4, 25), np.float32)), torch.zeros(58), True, 512)


def test_phases_out_of_order_are_refused(tmp_path, capsys):
    command = ["react", "train", "--config", "unifr", "--data", str(written()), "--log_dir", str(tmp_path)]
    assert main([*command, "--phase", "pretrain", *TINY]) == 2
    assert "no model of the phase coefficients" in capsys.readouterr().err
    assert main([*command, "--phase", "finetune", *TINY]) == 2
    assert "no model of the phase pretrain" in capsys.readouterr().err


def test_both_shipped_configurations_are_read():
    assert read_config("unifr").settings["pretrain"].online_step == 4
    published = read_config("unifr_published")
    assert published.settings["pretrain"].sizes({}).inputs["descriptors"] == 194805
    assert published.options("finetune", Path("x")).schedule == "cosine"


def test_the_published_test_command_predicts_measures_and_keeps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--config", "unifr", "--data", str(written()), "--log_dir", str(trained()), "--samples", "2", "--device", "cpu"]
    flags += ["-i", "3", "--phase", "pretrain", "-t", "online"]
    assert run_command("react unifr_test", [*flags, "-d", "val", "-p", "-m", "-s", "-hf", "-ap"]) == 0
    assert "FRCorr" in capsys.readouterr().out
    tokens = next((trained() / "test_result").glob("val_unifr_3_online_s4_*tokens_pred.npy"))
    items = len(Corpus.open(written()).split("val"))
    assert np.load(tokens).shape == (3, items, 2, SMALL.frames)
    assert np.load(next((trained() / "test_result").glob("*probs.npy"))).shape == (items, 2)
    kept = next((tmp_path / "results").glob("*_online_*_pred.npy"))
    assert np.load(kept).shape == (items, 2, SMALL.frames, 25)
    assert next((trained() / "test_log").glob("*metrics.txt")).read_text().count("FRDist") > 0
    assert run_command("react unifr_test", [*flags, "-p"]) == 2
    assert "measure it with -m alone" in capsys.readouterr().err
    decode = ["-d", str(tokens), "--results", "again", "--model_path", str(trained() / "pretrain")]
    assert run_command("react unifr_util", decode) == 0
    assert np.array_equal(np.load(next((tmp_path / "again").glob("*_pred.npy"))), np.load(kept))
    capsys.readouterr()
    assert run_command("react unifr_util", ["-s", str(kept), "--data", str(written())]) == 0
    files = capsys.readouterr().out.split()
    assert len(files) == min(5, items)
    assert np.load(files[0]).shape == (2, SMALL.frames, 25)
    assert run_command("react unifr_test", [*flags, "-i", "7", "-p"]) == 2
    assert "no model of iteration 7" in capsys.readouterr().err
    assert run_command("react unifr_test", flags) == 2
    assert "Nothing was asked for" in capsys.readouterr().err


PUBLISHED = """
model:
  base_learning_rate: 0.0625
  scheduler_config: {params: {warm_up_steps: 8, keep_steps: 60, max_decay_steps: 12, lr_start: 2.5e-6, lr_max: 1.5e-4,
                              lr_min: 1.0e-8}}
  transformer_config: {params: {online_step: 5, n_l_AU: 50, n_l_exp: 16, n_l_VA: 40, n_layer: 1, n_head: 2, dim_embed: 12,
                                resid_pdrop: 0.1}}
  decoding_params: {top_k: 5, top_p: 0.05, temperature: 0.912, step: 3, online_max_len: 20}
test_params: {schedule_step: {top_k: 0, top_p: 0.1, temperature: -0.08}}
train_params: {mode: MODE, max_iter: 4, total_batch_size: 4, batch_size: 2, train_slm: True, max_norm: 10, shuffle_listener: 0.2,
               save_interval: 4, log_interval: 2}
paths: {data_root: ./data, ckpt_root: ./ckpts, experiment_name: NAME, pretrain_name: first}
"""


def test_published_configurations_run_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(written())
    for name, mode in (("first", "pretrain"), ("second", "finetune")):
        (tmp_path / f"{name}.yaml").write_text(PUBLISHED.replace("MODE", mode).replace("NAME", name))
    monkeypatch.setattr("diffusionrig.reactions.generators.unifr.published.COEFFICIENTS", {"batch_size": 2, "max_steps": 1})
    assert run_command("react unifr_train", ["--config", "first.yaml"]) == 0
    assert run_command("react unifr_train", ["--config", "second.yaml"]) == 0
    _, meta = load_checkpoint(tmp_path / "ckpts" / "second" / "finetune" / "model000002.safetensors")
    assert (meta["options"]["schedule"], meta["options"]["warmup_steps"], meta["options"]["keep_steps"]) == ("cosine_jump", 4, 60)
    assert meta["options"]["lr"] == pytest.approx(4 * 0.0625 * 1.5e-4)
    assert run_command("react unifr_test", ["-i", "4", "--config", "second.yaml", "-t", "offline", "-p", "--samples", "2"]) == 0
    results = tmp_path / "ckpts" / "second" / "test_result"
    assert [file.name for file in results.iterdir()] == ["val_second_4_offline_s3_t0.912-0.08_k5_p0.05+0.1_tokens_pred.npy"]
    (tmp_path / "bad.yaml").write_text(PUBLISHED.replace("MODE", "pretrain").replace("n_layer: 1,", "n_layer: x,"))
    assert run_command("react unifr_train", ["--config", "bad.yaml"]) == 2
    assert "lacks or garbles a setting" in capsys.readouterr().err
