"""The flags of FaceAIS's ``p1_face_tokenizer.py``; not in the table of commands, see ``scripts/react/faceais``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import boolean
from diffusionrig.errors import UsageError

if TYPE_CHECKING:
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.config import SystemConfig

DESCRIPTION = """Train the face tokenizer of FaceAIS (phases tokenizer and emotion of 'diffusionrig react train') in --output_dir,
then measure how well it keeps the faces of the split val: reconstruction.json. Takes the flags of the published script; the same
command again continues a run. --config faceais trains the small one instead of the published size."""
EXAMPLES = """  python scripts/react/faceais/p1_face_tokenizer.py --run_name face_tokenizer --quantize_type fsq \\
      --output_dir output/face_tokenizer --dataset_path data/react2024
  python scripts/react/faceais/p1_face_tokenizer.py --quantize_type fsq --output_dir log/tokens --dataset_path log/dyads \\
      --config faceais"""

PHASES = ("tokenizer", "emotion")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run_name", default="", help="noted in the report")
    parser.add_argument("--quantize_type", default="vq", help="fsq, or vq and lfq, which need the extra 'quantizers' (vq)")
    parser.add_argument("--resume", type=boolean, default=False, help="continue the run in --output_dir, as is done anyway")
    parser.add_argument("--resume_ckpt", default="", help="must lie in --output_dir, whose newest state is continued")
    parser.add_argument("--test", type=boolean, default=False, help="measure only (False)")
    parser.add_argument("--test_checkpoint_path", default="", help="model to measure: one of ours or a released .ckpt")
    parser.add_argument("--output_dir", default="", help="folder of the run")
    parser.add_argument("--dataset_path", default="", help="folder of the corpus")
    parser.add_argument("--config", default="faceais_published", help="YAML file or the name of one (faceais_published)")
    parser.add_argument("changes", nargs="*", metavar="SECTION.NAME VALUE", help="settings that differ from the configuration")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.io.files import make_folder, write_json
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.config import read_config
    from diffusionrig.reactions.generators.faceais.reconstruction import reconstruction
    from diffusionrig.reactions.generators.faceais.released import any_tokenizer

    for name in ("output_dir", "dataset_path"):
        if not getattr(args, name):
            raise UsageError(f"No --{name} was given; name the folder.")
    changes = ["tokenizer.quantizer", args.quantize_type, *(["tokenizer.width", "144"] if args.quantize_type == "lfq" else [])]
    corpus = Corpus.open(args.dataset_path)
    config = read_config(args.config, [*changes, *shorter(args.config, corpus), *args.changes])
    if args.test:
        if not args.test_checkpoint_path:
            raise UsageError("--test needs a --test_checkpoint_path.")
        place = args.test_checkpoint_path
    else:
        place = train(args, config, corpus)
    split = corpus.split("val")
    measured = reconstruction(any_tokenizer(place, config.settings["tokenizer"]), split)
    write_json(make_folder(args.output_dir) / "reconstruction.json",
               {"run_name": args.run_name, "checkpoint": place, "split": split.name, "corpus": split.hash, **measured})
    print(f"Of {len(split)} clips of {split.name}: mean error {measured['coefficients']:.4f} of coefficients and "
          f"{measured['attributes']:.4f} of attributes, concordance {measured['concordance']:.3f}, {measured['used']:.0f} tokens "
          f"used.")
    return 0


def train(args: argparse.Namespace, config: SystemConfig, corpus: Corpus) -> str:
    """Both phases; returns the model of the second. UsageError when a checkpoint elsewhere is to be continued."""
    from diffusionrig.reactions.generators.running import newest_model, train_system
    from diffusionrig.training.distributed import start_world

    check_resume(args.resume_ckpt, args.output_dir, "--resume_ckpt")
    with start_world(str(config.training[PHASES[0]].get("device", "auto"))) as world:
        for phase in PHASES:
            report = train_system(config, corpus, args.output_dir, world, phase)[0]
            if report["signal"]:
                raise UsageError(f"The phase {phase} was stopped at step {report['step']}; the same command goes on.")
    return str(newest_model(Path(args.output_dir) / PHASES[1]))


def shorter(name: str, corpus: Corpus) -> list[str]:
    """Changes that cut the examples of the configuration ``name`` to the clips of ``corpus``, where those are shorter (published
    sizes are for clips of 750 frames)."""
    from diffusionrig.reactions.generators.config import read_config

    config = read_config(name)
    length = corpus.split(config.data.split).length
    wished = {"data.frames": config.data.frames, "tokenizer.frames": config.settings["tokenizer"].frames,
              "emotion.frames": config.settings["emotion"].frames}
    if length is None:
        return []
    return [word for key, frames in wished.items() if frames > length for word in (key, str(length))]


def check_resume(checkpoint: str, folder: str, flag: str) -> None:
    """Runs here continue from their own folder."""
    if checkpoint and Path(folder).resolve() not in Path(checkpoint).resolve().parents:
        raise UsageError(f"{flag} {checkpoint} lies outside of --output_dir; a run is continued by the same --output_dir.")
