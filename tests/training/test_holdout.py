import json
import re

import pytest
import torch
from training.tiny import SMALL, lone_world, personalise, tiny_network, tiny_trainer, write_store

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_checkpoint, load_state
from diffusionrig.training.batches import Faces
from diffusionrig.training.holdout import TIMES, Holdout, split_album
from diffusionrig.training.options import TrainOptions


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces")


@pytest.fixture(scope="module")
def prior(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    assert main(["train", *SMALL, "--data_dir", str(store), "--log_dir", str(folder), "--max_steps", "1"]) == 0
    return folder / "model000001.safetensors"


def holdout(store, **more):
    return Holdout(TrainOptions(data_dir=str(store), stage=2, **{"holdout": 3, **more}), Faces(FaceStoreDataset(store)))


@pytest.mark.parametrize(("wanted", "held"), [(3, [2, 6, 10]), (0.25, [2, 6, 10]), (0.01, [6]), (11, None)])
def test_photographs_are_held_out_evenly(wanted, held):
    rest, out = split_album(wanted, 12)
    assert sorted(rest + out) == list(range(12))
    assert len(out) == 11 if held is None else out == held


def test_nothing_left_to_train_on():
    with pytest.raises(UsageError, match="--holdout 12 leaves no photograph of the 12 in the album"):
        split_album(12, 12)


def test_the_loss_is_that_of_training_at_fixed_times_and_noises(store):
    trainer, held = tiny_trainer(store, lone_world(), stage=2), holdout(store)
    trainer.network.train()
    weights = trainer.weights()
    loss = held.measure(trainer.network, weights, trainer.diffusion)
    assert held.measure(trainer.network, weights, trainer.diffusion) == loss
    assert trainer.network.training  # dropout is off while measuring only
    other = tiny_network(seed=4).state_dict()
    assert held.measure(trainer.network, other, trainer.diffusion) != loss
    # By hand, for one photograph and one time of the grid.
    alone = holdout(store, holdout=1)
    network, diffusion = trainer.network.eval(), trainer.diffusion
    image, buffers = alone.faces.images([0]), alone.faces.buffers([0])
    from diffusionrig.randomness import torch_stream

    total = 0.0
    for k in range(TIMES):
        noise = torch.randn(1, *image.shape[1:], generator=torch_stream(0, "holdout", alone.records[0], k))
        with torch.no_grad():
            total += float(diffusion.training_loss(lambda x, t: network(x, t, buffers, x_start=image), image,
                                                   torch.tensor([int((k + 0.5) * 1000 / TIMES)]), noise)["loss"])
    assert alone.measure(network, weights, diffusion) == pytest.approx(total / TIMES, rel=1e-5)


def test_the_best_weights_are_kept_and_patience_runs_out(store):
    held = holdout(store, patience=2, validate_every=10)
    looks = [(0, 0.5), (10, 0.3), (20, 0.4), (30, 0.3)]
    for step, loss in looks:
        assert held.due(step)
        assert not held.over
        held.note(step, loss, {"w": torch.tensor([loss]), "frozen": torch.zeros(1)}, ["w"])
        assert not held.due(step)
        assert not held.due(step + 5)
    assert held.over
    assert held.figures() == {"held_out": 3, "step": 10, "loss": 0.3, "loss_at_start": 0.5}
    assert {name: tensor.tolist() for name, tensor in held.tensors.items()} == {"w": [pytest.approx(0.3)]}
    again = holdout(store, patience=2)
    again.restore(held.state(), torch.device("cpu"))
    assert again.state() == held.state()


def test_weights_without_a_finite_loss_are_refused(store):
    with pytest.raises(RigError, match="give no finite loss on the held-out photographs"):
        holdout(store).note(0, float("nan"), {}, [])


def test_a_run_stops_early_with_its_best_weights(store, prior, tmp_path, capsys):
    # A rate at which every update makes it worse.
    flags = ["--holdout", 3, "--validate_every", 1, "--patience", 2, "--lr", 0.05, "--max_steps", 9, "--ema_decay", 0]
    assert personalise(store, prior, tmp_path / "run", "--consent", "yes", *flags) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["ended"] == "the held-out photographs were not drawn better any more"
    assert report["best"]["step"] == 0
    assert report["step"] == 2
    tensors, meta = load_checkpoint(tmp_path / "run" / "model000002.safetensors")
    base, _ = load_checkpoint(prior)
    assert all(torch.equal(tensors[name], base[name]) for name in base)
    assert meta["best"] == report["best"]
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name != "log.txt"}
    assert personalise(store, prior, tmp_path / "run", "--consent", "yes", *flags) == 0
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name != "log.txt"}
    rows = re.findall(r"held-out loss (\S+)", capsys.readouterr().out)
    assert len(rows) == 3
    assert personalise(store, prior, tmp_path / "run", "--consent", "yes", *flags[2:]) == 2
    assert "belongs to a run that held out 3 photographs" in capsys.readouterr().err


def test_a_continued_run_ends_with_the_same_best(store, prior, tmp_path):
    flags = ["--holdout", 0.2, "--validate_every", 1, "--lr", 1e-3, "--ema_decay", 0.5, "--adapter", "lora", "--rank", 2]
    assert personalise(store, prior, tmp_path / "whole", *flags, "--max_steps", 4) == 0
    for steps in (2, 4):
        assert personalise(store, prior, tmp_path / "parts", *flags, "--max_steps", steps) == 0
    whole, parts = (load_state(tmp_path / name / "state000004.pt")["holdout"] for name in ("whole", "parts"))
    tensors, others = whole.pop("tensors"), parts.pop("tensors")
    assert whole == parts
    assert whole["best_step"] > 0
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    first, second = ((tmp_path / name / "model000004.safetensors").read_bytes() for name in ("whole", "parts"))
    assert len(first) == pytest.approx(len(second), abs=200)
    assert all(torch.equal(tensors[name].half().float(), stored)
               for name, stored in load_checkpoint(tmp_path / "whole" / "model000004.safetensors")[0].items())
