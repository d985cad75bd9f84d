"""What training steps share, whatever is learned: gradients to an update or to a skipped one, counters, state."""

from __future__ import annotations

import contextlib
import math
import signal
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.devices import resolve_precision
from diffusionrig.errors import RigError
from diffusionrig.training.distributed import World
from diffusionrig.training.ema import WeightAverage
from diffusionrig.training.optimizer import clip_gradients, optimizer_state, restore_optimizer
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.power_ema import PowerAverages
from diffusionrig.training.task_options import TaskOptions

STOPS = (int(signal.SIGTERM), int(signal.SIGINT))
PATIENCE = 100  # updates skipped in a row before the run is given up


@dataclass
class Update:
    """What one optimiser update measured. ``loss`` and the other ``terms`` by name are means over all processes; ``stop`` is
    the signal that some process received, or 0; ``waited`` the seconds in which the next batch was not there yet."""

    loss: float
    terms: dict[str, float]
    grad_norm: float
    lr: float
    applied: bool
    stop: int
    waited: float = 0.0


class BaseTrainer:
    """Holds what changes while training; ``state`` and ``restore`` carry all of it. Subclasses make ``names``, ``parameters``
    (what is learned), ``optimizer`` and ``ema``, and compute gradients in ``update``.

    step     optimiser updates done
    samples  items shown so far, by all processes, skipped updates included
    skipped  updates left out because the loss or the gradient was not finite
    """

    network: nn.Module
    names: list[str]
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    ema: WeightAverage | PowerAverages | None

    def __init__(self, network: nn.Module, options: TrainOptions | TaskOptions, world: World) -> None:
        self.network, self.world = network, world
        self.samples_per_step = options.batch_size * options.grad_accumulation * world.size
        self.step = self.samples = self.skipped = 0
        self._skipped_in_row = 0
        self.precision = resolve_precision(options.precision, world.device)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.precision == "fp16")

    def update(self, stop: int = 0) -> Update:
        """One optimiser update over ``samples_per_step`` items. ``stop``, a signal's number, reaches all processes."""
        raise NotImplementedError

    def settle(self) -> None:
        """Make the processes agree on what they keep besides the weights, before a save."""

    def close(self) -> None:
        """End background threads."""

    def weights(self) -> dict[str, Tensor]:
        """The weights to use: averaged ones, or the last where there is no average."""
        return self.ema.tensors if self.ema is not None else self.network.state_dict()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on as if nothing had happened."""
        return {"format": 1, "step": self.step, "samples": self.samples, "skipped": self.skipped,
                "model": dict(self.network.state_dict()),
                "ema": None if self.ema is None else dict(self.ema.tensors),
                "ema_updates": 0 if self.ema is None else self.ema.updates,
                "power_ema": self.ema.state() if isinstance(self.ema, PowerAverages) else None,
                "optimizer": optimizer_state(self.optimizer, self.names), "scaler": self.scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``, for a network that holds the state's weights already."""
        self.step, self.samples, self.skipped = state["step"], state["samples"], state["skipped"]
        if isinstance(self.ema, PowerAverages):
            if state.get("power_ema"):
                self.ema.restore(state["power_ema"])
            else:
                self.ema.begin(self.step)
        elif self.ema is not None:
            self.ema.load(state["ema"] or state["model"], state["ema_updates"])
        restore_optimizer(self.optimizer, self.names, state["optimizer"])
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])

    def _begin(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)

    def _autocast(self) -> Any:
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.world.device.type, dtype=torch.bfloat16 if self.precision == "bf16" else torch.float16)

    def _quiet(self, module: nn.Module, last: bool) -> Any:
        """Gradients travel once per update, with its last batch."""
        return contextlib.nullcontext() if last or self.world.size == 1 else module.no_sync()  # type: ignore[operator]

    def _apply(self, sums: dict[str, Tensor], rate: float, stop: int, clip: float) -> Update:
        """Step the optimiser with the gradients that are there, unless they or the loss are not finite. ``sums`` are this
        process's ``loss`` and other figures."""
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.parameters, clip)
        wishes = torch.zeros(len(STOPS), device=self.world.device)
        if stop:
            wishes[STOPS.index(stop)] = 1
        # One reading per update: whether to step has to be known here. Gradients are the same bits on every rank after the
        # exchange and the loss is summed over them, so all ranks decide alike.
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
        return Update(loss, terms, size, rate, applied, wished)
