import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from training.tiny import SMALL, command, finished, lone_world, wait_for, write_store
from training.two_ranks import RUNS, train

from diffusionrig.errors import RigError, UsageError
from diffusionrig.training.distributed import start_world
from diffusionrig.training.launch import Launch, read_launch

MPIEXEC = ("mpiexec", "-n", "2")
needs_mpiexec = pytest.mark.skipif(not (Path(sys.executable).parent / "mpiexec").exists(), reason="no mpiexec beside python")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces")


@pytest.mark.parametrize(("environment", "launch"), [
    ({}, Launch()),
    ({"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}, Launch(3, 4, 1, 2, "mpi")),
    ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
      "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, Launch(1, 2, 1, 2, "mpi")),
    ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}, Launch(5, 8, 1, 4, "torchrun")),
    ({"PMI_RANK": "0", "PMI_SIZE": "1"}, Launch()),
], ids=["plain", "mpich", "openmpi", "torchrun", "one"])
def test_the_launcher_is_recognised(environment, launch):
    assert read_launch(environment) == launch


def test_devices_that_do_not_fit_the_job(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"4 processes were started .* but it has 2 CUDA devices"), start_world("cuda"):
        pass
    with pytest.raises(UsageError, match="names one GPU"), start_world("cuda:1"):
        pass


def test_mpi_that_cannot_be_loaded_gives_a_sentence(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(RigError, match=r"mpi4py cannot be used .* start with torchrun"), start_world("cpu"):
        pass


def two_ranks(*launcher: str) -> list[str]:
    return [str(Path(sys.executable).parent / launcher[0]), *launcher[1:]]


def assert_ranks_equal_one(store, output, launcher):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([*launcher, str(Path(__file__).with_name("two_ranks.py")), str(store), str(output)], check=True, timeout=280,
                   env=environment)
    got = torch.load(output)
    for run in RUNS:
        for name, tensor in train(lone_world(), str(store), 4, run).items():
            torch.testing.assert_close(got[f"{run}.{name}"], tensor, rtol=1e-4, atol=1e-6,
                                       msg=lambda text, name=name: f"{name}: {text}")


@needs_mpiexec
def test_two_ranks_give_the_gradients_of_one_with_twice_the_batch(store, tmp_path):
    assert_ranks_equal_one(store, tmp_path / "out.pt", [*two_ranks(*MPIEXEC), sys.executable])


@pytest.mark.slow
def test_the_same_by_torchrun(store, tmp_path):
    assert_ranks_equal_one(store, tmp_path / "out.pt", two_ranks("torchrun", "--nproc_per_node", "2"))


def rank_process(parent: int, rank: int) -> int:
    """Process id of a rank of the job started by ``parent``."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                environment = (path / "environ").read_bytes().split(b"\0")
                if f"RIG_TEST_JOB={parent}".encode() in environment and any(
                        f"{key}={rank}".encode() in environment for key in ("PMI_RANK", "RANK")):
                    return int(path.name)
            except OSError:
                continue
    raise AssertionError("the rank was not found")


def job_with_two_ranks(store, log_dir, launcher, tag):
    process = command(*SMALL, "--data_dir", store, "--log_dir", log_dir, launcher=launcher, RIG_TEST_JOB=str(tag))
    wait_for(log_dir / "progress.csv", process)
    return process


def assert_said(folder, errors):
    """The sentence stands on standard error, unless mpiexec closed that before a busy machine got to it, and in the log."""
    deadline = time.monotonic() + 20
    while "A process of this training job was lost" not in (folder / "log.txt").read_text():
        assert time.monotonic() < deadline, errors
        time.sleep(0.1)
    assert "A process of this training job was lost" in errors or not errors.strip()


@needs_mpiexec
@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_rank_ends_the_job_with_a_sentence(store, tmp_path, rank):
    process = job_with_two_ranks(store, tmp_path / "run", MPIEXEC, tag=f"{os.getpid()}-{rank}")
    os.kill(rank_process(f"{os.getpid()}-{rank}", rank), signal.SIGKILL)
    began = time.monotonic()
    status, _, errors = finished(process, timeout=30)
    assert time.monotonic() - began < 30
    assert status != 0
    assert "Traceback" not in errors
    assert_said(tmp_path / "run", errors)


@pytest.mark.slow
@needs_mpiexec
@pytest.mark.parametrize("rank", [0, 1])
def test_a_frozen_rank_ends_the_job_as_well(store, tmp_path, rank):
    process = job_with_two_ranks(store, tmp_path / "run", MPIEXEC, tag=f"{os.getpid()}-stop{rank}")
    frozen = rank_process(f"{os.getpid()}-stop{rank}", rank)
    os.kill(frozen, signal.SIGSTOP)
    status, _, errors = finished(process, timeout=30)
    assert status != 0
    assert_said(tmp_path / "run", errors)


@pytest.mark.slow
@needs_mpiexec
def test_an_error_under_mpiexec_is_said_once(store, tmp_path):
    status, _, errors = finished(command(*SMALL, "--data_dir", store, "--log_dir", tmp_path / "run", "--stage", "3",
                                         launcher=MPIEXEC))
    assert status == 2
    assert errors.count("--stage 3 does not exist") == 1


@needs_mpiexec
def test_the_ranks_of_a_job_share_its_folder_and_no_other_job_does(store, tmp_path):
    flags = [*SMALL, "--data_dir", store, "--log_dir", tmp_path / "run"]
    job = command(*flags, launcher=MPIEXEC)
    try:
        wait_for(tmp_path / "run" / "progress.csv", job)
        for launcher in (MPIEXEC, ()):
            status, _, errors = finished(command(*flags, "--max_steps", 1, launcher=launcher))
            assert status == 1
            assert errors.count("is in use by process") == 1, errors
            assert "Traceback" not in errors
    finally:
        job.terminate()
    finished(job)
    assert not (tmp_path / "run" / ".diffusionrig.lock").exists()
    assert (tmp_path / "run" / "log.txt").read_text().count("Stage 1, ") == 1
