"""Training the network: mean squared error on absolute coefficients, Adam, whole clips; the same seed gives the same weights,
also when a run was interrupted and continued."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_state, save_checkpoint, save_state
from diffusionrig.io.files import make_folder, write_json
from diffusionrig.progress import Progress
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.coefficients.network import KIND, AttributesToCoefficients, fresh
from diffusionrig.reactions.corpus import ClipId, Split

STATE, MODEL, REPORT = "state.pt", "coefficients.safetensors", "report.json"
_STATE_EVERY = 10  # epochs


@dataclasses.dataclass(frozen=True)
class Options:
    """As published: 200 epochs, 64 clips at a time, Adam at 1e-4."""

    epochs: int = 200
    batch_size: int = 64
    lr: float = 1e-4
    seed: int = 0


class Clips:
    """Every participant's clip of a split once: attributes in memory (75 kB each), coefficients read when asked for."""

    def __init__(self, split: Split) -> None:
        if split.length is None:
            raise UsageError(f"The clips of {split.name} differ in length; give --length to cut them.")
        self._split = split
        self.ids: list[ClipId] = sorted({item.listener for item in split.items})
        absent = next((clip for clip in self.ids if not split.path("coefficients", clip).is_file()), None)
        if absent is not None:
            raise UsageError(f"There are no coefficients {split.path('coefficients', absent)}; the network learns from them.")
        self.attributes = torch.from_numpy(np.stack([split.emotion(clip) for clip in self.ids]))

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Attributes (B, T, 25) and coefficients (B, T, 58)."""
        return self.attributes[index], torch.from_numpy(np.stack([self._split.coefficients(self.ids[i]) for i in index]))


def train(training: Split, validation: Split | None, options: Options, folder: Path, device: torch.device) -> dict[str, Any]:
    """Train into ``folder``, or continue there; returns the report that is written beside the model."""
    make_folder(folder)
    clips = Clips(training)
    held_out = Clips(validation) if validation is not None else None
    request = {**dataclasses.asdict(options), "corpus": training.hash, "frames": training.length}
    network = fresh(options.seed).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=options.lr)
    losses = _continue(folder / STATE, request, network, optimizer)
    with Progress(options.epochs, "attributes to coefficients", "epoch", initial=len(losses)) as progress:
        for epoch in range(len(losses), options.epochs):
            losses.append(_epoch(network, optimizer, clips, options, epoch, device))
            if (epoch + 1) % _STATE_EVERY == 0 or epoch + 1 == options.epochs:
                save_state(folder / STATE, {"request": request, "losses": losses, "network": network.state_dict(),
                                            "optimizer": optimizer.state_dict()})
            progress.update(note=f"loss {losses[-1]:.5f}")
    report: dict[str, Any] = {**request, "losses": losses, "parameters": sum(p.numel() for p in network.parameters()),
                              "training_error": error_of(network, clips, options.batch_size, device)}
    if held_out is not None:
        mean = torch.stack([clips.batch(np.array([i]))[1][0].mean(0) for i in range(len(clips))]).mean(0)
        report["validation_error"] = error_of(network, held_out, options.batch_size, device)
        report["validation_error_of_mean_face"] = error_of(lambda x: mean.to(x).expand(*x.shape[:2], -1), held_out,
                                                           options.batch_size, device)
    save_checkpoint(folder / MODEL, network.state_dict(), {"kind": KIND, **request})
    write_json(folder / REPORT, report)
    return report


def _continue(state: Path, request: dict[str, Any], network: AttributesToCoefficients,
              optimizer: torch.optim.Optimizer) -> list[float]:
    """Load an interrupted run into ``network`` and ``optimizer``; the losses of the epochs that are done."""
    if not state.exists():
        return []
    saved = load_state(state)
    before = saved.get("request", {})
    other = next((name for name in request if name != "epochs" and before.get(name) != request[name]), None)
    if other is not None:
        raise UsageError(f"{state.parent} holds a run with {other} {before.get(other)}, not {request[other]}; choose another "
                         "folder.")
    if len(saved["losses"]) > request["epochs"]:
        raise UsageError(f"{state.parent} holds a run of {len(saved['losses'])} epochs, more than {request['epochs']}; choose "
                         "another folder.")
    network.load_state_dict(saved["network"])
    optimizer.load_state_dict(saved["optimizer"])
    return list(saved["losses"])


def _epoch(network: AttributesToCoefficients, optimizer: torch.optim.Optimizer, clips: Clips, options: Options, epoch: int,
           device: torch.device) -> float:
    """One pass in an order that depends on seed and epoch alone; the mean loss."""
    network.train()
    order = numpy_stream(options.seed, "coefficient batches", epoch).permutation(len(clips))
    total = 0.0
    for start in range(0, len(order), options.batch_size):
        index = order[start:start + options.batch_size]
        attributes, wanted = (part.to(device) for part in clips.batch(index))
        loss = functional.mse_loss(network(attributes), wanted)
        if not torch.isfinite(loss):
            raise RigError(f"The loss of epoch {epoch} is not finite; lower --lr.")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(index)
    return total / len(clips)


@torch.no_grad()
def error_of(network: Any, clips: Clips, batch_size: int, device: torch.device) -> float:
    """Mean squared error over ``clips``."""
    if isinstance(network, torch.nn.Module):
        network.eval()
    total = 0.0
    for start in range(0, len(clips), batch_size):
        index = np.arange(start, min(start + batch_size, len(clips)))
        attributes, wanted = (part.to(device) for part in clips.batch(index))
        total += functional.mse_loss(network(attributes), wanted).item() * len(index)
    return total / len(clips)
