"""A training run from its first update to its report: the loop, saving, logging, stopping."""

from __future__ import annotations

import os
import signal
from typing import Any

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import describe_checkpoint
from diffusionrig.io.files import make_folder, read_json, write_json
from diffusionrig.io.journal import CsvTable
from diffusionrig.io.settings_files import write_settings
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.model.released import load_strict
from diffusionrig.progress import Progress
from diffusionrig.training.adapting import check_adapter, prepare_adapters
from diffusionrig.training.colour import drift_warning
from diffusionrig.training.distributed import World
from diffusionrig.training.holdout import Holdout, make_holdout
from diffusionrig.training.journal import Journal
from diffusionrig.training.meters import Meters
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.pair_batches import make_faces
from diffusionrig.training.run_folder import RunFolder
from diffusionrig.training.saving import NOT_STATED, RigSaver, Saver, describe_run
from diffusionrig.training.signals import StopSignals
from diffusionrig.training.start import Start
from diffusionrig.training.task_trainer import TaskTrainer
from diffusionrig.training.trainer import Trainer

DONE = "all steps done"
EARLY = "the held-out photographs were not drawn better any more"


def train(options: TrainOptions, model: ModelConfig, diffusion: DiffusionConfig, world: World, start: Start,
          consent: str = "") -> dict[str, Any]:
    """Train until ``max_steps`` updates or a signal; returns the report that is written to ``report.json``.

    Every process of the job calls this with the same arguments. RigError or UsageError, one sentence, when it cannot be
    done; what was saved before stays whole.
    """
    check_adapter(options, start)
    faces = make_faces(options, model)
    dataset = faces.dataset
    check_head(dataset, start)
    holdout = make_holdout(options, faces, start.state, start.source, world.device)
    folder = RunFolder(options.log_dir)
    meta = describe_run(options, model, diffusion, faces.stores, consent, start)
    world.on_main(lambda: _prepare_folder(folder, meta, start))
    network = build_network(model, options.seed)
    if start.tensors is not None:
        load_strict(network, prepare_adapters(network, options, start), start.source)
    trainer = Trainer(network, GaussianDiffusion(diffusion), faces.only(holdout.rest) if holdout else faces, options, world)
    trainer.begin_at(start)
    total = options.max_steps * trainer.samples_per_step or None
    with StopSignals() as signals, Progress(total, f"stage {options.stage}", initial=trainer.step * trainer.samples_per_step,
                                            enabled=world.main) as progress:
        journal = Journal(folder.path, world.rank, progress, step=trainer.step)
        world.keep_log(journal.log)
        try:
            return Run(trainer, folder, meta, journal, progress, signals, RigSaver(trainer, folder, meta, holdout),
                       holdout=holdout).go(_opening(trainer, meta, start))
        finally:
            journal.close()
            trainer.close()


