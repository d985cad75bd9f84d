"""``diffusionrig react coefficients``: from facial attributes to the coefficients that faces are drawn from."""

from __future__ import annotations

import argparse
from pathlib import Path

from diffusionrig.cli.arguments import add_device_argument, positive_int

DESCRIPTION = """Train a bidirectional LSTM that turns 25 facial attributes into 58 coefficients (52 ARKit expressions, 3 angles, 3
translation; absolute, no mean face to be added), as in UniFR, and apply it to predictions. Training that was interrupted continues
when it is started again. The published lstm_model_200.pth can be applied as it is; it is read without running what is pickled in
it."""
EXAMPLES = """  diffusionrig react coefficients train --data data/react --output_dir log/coefficients
  diffusionrig react coefficients predict log/nearest.npy --model log/coefficients/coefficients.safetensors \\
      --output log/nearest_3dmm.npy"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="train|predict")
    train = actions.add_parser("train", help="learn from a corpus", description="Learn from the training split of a corpus.")
    train.add_argument("--data", default="", metavar="DIR", help="the corpus")
    train.add_argument("--output_dir", default="", metavar="DIR", help="folder for the network, its state and report.json")
    train.add_argument("--epochs", type=positive_int, default=200, help="passes over the clips (200)")
    train.add_argument("--batch_size", type=positive_int, default=64, help="clips in one update (64)")
    train.add_argument("--lr", type=float, default=1e-4, help="learning rate of Adam (1e-4)")
    train.add_argument("--seed", type=int, default=0, help="of the first weights and the order of clips (0)")
    train.add_argument("--length", type=positive_int, default=None, metavar="FRAMES", help="use so many frames of every clip")
    add_device_argument(train)
    predict = actions.add_parser("predict", help="apply to predictions", description="Attributes in, coefficients out.")
    predict.add_argument("predictions", metavar="PRED.npy", help="attributes (items, samples, frames, 25)")
    predict.add_argument("--model", default="", metavar="FILE", help="the trained network")
    predict.add_argument("--output", default="", metavar="FILE.npy", help="default: NAME_3dmm.npy beside NAME.npy")
    add_device_argument(predict)


def run(args: argparse.Namespace) -> int:
    return _train(args) if args.action == "train" else _predict(args)


def _train(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    if not args.data or not args.output_dir:
        raise UsageError("Give the corpus as --data and the folder to write to as --output_dir.")
    if not 0 < args.lr < 1:
        raise UsageError(f"--lr is {args.lr}, but a learning rate lies between 0 and 1.")
    from diffusionrig.devices import resolve_device
    from diffusionrig.reactions.coefficients.fitting import MODEL, Options, train
    from diffusionrig.reactions.corpus import Corpus

    corpus = Corpus.open(args.data, args.length)
    validation = corpus.split("val") if "val" in corpus.splits else None
    report = train(corpus.split("train"), validation, Options(args.epochs, args.batch_size, args.lr, args.seed),
                   Path(args.output_dir), resolve_device(args.device))
    beside = "" if validation is None else (f", {report['validation_error']:.5f} on val "
                                            f"(the mean face: {report['validation_error_of_mean_face']:.5f})")
    print(f"{Path(args.output_dir) / MODEL}: mean squared error {report['training_error']:.5f} in training{beside}.")
    return 0


def _predict(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    if not args.model:
        raise UsageError("Give the trained network as --model.")
    from diffusionrig.devices import resolve_device
    from diffusionrig.reactions.coefficients.applying import write_coefficients
    from diffusionrig.reactions.coefficients.network import load_network
    from diffusionrig.reactions.predicting import beside

    source = Path(args.predictions)
    output = Path(args.output) if args.output else beside(source, "_3dmm.npy")
    network, _ = load_network(args.model)
    shape = write_coefficients(network, source, output, resolve_device(args.device))
    print(f"Coefficients {shape} are in {output}.")
    return 0
