"""The flags of FaceAIS's ``p2_react_predictor.py``; not in the table of commands, see ``scripts/react/faceais``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import positive_int
from diffusionrig.cli.react.faceais_tokenizer import check_resume, shorter
from diffusionrig.errors import UsageError

if TYPE_CHECKING:
    from diffusionrig.reactions.corpus import Corpus, Split
    from diffusionrig.reactions.generators.config import SystemConfig

DESCRIPTION = """Train the predictor of FaceAIS on a trained face tokenizer, then let it answer the splits val and test and score
the answers: OUTPUT_DIR/RUN/VERSION/{val,test}/render_for_fid/ with listener_pred.npy, listener_pred_3dmm.npy and scores.txt. Takes
the flags of the published script; the same command again continues a run. Pictures are made by 'diffusionrig react render'."""
EXAMPLES = """  python scripts/react/faceais/p2_react_predictor.py --output_dir output \\
      --tokenizer_checkpoint checkpoint/face_tokenizer_epoch=185-step=37200.ckpt --dataset_path data/react2024
  python scripts/react/faceais/p2_react_predictor.py --test --test_checkpoint checkpoint/react_predictor_epoch=91-step=9200.ckpt \\
      --tokenizer_checkpoint checkpoint/face_tokenizer_epoch=185-step=37200.ckpt --output_dir output --dataset_path data/react2024
  python scripts/react/faceais/p2_react_predictor.py --output_dir log/p2 --tokenizer_checkpoint log/tokens \\
      --dataset_path log/dyads --config faceais"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--test", action="store_true", help="answer and score only")
    parser.add_argument("--resume", action="store_true", help="continue the run in --output_dir, as is done anyway")
    parser.add_argument("--resume_checkpoint", default="", help="must lie in --output_dir, whose newest state is continued")
    parser.add_argument("--test_checkpoint", default="", help="model that answers: one of ours or a released .ckpt")
    parser.add_argument("--tokenizer_checkpoint", default="", help="tokenizer: a model or run of ours, or a released .ckpt")
    parser.add_argument("--output_dir", default="", help="folder of the run")
    parser.add_argument("--dataset_path", default="", help="folder of the corpus")
    parser.add_argument("--config", default="faceais_published", help="YAML file or the name of one (faceais_published)")
    parser.add_argument("--samples", type=positive_int, default=10, help="reactions for each item, K (10)")
    parser.add_argument("--seed", type=int, default=0, help="which draw (0)")
    parser.add_argument("changes", nargs="*", metavar="SECTION.NAME VALUE", help="settings that differ from the configuration")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.config import read_config

    for name in ("output_dir", "dataset_path", "tokenizer_checkpoint"):
        if not getattr(args, name):
            raise UsageError(f"No --{name} was given; give --tokenizer_checkpoint, --output_dir and --dataset_path.")
    if args.test and not args.test_checkpoint:
        raise UsageError("--test needs a --test_checkpoint.")
    corpus = Corpus.open(args.dataset_path)
    # The released predictor hears wav2vec2; what is trained here hears what can be made here, unless told otherwise.
    sound = [] if args.test else ["predictor.sound", "logmel26"]
    config = read_config(args.config, [*sound, *shorter(args.config, corpus), *args.changes])
    model = ready(args, config, corpus) if args.test else train(args, config, corpus)
    for name in ("val", "test"):
        if name in corpus.splits:
            answer(args, model, corpus.split(name))
    return 0


def train(args: argparse.Namespace, config: SystemConfig, corpus: Corpus) -> Path:
    """The newest model of the predictor that is trained on."""
    from diffusionrig.reactions.generators.examples import Examples
    from diffusionrig.reactions.generators.faceais.published_task import build_predictor_task
    from diffusionrig.reactions.generators.faceais.released import tokenizer_file
    from diffusionrig.reactions.generators.running import newest_model
    from diffusionrig.training.distributed import start_world
    from diffusionrig.training.task_loop import train_task

    check_resume(args.resume_checkpoint, args.output_dir, "--resume_checkpoint")
    options = config.options("predictor", Path(args.output_dir) / "predictor")
    with start_world(options.device) as world:
        tokenizer = world.on_main(lambda: tokenizer_file(args.tokenizer_checkpoint, config.settings["tokenizer"],
                                                         Path(args.output_dir)))
        examples = Examples(corpus.split(config.data.split), config.data, options.seed)
        task = build_predictor_task(config.settings["predictor"], examples, {"emotion": tokenizer}, options.seed)
        report = train_task(task, options, world)
    if report["signal"]:
        raise UsageError(f"Training was stopped at step {report['step']}; the same command goes on.")
    return newest_model(options.log_dir)


def ready(args: argparse.Namespace, config: SystemConfig, corpus: Corpus) -> Path:
    """The model to be tested; a released one becomes a file of ours first."""
    import torch

    from diffusionrig.io.files import make_folder
    from diffusionrig.reactions.generators.faceais.released import is_released, write_released
    from diffusionrig.reactions.generators.running import newest_model

    if not is_released(args.test_checkpoint):
        return newest_model(args.test_checkpoint)
    if corpus.mean_face is None:
        raise UsageError(f"{args.dataset_path} has no mean_face.npy, which the released models need; put it there.")
    output = make_folder(args.output_dir) / "released_predictor.safetensors"
    write_released(args.test_checkpoint, args.tokenizer_checkpoint, config.settings["tokenizer"], config.settings["predictor"],
                   torch.from_numpy(corpus.mean_face.copy()), output)
    return output


def answer(args: argparse.Namespace, model: Path, split: Split) -> None:
    """Predictions and scores of one split, in the published folders."""
    from diffusionrig.io.files import make_folder
    from diffusionrig.reactions.generators.clips import Clips
    from diffusionrig.reactions.generators.faceais.generating import FaceAIS
    from diffusionrig.reactions.generators.running import load_generator
    from diffusionrig.reactions.metrics import results
    from diffusionrig.reactions.metrics.evaluation import METRICS
    from diffusionrig.reactions.metrics.scoring import Plan, heading, score_file, write_results
    from diffusionrig.reactions.predicting import Request, write_predictions

    generator = load_generator(model)
    assert isinstance(generator, FaceAIS)
    settings, tokenizer = generator.settings, generator.tokenizer.settings
    run_name = f"{tokenizer.quantizer}-{settings.sound}-patch{settings.patch}-context{settings.context}-vocab" \
               f"{settings.vocabulary or tokenizer.tokens}"
    folder = make_folder(Path(args.output_dir) / run_name / f"k{settings.top_k}-{settings.temperature:g}-p{settings.patch}-output"
                         / split.name / "render_for_fid")
    clips = Clips(split, split.path("audio", split.items[0].speaker).is_file())
    write_predictions(split, generator, Request(args.samples, args.seed, "online"), folder / "listener_pred.npy",
                      lambda item: (clips.speaker(item.speaker), None), {"model_path": str(model)})
    found, scores = score_file(folder / "listener_pred.npy", split, Plan(("official", "fixed"), METRICS, None, None, "", "cpu",
                                                                        os.cpu_count() or 1))
    text = "\n".join([heading(found), "", results.table(found, None), "", *results.remarks(found)])
    write_results(folder, found, scores, text)
    print(text)
