"""A task's run from its first update to its report, on the loop of the rig: same files, same resume, same signals."""

from __future__ import annotations

import dataclasses
import platform
from typing import Any

import torch

from diffusionrig import __version__
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_state, save_checkpoint, save_state
from diffusionrig.io.files import make_folder
from diffusionrig.io.settings_files import write_settings
from diffusionrig.progress import Progress
from diffusionrig.training.distributed import World
from diffusionrig.training.journal import Journal
from diffusionrig.training.learned import is_that_corpus
from diffusionrig.training.loop import Run
from diffusionrig.training.run_folder import RunFolder
from diffusionrig.training.signals import StopSignals
from diffusionrig.training.task import Task
from diffusionrig.training.task_options import TaskOptions
from diffusionrig.training.task_trainer import TaskTrainer


def train_task(task: Task, options: TaskOptions, world: World) -> dict[str, Any]:
    """Train until ``max_steps`` updates or a signal; returns the report that is written to ``report.json``.

    The folder holds ``modelN.safetensors`` (self-describing by ``task.meta``), ``stateN.pt``, ``progress.csv``, ``log.txt``,
    ``config.yaml`` and ``report.json``. A state in it is continued exactly; with other settings of the network, or another
    corpus, it is refused. RigError while another run works in the folder.
    """
    with world.holding(options.log_dir, task.name):
        return _train(task, options, world)


def _train(task: Task, options: TaskOptions, world: World) -> dict[str, Any]:
    folder = RunFolder(options.log_dir)
    meta = {**task.meta, "task": task.name, "seed": options.seed, "options": dataclasses.asdict(options),
            "versions": {"diffusionrig": __version__, "torch": str(torch.__version__), "python": platform.python_version()}}
    state, source = _find_state(folder, options, meta)
    world.on_main(lambda: _prepare(folder, options, meta))
    trainer = TaskTrainer(task, options, world)
    if state is not None:
        trainer.restore(state)

    origin = f"from {source}" if source else "from new weights"
    opening = (f"{task.name}, {len(task)} items, {origin}, step {trainer.step} to step {options.max_steps}, "
               f"{trainer.samples_per_step} items a step, {world.size} process(es), {world.device}, {trainer.precision}.")
    total = options.max_steps * trainer.samples_per_step
    with StopSignals() as signals, Progress(total, task.name, "item", initial=trainer.step * trainer.samples_per_step,
                                            enabled=world.main) as progress:
        journal = Journal(folder.path, world.rank, progress, step=trainer.step)
        world.keep_log(journal.log)
        try:
            return Run(trainer, folder, meta, journal, progress, signals, TaskSaver(trainer, folder, meta), "items").go(opening)
        finally:
            journal.close()


class TaskSaver:
    """Saves a task; measures nothing, and writes nothing between two saves."""

    def __init__(self, trainer: TaskTrainer, folder: RunFolder, meta: dict[str, Any]) -> None:
        self.trainer, self.folder, self.meta = trainer, folder, meta

    def save(self) -> dict[str, float]:
        trainer, folder = self.trainer, self.folder
        about = {**self.meta, "step": trainer.step, "samples": trainer.samples, "skipped": trainer.skipped,
                 "weights": "ema" if trainer.ema is not None else "raw"}
        save_state(folder.state(trainer.step), {**trainer.state(), "meta": about})
        save_checkpoint(folder.model(trainer.step), trainer.weights(), about)
        folder.prune_states(trainer.options.keep_states)
        return {}

    def snapshot_due(self) -> bool:
        return False

    def snapshot(self) -> None:
        raise AssertionError("no snapshot is ever due")


def _find_state(folder: RunFolder, options: TaskOptions, meta: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    states = folder.found("state")
    if options.resume == "never":
        if folder.holds_run() and not options.overwrite:
            raise UsageError(f"{folder.path} holds the models of an earlier run; set overwrite True to delete them, resume auto to "
                             "continue that run, or choose another log_dir.")
        return None, ""
    if not states:
        if folder.holds_run():
            raise UsageError(f"{folder.path} holds the models of an earlier run but no training state; choose another log_dir, or "
                             "start over with resume never and overwrite True.")
        return None, ""
    path = list(states.values())[-1]
    state = load_state(path)
    if state.get("format") != 1 or "meta" not in state:
        raise RigError(f"{path} is not a training state of this program; move it away or choose another log_dir.")
    for key in ("task", "model"):
        if state["meta"].get(key) != meta.get(key):
            raise UsageError(f"{path} continues a run whose {key} is {state['meta'].get(key)}, not {meta.get(key)}; choose another "
                             "log_dir.")
    before, now = state["meta"].get("data") or {}, meta.get("data") or {}
    if not is_that_corpus(before, now):
        raise UsageError(f"{path} belongs to a run that learned from another corpus ({before.get('corpus')}, {before.get('split')})"
                         f" than the one given ({now.get('corpus')}, {now.get('split')}); choose another log_dir, or start over "
                         "with resume never and overwrite True.")
    return state, str(path)


def _prepare(folder: RunFolder, options: TaskOptions, meta: dict[str, Any]) -> None:
    make_folder(folder.path)
    if options.resume == "never":
        folder.clear()
    write_settings(folder.path / "config.yaml", {"train": meta["options"], "model": meta.get("model", {})})
