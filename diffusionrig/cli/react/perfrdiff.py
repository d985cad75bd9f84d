"""PerFRDiff's four commands by their published names, for ``scripts/react/perfrdiff``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from diffusionrig.cli.arguments import positive_int
from diffusionrig.errors import UsageError

DESCRIPTION = """train_diffusion trains the generic generator (with the modules before it, where they are not trained yet),
train_rewrite_weight the personal weight shifts on top; evaluate_diffusion and evaluate_rewrite_weight answer the test split,
without and with the listener's history, and print the scores. --config takes a configuration of this program or a published one."""
EXAMPLES = """  python scripts/react/perfrdiff/train_diffusion.py --mode train --config ./configs/diffusion_model.yaml
  python scripts/react/perfrdiff/evaluate_rewrite_weight.py --mode test --config ./configs/rewrite_weight.yaml --data log/dyads
  python scripts/react/perfrdiff/train_diffusion.py --config perfrdiff --data log/dyads --log_dir log/perfrdiff"""
ACTIONS = {"train_diffusion": ("embedders", "person", "generator"), "train_rewrite_weight": ("personal",),
           "evaluate_diffusion": ("none",), "evaluate_rewrite_weight": ("own",)}
"""Phases that are trained, or whose history is used."""
_SHOWN = {"FRC": "FRCorr", "FRD": "FRDist", "FRDvs": "FRDvs", "FRVar": "FRVar", "smse": "FRDiv", "TLCC": "FRSyn"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--script", choices=list(ACTIONS), default="train_diffusion", help="which of the four commands")
    parser.add_argument("--mode", choices=["train", "test"], default="", help="train for the first two, test for the others")
    parser.add_argument("--config", default="./configs/diffusion_model.yaml", help="configuration")
    parser.add_argument("--data", default="", metavar="DIR", help="the corpus (a published configuration's dataset_path, or data)")
    parser.add_argument("--log_dir", default="log/perfrdiff", metavar="DIR", help="folder of all phases (log/perfrdiff)")
    parser.add_argument("--samples", type=positive_int, default=10, help="reactions to each clip when evaluating (10)")
    parser.add_argument("--seed", type=int, default=1234, help="of the reactions (1234)")
    parser.add_argument("changes", nargs="*", metavar="SECTION.NAME VALUE", help="settings that differ from the configuration")


def run(args: argparse.Namespace) -> int:
    training = args.script.startswith("train")
    if args.mode not in ("", "train" if training else "test"):
        raise UsageError(f"{args.script} takes --mode {'train' if training else 'test'}, not {args.mode}.")
    return _train(args) if training else _evaluate(args)


def _published(args: argparse.Namespace) -> dict[str, Any] | None:
    from diffusionrig.io.settings_files import read_settings
    from diffusionrig.reactions.generators.perfrdiff.published_config import is_published

    tree = read_settings(args.config) if Path(args.config).is_file() else {}
    return tree if is_published(tree) else None


def _corpus(args: argparse.Namespace, tree: dict[str, Any] | None) -> str:
    return args.data or str((tree or {}).get("dataset", {}).get("dataset_path", "data"))


def _train(args: argparse.Namespace) -> int:
    from diffusionrig.cli import run_command
    from diffusionrig.io.files import make_folder
    from diffusionrig.io.settings_files import write_settings
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.perfrdiff.published_config import translated

    tree, config = _published(args), args.config
    data = _corpus(args, tree)
    if tree is not None:
        items = len(Corpus.open(data).split("train"))
        config = str(Path(args.log_dir) / f"{args.script}.yaml")
        make_folder(Path(args.log_dir))
        write_settings(config, translated(tree, items, args.config))
    for phase in ACTIONS[args.script]:
        status = run_command("react train", ["--config", config, "--data", data, "--log_dir", args.log_dir, "--phase", phase,
                                             *args.changes])
        if status:
            return status
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.clips import Clips
    from diffusionrig.reactions.generators.running import load_generator
    from diffusionrig.reactions.metrics.scoring import Plan, score_file
    from diffusionrig.reactions.predicting import Request, write_predictions

    corpus = Corpus.open(_corpus(args, _published(args)))
    variant = "person_specific" if (corpus.root / "person_specific_test.csv").is_file() else ""
    split = corpus.split("test", variant)
    clips, personal = Clips(split), ACTIONS[args.script] == ("own",)
    generator = load_generator(args.log_dir if personal else Path(args.log_dir) / "generator")
    output = Path(args.log_dir) / f"{args.script}_test.npy"
    write_predictions(split, generator, Request(args.samples, args.seed, "online"), output,
                      lambda item: (clips.speaker(item.speaker), clips.history(item.listener) if personal else None))
    _, scores = score_file(output, split, Plan(("official",), tuple(_SHOWN.values())))
    values = {score.name: score.value for score in scores}
    print("  ".join(f"{shown}: {values[name]:.5f}" for shown, name in _SHOWN.items()))
    return 0
