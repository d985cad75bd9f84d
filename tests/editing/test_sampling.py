"""How images are drawn: what is chosen where nothing is said, what contradicts itself, and guidance."""

import dataclasses
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from seed_faces import photo

from diffusionrig.cli import main
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.editing.controls import RECONSTRUCTION, Edit, parse_modes
from diffusionrig.editing.rig import Request, Rig
from diffusionrig.editing.sampling import DEFAULT_SOLVER, DEFAULT_STEPS, SAMPLERS, Sampling
from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint, save_checkpoint

QUICK = Sampling(steps=3, seed=1)
FULL = DiffusionConfig()


@pytest.mark.parametrize(("settings", "solver", "steps"), [
    ({}, DEFAULT_SOLVER, DEFAULT_STEPS), ({"keep": "all"}, "ddim", 20), ({"eta": 0.5}, "ddim", 20),
    ({"respacing": ""}, "ddim", 1000),
    ({"respacing": "ddim10", "solver": "unipc"}, "unipc", 10), ({"steps": 7}, DEFAULT_SOLVER, 7),
    ({"steps": 7, "keep": "background"}, "ddim", 7), ({"solver": "unipc"}, "unipc", DEFAULT_STEPS),
    ({"solver": "ancestral"}, "ancestral", 20)])
def test_what_is_chosen(settings, solver, steps):
    sampling = Sampling(**settings)
    assert sampling.chosen_solver == solver
    assert len(sampling.schedule(FULL)) == steps
    written = sampling.resolved()
    assert written.solver == solver
    assert np.array_equal(written.schedule(FULL).timesteps, sampling.schedule(FULL).timesteps)
    assert written.steps or written.respacing is not None


def test_steps_follow_the_grid_and_respacing_the_published_one():
    assert Sampling(steps=6).schedule(FULL).timesteps.tolist() == [0, 40, 160, 360, 639, 999]
    assert Sampling(respacing="ddim5", solver="ipndm").schedule(FULL).timesteps.tolist() == [0, 200, 400, 600, 800]


@pytest.mark.parametrize(("settings", "words"), [
    ({"solver": "euler"}, "choose from ddim"), ({"steps": 5, "respacing": "ddim20"}, "give one of them"),
    ({"steps": 5, "respacing": ""}, "give one of them"), ({"solver": "unipc", "eta": 0.5}, "use ddim"),
    ({"solver": "ipndm", "keep": "all"}, "only DDIM"), ({"null_guidance": float("nan")}, "--null_guidance nan"),
    ({"null_guidance": -2.0}, "--null_guidance -2"), ({"solver": "dpm++"}, "choose from ddim")])
def test_contradictions_are_named(settings, words):
    with pytest.raises(UsageError, match=words):
        Sampling(**settings)


