"""UniFR's own configuration files, read as runs of ours: the same sizes, schedules, decodings and folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.io.settings_files import read_settings
from diffusionrig.reactions.generators.config import SystemConfig, config_path, read_config
from diffusionrig.reactions.generators.examples import DataSettings
from diffusionrig.reactions.generators.system import find_system
from diffusionrig.reactions.generators.unifr.inputs import FILES, PREPARED
from diffusionrig.reactions.generators.unifr.settings import Coefficients, Finetune, Pretrain

_SIZES = {"width": "dim_embed", "layers": "n_layer", "heads": "n_head", "online_step": "online_step", "AU_words": "n_l_AU",
          "exp_words": "n_l_exp", "VA_words": "n_l_VA", "AU_size": "dim_s_AU"}

COEFFICIENTS = {"batch_size": 64, "max_steps": 5000, "lr": 1e-4, "optimizer": "adam"}
"""Training of the network of coefficients: 200 epochs of 1,600 clips."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """config     in our form
    name       of the experiment
    data, run  folders of the corpus and of the run; with ``phase`` finetune, ``before`` is the run that goes on
    phase      finetune, or empty for what comes before
    offline, online  decodings that the file asks for; empty: those the model was saved with
    share      micro-batches of a process that make one update, by which published counts of iterations are divided
    """

    config: SystemConfig
    name: str
    data: Path
    run: Path
    phase: str = ""
    before: Path | None = None
    offline: str = ""
    online: str = ""
    share: int = 1


def read_plan(name: str, changes: list[str], processes: int = 1) -> Plan:
    """A configuration of ours by name or file (data in ./data, run in ./ckpts/NAME), or a published file."""
    path = Path(name)
    if path.is_file() and "paths" in (tree := read_settings(path)):
        if changes:
            raise UsageError(f"{path} is in the published form, which takes no changes on the command line; edit the file.")
        try:
            return _translated(path, tree, processes)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{path} lacks or garbles a setting of the published form ({error}); compare it with the published "
                             "configurations.") from None
    config = read_config(name, changes)
    if config.system.name != "unifr":
        raise UsageError(f"{config_path(name)} configures {config.system.name}; these commands train and test unifr.")
    own = config.settings["pretrain"]
    # The published names: one experiment, whose configurations for training and testing differ by what stands before it.
    kind = next((word for word in ("pretrain", "finetune") if path.stem.startswith(f"{word}-")), "")
    experiment = path.stem.removeprefix(f"{kind}-")
    return Plan(config, experiment, Path("data"), Path("ckpts") / experiment, "finetune" if kind == "finetune" else "",
                offline=own.offline, online=own.online)


def _translated(path: Path, tree: Mapping[str, Any], processes: int) -> Plan:
    model, train, paths = tree["model"], tree["train_params"], tree["paths"]
    sizes = model["transformer_config"]["params"]
    data, root = Path(paths["data_root"]), Path(paths["ckpt_root"])
    mode = str(train["mode"])
    if mode not in ("pretrain", "finetune"):
        raise UsageError(f"{path} has the mode {mode!r}; pretrain and finetune can be trained.")
    objectives = ("matching " if train.get("train_slm", True) else "") + "masked"
    prepared = (data / FILES["train"]).is_file()
    index = data / "Index"
    given: dict[str, Any] = {ours: int(sizes[theirs]) for ours, theirs in _SIZES.items() if theirs in sizes}
    settings = Pretrain(
        **given, dropout=float(sizes["resid_pdrop"]),
        inputs="prepared" if prepared else "own", prepared=str(data) if prepared else "",
        vocabulary=str(index) if (index / "exp_centres.npy").is_file() else "", objectives=objectives + " causal")
    size = _check_prepared(path, sizes) if prepared else 0
    settings = dataclasses.replace(settings, AU_size=size or settings.AU_size)
    share = max(1, int(train["total_batch_size"]) // int(train["batch_size"]) // processes)
    offline, online = _decodings(tree)
    options = _options(model, train, share)
    config = SystemConfig(find_system("unifr"), DataSettings(appropriate=float(train.get("shuffle_listener", 0.2))),
                          {"coefficients": Coefficients(), "pretrain": settings,
                           "finetune": Finetune(objectives, offline or Finetune.offline, online or Finetune.online)},
                          {"coefficients": COEFFICIENTS, "pretrain": options, "finetune": options})
    name = str(paths["experiment_name"])
    before = root / str(paths["pretrain_name"]) if mode == "finetune" and "pretrain_name" in paths else None
    return Plan(config, name, data, root / name, "finetune" if mode == "finetune" else "", before, offline, online, share)


def _check_prepared(path: Path, sizes: Mapping[str, Any]) -> int:
    theirs = {"exp": "dim_s_exp", "VA": "dim_s_VA", "pose": "dim_s_pose", "sound": "dim_s_MFCC", "functionals": "dim_s_GeMAPfunc",
              "descriptors": "dim_s_GeMAPlld"}
    for ours, key in theirs.items():
        if int(sizes.get(key, PREPARED[ours])) != PREPARED[ours]:
            raise UsageError(f"{path} sets {key} to {sizes[key]}, but the prepared files have {PREPARED[ours]}.")
    return int(sizes.get("dim_s_AU", PREPARED["AU"]))


def _options(model: Mapping[str, Any], train: Mapping[str, Any], share: int) -> dict[str, Any]:
    """The published schedule as it was run: its counts are divided by the accumulation, but not ``keep_steps``, and its cosine
    jumps."""
    plan = model["scheduler_config"]["params"]
    base = float(model["base_learning_rate"]) * int(train["total_batch_size"])
    return {"batch_size": int(train["batch_size"]), "grad_accumulation": share,
            "max_steps": max(1, int(train["max_iter"]) // share),
            "lr": base * float(plan["lr_max"]), "lr_start": base * float(plan["lr_start"]), "lr_end": base * float(plan["lr_min"]),
            "warmup_steps": int(plan["warm_up_steps"]) // share, "keep_steps": int(plan.get("keep_steps", 0)),
            "schedule": "cosine_jump", "beta2": 0.95, "weight_decay": 0.01, "grad_clip": float(train["max_norm"]),
            "save_interval": max(1, int(train["save_interval"]) // share), "precision": "auto", "seed": 100,
            "log_interval": max(1, int(train["log_interval"]) // share)}


def _decodings(tree: Mapping[str, Any]) -> tuple[str, str]:
    """The decodings of a test configuration, as ``Decoding.parse`` reads them; empty ones of a training configuration."""
    if "test_params" not in tree:
        return "", ""
    given, ramp = tree["model"]["decoding_params"], tree["test_params"].get("schedule_step") or {}

    def spelled(name: str) -> str:
        step = float(ramp.get(name) or 0)
        return f"{name} {float(given[name]):g}" + (f"{step:+g}" if step else "")

    common = " ".join(spelled(name) for name in ("temperature", "top_k", "top_p"))
    decay = " decay 1" if given.get("temp_decay") == "linear" else ""
    return (f"steps {int(given.get('step', 10))} {common}{decay}", f"{common} context {int(given.get('online_max_len', 0))}")
