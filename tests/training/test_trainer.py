import numpy as np
import pytest
import torch
from training.tiny import lone_world, tiny_network, tiny_trainer, write_store

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import load_state, save_state
from diffusionrig.model.adapters import AdapterConfig, add_adapters
from diffusionrig.training import base_trainer
from diffusionrig.training import trainer as trainer_module
from diffusionrig.training.samples import draw_samples, sample_grid


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces")


def run(trainer, updates):
    try:
        return [trainer.update() for _ in range(updates)]
    finally:
        trainer.close()


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def network_for(options, dropout=0.1, seed=0):
    """The network that a run with ``options`` trains."""
    network = tiny_network(dropout, seed)
    if options.get("adapter") == "lora":
        add_adapters(network, AdapterConfig(rank=4), seed)
    return network


def test_it_learns(store):
    trainer = tiny_trainer(store, lone_world(), batch_size=8, ema_decay=0.9)
    losses = [update.loss for update in run(trainer, 30)]
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:4])
    assert trainer.step == 30
    assert trainer.samples == 240


@pytest.mark.parametrize(("updates", "options"), [
    (3, {}), (5, {"schedule_sampler": "loss-second-moment", "batch_size": 16}), (3, {"stage": 2, "grad_accumulation": 2}),
    (4, {"optimizer": "adamw", "ema_decay": 0.0}), (2, {"precision": "fp16", "warmup_steps": 3, "batch_size": 1}),
    (2, {"stage": 2, "adapter": "lora", "grad_accumulation": 2, "precision": "bf16"})],
    ids=["plain", "second-moment", "stage2", "adamw", "fp16", "lora"])
def test_resume_is_exact(store, tmp_path, updates, options):
    # Four steps only, so that the second-moment sampler has learnt before the run is cut in two.
    diffusion = DiffusionConfig(diffusion_steps=4, noise_schedule="cosine")
    whole = tiny_trainer(store, lone_world(), network_for(options), diffusion, **options)
    run(whole, 2 * updates)
    half = tiny_trainer(store, lone_world(), network_for(options), diffusion, **options)
    run(half, updates)
    save_state(tmp_path / "state.pt", half.state())
    state = load_state(tmp_path / "state.pt")
    # A network of other weights, so that nothing can match by accident.
    network = network_for(options, seed=9)
    network.load_state_dict(state["model"])
    rest = tiny_trainer(store, lone_world(), network, diffusion, **options)
    rest.restore(state)
    run(rest, updates)
    expected, got = whole.state(), rest.state()
    if "schedule_sampler" in options:
        assert half.sampler.probabilities().std() > 0
    assert_same(expected.pop("model"), got.pop("model"))
    if expected["ema"] is not None:
        assert_same(expected["ema"], got["ema"])
    for name, slots in expected.pop("optimizer").items():
        assert_same(slots, got["optimizer"][name])
    assert_same(expected.pop("sampler"), got["sampler"])
    for name in ("step", "samples", "skipped", "ema_updates", "scaler"):
        assert expected[name] == got[name], name


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_accumulation_equals_one_large_batch(store, adapter):
    # In stage 2 BatchNorm is in eval mode, so nothing couples the photographs of a batch.
    options = {"stage": 2, "adapter": adapter, "lr": 0.0}
    parts = tiny_trainer(store, lone_world(), network_for(options, 0.0), **options, batch_size=2, grad_accumulation=3)
    whole = tiny_trainer(store, lone_world(), network_for(options, 0.0), **options, batch_size=6)
    first, second = run(parts, 2), run(whole, 2)
    assert first[1].loss == pytest.approx(second[1].loss, rel=1e-5)
    for mine, other in zip(parts.parameters, whole.parameters):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-7)


