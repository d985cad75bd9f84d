"""Whole runs of the command, killed and continued."""

import csv
import json
import re
import signal
from pathlib import Path

import pytest
import torch
from training.tiny import SMALL, command, finished, wait_for, write_store

from diffusionrig.cli import main
from diffusionrig.io.checkpoints import load_checkpoint, load_released, load_state, save_checkpoint
from diffusionrig.io.settings_files import read_settings
from diffusionrig.training.run_folder import RunFolder

# Runs before the command: the process kills itself when FILE has been written, but not yet renamed into place.
KILL_IN_SAVE = """
import os, signal
rename = os.replace
def replace(source, target):
    if 'FILE' in str(target):
        assert os.path.getsize(source) > 1000
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces")


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """A run of six updates, saved at 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    # In a process of its own, with as many threads as those it is compared with: sums differ in their last bit otherwise.
    status, _, errors = finished(command(*SMALL, "--data_dir", store, "--log_dir", folder, "--max_steps", 6, "--save_interval", 2,
                                         "--export_pt", True, "--keep_states", 9))
    assert status == 0, errors
    return folder


def train(store, folder, *flags):
    return main(["train", *SMALL, "--data_dir", str(store), "--log_dir", str(folder), *map(str, flags)])


def assert_same_state(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, dict):
            if key != "meta":
                assert_same_state(value, second[key])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, second[key]), key
        else:
            assert value == second[key], key


