"""``diffusionrig react train``: train a generator of reactions, phase by phase."""

from __future__ import annotations

import argparse
import sys
import time

from diffusionrig.errors import UsageError

DESCRIPTION = """Train a generator of listener reactions on a corpus. A configuration names the system and its phases; each phase
has a folder of its own in --log_dir. The same command again continues a run that was stopped. mpiexec and torchrun start it on
several processes."""
EXAMPLES = """  diffusionrig react train --config faceais --data log/corpus --log_dir log/faceais
  diffusionrig react train --config configs/unifr.yaml --data log/corpus --log_dir log/unifr data.frames 128 pretrain_train.lr 1e-4
  mpiexec -n 2 diffusionrig react train --config perfrdiff --data log/corpus --log_dir log/perfrdiff --phase generator"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="", help="YAML file, or the name of a configuration in the package")
    parser.add_argument("--data", default="", help="folder of the corpus")
    parser.add_argument("--log_dir", default="", help="folder of the run, one sub-folder for each phase")
    parser.add_argument("--phase", default="", help="train this phase only (default: all but optional ones, in order)")
    parser.add_argument("--length", type=int, default=0, help="frames of every clip that count (default: found out)")
    parser.add_argument("changes", nargs="*", metavar="SECTION.NAME VALUE", help="settings that differ from the configuration")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.config import read_config, shipped_configs
    from diffusionrig.reactions.generators.running import train_system
    from diffusionrig.training.distributed import LINGER, start_world
    from diffusionrig.training.launch import read_launch

    try:
        if not args.config:
            raise UsageError(f"No --config was given; name a YAML file or one of {', '.join(shipped_configs())}.")
        if not args.data or not args.log_dir:
            raise UsageError(f"No --{'data' if not args.data else 'log_dir'} was given; name the folder.")
        config = read_config(args.config, args.changes)
        corpus = Corpus.open(args.data, args.length or None)
        devices = {training.get("device", "auto") for training in config.training.values()}
        with start_world(str(devices.pop() if len(devices) == 1 else "auto")) as world:
            reports = train_system(config, corpus, args.log_dir, world, args.phase)
    except UsageError as error:
        # Every process finds the same fault in the same request; rank 0 says it, before the launcher ends everyone.
        if read_launch().rank == 0:
            raise
        time.sleep(LINGER)
        return error.exit_code
    if read_launch().rank == 0:
        for report in reports:
            print(f"{report['system']} {report['phase']}: {report['ended']} at step {report['step']}, loss "
                  f"{report['last_logged_loss']}", file=sys.stderr)
    return 130 if reports and reports[-1]["signal"] == 2 else 0
