import itertools

import numpy as np
import pytest
import torch
from torch import nn
from training.tiny import SMALL, lone_world, tiny_network, tiny_trainer, write_store

from diffusionrig.cli import main
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_checkpoint, load_state, save_checkpoint, save_state
from diffusionrig.training.power_ema import PowerAverages
from diffusionrig.training.power_profiles import combine, decay_of, gamma_of, inner_product, parse_widths, sigma_rel_of
from diffusionrig.training.run_folder import RunFolder
from diffusionrig.training.snapshots import rebuild, write_snapshot


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces")


def profile(tau, t, gamma):
    """p(tau) of an average after t updates, by its definition."""
    return np.where(tau <= t, (gamma + 1) / t ** (gamma + 1) * tau**gamma, 0.0)


@pytest.mark.parametrize(("sigma_rel", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_published_exponents(sigma_rel, gamma):
    assert gamma_of(sigma_rel) == pytest.approx(gamma, abs=0.005)


@pytest.mark.parametrize("sigma_rel", [0.005, 0.05, 0.08, 0.2, 0.288])
def test_the_width_is_the_standard_deviation_of_the_profile(sigma_rel):
    gamma = gamma_of(sigma_rel)
    assert sigma_rel_of(gamma) == pytest.approx(sigma_rel, rel=1e-9)
    tau = np.linspace(0, 1, 400_001)
    weight = profile(tau, 1.0, gamma)
    mean, square = (np.trapezoid(weight * tau**power, tau) for power in (1, 2))
    assert np.sqrt(square - mean**2) == pytest.approx(sigma_rel, rel=1e-3)


@pytest.mark.parametrize("sigma_rel", [0.0, 0.3, -0.1, float("nan")])
def test_widths_that_do_not_exist(sigma_rel):
    with pytest.raises(UsageError, match=r"does not exist: sigma_rel runs from 0.001"):
        gamma_of(sigma_rel)


def test_golden_weights_of_the_updates():
    gamma = gamma_of(0.10)
    weights = np.zeros(5)
    for t in range(1, 6):
        weights *= decay_of(gamma, t)
        weights[t - 1] += 1 - decay_of(gamma, t)
    i = np.arange(1, 6)
    np.testing.assert_allclose(weights, (i ** (gamma + 1) - (i - 1) ** (gamma + 1)) / 5 ** (gamma + 1), rtol=1e-12)
    assert decay_of(gamma, 1) == 0
    assert decay_of(gamma, 2) == pytest.approx(0.5**7.9372, rel=1e-4)


def test_inner_products_are_the_integrals():
    tau = np.linspace(0, 9, 900_001)
    for first, second in itertools.product([(4.0, 6.94), (9.0, 6.94), (9.0, 16.97), (6.5, 0.4)], repeat=2):
        expected = np.trapezoid(profile(tau, *first) * profile(tau, *second), tau)
        assert inner_product(first, second) == pytest.approx(expected, rel=1e-3)


def test_factors_are_the_best_ones():
    have = [(float(t), gamma_of(width)) for t in range(50, 801, 50) for width in (0.05, 0.10)]
    want = (800.0, gamma_of(0.08))
    factors, error = combine(have, want)
    assert factors.sum() == pytest.approx(1, abs=1e-12)
    tau = np.linspace(0, 800, 200_001)
    aim = profile(tau, *want)

    def distance(values):
        difference = sum(value * profile(tau, *one) for value, one in zip(values, have)) - aim
        return np.sqrt(np.trapezoid(difference**2, tau) / np.trapezoid(aim**2, tau))

    assert distance(factors) == pytest.approx(error, rel=0.02)
    assert error < 0.004
    random = np.random.default_rng(0)
    for _ in range(20):
        change = random.normal(size=len(have))
        assert distance(factors + 0.01 * (change - change.mean())) > error


def test_a_width_that_was_kept_is_itself():
    have = [(t, gamma_of(width)) for t in (100.0, 200.0) for width in (0.05, 0.10)]
    factors, error = combine(have, (200.0, gamma_of(0.05)))
    np.testing.assert_allclose(factors, [0, 0, 1, 0], atol=1e-8)
    assert error < 1e-6


@pytest.mark.parametrize(("text", "words"), [("wide", "is not understood"), ("0.05", "two different widths"),
                                             ("0.1,0.1", "two different widths"), ("0.05,0.4", "does not exist")])
def test_bad_lists_of_widths(text, words):
    with pytest.raises(UsageError, match=words):
        parse_widths(text)


def test_any_width_is_rebuilt_from_the_snapshots_of_two(tmp_path):
    """Weights on a noisy walk, 640 updates, 16 snapshots in half precision; against averages kept directly."""
    torch.manual_seed(0)
    module = nn.Linear(40, 25)
    module.register_buffer("count", torch.zeros((), dtype=torch.int64))
    kept = PowerAverages(module, (0.05, 0.10))
    direct = PowerAverages(module, (0.08, 0.06, 0.15))
    folder = RunFolder(tmp_path)
    for step in range(1, 641):
        with torch.no_grad():
            module.weight.add_(torch.randn_like(module.weight), alpha=0.02)
            module.bias.mul_(0.99).add_(torch.randn_like(module.bias), alpha=0.05)
            module.count += 1
        kept.update()
        direct.update()
        if step % 40 == 0:
            write_snapshot(folder.average(step), kept, {"step": step, "note": "toy"})
    save_checkpoint(folder.model(640), {**kept.tensors, "mean_shape": torch.ones(1, 4)}, {})
    for width in (0.08, 0.06, 0.15):
        tensors, meta = rebuild(tmp_path, width)
        assert meta["step"] == 640
        assert (meta["kind"], meta["note"], meta["ema"]["sigma_rel"], meta["ema"]["snapshots"]) == ("model", "toy", width, 16)
        truth = direct.averages[width]
        for name in ("weight", "bias"):
            moved = (truth[name] - module.state_dict()[name]).norm()
            assert (tensors[name] - truth[name]).norm() < 0.01 * moved, (width, name)
            assert tensors[name].dtype == torch.float32
        assert tensors["count"] == 640
        assert torch.equal(tensors["mean_shape"], torch.ones(1, 4))
    # At an earlier step, later snapshots play no part.
    early, meta = rebuild(tmp_path, 0.05, 320)
    assert meta["ema"]["snapshots"] == 8
    stored = load_checkpoint(folder.average(320))[0]["0.05/weight"]
    torch.testing.assert_close(early["weight"], stored, rtol=1e-5, atol=1e-6)


def test_large_numbers_are_stored_in_full():
    module = nn.BatchNorm1d(2)
    averages = PowerAverages(module, (0.05, 0.10))
    module.running_var.fill_(1e6)
    averages.update()
    tensors, _ = averages.snapshot()
    assert tensors["0.05/running_var"].tolist() == [1e6, 1e6]
    assert tensors["0.1/weight"].dtype == torch.float16
    assert tensors["num_batches_tracked"].dtype == torch.int64


def run(trainer, updates):
    try:
        for _ in range(updates):
            trainer.update()
    finally:
        trainer.close()


def test_resume_is_exact_and_the_frozen_encoder_stays(store, tmp_path):
    options = {"ema_profile": "power", "stage": 2}
    whole = tiny_trainer(store, lone_world(), **options)
    before = {name: tensor.clone() for name, tensor in whole.network.state_dict().items()}
    run(whole, 4)
    half = tiny_trainer(store, lone_world(), **options)
    run(half, 2)
    save_state(tmp_path / "state.pt", half.state())
    state = load_state(tmp_path / "state.pt")
    network = tiny_network(seed=9)
    network.load_state_dict(state["model"])
    rest = tiny_trainer(store, lone_world(), network, **options)
    rest.restore(state)
    run(rest, 2)
    for width in (0.05, 0.10):
        for name, tensor in whole.ema.averages[width].items():
            assert torch.equal(tensor, rest.ema.averages[width][name]), name
    assert rest.ema.updates == 4
    tensors, _ = rest.ema.snapshot()
    assert not any("encoder." in name for name in tensors)
    for name, tensor in rest.weights().items():
        if name.startswith("encoder."):
            assert torch.equal(tensor, before[name])
    with pytest.raises(UsageError, match=r"averages over the widths 0.05,0.1; go on with --ema_sigma_rel 0.05,0.1"):
        tiny_trainer(store, lone_world(), network, ema_sigma_rel="0.02,0.1", **options).restore(state)


def test_a_run_that_had_a_constant_decay_begins_averaging_where_it_is(store):
    first = tiny_trainer(store, lone_world())
    run(first, 2)
    later = tiny_trainer(store, lone_world(), first.network, ema_profile="power")
    later.restore(first.state())
    assert (later.ema.begun, later.ema.updates) == (2, 0)
    run(later, 1)
    assert torch.equal(later.weights()["denoisingUNet.out.2.weight"], later.network.state_dict()["denoisingUNet.out.2.weight"])


def train(store, folder, *flags):
    return main(["train", *SMALL, "--data_dir", str(store), "--log_dir", str(folder), "--ema_profile", "power",
                 *map(str, flags)])


def test_the_command_makes_a_model_of_another_width(store, tmp_path, capsys):
    folder = tmp_path / "run"
    assert train(store, folder, "--max_steps", 4, "--save_interval", 2, "--ema_snapshots", 1) == 0
    assert sorted(path.name for path in folder.glob("ema*")) == [f"ema00000{n}.safetensors" for n in (1, 2, 3, 4)]
    first, meta = load_checkpoint(folder / "model000004.safetensors")
    assert meta["ema"] == {"profile": "power", "sigma_rel": 0.05, "updates": 4}
    capsys.readouterr()
    assert main(["ema", str(folder), "--sigma_rel", "0.08", "-o", str(tmp_path / "wide.safetensors")]) == 0
    assert "step 4, sigma_rel 0.08, from 4 snapshots; the profile is met to" in capsys.readouterr().out
    tensors, meta = load_checkpoint(tmp_path / "wide.safetensors")
    assert list(tensors) == list(first)
    assert (meta["kind"], meta["model"]["num_channels"], meta["step"]) == ("model", 32, 4)
    name = "denoisingUNet.out.2.weight"
    assert 0 < (tensors[name] - first[name]).abs().max() < 1e-3
    # The model can be trained on: it is a checkpoint like any other.
    assert train(store, tmp_path / "on", "--resume_checkpoint", tmp_path / "wide.safetensors", "--max_steps", 5) == 0
    assert load_checkpoint(tmp_path / "on" / "ema000005.safetensors")[1]["power_ema"]["begun"] == 4
    # Snapshots beyond the point to which a run goes back are of another course, and deleted.
    assert train(store, folder, "--resume_checkpoint", folder / "model000002.safetensors", "--max_steps", 3) == 0
    assert sorted(path.name for path in folder.glob("ema*")) == [f"ema00000{n}.safetensors" for n in (1, 2, 3)]


def test_requests_for_averages_that_make_no_sense(tmp_path, capsys):
    def refused(*words):
        status = main(["ema", *map(str, words)])
        return status, capsys.readouterr().err

    assert refused(tmp_path, "--sigma_rel", 0.08, "-o", tmp_path / "a.safetensors") == (
        2, f"diffusionrig ema: {tmp_path} holds no snapshots of averages (emaN.safetensors); they are written by a training with "
           "--ema_profile power.\n")
    averages = PowerAverages(nn.Linear(2, 2), (0.05, 0.10))
    averages.update()
    folder = RunFolder(tmp_path)
    write_snapshot(folder.average(3), averages, {"step": 3})
    status, text = refused(tmp_path, "--sigma_rel", 0.08, "--step", 5, "-o", tmp_path / "a.safetensors")
    assert status == 2
    assert "has no snapshot at step 5; the nearest of its 1 is at 3" in text
    status, text = refused(tmp_path, "--sigma_rel", 0.08, "-o", folder.average(3))
    assert status == 2
    assert "exists already" in text
    status, text = refused(tmp_path, "--sigma_rel", 0.9, "-o", tmp_path / "a.safetensors")
    assert status == 2
    assert "0.9 does not exist" in text
    with pytest.raises(UsageError, match="but no modelN"):
        rebuild(tmp_path, 0.08)
    save_checkpoint(folder.model(3), {"other": torch.zeros(1)}, {})
    with pytest.raises(RigError, match="are of another run"):
        rebuild(tmp_path, 0.08)
    save_checkpoint(folder.average(4), {"x": torch.zeros(1)}, {})
    with pytest.raises(RigError, match="is not a snapshot"):
        rebuild(tmp_path, 0.08)
