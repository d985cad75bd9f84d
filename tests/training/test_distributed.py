import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from training.tiny import SMALL, command, finished, lone_world, ranks_of_srun, wait_for, write_store
from training.two_ranks import RUNS, train

from diffusionrig.errors import RigError, UsageError
from diffusionrig.training.distributed import start_world
from diffusionrig.training.launch import Launch, local_device, read_launch, share_cores
from diffusionrig.training.slurm import first_node, slurm_meeting, tasks_of_nodes

MPIEXEC = ("mpiexec", "-n", "2")
needs_mpiexec = pytest.mark.skipif(not (Path(sys.executable).parent / "mpiexec").exists(), reason="no mpiexec beside python")


SRUN = {"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "3", "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "7", "SLURM_NTASKS": "7",
        "SLURM_LOCALID": "1", "SLURM_NODEID": "2", "SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_STEP_NODELIST": "gpu[03-05,9]"}


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
    (SRUN, Launch(5, 7, 1, 2, "slurm")),
    ({**SRUN, "RANK": "0", "WORLD_SIZE": "2"}, Launch(0, 2, 0, 2, "torchrun")),
    ({**SRUN, "PMI_RANK": "1", "PMI_SIZE": "2"}, Launch(1, 2, 1, 2, "mpi")),
    ({**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, Launch()),
    # The script of sbatch -n 7 itself, which no srun started.
    ({"SLURM_JOB_ID": "12", "SLURM_NTASKS": "7", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}, Launch()),
], ids=["plain", "mpich", "openmpi", "torchrun", "one", "srun", "srun torchrun", "srun pmi", "srun of one", "sbatch"])
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


# Runs before the command: a job that others find at work takes nothing from them.
UNHURRIED = """
import time
from diffusionrig.training import meters
add = meters.Meters.add
def slow(*words):
    time.sleep(0.3)
    add(*words)
meters.Meters.add = slow
"""


def test_the_ranks_of_a_job_share_its_folder_and_no_other_job_does(store, tmp_path):
    flags = [*SMALL, "--data_dir", store, "--log_dir", tmp_path / "run"]
    job = ranks_of_srun(2, lambda environment: command(*flags, patch=UNHURRIED, **environment), f"{os.getpid()}1")
    try:
        wait_for(tmp_path / "run" / "progress.csv", job[0])
        others = ranks_of_srun(2, lambda environment: command(*flags, "--max_steps", 1, **environment), f"{os.getpid()}2")
        for processes in (others, [command(*flags, "--max_steps", 1)]):
            ended = [finished(process) for process in processes]
            assert {status for status, _, _ in ended} == {1}
            errors = "".join(said for _, _, said in ended)
            assert errors.count("is in use by process") == 1, errors
            assert "Traceback" not in errors
    finally:
        for rank in job:
            rank.terminate()
    for rank in job:
        finished(rank)
    assert not (tmp_path / "run" / ".diffusionrig.lock").exists()
    assert (tmp_path / "run" / "log.txt").read_text().count("Stage 1, ") == 1


@pytest.mark.parametrize(("nodes", "first"), [
    ("gpu[003-007,12],login1", "gpu003"), ("gpu[9,12]", "gpu9"), ("a,b", "a"), ("node-7", "node-7"), ("n[1-2]-ib,x", "n1-ib"),
    ("", "")])
def test_the_first_machine_of_a_list(nodes, first):
    assert first_node(nodes) == first


def test_where_the_processes_of_srun_meet():
    assert tasks_of_nodes("2(x3),1") == [2, 2, 2, 1]
    assert tasks_of_nodes("many") == []
    host, port = slurm_meeting(SRUN, False)
    assert host == "gpu03"
    assert (host, port) == slurm_meeting({**SRUN, "SLURM_PROCID": "0", "SLURM_NODEID": "0"}, False)
    assert port != slurm_meeting({**SRUN, "SLURM_STEP_ID": "4"}, False)[1]
    assert slurm_meeting(SRUN, True)[0] == "127.0.0.1"
    assert slurm_meeting({**SRUN, "MASTER_ADDR": "10.1.2.3", "MASTER_PORT": "5"}, False) == ("10.1.2.3", 5)


def test_processes_of_srun_take_the_cores_and_the_gpu_that_are_theirs(monkeypatch):
    taken = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(12))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    launch = Launch(1, 4, 1, 4, "slurm")
    share_cores(torch.device("cpu"), launch)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    share_cores(torch.device("cpu"), launch)
    assert taken == [3, 8]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="4 processes were started on this machine, but it has 1"):
        local_device("cuda", launch)
    monkeypatch.setenv("SLURM_GPUS_PER_TASK", "1")
    assert local_device("cuda", launch) == torch.device("cuda", 0)


def test_srun_without_mpi_starts_one_run(store, tmp_path):
    flags = [*SMALL, "--data_dir", store, "--log_dir", tmp_path / "run", "--max_steps", 2]
    for rank in ranks_of_srun(2, lambda environment: command(*flags, **environment), str(os.getpid())):
        status, _, errors = finished(rank)
        assert status == 0, errors
    assert "4 photographs a step, 2 process(es)" in (tmp_path / "run" / "log.txt").read_text()
    assert (tmp_path / "run" / "log-rank001.txt").exists()
