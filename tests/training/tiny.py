"""Tiny stores, networks and runs for the tests of training: discs on coloured grounds, enough to learn something from."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from warm import Warm

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.records import code_arrays
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.images import png_bytes
from diffusionrig.io.record import Record
from diffusionrig.io.store import StoreWriter
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import DiffusionRig, build_network
from diffusionrig.training.batches import Faces
from diffusionrig.training.distributed import World
from diffusionrig.training.launch import Launch
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.trainer import Trainer

Started = TypeVar("Started")

SIZE = 16
HEAD = "toy-head"

NARROW = 8
"""Width of ResNets in the runs of these tests: states of 3 MB instead of 190, which are written again and again."""


def _code(head: str) -> FaceCode:
    zero = torch.zeros(1, 4)
    return FaceCode(zero, zero, zero, torch.zeros(1, 6), torch.ones(1, 3), torch.zeros(1, 9, 3), head)


def write_store(path: Path, count: int = 12, size: int = SIZE, head: str = HEAD, head_hash: str = "abc",
                seed: int = 5, **header: object) -> Path:
    """``count`` records of ``size`` pixels; the photograph is the rendered ellipse on a coloured ground. More records of the same
    ``seed`` begin with the same ones, and join a store that is there."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size] / size - 0.5
    records = []
    for i in range(count):
        centre, radius = random.uniform(-0.15, 0.15, 2), random.uniform(0.2, 0.35)
        disc = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2).astype(np.float32)
        albedo = disc * random.uniform(0.3, 1.0, (3, 1, 1)).astype(np.float32)
        normal = disc * np.stack([columns - centre[1], centre[0] - rows, np.full_like(rows, 0.8)]).astype(np.float32)
        rendered = albedo * (0.6 + normal[:1])
        ground = random.uniform(0, 1, (3, 1, 1)).astype(np.float32)
        photo = np.where(disc > 0, rendered, ground).clip(0, 1)
        pixels = np.rint(np.moveaxis(photo, 0, -1) * 255).astype(np.uint8)
        records.append(Record(f"photo{i}.png", png_bytes(pixels), code_arrays(_code(head)), {},
                              np.concatenate([rendered, normal, albedo])))
    with StoreWriter(path, {"head": head, "head_hash": head_hash, "image_size": size, "encoder": "toy", "buffers": "float16",
                            **header}) as writer:
        writer.append(records)
    return path


class TinyEncoder(nn.Module):
    """Stands in for ResNet where only its BatchNorm matters; a hundred times faster to step and save."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, latent_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


def tiny_network(dropout: float = 0.1, seed: int = 0) -> DiffusionRig:
    """The real UNet at its smallest, with a tiny encoder."""
    network = build_network(ModelConfig(image_size=SIZE, num_channels=32, num_res_blocks=1, channel_mult="1,1", dropout=dropout,
                                        attention_resolutions="", latent_dim=8), seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network.encoder = TinyEncoder(8)
        # Zero-initialised layers would hide whatever lies before them from the gradient.
        for parameter in network.parameters():
            if not parameter.any():
                parameter.data.normal_(0, 0.05)
    return network


def tiny_trainer(store: Path, world: World, network: DiffusionRig | None = None, diffusion: DiffusionConfig | None = None,
                 **options: object) -> Trainer:
    """A trainer on ``store``; ``options`` are TrainOptions."""
    # Exactness is a property of float32; "auto" would choose by machine.
    usual = {"precision": "fp32", "batch_size": 4, "num_workers": 1, "lr": 1e-3}
    settings = TrainOptions(data_dir=str(store), **{**usual, **options})  # type: ignore[arg-type]
    return Trainer(network or tiny_network(), GaussianDiffusion(diffusion or DiffusionConfig()),
                   Faces(FaceStoreDataset(store)), settings, world)


def lone_world() -> World:
    """One process on the CPU."""
    return World(Launch(), torch.device("cpu"), "none")


# Flags of a command-line run as small as the real encoder allows.
SMALL = ["--image_size", str(SIZE), "--channel_mult", "1,1", "--num_channels", "32", "--num_res_blocks", "1", "--batch_size", "2",
         "--attention_resolutions", "",
         # Exactness is a property of float32; in bfloat16 ResNets of 16 pixels meet findings/torch-bf16-weights-*.sh.
         "--precision", "fp32",
         "--num_workers", "1", "--sample_count", "0", "--metric_count", "0", "--device", "cpu", "--log_interval", "1"]


def command(*flags: object, launcher: tuple[str, ...] = (), patch: str = "",
            **environment: str) -> subprocess.Popen[str] | Warm:
    """Start ``diffusionrig train`` in a process of its own, or by a ``launcher``; ``patch`` is Python run before it."""
    code = (f"import os, sys; {patch}\nfrom diffusionrig.cli import main\nfrom diffusionrig.model import encoder\n"
            f"encoder.WIDTH = {NARROW}\nsys.exit(main(['train', *sys.argv[1:]]))")
    environment = {"OMP_NUM_THREADS": "1", **environment}
    if not launcher:
        return Warm(code, flags, environment)
    return subprocess.Popen([str(Path(sys.executable).parent / launcher[0]), *launcher[1:], sys.executable, "-c", code,
                             *map(str, flags)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, **environment})


def ranks_of_srun(count: int, start: Callable[[dict[str, str]], Started], job: str) -> list[Started]:
    """``start`` called with the environment of each of ``count`` processes that ``srun`` started on this machine."""
    step = {"SLURM_JOB_ID": job, "SLURM_STEP_ID": "3", "SLURM_STEP_NUM_TASKS": str(count), "SLURM_NTASKS": str(count),
            "SLURM_NODEID": "0", "SLURM_STEP_TASKS_PER_NODE": str(count), "SLURM_STEP_NODELIST": "here"}
    return [start({**step, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}) for rank in range(count)]


def finished(process: subprocess.Popen[str] | Warm, timeout: float = 200) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a process once it has ended."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, out, err


def wait_for(path: Path, process: subprocess.Popen[str] | Warm, timeout: float = 200) -> None:
    """Wait until ``process`` has written ``path``."""
    deadline = time.monotonic() + timeout
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"{path} was not written: {process.communicate()}")
        time.sleep(0.1)


def personalise(store: Path, start: Path, folder: Path, *flags: object) -> int:
    """One command of stage 2 on ``store`` from ``start``, without samples or metrics; its exit status."""
    return main(["train", "--stage", "2", "--resume_checkpoint", str(start), "--data_dir", str(store), "--log_dir", str(folder),
                 "--batch_size", "2", "--num_workers", "1", "--sample_count", "0", "--metric_count", "0", "--device", "cpu",
                 "--log_interval", "1", *map(str, flags)])
