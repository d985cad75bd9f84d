"""PerFRDiff's phases on a small corpus, and what comes out: properties that the published code lacks."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from reaction_corpora import SMALL, written

from diffusionrig.cli import run_command
from diffusionrig.errors import UsageError
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.generators.clips import Clips
from diffusionrig.reactions.generators.config import read_config, shipped_configs
from diffusionrig.reactions.generators.examples import DataSettings, Examples
from diffusionrig.reactions.generators.perfrdiff.generating import PerFRDiff
from diffusionrig.reactions.generators.perfrdiff.generator import Generator
from diffusionrig.reactions.generators.perfrdiff.generator_task import GeneratorTask
from diffusionrig.reactions.generators.perfrdiff.personal_task import PersonalTask
from diffusionrig.reactions.generators.perfrdiff.settings import EmbedderSettings, GeneratorSettings
from diffusionrig.reactions.generators.running import earlier_models, load_generator, train_system
from diffusionrig.training.distributed import World
from diffusionrig.training.launch import Launch

WORLD = World(Launch(0, 1, 0, 1, "none"), torch.device("cpu"), "none")
TINY = ["embedders.window", "16", "embedders.hidden", "12", "embedders.latent", "8", "embedders.mlp", "8", "person.width", "8",
        "person.feed_forward", "8", "generator.width", "16", "generator.layers", "2", "generator.heads", "2",
        "generator.feed_forward", "16", "generator.steps", "4", "generator.past", "1", "generator.appropriate", "2",
        "personal.hidden", "8", "personal.edited", "0.cross,1.cross,output"]
for phase in ("embedders", "person", "generator", "personal"):
    TINY += [f"{phase}_train.max_steps", "3", f"{phase}_train.batch_size", "4", f"{phase}_train.decay_steps", "0",
             f"{phase}_train.warmup_steps", "0", f"{phase}_train.device", "cpu"]


def trained(folder, *changes):
    reports = train_system(read_config("perfrdiff", [*TINY, *changes]), Corpus.open(written()), folder, WORLD)
    assert [report["phase"] for report in reports] == ["embedders", "person", "generator", "personal"]
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("perfrdiff") / "run")


@pytest.fixture(scope="module")
def clips():
    return Clips(Corpus.open(written()).split("train"))


def answered(generator, clips, index=0, listener="own", k=2, seed=0, mode="offline", speaker=None):
    item = clips.split.items[index]
    history = {"own": clips.history, "other": clips.stranger, "none": lambda clip: None}[listener](item.listener)
    return generator.generate(speaker or clips.speaker(item.speaker), history, k, seed, mode)


def test_all_frames_are_made_the_same_whatever_k_and_order(run, clips):
    generator = load_generator(run, "cpu")
    made = answered(generator, clips)
    assert made.emotion.shape == (2, SMALL.frames, 25)
    assert made.coefficients.shape == (2, SMALL.frames, 58)
    assert made.emotion.std(1).min() > 0
    again = answered(load_generator(run, "cpu"), clips, k=4)
    assert np.allclose(again.emotion[:2], made.emotion, atol=2e-5)
    assert not np.allclose(again.emotion[2], made.emotion[0], atol=1e-2)
    assert not np.allclose(answered(generator, clips, seed=1).emotion, made.emotion, atol=1e-2)


def test_coefficients_are_absolute(run, clips):
    mean = clips.mean_face.numpy()
    made = answered(load_generator(run, "cpu"), clips, listener="none").coefficients
    assert np.abs(made.mean((0, 1)) - mean).max() < 1.0
    assert abs(made[..., 52].mean() - np.pi) < 0.5


@pytest.mark.parametrize("change", [0, 7, 20, 40])
def test_online_frames_before_a_change_of_the_speaker_stay(run, clips, change):
    generator, speaker = load_generator(run, "cpu"), clips.speaker(clips.split.items[0].speaker)
    changed = dataclasses.replace(speaker, emotion=speaker.emotion.copy(), coefficients=speaker.coefficients.copy(),
                                  audio={name: rows.copy() for name, rows in speaker.audio.items()})
    for rows in (changed.emotion, changed.coefficients, *changed.audio.values()):
        rows[change:] += 1.0
    one, two = (answered(generator, clips, mode="online", speaker=which).emotion for which in (speaker, changed))
    assert np.allclose(one[:, :change + 1], two[:, :change + 1], atol=1e-5)
    if change < 30:
        assert np.abs(one - two).max() > 1e-3


def test_a_person_changes_the_reaction_and_no_history_is_the_generic_one(run, clips):
    generator = load_generator(run, "cpu")
    own, other, none = (answered(generator, clips, listener=who).emotion for who in ("own", "other", "none"))
    assert np.abs(own - none).max() > 1e-5
    assert np.abs(own - other).max() > 1e-6
    assert np.array_equal(own, answered(generator, clips, listener="own").emotion)
    generic = load_generator(run / "generator", "cpu")
    assert np.allclose(none, answered(generic, clips, listener="own").emotion, atol=1e-6)


def task_of(run, kind, phase, **changes):
    config = read_config("perfrdiff", TINY)
    examples = Examples(Corpus.open(written()).split("train"), DataSettings(appropriate=0.0), 0)
    settings = dataclasses.replace(config.settings[phase], **changes)
    return kind(settings, examples, earlier_models(config.system, run, phase), 0)


def test_shifts_are_trained_around_the_trained_generator_which_stays_in_use(run, clips):
    task = task_of(run, PersonalTask, "personal")
    generic = load_generator(run / "generator", "cpu").generator.state_dict()
    assert all(torch.equal(tensor, generic[name]) for name, tensor in task.network.generator.state_dict().items())
    task.network.train()
    assert task.network.training
    assert not any(part.training for frozen in (task.network.generator, task.network.encoder) for part in frozen.modules())
    assert {name.split(".")[0] for name, value in task.network.named_parameters() if value.requires_grad} == {"shifts"}
    # At the start shifts are zero: the personal generator is the generic one.
    fresh = answered(PerFRDiff(task.network.generator, task.network, torch.device("cpu")), clips).emotion
    assert np.allclose(fresh, answered(load_generator(run / "generator", "cpu"), clips).emotion, atol=1e-6)


@pytest.mark.parametrize(("kind", "phase"), [(GeneratorTask, "generator"), (PersonalTask, "personal")])
def test_a_batch_is_its_items(run, kind, phase):
    task = task_of(run, kind, phase)
    task.network.eval()
    whole = task.batch([0, 1, 2, 3])
    single = [task.batch([sample]) for sample in range(4)]
    assert all(torch.equal(whole[name][index:index + 1], single[index][name]) for name in whole for index in range(4))
    with torch.no_grad():
        alone = torch.stack([task.loss(batch, [index])["attributes"] for index, batch in enumerate(single)])
        assert task.loss(whole, [0, 1, 2, 3])["attributes"].item() == pytest.approx(alone.mean().item(), rel=1e-4)


def test_every_window_of_a_clip_is_trained_on(run):
    task = task_of(run, GeneratorTask, "generator")
    known = {int(task.batch([sample])["known"].sum()) for sample in range(60)}
    # Of 16 frames before the window and, offline, 16 in it.
    assert min(known) < 4
    assert max(known) == 32
    assert len(known) > 15
    seen = {task.windows.item(sample).index for sample in range(60)}
    assert seen == set(range(len(task.examples)))


def test_listeners_suit_the_speaker_and_differ_while_there_are_enough(run):
    task = task_of(run, GeneratorTask, "generator", appropriate=3)
    for sample in range(6):
        item = task.windows.item(sample)
        suits = {task.examples.split.items[index].listener for index in task.examples.split.neighbours(item.index)}
        chosen = task._listeners(sample)
        assert len(chosen) == 3
        assert chosen[0] == item.listener
        assert set(chosen) <= suits


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_every_trained_parameter_is_used_and_prior_and_denoiser_have_their_losses(run, guidance):
    task = task_of(run, GeneratorTask, "generator", conditions="audio,face,emotion,latent,prior,past", prior=True, prior_depth=1,
                   prior_heads=2, prior_head=4, prior_guidance=guidance, drop=0.5)
    terms = task.loss(task.batch([0, 1, 2]), [0, 1, 2])
    assert terms["loss"].item() == pytest.approx(terms["attributes"].item() + terms["latent"].item())
    terms["loss"].backward()
    idle = [name for name, value in task.network.named_parameters() if value.requires_grad and value.grad is None]
    assert idle == []
    assert not any(value.requires_grad for value in task.network.embedders.parameters())


def test_all_conditions_guidance_and_compat_run(run, clips):
    """The prior's latent and the window before as tokens, one after another; guidance in both networks."""
    embedding = EmbedderSettings(window=16, hidden=12, latent=8, mlp=8)
    settings = GeneratorSettings(width=16, layers=1, heads=2, feed_forward=16, conditions="past,prior,latent,emotion,face,audio",
                                 steps=4, guidance=2.0, prior_guidance=1.5, prior_depth=1, prior_heads=2, prior_head=4,
                                 present=True, compat=True, clip=1.0)
    assert settings.names == ("audio", "face", "emotion", "latent", "prior", "past")
    torch.manual_seed(0)
    generator = PerFRDiff(Generator(embedding, settings), None, torch.device("cpu"))
    speaker = clips.speaker(clips.split.items[0].speaker)
    one, two = (generator.generate(speaker, None, k, 0, "online") for k in (1, 3))
    assert np.allclose(one.emotion[0], two.emotion[0], atol=1e-5)