def test_stage_2_leaves_the_encoder_untouched(store):
    network = tiny_network()
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trainer = tiny_trainer(store, lone_world(), network, stage=2, weight_decay=0.1)
    run(trainer, 3)
    for name, tensor in network.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(tensor, before[name]), name
            assert torch.equal(trainer.weights()[name], before[name]), name
    assert not any(name.startswith("encoder.") for name in trainer.names)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_an_album_smaller_than_the_batch(tmp_path):
    album = write_store(tmp_path / "album", count=3)
    trainer = tiny_trainer(album, lone_world(), stage=2, batch_size=8)
    assert all(update.applied for update in run(trainer, 2))


def test_latents_kept_or_computed_each_time_give_the_same(store):
    kept = tiny_trainer(store, lone_world(), stage=2)
    fresh = tiny_trainer(store, lone_world(), stage=2, cache_megabytes=0)
    first, second = run(kept, 3), run(fresh, 3)
    assert kept._latents is not None
    assert fresh._latents is None
    for a, b in zip(first, second):
        assert a.loss == pytest.approx(b.loss, rel=1e-5)


def poison(trainer, bad_samples):
    """Make the noise of some samples infinite, as an overflow would."""
    draw = trainer_module.Feeder._prepare

    def prepare(feeder):
        batch = draw(feeder)
        if bad_samples & set(batch.samples):
            batch.images[0] = float("nan")
        return batch

    return prepare


@pytest.mark.parametrize(("precision", "batch"), [("fp32", 4), ("fp16", 1)])  # CPUs are slow at fp16
def test_a_bad_update_is_skipped_counted_and_leaves_no_trace(store, monkeypatch, precision, batch):
    trainer = tiny_trainer(store, lone_world(), precision=precision, batch_size=batch)
    monkeypatch.setattr(trainer_module.Feeder, "_prepare", poison(trainer, {2 * batch}))
    run_two = [trainer.update() for _ in range(2)]
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    slots = {name: {slot: tensor.clone() for slot, tensor in held.items()} for name, held in trainer.state()["optimizer"].items()}
    average = {name: tensor.clone() for name, tensor in trainer.weights().items()}
    scale = trainer.scaler.get_scale()
    bad = trainer.update()
    assert [update.applied for update in run_two] == [True, True]
    assert not bad.applied
    assert (trainer.step, trainer.skipped, trainer.samples) == (2, 1, 3 * batch)
    assert_same(before, dict(trainer.network.state_dict()))
    assert_same(average, trainer.weights())
    for name, held in trainer.state()["optimizer"].items():
        assert_same(slots[name], held)
    if precision == "fp16":
        assert trainer.scaler.get_scale() == scale / 2
    assert trainer.update().applied
    trainer.close()


def test_a_run_that_only_skips_is_given_up(store, monkeypatch):
    monkeypatch.setattr(base_trainer, "PATIENCE", 3)
    trainer = tiny_trainer(store, lone_world())
    monkeypatch.setattr(trainer_module.Feeder, "_prepare", poison(trainer, set(range(100))))
    with pytest.raises(RigError, match="not finite in 3 updates in a row"):
        run(trainer, 5)


def test_autocast_in_bf16_stays_near_full_precision(store):
    exact = tiny_trainer(store, lone_world(), precision="fp32")
    rough = tiny_trainer(store, lone_world(), precision="bf16")
    first, second = run(exact, 1)[0], run(rough, 1)[0]
    assert first.loss == pytest.approx(second.loss, rel=0.05)
    assert first.loss != second.loss


def test_sample_grid_is_repeatable_and_leaves_the_network_alone(store):
    trainer = tiny_trainer(store, lone_world(), stage=2)
    run(trainer, 1)
    modes = [module.training for module in trainer.network.modules()]
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    first, second = (sample_grid(draw_samples(trainer.network, trainer.weights(), trainer.diffusion.config, trainer.faces, 2, 0))
                     for _ in range(2))
    assert np.array_equal(first, second)
    assert first.dtype == np.uint8
    assert modes == [module.training for module in trainer.network.modules()]
    assert_same(before, dict(trainer.network.state_dict()))
