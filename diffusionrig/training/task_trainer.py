"""The training step of a task: batches, loss, backward, clip, update, average. State and restore carry all of it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.data.sampling import rank_first_sample
from diffusionrig.devices import resolve_precision
from diffusionrig.errors import RigError
from diffusionrig.training.distributed import World
from diffusionrig.training.ema import WeightAverage
from diffusionrig.training.optimizer import clip_gradients, cosine_rate, learning_rate, optimizer_state, restore_optimizer
from diffusionrig.training.order import seed_dropout
from diffusionrig.training.task import Batch, Task
from diffusionrig.training.task_options import TaskOptions
from diffusionrig.training.trainer import PATIENCE, STOPS, Update


class _Step(nn.Module):
    """The loss as a module, so that DDP and the compiler see the whole step."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = task.network
        self._task = [task]

    def forward(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        return self._task[0].loss(batch, samples)


class TaskTrainer:
    """Holds everything that changes while training.

    step     optimiser updates done
    samples  items shown so far, by all processes, skipped updates included
    skipped  updates left out because the loss or the gradient was not finite
    """

    def __init__(self, task: Task, options: TaskOptions, world: World) -> None:
        self.task, self.options, self.world = task, options, world
        self.step = self.samples = self.skipped = 0
        self._skipped_in_row = 0
        network = task.network.to(world.device).train()
        trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
        # Biases, norms and gates do not decay, unless the network says what does not. Two groups, in the order of the optimiser.
        few = frozenset(name for name, parameter in trained.items() if parameter.ndim < 2)
        spared: frozenset[str] = network.undecayed() if hasattr(network, "undecayed") else few  # type: ignore[operator]
        self.names = sorted(trained, key=lambda name: name in spared)
        self.parameters = [trained[name] for name in self.names]
        groups = [{"params": [trained[name] for name in self.names if (name in spared) == without], "weight_decay": decay}
                  for without, decay in ((False, options.weight_decay), (True, 0.0))]
        kind = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
        self.optimizer = kind([group for group in groups if group["params"]], lr=options.lr, betas=(0.9, options.beta2), fused=True)
        frozen = frozenset(name for name, parameter in network.named_parameters() if not parameter.requires_grad)
        self.ema = WeightAverage(network, options.ema_decay, frozen) if options.ema_decay else None
        self.precision = resolve_precision(options.precision, world.device)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.precision == "fp16")
        self._module: nn.Module | None = None
        self._waited = 0.0

    @property
    def samples_per_step(self) -> int:
        """Items per update over all processes."""
        return self.options.batch_size * self.options.grad_accumulation * self.world.size

    def update(self, stop: int = 0) -> Update:
        """One optimiser update over ``samples_per_step`` items. ``stop``, a signal's number, reaches all processes."""
        options = self.options
        if self._module is None:
            step: nn.Module = _Step(self.task)
            self._module = self.world.parallel(torch.compile(step) if options.compile else step)  # type: ignore[arg-type]
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        self._waited = 0.0
        for micro in range(options.grad_accumulation):
            last = micro == options.grad_accumulation - 1
            with contextlib.nullcontext() if last or self.world.size == 1 else self._module.no_sync():  # type: ignore[operator]
                terms = self._terms(self._module, micro)
                self.scaler.scale(terms["loss"] / options.grad_accumulation).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach().float() / options.grad_accumulation
        self.samples += self.samples_per_step
        return self._apply(sums, rate, stop)

    def _rate(self) -> float:
        options, update = self.options, self.step + 1
        if options.schedule == "linear":
            return learning_rate(options.lr, update, options.warmup_steps, options.decay_steps, options.max_steps)
        return cosine_rate(options.lr, update, options.warmup_steps, options.keep_steps, options.max_steps, options.lr_start,
                           options.lr_end, options.schedule == "cosine_jump")

    def _terms(self, module: nn.Module, micro: int) -> dict[str, Tensor]:
        options, world = self.options, self.world
        seen = self.samples + micro * options.batch_size * world.size
        first = rank_first_sample(seen, options.batch_size, world.rank)
        numbers = list(range(first, first + options.batch_size))
        asked = time.monotonic()
        batch = {name: tensor.to(world.device, non_blocking=True) for name, tensor in self.task.batch(numbers).items()}
        self._waited += time.monotonic() - asked
        seed_dropout(options.seed, first)
        if self.precision == "fp32":
            return module(batch, numbers)
        kind = torch.bfloat16 if self.precision == "bf16" else torch.float16
        with torch.autocast(world.device.type, dtype=kind):
            return module(batch, numbers)

    def _apply(self, sums: dict[str, Tensor], rate: float, stop: int) -> Update:
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.parameters, self.options.grad_clip)
        wishes = torch.zeros(len(STOPS), device=self.world.device)
        if stop:
            wishes[STOPS.index(stop)] = 1
        figures = self.world.sum(torch.cat([torch.stack(list(sums.values())), wishes]))
        *values, size = torch.cat([figures, norm.detach().reshape(1).float()]).tolist()
        terms = {name: value / self.world.size for name, value in zip(sums, values)}
        loss = terms.pop("loss")
        applied = math.isfinite(loss) and math.isfinite(size)
        if applied:
            self.scaler.step(self.optimizer)
            self.step += 1
            self._skipped_in_row = 0
            if self.ema is not None:
                self.ema.update()
        else:
            self.skipped += 1
            self._skipped_in_row += 1
        self.scaler.update()
        if self._skipped_in_row >= PATIENCE:
            raise RigError(f"The loss or its gradient was not finite in {PATIENCE} updates in a row (after {self.step} good "
                           "ones), so the run is given up; use a lower lr or precision fp32.")
        wished = next((number for number, wish in zip(STOPS, values[len(sums):]) if wish), 0)
        return Update(loss, terms, size, rate, applied, wished, self._waited)

    def settle(self) -> None:
        """Nothing to agree on before a save: tasks keep no statistics outside of their weights."""

    def close(self) -> None:
        """No background threads to end."""

    def weights(self) -> dict[str, Tensor]:
        """The weights to use: averaged ones, or the last where there is no average."""
        return self.ema.tensors if self.ema is not None else self.task.network.state_dict()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on as if nothing had happened."""
        return {"format": 1, "step": self.step, "samples": self.samples, "skipped": self.skipped,
                "model": dict(self.task.network.state_dict()),
                "ema": None if self.ema is None else dict(self.ema.tensors),
                "ema_updates": 0 if self.ema is None else self.ema.updates,
                "optimizer": optimizer_state(self.optimizer, self.names), "scaler": self.scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        self.task.network.load_state_dict(state["model"])
        self.step, self.samples, self.skipped = state["step"], state["samples"], state["skipped"]
        if self.ema is not None:
            self.ema.load(state["ema"] or state["model"], state["ema_updates"])
        restore_optimizer(self.optimizer, self.names, state["optimizer"])
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
