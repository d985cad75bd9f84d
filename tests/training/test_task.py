"""The common loop on a small task: a line fitted to noisy points."""

import math

import pytest
import torch
from torch import nn

from diffusionrig.data.sampling import record_of
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.randomness import torch_stream
from diffusionrig.training.distributed import World
from diffusionrig.training.launch import Launch
from diffusionrig.training.task_loop import train_task
from diffusionrig.training.task_options import TaskOptions
from diffusionrig.training.task_trainer import TaskTrainer

WORLD = World(Launch(0, 1, 0, 1, "none"), torch.device("cpu"), "none")


class Line:
    """y = 3 x_0 - 2 x_1 + 1 with noise of its own for every sample; a frozen parameter rides along."""

    name = "line"

    def __init__(self, width: int = 2) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(width, 8), nn.Dropout(0.1), nn.Linear(8, 1))
        self.network.register_parameter("fixed", nn.Parameter(torch.ones(3), requires_grad=False))
        self.meta = {"kind": "test", "model": {"width": width}}
        self.points = torch.randn(24, width, generator=torch_stream(0, "points"))

    def __len__(self) -> int:
        return len(self.points)

    def batch(self, samples):
        x = torch.stack([self.points[record_of(0, sample, len(self))] for sample in samples])
        noise = torch.cat([0.01 * torch.randn(1, generator=torch_stream(0, "n", sample)) for sample in samples])
        return {"x": x, "y": 3 * x[:, 0] - 2 * x[:, 1] + 1 + noise}

    def loss(self, batch, samples):
        error = self.network(batch["x"])[:, 0] - batch["y"]
        return {"loss": error.square().mean(), "bias": error.mean()}


def options(folder, **changes):
    return TaskOptions(**{"log_dir": str(folder), "batch_size": 6, "max_steps": 20, "lr": 0.05, "log_interval": 5, "device": "cpu",
                          "save_interval": 10, "ema_decay": 0.9, **changes})


def test_a_task_is_learned_logged_and_saved(tmp_path):
    report = train_task(Line(), options(tmp_path, max_steps=60, decay_steps=20), WORLD)
    assert report["last_logged_loss"] < report["first_logged_loss"] / 5
    header, *rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert {"step", "loss", "bias", "items/s"} <= set(header.split(","))
    assert len(rows) == 12
    tensors, meta = load_checkpoint(tmp_path / "model000060.safetensors")
    assert (meta["task"], meta["step"], meta["model"]) == ("line", 60, {"width": 2})
    assert torch.equal(tensors["fixed"], torch.ones(3))


def test_an_interrupted_run_ends_bit_equal_to_an_uninterrupted_one(tmp_path):
    train_task(Line(), options(tmp_path / "whole"), WORLD)
    train_task(Line(), options(tmp_path / "parts", max_steps=10), WORLD)
    train_task(Line(), options(tmp_path / "parts"), WORLD)
    whole, parts = (load_checkpoint(tmp_path / name / "model000020.safetensors")[0] for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_accumulated_batches_give_the_gradients_of_one_large_batch(tmp_path):
    gradients = []
    for changes in ({"batch_size": 6}, {"batch_size": 2, "grad_accumulation": 3}):
        task = Line()
        task.network[1].p = 0.0  # dropout is keyed by the batch
        trainer = TaskTrainer(task, options(tmp_path, grad_clip=0.0, **changes), WORLD)
        update = trainer.update()
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.parameters]))
        assert math.isclose(update.grad_norm, float(gradients[-1].norm()), rel_tol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_an_update_that_is_not_finite_is_skipped_and_counted(tmp_path):
    task = Line()
    trainer = TaskTrainer(task, options(tmp_path), WORLD)
    before = [p.clone() for p in trainer.parameters]
    task.points[:] = float("nan")
    assert not trainer.update().applied
    assert (trainer.step, trainer.skipped, trainer.samples) == (0, 1, 6)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.parameters))


def test_a_folder_with_another_run_is_refused_or_cleared(tmp_path):
    train_task(Line(), options(tmp_path, max_steps=2), WORLD)
    with pytest.raises(UsageError, match="continues a run whose model is"):
        train_task(Line(3), options(tmp_path, max_steps=4), WORLD)
    with pytest.raises(UsageError, match="earlier run; set overwrite True"):
        train_task(Line(), options(tmp_path, resume="never"), WORLD)
    report = train_task(Line(3), options(tmp_path, resume="never", overwrite=True, max_steps=3), WORLD)
    assert report["step"] == 3
    assert not (tmp_path / "model000002.safetensors").exists()


@pytest.mark.parametrize(("change", "sentence"), [
    ({"lr": -1.0}, "lr must not be negative"), ({"max_steps": 0}, "max_steps must be 1"),
    ({"precision": "int8"}, "precision int8 does not exist"), ({"log_dir": ""}, "No log_dir was given")])
def test_options_that_cannot_be_are_named(tmp_path, change, sentence):
    with pytest.raises(UsageError, match=sentence):
        options(tmp_path, **change)


def test_only_matrices_decay(tmp_path):
    trainer = TaskTrainer(Line(), options(tmp_path, weight_decay=0.5), WORLD)
    decays = {id(p): group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert {name: decays[id(p)] for name, p in trainer.task.network.named_parameters() if p.requires_grad} == {
        "0.weight": 0.5, "0.bias": 0.0, "2.weight": 0.5, "2.bias": 0.0}
    assert [id(p) for p in trainer.parameters] == [id(p) for group in trainer.optimizer.param_groups for p in group["params"]]


def test_a_run_goes_on_with_its_own_corpus_alone(tmp_path):
    def task(digest, *clips):
        line = Line()
        line.meta["data"] = {"corpus": "dyads", "split": "train", "hash": digest, "items": len(clips), "clips": " ".join(clips)}
        return line

    train_task(task("a", "01", "02"), options(tmp_path, max_steps=2), WORLD)
    for other in (task("b", "01", "03"), task("b", "01", "02"), task("b", "01", "03", "04")):
        with pytest.raises(UsageError, match=r"learned from another corpus \(dyads, train\)"):
            train_task(other, options(tmp_path, max_steps=4), WORLD)
    assert train_task(task("b", "01", "02", "03"), options(tmp_path, max_steps=4), WORLD)["step"] == 4


def test_one_run_at_a_time_works_in_a_folder(tmp_path):
    with folder_lock(tmp_path, "line"), pytest.raises(RigError, match=r"in use by process \d+"):
        train_task(Line(), options(tmp_path, max_steps=2), WORLD)
    assert train_task(Line(), options(tmp_path, max_steps=2), WORLD)["step"] == 2
    assert not list(tmp_path.glob(".*"))
