"""The training step, the same for both stages: batch, time step, noise, loss, backward, clip, update, average."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.diffusion.timesteps import make_sampler
from diffusionrig.errors import RigError
from diffusionrig.model.config import PICTURE
from diffusionrig.model.network import DiffusionRig
from diffusionrig.model.null_condition import keep_some
from diffusionrig.training.base_trainer import BaseTrainer, Update
from diffusionrig.training.batches import Batch, Faces, Feeder, latents_of
from diffusionrig.training.batchnorm import average_statistics, span_world
from diffusionrig.training.distributed import World
from diffusionrig.training.optimizer import learning_rate, make_optimizer, restore_optimizer
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.order import drawn_below, seed_dropout, timestep_of
from diffusionrig.training.picture_loss import relative_loss
from diffusionrig.training.power_ema import PowerAverages, make_average
from diffusionrig.training.start import Start


class Trainer(BaseTrainer):
    """Trains a rig on photographs."""

    network: DiffusionRig

    def __init__(self, network: DiffusionRig, diffusion: GaussianDiffusion, faces: Faces, options: TrainOptions,
                 world: World) -> None:
        super().__init__(network, options, world)
        self.diffusion, self.options = diffusion, options
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

    def _ready(self) -> tuple[nn.Module, Feeder]:
        # At the first update, when weights and counters are final: DDP copies the weights of rank 0 to the others.
        if self._module is None or self._feeder is None:
            self._feeder = Feeder(self.faces, self.options, self.world, self.samples)
            photographs = self.network.config.condition == "buffers"
            if self.options.stage == 2 and photographs and self.faces.megabytes <= self.options.cache_megabytes:
                self._latents = latents_of(self.network.encode_cond, self.faces, self.world.device)
            module: nn.Module = torch.compile(self.network) if self.options.compile else self.network  # type: ignore[assignment]
            self._module = self.world.parallel(module)
        return self._module, self._feeder

    def close(self) -> None:
        if self._feeder is not None:
            self._feeder.close()

    def update(self, stop: int = 0) -> Update:
        (module, feeder), options = self._ready(), self.options
        rate = learning_rate(options.lr, self.step + 1, options.warmup_steps, options.decay_steps, options.max_steps)
        self._begin(rate)
        before = [statistic.clone() for statistic in self._statistics]
        sums = {name: torch.zeros((), device=self.world.device) for name in ("loss", "mse")}
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
            sums["loss"] += loss.detach()
            sums["mse"] += terms.get("mse", terms["loss"]).detach().mean() / options.grad_accumulation
            learned.append((index, terms["unweighted"].detach()))
        self.samples += self.samples_per_step
        self._learn_timesteps(learned)
        done = self._apply(sums, rate, stop, options.auto_scale_grad_clip)
        done.waited = waited
        if not done.applied:
            # A skipped update leaves no trace: not in BatchNorm's running statistics either, which could stay NaN for ever.
            for statistic, value in zip(self._statistics, before):
                statistic.copy_(value)
        return done

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
        distance = None
        if batch.weight is not None:
            distance = partial(relative_loss, weight=batch.weight, carried=batch.buffers[:, PICTURE])
        terms = self.diffusion.training_loss(predict, batch.images, index, batch.noise, distance)
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

    def _learn_timesteps(self, learned: list[tuple[Tensor, Tensor]]) -> None:
        if self.options.schedule_sampler == "uniform":
            return
        for index, losses in learned:
            self.sampler.update(self.world.gather(index).cpu(), self.world.gather(losses).cpu())

    def settle(self) -> None:
        # BatchNorm's running statistics.
        if self.options.stage == 1 and not self.options.sync_batchnorm:
            average_statistics(self.network.encoder, self.world)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "sampler": self.sampler.state_dict()}

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
        super().restore(state)
        if state["sampler"]:
            self.sampler.load_state_dict(state["sampler"])
