"""How this process was started, and what of the machine is its share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from diffusionrig.devices import resolve_device
from diffusionrig.errors import UsageError
from diffusionrig.training.slurm import slurm_place

SLURM = "slurm"


@dataclass(frozen=True)
class Launch:
    """Place of this process in the job: read from the environment, before anything heavy is imported."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    launcher: str = "plain"


def read_launch(environment: Mapping[str, str] | None = None) -> Launch:
    """Recognise torchrun (RANK, WORLD_SIZE), MPICH and Intel MPI (PMI_*), Open MPI (OMPI_COMM_WORLD_*), ``srun`` without any of
    them (SLURM_*), else one process."""
    have = os.environ if environment is None else environment

    def number(*names: str, default: int) -> int:
        return next((int(have[name]) for name in names if have.get(name, "").isdigit()), default)

    for launcher, rank, size in (("torchrun", "RANK", "WORLD_SIZE"), ("mpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
                                 ("mpi", "PMI_RANK", "PMI_SIZE")):
        if have.get(rank, "").isdigit() and have.get(size, "").isdigit():
            total = int(have[size])
            if total == 1:
                return Launch(launcher="plain")
            local = number("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", default=int(have[rank]))
            beside = number("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", default=total)
            return Launch(int(have[rank]), total, local, beside, launcher)
    place = slurm_place(have)
    return Launch() if place is None else Launch(*place, SLURM)


def local_device(name: str, launch: Launch) -> torch.device:
    """The device of this process: with several on a machine, each takes the GPU of its local rank.

    UsageError when ``name`` or the number of GPUs does not fit the number of processes.
    """
    device = resolve_device(name)
    if launch.size == 1:
        return device
    if device.type == "cuda":
        if device.index is not None:
            raise UsageError(f"--device {name} names one GPU, but {launch.size} processes were started; use --device cuda, "
                             "and each process takes a GPU of its own.")
        count = torch.cuda.device_count()
        if count == 1 and launch.launcher == SLURM and os.environ.get("SLURM_GPUS_PER_TASK"):
            return torch.device("cuda", 0)  # each process sees its own alone
        if launch.local_size > count:
            raise UsageError(f"{launch.local_size} processes were started on this machine, but it has {count} CUDA devices; "
                             f"start {count}, or use --device cpu.")
        device = torch.device("cuda", launch.local_rank)
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise UsageError(f"--device {name} works with one process only, but {launch.size} were started; use --device cpu.")
    return device


def share_cores(device: torch.device, launch: Launch) -> None:
    """Give each process on a CPU its share of the cores, unless OMP_NUM_THREADS says otherwise."""
    # Every process would otherwise take all cores, and they would wait for each other.
    if device.type == "cpu" and not os.environ.get("OMP_NUM_THREADS"):
        own = os.environ.get("SLURM_CPUS_PER_TASK", "") if launch.launcher == SLURM else ""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, min(cores, int(own)) if own.isdigit() else cores // launch.local_size))
