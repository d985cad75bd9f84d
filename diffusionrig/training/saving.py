"""Saving a run: the model with its description, the full training state, the sample grid."""

from __future__ import annotations

import base64
import dataclasses
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy
import torch

from diffusionrig import __version__
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.io.checkpoints import export_legacy, save_checkpoint, save_state
from diffusionrig.io.images import png_bytes, write_png
from diffusionrig.io.journal import CsvTable
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import to_uint8
from diffusionrig.model.adapters import merged
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.null_condition import PARTS, null_share
from diffusionrig.training.adapting import adapter_of, describe_adapter, stored_part
from diffusionrig.training.colour import colour_drift
from diffusionrig.training.holdout import Holdout
from diffusionrig.training.learned import describe_stores
from diffusionrig.training.metrics import FixedSet
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.plots import plot_run
from diffusionrig.training.power_ema import PowerAverages
from diffusionrig.training.run_folder import RunFolder
from diffusionrig.training.samples import Samples, draw_samples, sample_grid
from diffusionrig.training.snapshots import write_snapshot
from diffusionrig.training.start import MEAN_SHAPE, Start
from diffusionrig.training.trainer import Trainer

NOT_STATED = "not stated"
PREVIEW = 96


def describe_run(options: TrainOptions, model: ModelConfig, diffusion: DiffusionConfig, stores: Sequence[FaceStoreDataset],
                 consent: str, start: Start) -> dict[str, Any]:
    """What a checkpoint that learns from ``stores`` says about itself, but for the step. ``consent`` is recorded for stage 2
    only."""
    header = stores[0].header
    # A published store does not name its head model; the weights training starts from may.
    head = {"name": header["head"], "hash": header["head_hash"]} if header["head"] else start.meta.get("head")
    return {
        "kind": "model", "stage": options.stage, "model": model.to_dict(), "diffusion": diffusion.to_dict(),
        "head": head or {"name": None, "hash": None}, "encoder": header.get("encoder"),
        "data": describe_stores(stores),
        "consent": consent or NOT_STATED if options.stage == 2 else None,
        "null_condition": {part: getattr(options, f"drop_{part}") or null_share(start.meta, part) for part in PARTS},
        **describe_adapter(options, start),
        "started_from": Path(start.source).name, "seed": options.seed, "options": dataclasses.asdict(options),
        "versions": {"diffusionrig": __version__, "torch": str(torch.__version__), "numpy": numpy.__version__,
                     "python": platform.python_version()},
    }


class Saver(Protocol):
    """What the loop asks to be written, by the main process."""

    def save(self) -> dict[str, float]:
        """State and model of the present step; returns what was measured of the model, which may be nothing."""

    def snapshot_due(self) -> bool:
        """Whether the present step is one after which ``snapshot`` is to be called; the same in all processes."""

    def snapshot(self) -> None:
        """Something small between two saves."""


class RigSaver:
    """Saves the rig; the fixed set that is measured is built at the first save."""

    def __init__(self, trainer: Trainer, folder: RunFolder, meta: dict[str, Any], holdout: Holdout | None) -> None:
        self.trainer, self.folder, self.meta, self.holdout = trainer, folder, meta, holdout
        self.fixed: FixedSet | None = None

    def save(self) -> dict[str, float]:
        count = self.trainer.options.metric_count
        if count and self.fixed is None:
            self.fixed = FixedSet(self.trainer.faces, count)
        return save_run(self.trainer, self.folder, self.meta, self.fixed, self.holdout)

    def snapshot_due(self) -> bool:
        every = self.trainer.options.ema_snapshots
        return every > 0 and self.trainer.step % every == 0

    def snapshot(self) -> None:
        save_snapshot(self.trainer, self.folder, self.meta)


def save_run(trainer: Trainer, folder: RunFolder, meta: dict[str, Any], fixed: FixedSet | None,
             holdout: Holdout | None) -> dict[str, float]:
    """Write ``stateN.pt``, ``samplesN.png``, a row of ``metrics.csv`` and last ``modelN.safetensors`` (averaged weights, with a
    ``holdout`` the best of them so far; of an adapted network the adapters alone), then drop old states and draw
    ``training.png``. Returns what was measured: on the ``fixed`` set, and in stage 2 the colours of the samples.

    Each file appears under its name only when it is whole, so a kill or a full disk leaves the save before it intact. A
    state without its model is a save that was cut off: the run that continues from it finishes it.
    """
    step, options, adapter = trainer.step, trainer.options, adapter_of(trainer.options)
    weights = {**trainer.weights(), **(holdout.tensors if holdout else {})}
    about = {**_about(trainer, meta), "best": holdout.figures() if holdout else None}
    mean_shape = trainer.faces.dataset.mean_shape
    extra = {} if mean_shape is None else {MEAN_SHAPE: mean_shape}
    save_state(folder.state(step), {**trainer.state(), "holdout": holdout.state() if holdout else None, "meta": about})
    save_snapshot(trainer, folder, meta)
    if options.export_pt:
        export_legacy(folder.legacy(step), merged(weights, adapter) if adapter else weights)
    figures: dict[str, float] = {}
    if options.sample_count:
        samples = draw_samples(trainer.network, weights, trainer.diffusion.config, trainer.faces, options.sample_count,
                               options.seed)
        write_png(folder.samples(step), sample_grid(samples), {"software": f"diffusionrig {__version__}", "step": str(step)})
        if options.stage == 2:
            figures, about = colour_drift(samples), {**about, "preview": preview(samples)}
    if fixed:
        figures |= fixed.measure(trainer.network, weights, trainer.diffusion.config)
    if figures:
        table = CsvTable(folder.metrics)
        table.forget("step", step - 1)  # a save that was cut off had written its row
        table.append({"step": step, **figures})
        about["metrics"] = figures
    save_checkpoint(folder.model(step), {**(stored_part(weights) if adapter else weights), **extra}, about)
    folder.prune_states(options.keep_states)
    if (folder.path / "progress.csv").exists():
        plot_run(folder.path)
    return figures


def save_snapshot(trainer: Trainer, folder: RunFolder, meta: dict[str, Any]) -> None:
    """Write ``emaN.safetensors`` where the run keeps power-function averages."""
    if isinstance(trainer.ema, PowerAverages):
        write_snapshot(folder.average(trainer.step), trainer.ema, _about(trainer, meta))


def _about(trainer: Trainer, meta: dict[str, Any]) -> dict[str, Any]:
    about = {**meta, "step": trainer.step, "samples": trainer.samples, "skipped": trainer.skipped,
             "weights": "ema" if trainer.ema is not None else "raw"}
    if isinstance(trainer.ema, PowerAverages):
        about["ema"] = {"profile": "power", "sigma_rel": trainer.ema.widths[0], "updates": trainer.ema.updates}
    return about


def preview(samples: Samples) -> str:
    """The first drawn picture, at most ``PREVIEW`` pixels wide, as base64 of a PNG: it travels inside the model's description."""
    picture = to_uint8(samples.drawn[0].numpy(), -1, 1)
    if len(picture) > PREVIEW:
        picture = resize_square(picture, PREVIEW)
    return base64.b64encode(png_bytes(picture, {"Comment": "AI-generated"}, level=9)).decode()
