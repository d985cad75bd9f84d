"""``diffusionrig ema RUN``: a model of another averaging width, chosen after training."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """Make the model whose weights are averaged over another share of the run than those that training saved. The run
must have been trained with --ema_profile power, which keeps snapshots (emaN.safetensors) of two averages. Widths between theirs
come out nearly exactly, widths beyond them with the error that is printed."""
EXAMPLES = """  diffusionrig ema log/stage1 --sigma_rel 0.08 -o log/stage1/wide.safetensors
  diffusionrig ema log/stage1 --sigma_rel 0.03 --step 40000 -o narrow.safetensors"""

_LARGE = 0.05  # a profile farther from the one asked for than this deserves a warning


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of the run (its --log_dir)")
    parser.add_argument("--sigma_rel", type=float, required=True, metavar="X",
                        help="width of the average: standard deviation of its profile as a share of the run, 0.001 to 0.288")
    parser.add_argument("--step", type=int, default=None, metavar="N", help="updates after which to average (the newest snapshot)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.safetensors", help="the model to write")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError
    from diffusionrig.io.checkpoints import save_checkpoint
    from diffusionrig.progress import Progress
    from diffusionrig.training.snapshots import rebuild

    output = Path(args.output)
    if output.exists():
        raise UsageError(f"{output} exists already; delete it or choose another --output.")
    with Progress(None, "averaging", unit="snapshot") as progress:
        tensors, meta = rebuild(args.run, args.sigma_rel, args.step, lambda done, count: progress.update(1, f"{done}/{count}"))
    save_checkpoint(output, tensors, meta)
    made = meta["ema"]
    print(f"{output}: step {meta['step']}, sigma_rel {made['sigma_rel']:g}, from {made['snapshots']} snapshots; the profile is met "
          f"to {made['profile_error']:.2%}.")
    if made["profile_error"] > _LARGE:
        print("The snapshots are too far apart, or their widths too far from this one, to meet it well; train with a smaller "
              "--ema_snapshots, or choose a width nearer to theirs.")
    return 0
