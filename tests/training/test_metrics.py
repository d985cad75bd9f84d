import copy
import csv
import json

import pytest
import torch
from training.tiny import SMALL, lone_world, tiny_trainer, write_store

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.synthetic.series import Series, write_series
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.io.images import read_image
from diffusionrig.training.batches import Faces
from diffusionrig.training.metrics import FixedSet, fixed_records


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Three synthetic people at 64 pixels, as a fixed set."""
    folder = tmp_path_factory.mktemp("people") / "store"
    write_series(Series(3, 64, 0), folder, lmdb=True)
    return FixedSet(Faces(FaceStoreDataset(folder)), 3)


def test_the_set_is_spread_and_begins_with_the_smaller_one():
    records = fixed_records(16, 1000)
    assert len(set(records)) == 16
    assert fixed_records(4, 1000) == records[:4]
    assert max(records) - min(records) > 500
    assert sorted(fixed_records(16, 5)) == [0, 1, 2, 3, 4]


def test_photographs_themselves_are_faultless(people):
    figures = people.compare(people.images)
    assert set(figures) == {"texture_frechet", "face_psnr", "face_ssim", "colour_error", "landmark_error", "landmarks_found"}
    assert figures["face_psnr"] == 100  # which infinity is written as
    assert figures["texture_frechet"] == pytest.approx(0, abs=1e-9)
    assert figures["face_ssim"] == pytest.approx(1)
    assert figures["colour_error"] == 0
    assert figures["landmarks_found"] == 1
    assert figures["landmark_error"] < 1.5  # the second look starts from a slightly other region


def test_each_figure_sees_its_fault(people):
    same = people.compare(people.images)
    moved = people.compare(torch.roll(people.images, 3, dims=3))
    assert moved["landmark_error"] > same["landmark_error"] + 5
    inside = people.mask.expand_as(people.images) > 0
    outside_only = torch.where(inside, people.images, -people.images)
    hidden = people.compare(outside_only)
    assert hidden["colour_error"] == 0
    assert hidden["face_ssim"] < 1  # its windows reach over the edge
    assert hidden["texture_frechet"] > 0.01
    lost = people.compare(torch.zeros_like(people.images))
    assert lost["landmarks_found"] == 0
    assert "landmark_error" not in lost


def test_a_shift_of_colour_is_measured_in_grey_levels(people):
    shifted = copy.copy(people)
    shifted.images = people.images * 0.5
    figures = shifted.compare(people.images * 0.5 + torch.tensor([3.0, 0.0, 4.0])[:, None, None] / 127.5)
    assert figures["colour_error"] == pytest.approx(5, abs=1e-3)


def test_measuring_leaves_the_training_as_it_was(store):
    def losses(measure):
        trainer = tiny_trainer(store, lone_world())
        fixed = FixedSet(trainer.faces, 3)
        found = []
        for _ in range(3):
            found.append(trainer.update().loss)
            if measure:
                assert fixed.measure(trainer.network, trainer.weights(), trainer.diffusion.config) == fixed.measure(
                    trainer.network, trainer.weights(), trainer.diffusion.config)
        trainer.close()
        return found

    assert losses(True) == losses(False)


def test_a_run_writes_its_metrics_and_curves(store, tmp_path):
    folder = tmp_path / "run"
    flags = [*SMALL, "--data_dir", store, "--log_dir", folder, "--save_interval", 1, "--keep_states", 1, "--metric_count", 3]
    assert main(["train", *map(str, flags), "--max_steps", "1"]) == 0
    assert main(["train", *map(str, flags), "--max_steps", "2"]) == 0
    with open(folder / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert {"texture_frechet", "face_psnr", "face_ssim", "colour_error"} <= set(rows[0])  # discs have no landmarks
    meta = load_checkpoint(folder / "model000002.safetensors")[1]
    report = json.loads((folder / "report.json").read_text())
    for name, value in report["metrics"].items():
        assert float(rows[1][name]) == value == meta["metrics"][name]
    assert ", face_psnr " in (folder / "log.txt").read_text()
    assert read_image(folder / "training.png").shape[1] > 900
