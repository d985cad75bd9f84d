"""``scripts/react/unifr/train.py``: training by UniFR's command line."""

from __future__ import annotations

import argparse
import time

from diffusionrig.errors import UsageError

DESCRIPTION = """Train UniFR with the published command. --config takes a published file (data and runs lie where it says) or one of
ours (data in ./data, run in ./ckpts/NAME). The same command again continues a run. Prepared features (train_shuffled.h5) are
read when they are in the data folder; else attributes, coefficients and sound of the corpus are the input."""
EXAMPLES = """  torchrun --nproc_per_node=4 --master_port=14900 train.py --config ./configs/pretrain-cos-keeplr.yaml
  torchrun --nproc_per_node=2 --master_port=14900 train.py --config ./configs/finetune-cos-keeplr.yaml
  python train.py --config unifr --data log/dyads --log_dir log/unifr pretrain_train.max_steps 200"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="unifr", help="published or own YAML file, or the name of an own one (unifr)")
    parser.add_argument("-n", "--n_data_workers", type=int, default=4,
                        help="taken for the published command; clips are read in the training process and kept in memory")
    parser.add_argument("-r", "--restart_train", action="store_true", help="start anew, deleting the run that is there")
    parser.add_argument("-l", "--log_level", type=int, default=1,
                        help="taken for the published command; logs are in the run's folder")
    parser.add_argument("--data", default="", help="folder of the corpus, when not the one of the configuration")
    parser.add_argument("--log_dir", default="", help="folder of the run, when not the one of the configuration")
    parser.add_argument("--phase", default="", help="coefficients, pretrain or finetune only")
    parser.add_argument("changes", nargs="*", metavar="SECTION.NAME VALUE", help="settings that differ from an own configuration")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.training.distributed import LINGER
    from diffusionrig.training.launch import read_launch

    try:
        return _train(args)
    except UsageError as error:
        # Every process finds the same fault; rank 0 says it, before the launcher ends everyone.
        if read_launch().rank == 0:
            raise
        time.sleep(LINGER)
        return error.exit_code


def _train(args: argparse.Namespace) -> int:
    import dataclasses
    from pathlib import Path

    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.running import earlier_models, train_system
    from diffusionrig.reactions.generators.unifr.published import read_plan
    from diffusionrig.training.distributed import start_world
    from diffusionrig.training.launch import read_launch

    plan = read_plan(args.config, args.changes, read_launch().size)
    config = plan.config
    if args.restart_train:
        fresh = {"resume": "never", "overwrite": True}
        config = dataclasses.replace(config, training={name: {**one, **fresh} for name, one in config.training.items()})
    run_folder, data = Path(args.log_dir or plan.run), Path(args.data or plan.data)
    corpus, phase = Corpus.open(data), args.phase or plan.phase
    devices = {training.get("device", "auto") for training in config.training.values()}
    with start_world(str(devices.pop() if len(devices) == 1 else "auto")) as world:
        earlier = earlier_models(config.system, plan.before, "finetune") if phase == "finetune" and plan.before else None
        reports = train_system(config, corpus, run_folder, world, phase, earlier)
    if read_launch().rank == 0:
        for report in reports:
            print(f"unifr {report['phase']}: {report['ended']} at step {report['step']}, loss {report['last_logged_loss']}")
    return 130 if reports and reports[-1]["signal"] == 2 else 0
