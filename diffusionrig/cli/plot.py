"""``diffusionrig plot RUN``: the curves of a training as a picture."""

from __future__ import annotations

import argparse

DESCRIPTION = """Draw the curves of a training run: loss, gradient norm, learning rate and the figures measured at each save, from
its progress.csv and metrics.csv. A run draws them itself at each save; this draws them in between, and for runs of other programs
with the published log."""
EXAMPLES = """  diffusionrig plot log/stage1
  diffusionrig plot log/stage1/progress.csv -o curves.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of the run, or its progress.csv")
    parser.add_argument("-o", "--output", default="", metavar="PNG", help="picture to write (training.png in the run's folder)")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.training.plots import plot_run

    print(f"Curves: {plot_run(args.run, args.output)}")
    return 0
