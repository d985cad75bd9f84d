"""What ``diffusionrig evaluate`` takes and does when it measures on real people."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import positive_int
from diffusionrig.errors import UsageError

if TYPE_CHECKING:
    from diffusionrig.editing.rig import Rig
    from diffusionrig.editing.sampling import Sampling


def add_reenactment_arguments(parser: argparse.ArgumentParser) -> None:
    """``--video``, ``--pairs``, ``--frames``, ``--framing``, ``--groups``."""
    from diffusionrig.evaluation.reenactment.framing import FRAMINGS
    from diffusionrig.evaluation.reenactment.report import Plan

    group = parser.add_argument_group("real people (a picture is edited towards another of the same person, and compared with it)")
    group.add_argument("--video", nargs="+", default=[], metavar="CLIP",
                       help="videos or folders of frames: of each the first frame with a face is the source")
    group.add_argument("--pairs", nargs=2, default=[], metavar=("A", "B"),
                       help="two folders: the picture in A is edited towards the one of the same name in B")
    group.add_argument("--frames", type=positive_int, default=Plan.frames, metavar="N",
                       help=f"of each clip so many frames, spread evenly, are target and truth ({Plan.frames})")
    group.add_argument("--framing", choices=list(FRAMINGS), default=Plan.framing,
                       help="; ".join(f"{name}: {text}" for name, text in FRAMINGS.items()) + f" ({Plan.framing})")
    group.add_argument("--groups", default=Plan.groups, metavar="FILE",
                       help="csv file with the columns name,group: the figures of each group of pictures or clips apart")


def is_reenactment(args: argparse.Namespace) -> bool:
    """Whether real people are asked for; UsageError when what is asked for does not go together."""
    if not args.video and not args.pairs:
        if args.groups:
            raise UsageError("--groups belongs to --video or --pairs; give one of them, or leave it out.")
        return False
    if args.video and args.pairs:
        raise UsageError("--video and --pairs are two evaluations; give one of them, and the other with another --output_dir.")
    flag = "--video" if args.video else "--pairs"
    if args.data:
        raise UsageError(f"--data and {flag} both say what is edited; give one of them.")
    if args.video and args.count is not None:
        raise UsageError("--count counts pairs of faces; with --video give --frames, the frames of each clip.")
    return True


def run_as_reenactment(rig: Rig, sampling: Sampling, args: argparse.Namespace) -> int:
    """Measure, and say what came of it; the exit status."""
    from diffusionrig.evaluation.reenactment.report import PAGE, Plan, run_reenactment
    from diffusionrig.evaluation.reenactment.summary import terminal_table

    report = run_reenactment(rig, Plan(
        args.output_dir, args.model_path or "default", tuple(args.video), tuple(args.pairs), args.frames, args.count or 0,
        args.framing, args.modes or Plan.modes, args.identity, args.lpips, args.batch_size, args.overwrite, args.groups), sampling)
    for sentence in report["left_out"]:
        print(f"diffusionrig evaluate: {sentence}", file=sys.stderr)
    print(terminal_table(report))
    print(f"\n{len(report['edits'])} edits of {report['pairs']} pairs, {len(report['left_out'])} left out; look at "
          f"{args.output_dir}/{PAGE}")
    return 0
