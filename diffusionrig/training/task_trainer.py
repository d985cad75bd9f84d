"""The training step of a task: batches of its items, its loss, and the optimiser that fits its network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.data.sampling import rank_first_sample
from diffusionrig.training.base_trainer import BaseTrainer, Update
from diffusionrig.training.distributed import World
from diffusionrig.training.ema import WeightAverage
from diffusionrig.training.optimizer import cosine_rate, learning_rate
from diffusionrig.training.order import seed_dropout
from diffusionrig.training.task import Batch, Task
from diffusionrig.training.task_options import TaskOptions


class _Step(nn.Module):
    """The loss as a module, so that DDP and the compiler see the whole step."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = task.network
        self._task = [task]

    def forward(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        return self._task[0].loss(batch, samples)


class TaskTrainer(BaseTrainer):
    """Trains the network of a task. It keeps no statistics outside of the weights and no threads."""

    def __init__(self, task: Task, options: TaskOptions, world: World) -> None:
        super().__init__(task.network, options, world)
        self.task, self.options = task, options
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
        self._module: nn.Module | None = None

    def update(self, stop: int = 0) -> Update:
        options = self.options
        if self._module is None:
            step: nn.Module = _Step(self.task)
            self._module = self.world.parallel(torch.compile(step) if options.compile else step)  # type: ignore[arg-type]
        rate = self._rate()
        self._begin(rate)
        sums: dict[str, Tensor] = {}
        waited = 0.0
        for micro in range(options.grad_accumulation):
            asked = time.monotonic()
            numbers, batch = self._batch(micro)
            waited += time.monotonic() - asked
            with self._quiet(self._module, micro == options.grad_accumulation - 1):
                seed_dropout(options.seed, numbers[0])
                with self._autocast():
                    terms = self._module(batch, numbers)
                self.scaler.scale(terms["loss"] / options.grad_accumulation).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach().float() / options.grad_accumulation
        self.samples += self.samples_per_step
        done = self._apply(sums, rate, stop, options.grad_clip)
        done.waited = waited
        return done

    def _rate(self) -> float:
        options, update = self.options, self.step + 1
        if options.schedule == "linear":
            return learning_rate(options.lr, update, options.warmup_steps, options.decay_steps, options.max_steps)
        return cosine_rate(options.lr, update, options.warmup_steps, options.keep_steps, options.max_steps, options.lr_start,
                           options.lr_end, options.schedule == "cosine_jump")

    def _batch(self, micro: int) -> tuple[list[int], Batch]:
        options, world = self.options, self.world
        seen = self.samples + micro * options.batch_size * world.size
        first = rank_first_sample(seen, options.batch_size, world.rank)
        numbers = list(range(first, first + options.batch_size))
        return numbers, {name: tensor.to(world.device, non_blocking=True) for name, tensor in self.task.batch(numbers).items()}

    def restore(self, state: dict[str, Any]) -> None:
        self.task.network.load_state_dict(state["model"])
        super().restore(state)
