"""A job whose processes ``srun`` started itself, without MPI: what SLURM's variables say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

FIRST_PORT, PORTS = 20000, 12000


def slurm_place(environment: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    """``(rank, size, local rank, processes on this machine)``; None where ``srun`` did not start several processes.

    A script of ``sbatch`` and the shell of ``salloc`` have the variables of the job too, but not those of a step, and are one
    process.
    """
    rank, size = (_number(environment, name) for name in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"))
    if rank is None or size is None or size < 2 or not ({"SLURM_STEP_ID", "SLURM_STEPID"} & environment.keys()):
        return None
    local = _number(environment, "SLURM_LOCALID")
    on_nodes = tasks_of_nodes(environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    node = _number(environment, "SLURM_NODEID") or 0
    beside = on_nodes[node] if node < len(on_nodes) else size
    return rank, size, rank if local is None else local, beside


def slurm_meeting(environment: Mapping[str, str], one_machine: bool) -> tuple[str, int]:
    """Host and port where rank 0 waits for the others: MASTER_ADDR and MASTER_PORT where they are set, else the first machine of
    the step and a port that follows from its number, so that every process finds them by itself."""
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_NODELIST", "")
    host = environment.get("MASTER_ADDR") or ("127.0.0.1" if one_machine else first_node(nodes))
    job, step = (_number(environment, name) or 0 for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    port = _number(environment, "MASTER_PORT") or FIRST_PORT + (job * 31 + step) % PORTS
    return host, port


def tasks_of_nodes(text: str) -> list[int]:
    """``2(x3),1`` as [2, 2, 2, 1]; nothing when it is anything else."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,6})(?:\(x(\d{1,6})\))?", part)
        if match is None:
            return []
        found += [int(match[1])] * int(match[2] or 1)
    return found


def first_node(nodes: str) -> str:
    """The first machine of a list such as ``gpu[003-007,12],login1``."""
    match = re.match(r"([^\[,]*)(?:\[([^\],-]+)[^\]]*\])?([^\[,]*)", nodes)
    return "" if match is None else f"{match[1]}{match[2] or ''}{match[3] if match[2] else ''}"


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
