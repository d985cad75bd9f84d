"""The training step, the same for both stages: batch, time step, noise, loss, backward, clip, update, average."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.devices import resolve_precision
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.diffusion.timesteps import make_sampler
from diffusionrig.errors import RigError
from diffusionrig.model.network import DiffusionRig
from diffusionrig.model.null_condition import keep_some
from diffusionrig.training.batches import Batch, Faces, Feeder, latents_of
from diffusionrig.training.batchnorm import average_statistics, span_world
from diffusionrig.training.distributed import World
from diffusionrig.training.optimizer import (
    clip_gradients,
    learning_rate,
    make_optimizer,
    optimizer_state,
    restore_optimizer,
)
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.order import drawn_below, seed_dropout, timestep_of
from diffusionrig.training.power_ema import PowerAverages, make_average
from diffusionrig.training.start import Start

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


class Trainer:
    """Holds everything that changes while training; ``state`` and ``restore`` carry all of it.

    step     optimiser updates done
    samples  photographs shown so far, by all processes, skipped updates included
    skipped  updates left out because the loss or the gradient was not finite
    """

    def __init__(self, network: DiffusionRig, diffusion: GaussianDiffusion, faces: Faces, options: TrainOptions,
                 world: World) -> None:
        self.network, self.diffusion, self.options, self.world = network, diffusion, options, world
        self.step = self.samples = self.skipped = 0
        self._skipped_in_row = 0
        network.to(world.device)
        if options.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._set_modes()
        if options.stage == 1 and options.sync_batchnorm:
            span_world(network.encoder, world)
        self.names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(options.optimizer, self.parameters, options.lr, options.weight_decay)
        frozen = frozenset(name for name in network.state_dict() if options.stage == 2 and name.startswith("encoder.")) | {
            name for name, parameter in network.named_parameters() if not parameter.requires_grad}
        self.ema = make_average(network, options, frozenset(frozen))
        self.precision = resolve_precision(options.precision, world.device)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.precision == "fp16")
        self.sampler = make_sampler(options.schedule_sampler, len(diffusion.schedule))
        self._feeder: Feeder | None = None
        self._statistics = list(network.encoder.buffers()) if options.stage == 1 else []
        self.faces = faces
        self._latents: Tensor | None = None
        self._module: nn.Module | None = None

    def _set_modes(self) -> None:
        self.network.train()
        if self.options.stage == 2:
            # In train mode BatchNorm would follow the album although no weight changes, and z would drift from the z of
            # inference: frozen means eval mode too.
            self.network.encoder.requires_grad_(False).eval()

    @property
    def samples_per_step(self) -> int:
        """Photographs per update over all processes."""
        return self.options.batch_size * self.options.grad_accumulation * self.world.size

    def _ready(self) -> tuple[nn.Module, Feeder]:
        # At the first update, when weights and counters are final: DDP copies the weights of rank 0 to the others.
        if self._module is None or self._feeder is None:
            self._feeder = Feeder(self.faces, self.options, self.world, self.samples)
            if self.options.stage == 2 and self.faces.megabytes <= self.options.cache_megabytes:
                self._latents = latents_of(self.network.encode_cond, self.faces, self.world.device)
            module: nn.Module = torch.compile(self.network) if self.options.compile else self.network  # type: ignore[assignment]
            self._module = self.world.parallel(module)
        return self._module, self._feeder

    def close(self) -> None:
        """End the background threads."""
        if self._feeder is not None:
            self._feeder.close()

    def update(self, stop: int = 0) -> Update:
        """One optimiser update over ``samples_per_step`` photographs. ``stop``, a signal's number, reaches all processes."""
        (module, feeder), options = self._ready(), self.options
        rate = learning_rate(options.lr, self.step + 1, options.warmup_steps, options.decay_steps, options.max_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        before = [statistic.clone() for statistic in self._statistics]
        figures = torch.zeros(2 + len(STOPS), device=self.world.device)
        learned: list[tuple[Tensor, Tensor]] = []
        waited = 0.0
        for micro in range(options.grad_accumulation):
            asked = time.monotonic()
            batch = feeder.next()
            waited += time.monotonic() - asked
            last = micro == options.grad_accumulation - 1
            with self._quiet(module, last):
                terms, index = self._loss(module, batch)
                loss = terms["loss"].mean() / options.grad_accumulation
                self.scaler.scale(loss).backward()
            figures[0] += loss.detach()
            figures[1] += terms.get("mse", terms["loss"]).detach().mean() / options.grad_accumulation
            learned.append((index, terms["unweighted"].detach()))
        self.samples += self.samples_per_step
        self._learn_timesteps(learned)
        done = self._apply(figures, rate, stop)
        done.waited = waited
        if not done.applied:
            # A skipped update leaves no trace: not in BatchNorm's running statistics either, which could stay NaN for ever.
            for statistic, value in zip(self._statistics, before):
                statistic.copy_(value)
        return done

    def _quiet(self, module: nn.Module, last: bool) -> Any:
        """Gradients travel once per update, with its last batch."""
        return contextlib.nullcontext() if last or self.world.size == 1 else module.no_sync()  # type: ignore[operator]

    def _loss(self, module: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        pairs = [timestep_of(self.sampler, self.options.seed, sample) for sample in batch.samples]
        index = torch.tensor([step for step, _ in pairs], device=self.world.device)
        weight = torch.tensor([weight for _, weight in pairs], dtype=torch.float32, device=self.world.device)
        latent = None if self._latents is None else self._latents[batch.records]
        buffers, more = self._drop_conditions(batch)

        def predict(x: Tensor, time: Tensor) -> Tensor:
            with self._autocast():
                return module(x, time, buffers, detail_cond=latent, x_start=batch.images if latent is None else None, **more)

        seed_dropout(self.options.seed, batch.samples[0])
        terms = self.diffusion.training_loss(predict, batch.images, index, batch.noise)
        return {**{name: term * weight for name, term in terms.items()}, "unweighted": terms["loss"]}, index

    def _drop_conditions(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The buffers, some of them nulled, and further arguments of the network that null some of the latents."""
        options, device = self.options, batch.buffers.device
        buffers, more = batch.buffers, {}
        if options.drop_buffers:
            buffers = keep_some(buffers, ~drawn_below(options.drop_buffers, "drop_buffers", options.seed, batch.samples).to(device))
        if options.drop_latent:
            more["keep_latent"] = ~drawn_below(options.drop_latent, "drop_latent", options.seed, batch.samples).to(device)
        return buffers, more

    def _autocast(self) -> Any:
        if self.precision == "fp32":
            return contextlib.nullcontext()
        kind = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.world.device.type, dtype=kind)

    def _learn_timesteps(self, learned: list[tuple[Tensor, Tensor]]) -> None:
        if self.options.schedule_sampler == "uniform":
            return
        for index, losses in learned:
            self.sampler.update(self.world.gather(index).cpu(), self.world.gather(losses).cpu())

    def _apply(self, figures: Tensor, rate: float, stop: int) -> Update:
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.parameters, self.options.auto_scale_grad_clip)
        if stop:
            figures[2 + STOPS.index(stop)] = 1
        # One reading per update: whether to step has to be known here. Gradients are the same bits on every rank after the
        # exchange and the loss is summed over them, so all ranks decide alike.
        total = self.world.sum(figures)
        loss, mse, *wishes, size = torch.cat([total, norm.detach().reshape(1)]).tolist()
        loss, mse = loss / self.world.size, mse / self.world.size
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
                           "ones), so the run is given up; use a lower --lr or --precision fp32.")
        wished = next((number for number, wish in zip(STOPS, wishes) if wish), 0)
        return Update(loss, {"mse": mse}, size, rate, applied, wished)

    def settle(self) -> None:
        """Make the processes agree on BatchNorm's running statistics, before a save."""
        if self.options.stage == 1 and not self.options.sync_batchnorm:
            average_statistics(self.network.encoder, self.world)

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
                "optimizer": optimizer_state(self.optimizer, self.names),
                "scaler": self.scaler.state_dict(), "sampler": self.sampler.state_dict()}

    def begin_at(self, start: Start) -> None:
        """Take over what ``start`` knows besides the weights: a full state, or a published step and optimiser."""
        if start.state is not None:
            self.restore(start.state)
            return
        self.step = start.step
        self.samples = start.step * self.samples_per_step
        if isinstance(self.ema, PowerAverages):
            self.ema.begin(self.step)
        if start.optimizer is not None:
            shapes = [tuple(held["exp_avg"].shape) for held in start.optimizer]
            if shapes != [tuple(parameter.shape) for parameter in self.parameters]:
                raise RigError(f"The optimiser state beside {start.source} does not fit the network; move it away to continue "
                               "without it.")
            restore_optimizer(self.optimizer, self.names, dict(zip(self.names, start.optimizer)))

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
        if state["sampler"]:
            self.sampler.load_state_dict(state["sampler"])
