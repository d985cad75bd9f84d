"""Where a run starts: anew, from the weights of a checkpoint, or exactly where an earlier run stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_state, load_weights
from diffusionrig.io.descriptions import checked_description
from diffusionrig.io.model_files import find_model_file
from diffusionrig.io.paths import real
from diffusionrig.training.learned import other_stores, require_same_stores
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.run_folder import RunFolder, step_in_name

MEAN_SHAPE = "mean_shape"


@dataclass
class Start:
    """What a run begins with.

    tensors    weights of the network; None for a fresh initialisation
    meta       what the checkpoint says about itself; empty for a published ``.pt`` file
    state      a full training state, when the run continues exactly
    optimizer  Adam's state of a published run: one dict of tensors per parameter, in order
    step       optimiser updates done so far
    source     the file, for messages
    go_back    the user returns to an earlier point of the run: later states are to be deleted
    clear      the run that is in the folder is to be deleted
    note       which other file was taken than the one that was named; "" when it was that one
    """

    tensors: dict[str, Tensor] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    optimizer: list[dict[str, Tensor]] | None = None
    step: int = 0
    source: str = ""
    go_back: bool = False
    clear: bool = False
    note: str = ""


def find_start(options: TrainOptions) -> Start:
    """Decide where the run starts, by ``--resume``, ``--resume_checkpoint`` and what is in ``--log_dir``.

    A state in ``--log_dir`` wins, so that the same command continues a run that was stopped; a ``--resume_checkpoint``
    inside ``--log_dir`` goes back to that very point. Only reads. UsageError when the request makes no sense, and when the run in
    ``--log_dir`` learned from other photographs; weights of stage 2 from elsewhere that did are taken as weights alone.
    """
    folder = RunFolder(options.log_dir)
    chosen, note = find_model_file(options.resume_checkpoint, "checkpoint") if options.resume_checkpoint else (None, "")
    inside = chosen is not None and real(chosen).parent == real(folder.path)
    states = folder.found("state")
    if options.resume == "auto" and states and not inside:
        start = _from_state(options, list(states.values())[-1])
        require_same_stores(start.meta, options, folder.path)
        return start
    if folder.holds_run() and not inside and not (options.resume == "never" and options.overwrite):
        raise UsageError(f"{folder.path} holds the models of an earlier run" + (
            "; add --overwrite True to delete them, use --resume auto to continue that run, or choose another --log_dir."
            if states else " but no training state; name one by --resume_checkpoint, choose another --log_dir, or start over "
                           "with --resume never --overwrite True."))
    if chosen is None:
        return Start(clear=options.overwrite and folder.holds_run())
    clear = options.overwrite and folder.holds_run() and not inside
    state = chosen.parent / f"state{step_in_name(chosen):06d}.pt"
    tensors, meta = load_weights(chosen)
    checked_description(meta, chosen)
    tensors.pop(MEAN_SHAPE, None)
    if inside:
        require_same_stores(meta, options, folder.path)
    stage = meta.get("stage", 1)
    # The state of a personal run goes on with its own person: consent, held-out photographs and steps are hers.
    goes_on = stage == options.stage and state.exists() and not (stage == 2 and other_stores(meta, options))
    if meta.get("kind") == "adapter" and not goes_on:
        raise UsageError(f"{chosen} is an adapter without its training state, or one of other photographs, and nothing can be "
                         f"trained on top of it; start from its base model {(meta.get('base') or {}).get('name', '')}.")
    if goes_on:
        start = _from_state(options, state)
        start.go_back, start.note = inside, note
        return start
    if options.stage == 1 and stage == 1:
        step = int(meta.get("step", step_in_name(chosen)))
        return Start(tensors, meta, None, _published_optimizer(chosen, step), step, str(chosen), inside, clear, note)
    return Start(tensors, meta, source=str(chosen), go_back=inside, clear=clear, note=note)


def _from_state(options: TrainOptions, path: Path) -> Start:
    state = load_state(path)
    if state.get("format") != 1 or "meta" not in state:
        raise RigError(f"{path} is not a training state of this program; move it away or choose another --log_dir.")
    meta = checked_description(state["meta"], path)
    if not isinstance(state.get("model"), dict) or not isinstance(state.get("step"), int) or "stage" not in meta:
        raise RigError(f"{path} is a training state that lacks parts; copy it again or take an earlier one.")
    if meta["stage"] != options.stage:
        raise UsageError(f"{path.parent} holds a run of stage {meta['stage']}, but --stage {options.stage} was asked for; choose "
                         "another --log_dir.")
    return Start(state["model"], meta, state, None, int(state["step"]), str(path))


def _published_optimizer(model: Path, step: int) -> list[dict[str, Tensor]] | None:
    """Adam's state in the ``optNNNNNN.pt`` that the published code writes beside its models."""
    file = model.parent / f"opt{step:06d}.pt"
    if step == 0 or model.suffix != ".pt" or not os.path.isfile(file):
        return None
    content = load_state(file)
    try:
        held = content["state"]
        return [held[i] for i in range(len(held))]
    except (KeyError, TypeError):
        raise RigError(f"{file} is not the state of an optimiser; move it away to continue without it.") from None