class Run:
    """The loop and what it writes, whatever is trained."""

    def __init__(self, trainer: Trainer | TaskTrainer, folder: RunFolder, meta: dict[str, Any], journal: Journal,
                 progress: Progress, signals: StopSignals, saver: Saver, unit: str = "images",
                 holdout: Holdout | None = None) -> None:
        self.trainer, self.folder, self.meta, self.saver = trainer, folder, meta, saver
        self.journal, self.progress, self.signals = journal, progress, signals
        self.options, self.world, self.holdout = trainer.options, trainer.world, holdout
        self.meters = Meters(trainer.samples_per_step, unit)
        self.first_step = trainer.step
        # The last save of this folder, complete or cut off between its state and its model.
        self.saved = trainer.step if folder.model(trainer.step).exists() else -1
        self.measured: dict[str, float] = {}
        if self.saved >= 0:
            self.measured = describe_checkpoint(folder.model(self.saved))[1].get("metrics", {})
        self.cut_off = self.saved < 0 and folder.state(trainer.step).exists()

    def go(self, opening: str) -> dict[str, Any]:
        """Note the ``opening``; update, log and save until the end; then save once more, unless that has been done, and report.

        Updates, seconds and losses in the report are of this run, the rest is of the model. A run that had nothing to do leaves the
        report that is there, unless that is of an earlier save, as a kill between model and report leaves it.
        """
        self.journal.note(opening)
        if self.cut_off:
            self._save()
        ended, number = self._loop()
        if self.saved != self.trainer.step:
            self._save()
        report = {**self.meta, "ended": ended, "signal": number, "step": self.trainer.step,
                  "updates": self.trainer.step - self.first_step, "samples": self.trainer.samples,
                  "skipped": self.trainer.skipped, **self.meters.summary(), "metrics": self.measured, "processes": self.world.size,
                  "device": str(self.world.device), "precision": self.trainer.precision,
                  "model_file": self.folder.model(self.trainer.step).name,
                  "best": self.holdout.figures() if self.holdout else None}
        if report["updates"] or self._reported() != self.trainer.step:
            self.world.on_main(lambda: write_json(self.folder.report, report))
        self.journal.note(f"Training ended after {self.trainer.step} updates: {ended}; the model is "
                          f"{self.folder.model(self.trainer.step)}.")
        return report

    def _reported(self) -> int | None:
        """The step of which ``report.json`` speaks."""
        return read_json(self.folder.report).get("step") if self.folder.report.exists() else None

    def _loop(self) -> tuple[str, int]:
        trainer, options = self.trainer, self.options
        while not options.max_steps or trainer.step < options.max_steps:
            if self._validate():
                return EARLY, 0
            done = trainer.update(int(self.signals.received or 0))
            self.meters.add(done)
            self.progress.update(trainer.samples_per_step, f"loss {done.loss:.4f}" if done.applied else "skipped")
            if done.applied and trainer.step % options.log_interval == 0:
                self.journal.row(self.meters.row(trainer, options.save_interval))
            if done.applied and trainer.step % options.save_interval == 0:
                self._validate()
                self._save()
                if os.environ.get("DIFFUSION_TRAINING_TEST"):
                    return "DIFFUSION_TRAINING_TEST is set, so the run ends after its first save", 0
            elif done.applied and self.saver.snapshot_due():
                self.world.on_main(self.saver.snapshot)
            if done.stop:
                return f"{signal.Signals(done.stop).name} asked it to stop; the same command continues", done.stop
        self._validate()
        return DONE, 0

    def _validate(self) -> bool:
        """Look at the held-out photographs when that is due and not done; returns whether patience has run out."""
        trainer, holdout = self.trainer, self.holdout
        if holdout is None or isinstance(trainer, TaskTrainer):
            return False
        if holdout.due(trainer.step):
            weights = trainer.weights()
            loss = self.world.on_main(lambda: holdout.measure(trainer.network, weights, trainer.diffusion))
            holdout.note(trainer.step, loss, weights, trainer.names)
            self.journal.row({"step": trainer.step, "samples": trainer.samples, "held-out loss": loss})
        return holdout.over

    def _save(self) -> None:
        self.trainer.settle()
        self.measured = self.world.on_main(self.saver.save)
        self.saved = self.trainer.step
        figures = "".join(f", {name} {value:.4g}" for name, value in self.measured.items())
        self.journal.note(f"Saved {self.folder.model(self.saved)}{figures}.")
        if warning := drift_warning(self.measured):
            self.journal.note(warning)


def _opening(trainer: Trainer, meta: dict[str, Any], start: Start) -> str:
    options, faces, world = trainer.options, trainer.faces, trainer.world
    origin = f"from {start.source}" if start.source else "from new weights"
    until = f"to step {options.max_steps}" if options.max_steps else "without end"
    text = (f"Stage {options.stage}, {len(faces)} photographs of {faces.dataset.image_size} pixels, {origin}, step "
            f"{trainer.step} {until}, {trainer.samples_per_step} photographs a step, {world.size} process(es), "
            f"{world.device}, {trainer.precision}.")
    before = start.meta["data"]["records"] if start.state is not None and start.meta.get("data") else 0
    if 0 < before < meta["data"]["records"]:
        text += f" The store has grown by {meta['data']['records'] - before} photographs since the last save."
    if meta["consent"] == NOT_STATED:
        text += (" WARNING: no consent of the person in the photographs was stated; the model records this. State it by "
                 "--consent.")
    return text


def check_head(dataset: FaceStoreDataset, start: Start) -> None:
    """RigError when the weights were trained on buffers of another head model than the store's."""
    trained, stored = start.meta.get("head") or {}, dataset.header
    if not trained.get("name") or not stored["head"]:
        return
    if trained["name"] != stored["head"]:
        raise RigError(f"{start.source} was trained on the head model {trained['name']}, but the store {dataset.path} holds codes "
                       f"of {stored['head']}; create the store with {trained['name']}, or start from other weights.")
    if trained.get("hash") and trained["hash"] != stored["head_hash"]:
        raise RigError(f"{start.source} was trained on another edition of the head model {stored['head']} (hash "
                       f"{trained['hash'][:12]}, the store's {stored['head_hash'][:12]}); create the store again.")


def _prepare_folder(folder: RunFolder, meta: dict[str, Any], start: Start) -> None:
    make_folder(folder.path)
    if start.clear:
        folder.clear()
    if start.go_back:
        folder.forget_after(start.step)
    folder.forget_averages_after(start.step)
    CsvTable(folder.metrics).forget("step", start.step)
    write_settings(folder.path / "config.yaml", {"train": meta["options"], "model": meta["model"],
                                                 "diffusion": meta["diffusion"]})
