"""``diffusionrig react predict``: the answers of a predictor without a network to every item of a split."""

from __future__ import annotations

import argparse
from pathlib import Path

from diffusionrig.cli.arguments import positive_int

DESCRIPTION = """Predict the listeners' reactions of a split by a rule, to know what the scores of a trained model are worth:
random numbers; mime (what the speaker shows, --lag frames later); the training listeners' mean frame or mean sequence; what the
listeners of the nearest training speakers showed (on the training split: of the nearest others). ground_truth, appropriate and
inappropriate look at the real answers: they are the rows that a table is read by. Writes NAME.npy (items, samples, frames, 25)
in mirrored order, NAME_3dmm.npy where the corpus has coefficients and the predictor gives them, and NAME.json about both."""
EXAMPLES = """  diffusionrig react predict --data data/react --split val --predictor mime --lag 10 --output log/mime.npy
  diffusionrig react predict --data data/react --split val --predictor nearest --mode online --output log/nearest.npy
  diffusionrig react predict --data log/dyads --split val --predictor ground_truth --output log/truth.npy"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="", metavar="DIR", help="the corpus")
    parser.add_argument("--split", default="val", help="train, val or test (val)")
    parser.add_argument("--variant", default="", help="person_specific takes PerFRDiff's lists and matrices")
    parser.add_argument("--predictor", default="mime", metavar="NAME",
                        help="random, mime, mean_frame, mean_sequence, nearest; ground_truth, appropriate, inappropriate (mime)")
    parser.add_argument("--output", default="", metavar="NAME.npy", help="file to write")
    parser.add_argument("--samples", type=positive_int, default=10, help="reactions for each item, K (10)")
    parser.add_argument("--seed", type=int, default=0, help="which draw, for the predictors that draw (0)")
    parser.add_argument("--mode", choices=["offline", "online"], default="offline",
                        help="online: a frame depends on what the speaker showed before it only (offline)")
    parser.add_argument("--lag", type=int, default=0, metavar="FRAMES", help="of mime (0)")
    parser.add_argument("--length", type=positive_int, default=None, metavar="FRAMES",
                        help="use so many frames of every clip; needed where clips differ in length")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    if not args.data or not args.output:
        raise UsageError("Give the corpus as --data and the file to write as --output.")
    if args.lag < 0:
        raise UsageError(f"--lag is {args.lag}, but a reaction cannot come before its cause; give 0 or more frames.")
    from diffusionrig.reactions.baselines.choosing import make_predictor
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.predicting import Request, write_predictions

    corpus = Corpus.open(args.data, args.length)
    split = corpus.split(args.split, args.variant)
    predictor = make_predictor(args.predictor, corpus, split, args.lag)
    about = write_predictions(split, predictor, Request(args.samples, args.seed, args.mode), Path(args.output))
    print(f"{about['samples']} reactions of {about['frames']} frames by {about['generator']} to each of {about['items']} items of "
          f"{about['split']} are in {args.output}{', with coefficients beside' if about['coefficients'] else ''}.")
    return 0