@pytest.mark.parametrize("file", ["state000004", pytest.param("model000004", marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_a_save_and_resumed_bit_for_bit(store, whole, tmp_path, file):
    folder = tmp_path / "run"
    flags = [*SMALL, "--data_dir", store, "--log_dir", folder, "--save_interval", 2, "--max_steps", 6]
    status, _, errors = finished(command(*flags, patch=KILL_IN_SAVE.replace("FILE", file)))
    assert status == -signal.SIGKILL
    assert "The training process was lost" in errors
    assert (folder / "state000002.pt").exists()
    assert not (folder / "model000004.safetensors").exists()
    assert list(folder.glob(f".{file}*.tmp"))
    status, _, errors = finished(command(*flags))
    assert status == 0, errors
    expected, got = load_state(whole / "state000006.pt"), load_state(folder / "state000006.pt")
    assert got["step"] == 6
    assert_same_state(expected, got)
    assert_same_state(*(load_checkpoint(path / "model000006.safetensors")[0] for path in (whole, folder)))
    assert not list(folder.glob(".*.tmp"))
    with open(folder / "progress.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    # Steps done twice are logged once, no row is empty, and the repetition gives the same losses.
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    with open(whole / "progress.csv", newline="") as stream:
        assert [row["loss"] for row in csv.DictReader(stream)] == [row["loss"] for row in rows]
    for path in (whole, folder):
        assert (path / "model000004.safetensors").exists()
    assert "Stage 1, 12 photographs of 16 pixels, from" in (folder / "log.txt").read_text()


def test_a_finished_run_describes_itself(whole, store):
    tensors, meta = load_checkpoint(whole / "model000006.safetensors")
    assert (meta["stage"], meta["step"], meta["samples"], meta["weights"], meta["seed"]) == (1, 6, 12, "ema", 0)
    assert meta["head"] == {"name": "toy-head", "hash": "abc"}
    assert meta["model"]["num_channels"] == 32
    assert meta["diffusion"]["noise_schedule"] == "linear"
    assert meta["consent"] is None
    assert meta["encoder"] == "toy"
    assert set(meta["versions"]) == {"diffusionrig", "torch", "numpy", "python"}
    assert meta["options"]["batch_size"] == 2
    raw = load_state(whole / "state000006.pt")["model"]
    assert not torch.equal(raw["denoisingUNet.out.2.weight"], tensors["denoisingUNet.out.2.weight"])
    legacy = load_released(whole / "model000006.pt")
    assert list(legacy) == list(raw)
    assert all(torch.equal(legacy[name], tensors[name]) for name in legacy)
    report = json.loads((whole / "report.json").read_text())
    assert (report["step"], report["skipped"], report["ended"]) == (6, 0, "all steps done")
    assert 0 <= report["waited_for_data"] < 1
    settings = read_settings(whole / "config.yaml")
    assert settings["train"]["max_steps"] == 6
    assert settings["model"]["channel_mult"] == "1,1"
    with open(whole / "progress.csv") as file:
        header = file.readline().strip().split(",")
    assert header == sorted(header)
    assert {"step", "samples", "loss", "mse", "time elapsed", "time est.(10k)", "time est.(next ckpt)"} <= set(header)


def test_the_same_command_again_does_nothing_and_loses_nothing(whole, store):
    before = {path.name: path.read_bytes() for path in whole.iterdir() if path.name != "log.txt"}
    assert train(store, whole, "--max_steps", 6, "--save_interval", 2, "--export_pt", True, "--keep_states", 9) == 0
    assert before == {path.name: path.read_bytes() for path in whole.iterdir() if path.name != "log.txt"}


def test_a_kill_between_the_last_model_and_the_report_loses_no_figures(store, tmp_path):
    flags = ["--max_steps", 1, "--metric_count", 2]
    assert train(store, tmp_path / "run", *flags) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["metrics"].keys() >= {"face_psnr"}
    # Without any report, and with that of an earlier save.
    for left in (None, {**report, "step": 0, "metrics": {}}):
        (tmp_path / "run" / "report.json").unlink()
        if left:
            (tmp_path / "run" / "report.json").write_text(json.dumps(left))
        assert train(store, tmp_path / "run", *flags) == 0
        again = json.loads((tmp_path / "run" / "report.json").read_text())
        assert (again["metrics"], again["step"], again["samples"]) == (report["metrics"], 1, report["samples"])


def test_sigterm_saves_and_ends_cleanly(store, tmp_path):
    process = command(*SMALL, "--data_dir", store, "--log_dir", tmp_path / "run")
    wait_for(tmp_path / "run" / "progress.csv", process)
    # Twice, as `timeout` and some launchers do.
    process.terminate()
    process.terminate()
    status, out, errors = finished(process)
    assert status == 0, errors
    assert "SIGTERM asked it to stop; the same command continues" in out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    state = load_state(tmp_path / "run" / f"state{report['step']:06d}.pt")
    assert state["step"] == report["step"] > 0
    assert (tmp_path / "run" / f"model{report['step']:06d}.safetensors").exists()


def test_stage_2_starts_from_stage_1_and_continues_itself(store, whole, tmp_path):
    flags = ["--stage", 2, "--resume_checkpoint", whole / "model000006.safetensors", "--save_interval", 1, "--keep_states", 1]
    assert train(store, tmp_path / "run", *flags, "--max_steps", 1, "--consent", "Yes, by mail.") == 0
    assert train(store, tmp_path / "run", *flags, "--max_steps", 2) == 0
    tensors, meta = load_checkpoint(tmp_path / "run" / "model000002.safetensors")
    assert (meta["stage"], meta["step"], meta["consent"]) == (2, 2, "Yes, by mail.")
    source = load_checkpoint(whole / "model000006.safetensors")[0]
    assert all(torch.equal(tensors[name], source[name]) for name in tensors if name.startswith("encoder."))
    assert [path.name for path in (tmp_path / "run").glob("state*")] == ["state000002.pt"]


def test_stage_2_without_consent_warns_and_records_it(store, whole, tmp_path, capsys):
    assert train(store, tmp_path / "run", "--stage", 2, "--resume_checkpoint", whole / "model000006.pt", "--max_steps", 1) == 0
    assert "no consent of the person in the photographs was stated" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "run" / "model000001.safetensors")[1]["consent"] == "not stated"


def test_a_published_checkpoint_goes_on_with_its_optimiser_and_the_asked_rate(store, whole, tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "model000006.pt").write_bytes((whole / "model000006.pt").read_bytes())
    held = load_state(whole / "state000006.pt")["optimizer"]
    torch.save({"state": dict(enumerate(held.values())), "param_groups": [{"lr": 0.5, "params": list(range(len(held)))}]},
               folder / "opt000006.pt")
    assert train(store, tmp_path / "run", "--resume_checkpoint", folder / "model000006.pt", "--lr", 1e-6, "--max_steps", 7) == 0
    state = load_state(tmp_path / "run" / "state000007.pt")
    assert state["step"] == 7
    assert state["samples"] == 14
    assert {float(slots["step"]) for slots in state["optimizer"].values()} == {7.0}
    before = load_released(folder / "model000006.pt")
    moved = max(float((state["model"][name] - before[name]).abs().max()) for name in held)
    assert 0 < moved < 1e-5  # Adam moves a weight by about lr


def test_going_back_to_an_earlier_point_of_the_run(store, whole, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for path in whole.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    flags = ["--resume_checkpoint", folder / "model000004.safetensors", "--max_steps", 5, "--keep_states", 9]
    assert train(store, folder, *flags) == 0
    assert sorted(path.name for path in folder.glob("state*")) == ["state000002.pt", "state000004.pt", "state000005.pt"]
    assert (folder / "model000006.safetensors").exists()


def test_settings_from_a_file_below_the_flags(store, whole, tmp_path):
    again = tmp_path / "run"
    assert main(["train", "--config", str(whole / "config.yaml"), "--log_dir", str(again), "--max_steps", "1",
                 "--ema_decay", "0"]) == 0
    settings = read_settings(again / "config.yaml")
    assert settings["model"] == read_settings(whole / "config.yaml")["model"]
    assert (settings["train"]["max_steps"], settings["train"]["save_interval"], settings["train"]["ema_decay"]) == (1, 2, 0)
    tensors, meta = load_checkpoint(again / "model000001.safetensors")
    raw = load_state(again / "state000001.pt")["model"]
    assert meta["weights"] == "raw"
    assert all(torch.equal(raw[name], tensors[name]) for name in raw)


def test_mean_shape_travels_with_the_model(tmp_path):
    store = write_store(tmp_path / "album", use_meanshape=True, mean_shape=[0.5, -1.0, 2.0, 0.0])
    assert train(store, tmp_path / "run", "--max_steps", 1) == 0
    tensors, _ = load_checkpoint(tmp_path / "run" / "model000001.safetensors")
    assert tensors["mean_shape"].tolist() == [[0.5, -1.0, 2.0, 0.0]]


def test_the_testing_variable_ends_a_run_after_its_first_save(store, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFUSION_TRAINING_TEST", "1")
    monkeypatch.setenv("OPENAI_LOG_FORMAT", "json")
    assert train(store, tmp_path / "run", "--save_interval", 1) == 0
    assert (tmp_path / "run" / "model000001.safetensors").exists()
    assert not (tmp_path / "run" / "progress.csv").exists()
    assert json.loads((tmp_path / "run" / "progress.json").read_text().splitlines()[0])["step"] == 1


def refused(capsys, store, folder, *flags):
    """Exit status and the sentence of a request that cannot be done."""
    status = train(store, folder, *flags)
    # On a slow machine the run gets as far as a line of progress.
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if not line.startswith("stage ")]
    assert len(lines) == 1
    return status, lines[0]


@pytest.mark.parametrize(("flags", "sentence"), [
    (["--stage", "3"], "--stage 3 does not exist"),
    (["--precision", "fp8"], "--precision fp8 does not exist"),
    (["--batch_size", "0"], "--batch_size must be 1 or more"),
    (["--ema_decay", "1"], r"--ema_decay must lie in \[0, 1\)"),
    (["--schedule_sampler", "best"], "--schedule_sampler best does not exist"),
    (["--image_size", "64"], "16 pixels, too small for --image_size 64"),
    (["--data_dir", ""], "No --data_dir was given"),
    (["--data_dir", "/nowhere"], "/nowhere"),
    (["--resume_checkpoint", "/nowhere.pt"], "There is no checkpoint at /nowhere.pt"),
    (["--device", "cuda:77"], "--device cuda:77"),
    (["--config", "/nowhere.yaml"], "There is no configuration file at /nowhere.yaml"),
])
def test_requests_that_make_no_sense(capsys, store, tmp_path, flags, sentence):
    status, text = refused(capsys, store, tmp_path / "run", *flags)
    assert status == 2
    assert re.search(sentence, text), text


def test_a_folder_with_a_run_is_not_written_over(capsys, store, whole, tmp_path):
    status, text = refused(capsys, store, whole, "--resume", "never")
    assert status == 2
    assert "add --overwrite True" in text
    status, text = refused(capsys, store, whole, "--stage", "2")
    assert status == 2
    assert "holds a run of stage 1" in text
    status, text = refused(capsys, store, whole, "--num_channels", "64")
    assert status == 2
    assert "was trained with --num_channels 32, not 64" in text


def test_overwriting_on_request(store, tmp_path):
    folder = tmp_path / "run"
    assert train(store, folder, "--max_steps", 2, "--save_interval", 1) == 0
    (folder / "notes.md").write_text("mine")
    assert train(store, folder, "--max_steps", 1, "--resume", "never", "--overwrite", True) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml", "log.txt", "model000001.safetensors", "notes.md", "progress.csv", "report.json", "state000001.pt",
        "training.png"]


def test_a_store_of_another_head(capsys, whole, tmp_path):
    other = write_store(tmp_path / "other", head="another-head")
    status, text = refused(capsys, other, tmp_path / "run", "--resume_checkpoint", whole / "model000006.safetensors")
    assert status == 1
    assert "was trained on the head model toy-head, but the store" in text


def test_weights_of_another_network(capsys, store, whole, tmp_path):
    tensors = load_released(whole / "model000006.pt")
    tensors["denoisingUNet.extra"] = tensors.pop("denoisingUNet.out.2.bias")
    save_checkpoint(tmp_path / "model000006.safetensors", tensors, {})
    status, text = refused(capsys, store, tmp_path / "run", "--resume_checkpoint", tmp_path / "model000006.safetensors")
    assert status == 1
    assert "denoisingUNet.extra" in text
    assert "denoisingUNet.out.2.bias" in text


def test_a_full_disk_ends_the_run_and_keeps_the_last_save(capsys, store, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    write = Path.write_bytes

    def full(path, data):
        if "model000002" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    status, text = refused(capsys, store, folder, "--max_steps", 4, "--save_interval", 1)
    assert status == 1
    assert "No space left on device" in text
    assert load_state(folder / "state000001.pt")["step"] == 1
    assert sorted(path.name for path in folder.glob("model*")) == ["model000001.safetensors"]


def test_a_log_folder_that_is_a_file(capsys, store, tmp_path):
    (tmp_path / "run").write_text("")
    status, text = refused(capsys, store, tmp_path / "run")
    assert status == 2
    assert "is a file, but a folder is needed" in text


def test_checkpoints_can_be_read_by_whoever_reads_the_other_files(whole):
    rights = {path.name: path.stat().st_mode for path in whole.iterdir()}
    assert rights["model000006.safetensors"] == rights["state000006.pt"] == rights["report.json"]


def test_two_runs_in_one_folder(store, tmp_path, capsys):
    """The second gets one sentence; the first, killed, leaves nothing in the way of a third, which goes on."""
    flags = [*SMALL, "--data_dir", store, "--log_dir", tmp_path / "run", "--save_interval", 1]
    first = command(*flags)
    wait_for(tmp_path / "run" / "state000001.pt", first)
    status, text = refused(capsys, store, tmp_path / "run", "--max_steps", 3)
    assert status == 1
    assert f"in use by process {first.pid} on" in text
    first.kill()
    first.communicate()
    assert train(store, tmp_path / "run", "--max_steps", max(RunFolder(tmp_path / "run").found("state")) + 1) == 0
    assert "from new weights" in (log := (tmp_path / "run" / "log.txt").read_text())
    assert log.count("Stage 1, ") == 2
    assert not list((tmp_path / "run").glob(".diffusionrig*"))
