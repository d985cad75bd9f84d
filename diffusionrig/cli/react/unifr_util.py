"""``scripts/react/unifr/util.py``: decoding files of tokens, and choosing the five clips that are drawn."""

from __future__ import annotations

import argparse
from pathlib import Path

from diffusionrig.cli.arguments import add_device_argument
from diffusionrig.errors import UsageError

DESCRIPTION = """-d decodes a file of tokens to attributes and coefficients. -s picks five clips of decoded predictions: the five
of the published submission, as far as the split has their speakers; where it has none, five spread evenly over the split."""
EXAMPLES = """  python util.py -d ckpts/pretrain-cos-klr/test_result/val_..._tokens_pred.npy
  python util.py -s results/val_..._pred.npy --data log/dyads --split val"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-d", "--decode_file", default="", metavar="tokens_pred.npy", help="file of tokens to decode")
    parser.add_argument("-s", "--select_for_visual", default="", metavar="pred.npy", help="predictions to choose from")
    parser.add_argument("--model_path", default="",
                        help="model or run that made the tokens (the run whose test_result they are in)")
    parser.add_argument("--mode", choices=["offline", "online"], default="", help="how they were made (read off the name)")
    parser.add_argument("--data", default="data", help="folder of the corpus, for -s (data)")
    parser.add_argument("--split", default="val", help="split of the predictions, for -s (val)")
    parser.add_argument("--results", default="results", help="folder to write to (results)")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.generators.running import load_generator
    from diffusionrig.reactions.generators.unifr import testing
    from diffusionrig.reactions.generators.unifr.generator import Unifr
    from diffusionrig.reactions.interface import Mode

    if not args.decode_file and not args.select_for_visual:
        raise UsageError("Nothing was asked for; give -d a file of tokens, or -s a file of predictions.")
    if args.decode_file:
        tokens = Path(args.decode_file)
        output = Path(args.results) / tokens.name.replace("tokens_pred", "pred")
        if output.exists() or output == tokens:
            raise UsageError(f"{output} exists already; choose another --results or delete it.")
        generator = load_generator(args.model_path or tokens.parent.parent, args.device)
        if not isinstance(generator, Unifr):
            raise UsageError(f"{args.model_path} is of {generator.name}, not of unifr.")
        mode: Mode = "online" if "online" in (args.mode or tokens.name) else "offline"
        print(f"{output} {testing.decode_tokens(generator, tokens, output, mode)}")
    if args.select_for_visual:
        path = Path(args.select_for_visual)
        folder = Path(args.results) / f"{path.stem.removesuffix('_pred')}_5_samples"
        for file in testing.select_five(path, Corpus.open(args.data).split(args.split), folder):
            print(file)
    return 0
