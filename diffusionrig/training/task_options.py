"""Choices of a task's training run, whatever the task is."""

from __future__ import annotations

from dataclasses import dataclass

from diffusionrig.devices import PRECISIONS
from diffusionrig.errors import UsageError
from diffusionrig.settings import setting
from diffusionrig.training.options import OPTIMIZERS, RESUMES

SCHEDULES = ("linear", "cosine", "cosine_jump")


@dataclass(frozen=True)
class TaskOptions:
    """Settings of :func:`diffusionrig.training.task_loop.train_task`; wrong ones raise UsageError at once."""

    log_dir: str = setting("", "folder of the run: models, states, logs; the same command again continues it")
    resume: str = setting("auto", "auto: continue the run in log_dir when there is one; never: start anew")
    overwrite: bool = setting(False, "with resume never, delete the files of the run that is in log_dir")
    batch_size: int = setting(8, "items per process and step")
    max_steps: int = setting(1000, "updates after which training ends")
    lr: float = setting(1e-3, "learning rate; on resume too")
    weight_decay: float = setting(0.0, "of matrices: L2 penalty of adam, decoupled decay of adamw")
    optimizer: str = setting("adamw", "adam or adamw")
    beta2: float = setting(0.999, "second moment decay of the optimiser")
    warmup_steps: int = setting(0, "updates over which the learning rate rises from 0")
    decay_steps: int = setting(0, "updates before max_steps over which the learning rate falls to 0")
    schedule: str = setting("linear", "linear: warm-up, constant, linear fall; cosine: warm-up, constant until keep_steps, cosine "
                                      "to lr_end at max_steps; cosine_jump: the same with UniFR's published jump at keep_steps")
    keep_steps: int = setting(0, "updates before a cosine schedule begins to fall")
    lr_start: float = setting(0.0, "rate at which the warm-up of a cosine schedule starts")
    lr_end: float = setting(0.0, "rate at which a cosine schedule ends")
    grad_clip: float = setting(1.0, "largest global norm of the gradient; 0 for no limit")
    grad_accumulation: int = setting(1, "batches added up to one update")
    ema_decay: float = setting(0.0, "decay of averaged weights that are saved as the model; warmed up; 0: the last weights")
    precision: str = setting("fp32", "auto (bf16 where the device computes in it, fp16 on older GPUs, else fp32), fp32, bf16, fp16")
    seed: int = setting(0, "seed of initialisation, order, noise and dropout")
    log_interval: int = setting(10, "updates between log lines")
    save_interval: int = setting(1000, "updates between saves")
    keep_states: int = setting(1, "full training states kept, newest first; models are all kept")
    device: str = setting("auto", "auto (CUDA when there is one), cpu, cuda, mps")
    compile: bool = setting(False, "compile the network: minutes once, then faster steps")

    def __post_init__(self) -> None:
        for name, allowed in (("precision", PRECISIONS), ("optimizer", OPTIMIZERS), ("resume", RESUMES),
                              ("schedule", SCHEDULES)):
            _require(getattr(self, name) in allowed,
                     f"{name} {getattr(self, name)} does not exist; choose from {', '.join(allowed)}.")
        for name in ("batch_size", "grad_accumulation", "log_interval", "save_interval", "keep_states", "max_steps"):
            _require(getattr(self, name) >= 1, f"{name} must be 1 or more, not {getattr(self, name)}.")
        for name in ("weight_decay", "warmup_steps", "decay_steps", "grad_clip", "lr", "keep_steps", "lr_start", "lr_end"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative, but is {getattr(self, name):g}.")
        for name in ("ema_decay", "beta2"):
            _require(0 <= getattr(self, name) < 1, f"{name} must lie in [0, 1), not {getattr(self, name):g}.")
        _require(bool(self.log_dir), "No log_dir was given; name a folder for the run.")


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UsageError(sentence)
