"""Runs under the reference condition, from their command lines to their models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from reference_stores import SIZE, album, edits, singles
from store_fakes import publish
from torch import Tensor
from training.test_distributed import MPIEXEC, needs_mpiexec, two_ranks
from training.tiny import SMALL, finished, lone_world, ranks_of_srun, write_store
from training.two_pair_ranks import train as train_pairs
from warm import Warm

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint, load_state
from diffusionrig.io.files import read_json
from diffusionrig.io.images import read_image
from diffusionrig.model.config import CHANGE, PICTURE, ModelConfig
from diffusionrig.randomness import torch_stream
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.pair_batches import PairFaces, make_faces, shares
from diffusionrig.training.picture_loss import FLOOR, GRADIENT, SQUARED, picture_loss, relative_loss

NETWORK = ("--condition", "reference", "--encoder_type", "none", "--patch", "4", "--image_size", SIZE, "--num_channels", "16",
           "--norm_groups", "4", "--channel_mult", "1,2", "--num_res_blocks", "1", "--attention_resolutions", "",
           "--predict_xstart", "True")
RUN = ("--batch_size", "2", "--sample_count", "0", "--metric_count", "0", "--device", "cpu", "--log_interval", "1", "--precision",
       "fp32", "--lr", "1e-3")


def train(stores: Path | str, folder: Path, *flags: object, network: tuple[object, ...] = NETWORK) -> int:
    return main(["train", *map(str, network), *RUN, "--data_dir", str(stores), "--log_dir", str(folder), *map(str, flags)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="module")
def people(folder) -> Path:
    return singles(folder)


@pytest.fixture(scope="module")
def scenes(folder) -> Path:
    return edits(folder)


@pytest.fixture(scope="module")
def person(folder) -> Path:
    return album(folder)


@pytest.fixture(scope="module")
def prior(people, tmp_path_factory) -> Path:
    """Six updates from single photographs, saved at three and six."""
    run = tmp_path_factory.mktemp("prior")
    assert train(people, run, "--max_steps", 6, "--save_interval", 3, "--sample_count", 2, "--metric_count", 2) == 0
    return run


def test_a_run_on_single_photographs(prior):
    tensors, meta = load_checkpoint(prior / "model000006.safetensors")
    assert (meta["model"]["condition"], meta["model"]["patch"], meta["model"]["encoder_type"]) == ("reference", 4, "none")
    assert not any(name.startswith("encoder.") for name in tensors)
    report = read_json(prior / "report.json")
    assert (report["step"], report["samples"], report["skipped"]) == (6, 12, 0)
    assert all(np.isfinite(value) for value in report["metrics"].values())
    assert report["metrics"]["face_psnr"] > 15
    assert read_image(prior / "samples000006.png").shape[0] > 2 * SIZE
    fresh = load_state(prior / "state000003.pt")["model"]
    assert not torch.equal(load_state(prior / "state000006.pt")["model"]["denoisingUNet.finish.out.weight"],
                           fresh["denoisingUNet.finish.out.weight"])


def test_a_stopped_run_goes_on_as_if_it_had_not(prior, people, tmp_path):
    assert train(people, tmp_path / "run", "--max_steps", 3) == 0
    assert train(people, tmp_path / "run", "--max_steps", 6) == 0
    for part in ("model", "ema"):
        whole, pieces = (load_state(run / "state000006.pt")[part] for run in (prior, tmp_path / "run"))
        for name, tensor in whole.items():
            if isinstance(tensor, Tensor):
                assert torch.equal(tensor, pieces[name]), name
    assert (load_checkpoint(prior / "model000006.safetensors")[0].keys()
            == load_checkpoint(tmp_path / "run" / "model000006.safetensors")[0].keys())


@pytest.mark.parametrize("flags", [("--one_call", "True"), ("--patch", "2"), ("--encoder_type", "resnet18")],
                         ids=["one call", "patches of two", "an encoder"])
def test_variants_of_the_network(scenes, tmp_path, flags):
    assert train(scenes, tmp_path / "run", "--max_steps", 2, "--sample_count", 1, *flags) == 0
    assert read_json(tmp_path / "run" / "report.json")["skipped"] == 0


def test_edits_and_several_stores(people, scenes, tmp_path):
    assert train(scenes, tmp_path / "edits", "--max_steps", 6) == 0
    assert train(f"{people},{scenes}", tmp_path / "both", "--max_steps", 6, "--data_shares", "1,0.5") == 0
    assert "14 photographs" in (tmp_path / "both" / "log.txt").read_text()
    for run in ("edits", "both"):
        assert read_json(tmp_path / run / "report.json")["step"] == 6
    _, meta = load_checkpoint(tmp_path / "both" / "model000006.safetensors")
    assert meta["options"]["data_shares"] == "1,0.5"


@pytest.mark.slow
def test_learning_helps(scenes, tmp_path):
    """Sixty updates on three scenes: what is drawn comes nearer to the truth than the carried photograph."""
    from diffusionrig.diffusion.config import DiffusionConfig
    from diffusionrig.model.network import build_network
    from diffusionrig.training.drawing import draw

    assert train(scenes, tmp_path / "run", "--max_steps", 60, "--one_call", "True", "--ema_decay", "0.9") == 0
    tensors, meta = load_checkpoint(tmp_path / "run" / "model000060.safetensors")
    network = build_network(ModelConfig.from_dict(meta["model"]))
    faces = PairFaces([FaceStoreDataset(scenes)], TrainOptions(data_dir=str(scenes)))
    shown = faces.shown(range(9))
    weights = {name: tensor for name, tensor in tensors.items() if name != "mean_shape"}
    drawn = draw(network, weights, DiffusionConfig.from_dict(meta["diffusion"]), shown.images, shown.condition,
                 torch.zeros_like(shown.images), 1)
    ours, carried = (picture_loss(picture, shown.images, shown.weight).mean() for picture in (drawn, shown.condition[:, PICTURE]))
    assert ours < 0.95 * carried
    still = (shown.condition[:, CHANGE] == 0).expand_as(drawn)
    torch.testing.assert_close(drawn[still], shown.condition[:, PICTURE][still], rtol=0, atol=1e-5)


def personal(person: Path, prior: Path, run: Path, *flags: object) -> int:
    return train(person, run, "--stage", 2, "--resume_checkpoint", prior / "model000006.safetensors", "--consent", "She agreed.",
                 *flags, network=())


@pytest.mark.parametrize("flags", [(), ("--adapter", "lora", "--rank", 2), ("--holdout", 1, "--validate_every", 2),
                                   ("--adapter", "lora", "--rank", 2, "--holdout", 2, "--validate_every", 3)],
                         ids=["all weights", "adapter", "held out", "adapter, held out"])
def test_an_album(person, prior, tmp_path, flags):
    assert personal(person, prior, tmp_path / "me", "--max_steps", 6, *flags) == 0
    report = read_json(tmp_path / "me" / "report.json")
    assert (report["step"], report["skipped"], report["stage"]) == (6, 0, 2)
    model = load_checkpoint(tmp_path / "me" / report["model_file"])
    assert model[1]["model"]["condition"] == "reference" if "adapter" not in model[1].get("kind", "") else model[1]["base"]
    if "--holdout" in flags:
        assert np.isfinite(report["best"]["loss"])
        assert report["best"]["held_out"] == (2 if 2 in flags[flags.index("--holdout"):][:2] else 1)


def test_an_album_goes_on_exactly(person, prior, tmp_path):
    flags = ("--holdout", 1, "--validate_every", 2)
    assert personal(person, prior, tmp_path / "whole", "--max_steps", 4, *flags) == 0
    assert personal(person, prior, tmp_path / "parts", "--max_steps", 2, *flags) == 0
    assert personal(person, prior, tmp_path / "parts", "--max_steps", 4, *flags) == 0
    whole, parts = (load_state(tmp_path / run / "state000004.pt") for run in ("whole", "parts"))
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, parts["model"][name]), name
    assert whole["holdout"]["best_loss"] == parts["holdout"]["best_loss"]


def test_two_processes_give_the_gradients_of_one_with_twice_the_batch(people, scenes, tmp_path):
    stores, script = f"{people},{scenes}", Path(__file__).with_name("two_pair_ranks.py")
    for rank in ranks_of_srun(2, lambda environment: Warm(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')",
                                                          [stores, tmp_path / "out.pt"], environment), f"{os.getpid()}2"):
        status, _, errors = finished(rank)
        assert status == 0, errors
    got, wanted = torch.load(tmp_path / "out.pt"), train_pairs(lone_world(), stores, 2)
    for name, tensor in wanted.items():
        # Rendered singly, a pixel or two may show another surface than rendered together.
        assert (got[name] - tensor).norm() <= 5e-3 * tensor.norm() + 1e-7, name


@pytest.mark.slow
@needs_mpiexec
def test_the_command_under_mpiexec(people, tmp_path):
    command = [*two_ranks(*MPIEXEC), sys.executable, "-m", "diffusionrig", "train", *map(str, NETWORK), *RUN, "--data_dir",
               str(people), "--log_dir", str(tmp_path / "run"), "--max_steps", "2"]
    subprocess.run(command, check=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert read_json(tmp_path / "run" / "report.json")["processes"] == 2


def test_refusals(people, scenes, person, prior, folder, tmp_path, capsys):
    def says(*words: str) -> None:
        text = capsys.readouterr().err
        assert "Traceback" not in text
        for word in words:
            assert word in text

    published = publish(tmp_path / "published")
    small = (*NETWORK, "--image_size", "16")
    assert train(published, tmp_path / "run", "--max_steps", 1, network=small) in (1, 2)
    says("published", "no face codes", "create-data")
    other = write_store(tmp_path / "other")
    assert train(f"{people},{other}", tmp_path / "run", "--max_steps", 1, network=small) in (1, 2)
    says("other was made with the head model toy-head, not open-head-1")
    assert train(f"{people},{scenes}", tmp_path / "run", "--data_shares", "1,2,3", "--max_steps", 1) == 2
    says("--data_shares gives 3 shares for 2 stores")
    assert train(people, tmp_path / "run", "--data_shares", "often", "--max_steps", 1) == 2
    says("--data_shares 'often' is not a list of numbers such as 1,0.5")
    assert train(people, tmp_path / "run", "--data_shares", "1", "--condition", "buffers", "--encoder_type", "resnet18",
                 "--max_steps", 1) == 2
    says("--data_shares belongs to several stores and --condition reference")
    model = prior / "model000006.safetensors"
    assert train(people, tmp_path / "run", "--resume_checkpoint", model, "--max_steps", 9, "--condition", "buffers",
                 "--encoder_type", "resnet18") == 2
    says("was trained with --", "leave the flag out, or start from other weights")
    assert personal(f"{people},{person}", prior, tmp_path / "run", "--max_steps", 1) == 2
    says("--stage 2 learns one person from one store")
    assert train(folder / "nowhere", tmp_path / "run", "--max_steps", 1) in (1, 2)
    says("nowhere")
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("model*"))


def test_weights_of_the_other_condition_are_refused(people, person, tmp_path, capsys):
    assert main(["train", *SMALL, "--data_dir", str(people), "--log_dir", str(tmp_path / "published"), "--max_steps", "1"]) == 0
    capsys.readouterr()
    model = tmp_path / "published" / "model000001.safetensors"
    assert train(person, tmp_path / "me", "--stage", 2, "--condition", "reference", "--resume_checkpoint", model, "--max_steps", 1,
                 network=()) == 2
    assert "was trained with --condition buffers, not reference" in capsys.readouterr().err


def test_shares_are_read_from_text():
    assert shares("1, 0.5,2") == [1.0, 0.5, 2.0]
    assert shares("") == []
    with pytest.raises(UsageError, match="not a list of numbers"):
        shares("1;2")


def test_part_of_the_faces_and_how_they_are_shown(person, people, scenes):
    options = TrainOptions(data_dir=str(person), stage=2)
    faces = make_faces(options, ModelConfig.from_dict({"image_size": SIZE, "channel_mult": "1", "condition": "reference"}))
    assert isinstance(faces, PairFaces)
    part = faces.only([2, 0])
    assert (len(faces), len(part)) == (4, 2)
    shown = part.shown([0, 1])
    for row, record in enumerate((2, 0)):
        assert torch.equal(shown.images[row], faces.dataset.item(record).image.float() / 127.5 - 1)
    assert shown.face.dtype == torch.bool
    assert 0.1 < shown.face.float().mean() < 0.8
    assert shown.view.min() >= 0
    assert shown.view.max() <= 1
    both = PairFaces([FaceStoreDataset(people), FaceStoreDataset(scenes)], TrainOptions(data_dir="x", data_shares="1,1"))
    assert len(both) == 14


@pytest.mark.parametrize("even", [True, False])
def test_picture_loss_is_a_plain_sum(even):
    stream = torch_stream("picture loss")
    predicted, truth = (torch.randn(2, 3, 5, 6, generator=stream, dtype=torch.float64) for _ in range(2))
    weight = torch.ones(2, 1, 5, 6, dtype=torch.float64) if even else torch.rand(2, 1, 5, 6, generator=stream, dtype=torch.float64)
    found = picture_loss(predicted, truth, weight)
    for b in range(2):
        total = 0.0
        error, w = (predicted - truth)[b].numpy(), weight[b, 0].numpy()
        for c in range(3):
            for y in range(5):
                for x in range(6):
                    e = error[c, y, x]
                    total += w[y, x] * (abs(e) + SQUARED * e * e)
                    if x:
                        total += w[y, x] * GRADIENT / 2 * abs(e - error[c, y, x - 1])
                    if y:
                        total += w[y, x] * GRADIENT / 2 * abs(e - error[c, y - 1, x])
        assert found[b].item() == pytest.approx(total / (3 * w.sum()))
    assert (picture_loss(truth, truth, weight) == 0).all()
    assert picture_loss(predicted, truth, 0 * weight).tolist() == [0, 0]


def test_pixels_without_weight_do_not_count():
    truth, weight = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    weight[..., 2:] = 0
    wrong = truth.clone()
    wrong[..., 3] = 9
    assert picture_loss(wrong, truth, weight) == 0
    wrong[..., 0] = 1
    assert picture_loss(wrong, truth, weight) > 0


def test_large_errors_count_by_their_roots():
    stream = torch_stream("relative loss")
    truth, error, weight = torch.zeros(2, 3, 8, 8), torch.randn(1, 3, 8, 8, generator=stream), torch.ones(2, 1, 8, 8)
    carried = truth + error * torch.tensor([1.0, 10.0])[:, None, None, None]
    alone = picture_loss(carried, truth, weight)
    nothing_done = relative_loss(carried, truth, weight, carried)
    torch.testing.assert_close(nothing_done, alone / (alone + FLOOR).sqrt())
    assert 2 < nothing_done[1] / nothing_done[0] < 0.5 * alone[1] / alone[0]
    assert (relative_loss(carried / 2, truth, weight, carried) < 0.55 * nothing_done).all()
    assert (relative_loss(truth, truth, weight, truth) == 0).all()  # nothing to learn, and no division by nothing