@pytest.mark.parametrize("solver", SAMPLERS)
def test_every_sampler_draws_by_its_seed(rig, solver):
    face = rig.capture(photo(1))
    buffers = rig.buffers(face.code, face.centre)
    first, again, other = (rig.draw(buffers, face.latent, Sampling(solver=solver, steps=4, seed=seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1


def edits(rig, sampling, calls=None):
    sources, targets = rig.capture([photo(1), photo(2)]), rig.capture([photo(3)])
    asked = [Request(0, None, Edit(RECONSTRUCTION)), Request(0, 0, parse_modes("pose")[0]), Request(1, 0, parse_modes("latent")[0])]
    return [result.image.astype(int) for result in
            rig.edit_many(sources, targets, asked, sampling=sampling, on_call=None if calls is None else calls.append)]


def test_guidance_against_the_null_needs_a_model_that_learned_it(rig, checkpoint, tmp_path, capsys):
    led = dataclasses.replace(QUICK, null_guidance=2.0)
    with pytest.raises(UsageError, match="train it with --drop_buffers"):
        edits(rig, led)
    status = main(["edit", "--model_path", str(checkpoint), "--source", "a.png", "--set", "yaw=10", "--null_guidance", "1.5",
                   "--timestep_respacing", "ddim2", "--output_dir", str(tmp_path / "out")])
    assert (status, capsys.readouterr().err.count("--drop_buffers")) == (2, 1)
    assert not (tmp_path / "out").exists()

    taught = Rig.from_pretrained(
        varied(checkpoint, tmp_path / "taught.safetensors", lambda tensors, meta: meta.update(null_condition={"buffers": 0.1})),
        device="cpu", precision="fp32")
    calls = []
    plain, away = edits(taught, QUICK), edits(taught, led, calls)
    assert all(np.abs(one - other).max() > 1 for one, other in zip(plain, away))
    assert sum(calls) == 3 * taught.calls(led) == 3 * 6
    kept = dataclasses.replace(led, steps=0, respacing="ddim3", keep="all")
    assert taught.inversion_calls(kept) == 3 * taught.calls(kept) == 3 * 6
    counted = []
    edits(taught, kept, counted)
    assert sum(counted) == 2 * taught.inversion_calls(kept) + 3 * taught.calls(kept)
    # A scale of 0 draws without the buffers: expression and pose are lost, so all edits of one source but that of the latent agree.
    unled = edits(taught, dataclasses.replace(QUICK, null_guidance=0.0))
    assert np.abs(unled[0] - unled[1]).max() <= 1
    assert np.abs(plain[0] - plain[1]).max() > 1


def varied(checkpoint, path, change):
    tensors, meta = load_checkpoint(checkpoint)
    change(tensors, meta)
    save_checkpoint(path, tensors, meta)
    return path


@pytest.mark.parametrize(("flags", "words"), [
    ("--steps 8 --timestep_respacing ddim20", "give one of them"),
    ("--use_ddim False --sampler unipc", "--use_ddim False means --sampler ancestral"),
    ("--use_ddim True --sampler ancestral", "--use_ddim True means --sampler ddim"),
    ("--sampler unipc --eta 0.5", "use ddim"), ("--sampler ipndm --keep all", "only DDIM"),
    ("--steps 1", "2 to 1000")])
def test_the_command_says_in_one_sentence_what_contradicts(capsys, tmp_path, flags, words):
    status = main(["edit", "--source", "a.png", "--set", "yaw=10", "--output_dir", str(tmp_path / "out"), *flags.split()])
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (2, 1)
    assert words in error
    assert not (tmp_path / "out").exists()


def parsed(flags, **defaults):
    from diffusionrig.cli import command_parser
    from diffusionrig.cli.edit import _sampling

    parser = command_parser("edit", None)
    parser.set_defaults(**defaults)
    return _sampling(parser.parse_args(flags.split()))


@pytest.mark.parametrize(("flags", "solver", "steps"), [
    ("", "ddim", 1000), ("--use_ddim False", "ancestral", 1000), ("--timestep_respacing ddim20", "ddim", 20),
    ("--use_ddim False --timestep_respacing 10", "ancestral", 10), ("--keep all", "ddim", 1000), ("--sampler ddim", "ddim", 1000),
    ("--steps 6", DEFAULT_SOLVER, 6), ("--sampler unipc", "unipc", DEFAULT_STEPS), ("--steps 6 --use_ddim True", "ddim", 6),
    ("--keep all --steps 9", "ddim", 9), ("--eta 0.3 --steps 9", "ddim", 9),
    ("--sampler unipc --timestep_respacing ddim10", "unipc", 10)])
def test_published_flags_mean_what_they_meant_in_the_script(flags, solver, steps):
    sampling = parsed(flags, published=True)
    assert (sampling.chosen_solver, len(sampling.schedule(FULL))) == (solver, steps)
    if "steps" in flags or "respacing" in flags or "unipc" in flags:
        assert parsed(flags) == sampling


@pytest.mark.parametrize(("flags", "solver", "steps"), [
    ("", DEFAULT_SOLVER, DEFAULT_STEPS), ("--keep all", "ddim", 20), ("--use_ddim False", "ancestral", 20),
    ("--eta 0.3", "ddim", 20)])
def test_the_command_takes_few_steps_when_nothing_is_said(flags, solver, steps):
    sampling = parsed(flags)
    assert (sampling.chosen_solver, len(sampling.schedule(FULL))) == (solver, steps)


def test_the_script_says_that_it_is_the_published_one(monkeypatch):
    seen = []
    monkeypatch.setattr("diffusionrig.cli.edit.run", lambda args: seen.append(args.published))
    monkeypatch.setattr("sys.argv", ["scripts/inference.py", "--source", "a.png"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "inference.py"), run_name="__main__")
    assert end.value.code == 0
    main(["edit", "a.png"])
    assert seen == [True, False]
