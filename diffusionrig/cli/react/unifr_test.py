"""``scripts/react/unifr/test.py``: predicting and measuring by UniFR's command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from diffusionrig.cli.arguments import add_device_argument, positive_int
from diffusionrig.errors import UsageError

DESCRIPTION = """Predict tokens of every item of a split with UniFR (-p), decode and score them (-m), keep what was decoded (-s),
with the published command. Tokens go to the run's folder, test_result/..._tokens_pred.npy (3, items, 10, frames): action units,
expression, valence with arousal."""
EXAMPLES = """  torchrun --nproc_per_node=1 --master_port=14900 test.py -i 120000 --config ./configs/cos-keeplr.yaml -t offline \\
           -p -m -hf -s
  python test.py --config unifr --data log/dyads --log_dir log/unifr -t online -d val -p -m"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="unifr", help="published or own YAML file, or the name of an own one (unifr)")
    parser.add_argument("-i", "--load_iter", type=int, default=-1, help="iteration of the model to load (-1: the newest)")
    parser.add_argument("-t", "--task", choices=["offline", "online"], default="offline", help="(offline)")
    parser.add_argument("-d", "--dataset", choices=["train", "val", "test"], default="val", help="split (val)")
    parser.add_argument("-p", "--predict", action="store_true", help="predict tokens")
    parser.add_argument("-m", "--measure", action="store_true", help="decode the tokens and score them")
    parser.add_argument("-s", "--save_pred", action="store_true", help="keep what was decoded in ./results")
    parser.add_argument("-hf", "--half_precision", action="store_true", help="fp16 on GPUs, bf16 on CPUs")
    parser.add_argument("-ap", "--accumulate_probs", action="store_true", help="write log-probabilities of the samples too")
    parser.add_argument("-l", "--log_level", type=int, default=1, help="taken for the published command")
    parser.add_argument("--data", default="", help="folder of the corpus, when not the one of the configuration")
    parser.add_argument("--log_dir", default="", help="folder of the run, when not the one of the configuration")
    parser.add_argument("--phase", choices=["pretrain", "finetune"], default="",
                        help="whose model (of a published file: as it says; else finetune where that was trained)")
    parser.add_argument("--coefficients", default="scripts/reaction_to_3DMM/lstm_model_200.pth",
                        help="for released checkpoints (models/iter_N.ckpt): the network from attributes to coefficients")
    parser.add_argument("--samples", type=positive_int, default=10, help="reactions for each item, K (10)")
    parser.add_argument("--seed", type=int, default=100, help="which draw (100)")
    parser.add_argument("--results", default="results", help="folder for -s (results)")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    if not (args.predict or args.measure or args.save_pred):
        raise UsageError("Nothing was asked for; give -p to predict, -m to measure, -s to keep what was decoded.")
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.unifr import testing
    from diffusionrig.reactions.generators.unifr.generator import load, set_precision
    from diffusionrig.reactions.generators.unifr.published import read_plan
    from diffusionrig.reactions.generators.unifr.sampling import Decoding
    from diffusionrig.training.distributed import start_world
    from diffusionrig.training.run_folder import RunFolder, step_in_name

    plan = read_plan(args.config, [])
    folder, data = Path(args.log_dir or plan.run), Path(args.data or plan.data)
    phase = args.phase or plan.phase or ("finetune" if RunFolder(folder / "finetune").found("model") else "pretrain")
    with start_world(args.device) as world:
        released = testing.released_file(folder, args.load_iter)
        if released is not None:
            generator, iteration = testing.load_released(plan.config, released, args.coefficients, world.device), args.load_iter
        else:
            model = testing.find_iteration(folder, phase, args.load_iter, plan.share)
            generator = load(model, world.device)
            iteration = step_in_name(model) if args.load_iter == -1 else args.load_iter
        set_precision(generator, args.half_precision)
        if plan.offline:
            generator.offline, generator.online = Decoding.parse(plan.offline), Decoding.parse(plan.online)
        split = Corpus.open(data).split(args.dataset)
        tokens = testing.token_file(folder, args.dataset, plan.name, iteration, args.task, generator)
        if args.predict:
            speakers = testing.Speakers.of(split, generator, data)
            testing.predict_tokens(generator, split, speakers, tokens, args.task, args.samples, args.seed, world,
                                   args.accumulate_probs)
        if world.main and (args.measure or args.save_pred):
            name = tokens.name.replace("tokens_pred", "pred")
            decoded = (Path(args.results) if args.save_pred else tokens.parent) / name
            if args.predict or not decoded.exists():
                testing.decode_tokens(generator, tokens, decoded, args.task)
            if args.measure:
                log = folder / "test_log" / name.replace("pred.npy", "metrics.txt")
                testing.measure(decoded, split, log, os.cpu_count() or 1)
    return 0
