"""Photographs of the album kept out of training: how well the averaged weights predict them tells when to stop.

The loss is that of training, at fixed time steps and with fixed noises, without dropout and in single precision, so two looks
differ only by the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.errors import RigError, UsageError
from diffusionrig.model.config import PICTURE
from diffusionrig.model.network import DiffusionRig
from diffusionrig.randomness import torch_stream
from diffusionrig.training.batches import Faces
from diffusionrig.training.evaluating import evaluating, run_with
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.picture_loss import relative_loss

TIMES = 8  # time steps each held-out photograph is judged at, spread evenly over the schedule


def split_album(holdout: float, count: int) -> tuple[list[int], list[int]]:
    """``(train, held)`` record numbers: ``holdout`` photographs (a share when below 1) spread evenly over ``count``."""
    wanted = int(holdout) if holdout >= 1 else max(1, round(holdout * count))
    if wanted >= count:
        raise UsageError(f"--holdout {holdout:g} leaves no photograph of the {count} in the album to train on; hold out fewer.")
    held = [int((i + 0.5) * count / wanted) for i in range(wanted)]
    return [i for i in range(count) if i not in set(held)], held


class Holdout:
    """Measures weights on held-out photographs and keeps the best.

    records    which of the album are held out (by default spread over it); ``rest`` are the others, ``album`` counts both
    pictures   what tells the held-out photographs from others
    best_step  updates done when the loss was least; -1 before the first look
    waited     looks since then; ``last_step`` is when the last one was
    tensors    the weights of that moment, those that training changes
    """

    def __init__(self, options: TrainOptions, album: Faces, records: Sequence[int] = ()) -> None:
        self.options = options
        self.rest, self.records = split_album(options.holdout, len(album))
        if records:
            self.records, self.rest = list(records), [i for i in range(len(album)) if i not in set(records)]
        self.faces = album.only(self.records)
        self.album, self.pictures = len(album), self.faces.dataset.marks()
        self.best_step, self.best_loss, self.waited, self.first_loss, self.last_step = -1, math.inf, 0, math.inf, -1
        self.tensors: dict[str, Tensor] = {}

    @property
    def over(self) -> bool:
        """Whether patience has run out."""
        return bool(self.options.patience) and self.waited >= self.options.patience

    def due(self, step: int) -> bool:
        """Whether to look after ``step`` updates: at the start, every ``validate_every``, and at the end, once each."""
        return step != self.last_step and (self.last_step < 0 or step % self.options.validate_every == 0
                                           or step == self.options.max_steps)

    @torch.no_grad()
    def measure(self, network: DiffusionRig, weights: Mapping[str, Tensor], diffusion: GaussianDiffusion) -> float:
        """Mean loss of ``weights`` over the held-out photographs, ``TIMES`` steps each."""
        device, length = next(network.parameters()).device, len(diffusion.schedule)
        times = torch.tensor([int((k + 0.5) * length / TIMES) for k in range(TIMES)], device=device)
        total = 0.0
        with evaluating(network):
            # One photograph at a time: rounding may depend on what else is in a batch.
            for i, record in enumerate(self.records):
                shown = self.faces.shown([i])
                images, buffers = shown.images.to(device), shown.condition.to(device)
                noise = torch.stack([torch.randn(images.shape[1:], generator=torch_stream(self.options.seed, "holdout", record, k))
                                     for k in range(TIMES)]).to(device)
                latent = run_with(network.encoder, weights, images, prefix="encoder.").expand(TIMES, -1)
                condition = buffers.expand(TIMES, -1, -1, -1)

                def denoise(x: Tensor, time: Tensor, condition: Tensor = condition, latent: Tensor = latent) -> Tensor:
                    return run_with(network, weights, x, time, condition, latent)

                distance = None
                if shown.weight is not None:
                    distance = partial(relative_loss, weight=shown.weight.to(device), carried=buffers[:, PICTURE])
                total += float(diffusion.training_loss(denoise, images.expand(TIMES, -1, -1, -1), times, noise,
                                                       distance)["loss"].mean())
        return total / len(self.records)

    def note(self, step: int, loss: float, weights: Mapping[str, Tensor], names: list[str]) -> bool:
        """Take in a look's ``loss``; when it is the least so far, keep those of ``weights`` that have ``names``."""
        if self.last_step < 0 and not math.isfinite(loss):
            raise RigError("The weights that training starts from give no finite loss on the held-out photographs; start from "
                           "others.")
        self.first_loss = loss if self.last_step < 0 else self.first_loss
        self.last_step = step
        if not loss < self.best_loss:
            self.waited += 1
            return False
        self.best_step, self.best_loss, self.waited = step, loss, 0
        self.tensors = {name: weights[name].detach().clone() for name in names}
        return True

    def figures(self) -> dict[str, Any]:
        """For the model's description and the report."""
        return {"held_out": len(self.records), "step": self.best_step, "loss": self.best_loss, "loss_at_start": self.first_loss}

    def state(self) -> dict[str, Any]:
        """Everything needed to go on as if nothing had happened."""
        return {"records": self.records, "pictures": self.pictures, "album": self.album, "best_step": self.best_step,
                "best_loss": self.best_loss, "waited": self.waited, "first_loss": self.first_loss, "last_step": self.last_step,
                "tensors": self.tensors}

    def is_that_of(self, state: Mapping[str, Any]) -> bool:
        """Whether a run with this ``state`` held out the same photographs."""
        if "pictures" in state:
            return sorted(self.pictures) == sorted(state["pictures"])
        return bool(self.records == state["records"])

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """The inverse of ``state``."""
        self.best_step, self.best_loss, self.waited = state["best_step"], state["best_loss"], state["waited"]
        self.first_loss, self.last_step = state["first_loss"], state["last_step"]
        self.tensors = {name: tensor.to(device) for name, tensor in state["tensors"].items()}


def make_holdout(options: TrainOptions, album: Faces, state: Mapping[str, Any] | None, source: str,
                 device: torch.device) -> Holdout | None:
    """The held-out photographs of a run, None without; continued from its training ``state`` when there is one.

    Of an album that has grown since, the same photographs stay held out. UsageError when that run held out others: it has learned
    from them.
    """
    holdout = Holdout(options, album) if options.holdout else None
    if state is None:
        return holdout
    before = state.get("holdout")
    if before and holdout is not None and before.get("album", len(album)) < len(album):
        holdout = Holdout(options, album, _places(album, before["pictures"]))
    if (before is None) != (holdout is None) or (before and holdout and not holdout.is_that_of(before)):
        number = len(before["records"]) if before else 0
        raise UsageError(f"{source} belongs to a run that held out {number} photographs of its album, and others now would be ones "
                         "it has learned from; repeat its --holdout and album, or choose another --log_dir.")
    if holdout is not None and before is not None:
        holdout.restore(before, device)
    return holdout


def _places(album: Faces, pictures: Sequence[str]) -> list[int]:
    """Where photographs are in an album by now; those that are gone are left out."""
    wanted, places = list(pictures), []
    for place, mark in enumerate(album.dataset.marks()):
        if mark in wanted:  # each counts once: an album may hold a photograph twice
            wanted.remove(mark)
            places.append(place)
    return places
