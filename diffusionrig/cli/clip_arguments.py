"""What ``diffusionrig edit`` takes and does when a clip drives the source."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import boolean
from diffusionrig.errors import UsageError
from diffusionrig.shown import some_lines

if TYPE_CHECKING:
    from diffusionrig.editing.order import Order
    from diffusionrig.editing.rig import Rig


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """``--clip``, ``--track``, ``--relative``, ``--fps``, ``--smooth``, ``--smooth_beta``."""
    from diffusionrig.capture.tracking.tracker import TRACKS

    group = parser.add_argument_group("clip (a video as target)")
    group.add_argument("--clip", type=boolean, default=False, help="a folder as target holds the frames of one clip (False)")
    group.add_argument("--track", choices=TRACKS, default=TRACKS[0],
                       help="auto follows one person through the clip and steadies it, where the encoder is FIT; off captures "
                            "every frame as if there were no other (auto)")
    group.add_argument("--relative", type=boolean, default=False,
                       help="carry over what differs from the clip's first face, so that the first frame is the source as it "
                            "is (False)")
    group.add_argument("--fps", type=float, default=25.0, help="frames a second of a folder of frames (25)")
    group.add_argument("--smooth", type=float, default=0.0, metavar="HZ",
                       help="one-euro filter of the captured clip besides: cutoff at rest, 0 for none; 1.5 is a good start where "
                            "nothing is tracked (0)")
    group.add_argument("--smooth_beta", type=float, default=1.0, metavar="B", help="its speed coefficient (1)")


def is_clip(args: argparse.Namespace) -> bool:
    """Whether the target drives as a clip."""
    from diffusionrig.editing.clip import drives

    return drives(args.target, args.clip)


def run_as_clip(rig: Rig, order: Order, args: argparse.Namespace) -> int:
    """Draw the clip and say what came of it; the exit status."""
    from diffusionrig.editing.clip import Drive, run_clip
    from diffusionrig.editing.driving import gap_sentences
    from diffusionrig.editing.smoothing import Smoothing

    if not (math.isfinite(args.fps) and args.fps > 0):
        raise UsageError(f"--fps {args.fps:g} is not above zero; give frames a second, for instance 25.")
    if order.align_source or order.paste_back is not None or order.output in {"photo", "both"}:
        raise UsageError("--align_source, --output and --paste_back belong to edits of pictures, but --target is a clip; "
                         "align the source first (diffusionrig align) and leave --paste_back out.")
    report = run_clip(rig, order, Drive(args.relative, args.fps, Smoothing(args.smooth, args.smooth_beta), args.track))
    for line in some_lines([f"diffusionrig edit: {problem['file']}: {problem['problem']}" for problem in report["problems"]],
                           where=f"{order.output_dir}/report.json"):
        print(line, file=sys.stderr)
    clip = report["clip"]
    for sentence in gap_sentences(clip["frames"], clip["frames_without_face"], clip["frames_held"], clip["other_people"],
                                  clip["frames_doubtful"]):
        print(f"diffusionrig edit: {clip['file']}: {sentence}", file=sys.stderr)
    for output in report["outputs"]:
        ratio = output["jitter"]["ratio"]
        print(f"{output['file']}: {clip['frames']} frames" + ("" if ratio is None else f", jitter {ratio:.2f} times that of the "
                                                                                      "buffers"))
    print(f"{len(report['outputs'])} clips in {order.output_dir}; look at {report['outputs'][0]['strip']}")
    return 0