def test_models_of_other_phases_and_clips_too_short_are_refused(run, clips):
    with pytest.raises(UsageError, match="phase person, which makes no reactions"):
        load_generator(run / "person", "cpu")
    generator, speaker = load_generator(run, "cpu"), clips.speaker(clips.split.items[0].speaker)
    short = dataclasses.replace(speaker, emotion=speaker.emotion[:9], coefficients=speaker.coefficients[:9], audio={})
    with pytest.raises(UsageError, match="9 frames, but the generator makes windows of 16"):
        generator.generate(short, None, 1, 0, "online")
    with pytest.raises(UsageError, match="reads the speaker's coefficients"):
        generator.generate(dataclasses.replace(speaker, coefficients=None), None, 1, 0, "online")


def test_phases_come_in_order(tmp_path):
    config = read_config("perfrdiff", TINY)
    with pytest.raises(UsageError, match="phase embedders of perfrdiff has not been trained"):
        train_system(config, Corpus.open(written()), tmp_path, WORLD, "generator")


def test_both_configurations_are_sound():
    for name in ("perfrdiff", "perfrdiff_published"):
        assert name in shipped_configs()
        assert read_config(name).system.name == "perfrdiff"


def test_the_published_commands_run_on_a_configuration_of_theirs(run, tmp_path, capsys, monkeypatch):
    config = tmp_path / "configs" / "diffusion_model.yaml"
    config.parent.mkdir()
    config.write_text(PUBLISHED.format(data=written()))
    shutil.copytree(run, tmp_path / "log" / "perfrdiff")
    monkeypatch.chdir(tmp_path)
    common = ["--config", "./configs/diffusion_model.yaml"]
    assert run_command("react perfrdiff", ["--script", "evaluate_diffusion", "--mode", "test", *common, "--samples", "2"]) == 0
    shown = capsys.readouterr().out
    assert "FRC:" in shown
    assert "TLCC:" in shown
    assert (tmp_path / "log" / "perfrdiff" / "evaluate_diffusion_test.npy").exists()
    assert run_command("react perfrdiff", ["--script", "evaluate_diffusion", *common, "--mode", "train"]) == 2
    assert "evaluate_diffusion takes --mode test" in capsys.readouterr().err
    changes = ["embedders_train.max_steps", "1", "person_train.max_steps", "1", "embedders.window", "16"]
    training = ["--script", "train_diffusion", "--mode", "train", *common, "--log_dir", "fresh", *changes]
    assert run_command("react perfrdiff", training) == 0
    assert sorted(path.name for path in (tmp_path / "fresh").iterdir() if path.is_dir()) == ["embedders", "generator", "person"]


PUBLISHED = """
latent_embedder: {{args: {{window_size: 16, hidden_dim: 8, z_dim: 8, emb_dims: [8, 8]}}}}
person_specific: {{args: {{embed_dim: 8, num_layers: 1, num_heads: 2, mlp_dim: 8, proj_dim: 4, drop_prob: 0.1}}}}
diffusion_prior: {{args: {{depth: 1, heads: 2, dim_head: 4, guidance_scale: 1.0}}}}
diffusion_decoder:
  args: {{latent_dim: 8, num_layers: 1, num_heads: 2, ff_size: 8, dropout: 0.1, guidance_scale: 7.5, use_past_frames: False,
         s_audio_enc_drop_prob: 0.2, s_3dmm_enc_drop_prob: 0.2, s_emotion_enc_drop_prob: 1.0, s_latent_embed_drop_prob: 0.2,
         l_latent_embed_drop_prob: 1.0, past_l_emotion_drop_prob: 1.0}}
  scheduler: {{num_inference_timesteps: 50}}
trainer: {{seed: 1234, epochs: 1}}
dataset: {{batch_size: 4, k_appro: 2, dataset_path: "{data}"}}
optimizer: {{args: {{lr: 0.0001, weight_decay: 1e-4}}}}
"""
