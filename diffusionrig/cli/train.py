"""``diffusionrig train``: stage 1 on everyone, stage 2 on one person."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

from diffusionrig.cli.arguments import add_assets_argument
from diffusionrig.cli.config_arguments import add_dataclass_arguments, from_arguments, settings_given
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.errors import UsageError
from diffusionrig.model.config import ModelConfig
from diffusionrig.training.options import TrainOptions

if TYPE_CHECKING:
    from diffusionrig.training.start import Start

Config = TypeVar("Config")

DESCRIPTION = ("Train the network. Stage 1 learns faces from a large store; stage 2 starts from its weights and learns one person "
               "from an album. The same command again continues a run that was stopped.")
EXAMPLES = """  diffusionrig train --data_dir data/ffhq --log_dir log/stage1 --image_size 64 --batch_size 32 --p2_weight True \\
                     --max_steps 50000
  mpiexec -n 8 diffusionrig train --data_dir data/ffhq --log_dir log/stage1 --batch_size 32 --p2_weight True
  diffusionrig train --stage 2 --adapter lora --rank 8 --resume_checkpoint log/stage1/model050000.safetensors \\
                     --data_dir data/album --log_dir log/me --batch_size 4 --lr 3e-3 --max_steps 400 --holdout 3 \\
                     --consent "The person in the album agreed on paper."
  diffusionrig train --stage 2 --resume_checkpoint log/stage1/model050000.safetensors --data_dir data/album \\
                     --log_dir log/stage2 --batch_size 4 --lr 1e-5 --p2_weight True --max_steps 5000 \\
                     --consent "The person in the album agreed on paper."
"""

SECTIONS: dict[str, type] = {"train": TrainOptions, "model": ModelConfig, "diffusion": DiffusionConfig}
# Settings that change neither the names, the shapes nor the meaning of weights: free to differ from the checkpoint's, and
# not inherited from it either.
_FREE = {"dropout", "use_checkpoint", "timestep_respacing", "use_kl", "rescale_learned_sigmas", "p2_weight", "p2_gamma", "p2_k",
         "min_snr"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="", metavar="FILE.yaml",
                        help="settings in sections train, model, diffusion (a run's config.yaml); flags typed here win")
    add_assets_argument(parser)
    for name, cls in SECTIONS.items():
        add_dataclass_arguments(parser, cls, name)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.training.distributed import LINGER, start_world
    from diffusionrig.training.launch import read_launch
    from diffusionrig.training.loop import train
    from diffusionrig.training.start import find_start

    try:
        tree = _settings(args.config)
        options = from_arguments(TrainOptions, args, tree["train"], args.config)
        with start_world(options.device) as world, world.holding(options.log_dir, "train"):
            start = find_start(options)
            if start.note and world.main:
                print(f"diffusionrig train: {start.note}", file=sys.stderr)
            model = _config(ModelConfig, "model", args, tree["model"], start)
            diffusion = _config(DiffusionConfig, "diffusion", args, tree["diffusion"], start)
            report = train(options, model, diffusion, world, start, _consent(options, start, world.size))
    except UsageError as error:
        # Every process finds the same fault in the same request; rank 0 says it, before the launcher ends everyone.
        if read_launch().rank == 0:
            raise
        time.sleep(LINGER)
        return error.exit_code
    return 130 if report["signal"] == 2 else 0


def _settings(path: str) -> dict[str, dict[str, Any]]:
    if not path:
        return {name: {} for name in SECTIONS}
    from diffusionrig.io.settings_files import read_settings

    tree = read_settings(path)
    for name in tree:
        if name not in SECTIONS:
            raise UsageError(f"{path} has a section {name!r}; choose from {', '.join(SECTIONS)}.")
    return {name: tree.get(name, {}) for name in SECTIONS}


def _config(cls: type[Config], name: str, args: argparse.Namespace, tree: dict[str, Any], start: Start) -> Config:
    """Defaults, then what the checkpoint was trained with, then the configuration file, then the flags that were typed.

    UsageError when the last two contradict the checkpoint. A published one shows by its shapes what its network was trained with.
    """
    if cls is ModelConfig and start.tensors is not None and not start.meta:
        from diffusionrig.model.released import infer_config

        return infer_config(start.tensors, start.source, **settings_given(cls, args, tree))  # type: ignore[return-value]
    trained = {key: value for key, value in start.meta.get(name, {}).items() if key not in _FREE}
    config = from_arguments(cls, args, {**trained, **tree}, args.config or start.source)
    for key, value in trained.items():
        if getattr(config, key) != value:
            raise UsageError(f"{start.source} was trained with --{key} {value}, not {getattr(config, key)}; leave the flag out, or "
                             "start from other weights.")
    return config


def _consent(options: TrainOptions, start: Start, processes: int) -> str:
    """What is recorded about consent: the flag, else what this very run said before, else the answer on a terminal.

    Weights of another stage 2 run may be of another person, so that their consent counts for nothing here.
    """
    from diffusionrig.training.saving import NOT_STATED

    said = start.meta.get("consent") if start.state is not None else None
    before = "" if said == NOT_STATED else said
    if options.stage == 1 or options.consent or before:
        return options.consent or before or ""
    if processes == 1 and sys.stdin.isatty() and sys.stderr.isatty():
        print("A personal model records that the person in the photographs consented. In what words did they? (Enter alone: "
              "not stated)", file=sys.stderr)
        return sys.stdin.readline().strip()
    return ""
