"""What ``diffusionrig edit`` takes and does when a camera, or frames on standard input, drive the source."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import boolean
from diffusionrig.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from diffusionrig.editing.order import Order
    from diffusionrig.editing.rig import Rig

CAMERA, STANDARD = "camera", "-"
USUAL_MODE = "exp+pose"
"""What follows a camera when nothing else is said."""


def add_live_arguments(parser: argparse.ArgumentParser) -> None:
    """``--camera``, ``--frames_in``, ``--frame_size``, ``--frames_out``, ``--seconds``, ``--drop``."""
    from diffusionrig.io.frame_streams import KINDS

    group = parser.add_argument_group(f"live ({CAMERA}, or {STANDARD} for frames on standard input, as target)")
    group.add_argument("--camera", default="", metavar="NAME",
                       help="which camera: /dev/video0 on Linux, 0 on macOS, \"video=NAME\" on Windows (the first, but on Windows)")
    group.add_argument("--frames_in", choices=KINDS, default="mjpeg",
                       help="frames on standard input: raw RGB of --frame_size, or JPEGs one after the other (mjpeg)")
    group.add_argument("--frame_size", default="", metavar="WxH", help="of raw frames, or asked of the camera: 640x480")
    group.add_argument("--frames_out", choices=("none", *KINDS), default="none",
                       help="also write the pictures to standard output as they are drawn (none)")
    group.add_argument("--seconds", type=float, default=math.inf, help="stop after so long (when the frames end, or on Ctrl-C)")
    group.add_argument("--drop", type=boolean, default=True,
                       help="pass over frames rather than fall behind; False draws every frame of standard input (True)")


def is_live(args: argparse.Namespace) -> bool:
    """Whether frames are to come as they are taken."""
    return args.target in {CAMERA, STANDARD}


def run_as_live(rig: Rig, order: Order, args: argparse.Namespace) -> int:
    """Draw what comes and say how it went; the exit status."""
    from diffusionrig.editing.live_driving import Drive
    from diffusionrig.editing.live_session import Flow, run_live
    from diffusionrig.io.frame_streams import standard_writer

    _check(args, order)
    out = None if args.frames_out == "none" else standard_writer(args.frames_out)
    drive = Drive(args.relative, args.track, args.fps, patient=not args.drop)
    report = run_live(rig, order, drive, Flow(_frames(args), args.target == STANDARD, out, args.seconds))
    print(f"diffusionrig edit: {report['said']}", file=sys.stderr)
    for output in report["outputs"]:
        print(f"{output['frames']} frames in {order.output_dir}/{output['file']}", file=sys.stderr if out else sys.stdout)
    return 0


def _check(args: argparse.Namespace, order: Order) -> None:
    if not (math.isfinite(args.fps) and args.fps > 0):
        raise UsageError(f"--fps {args.fps:g} is not above zero; give frames a second, for instance 25.")
    if math.isnan(args.seconds) or args.seconds <= 0:
        raise UsageError(f"--seconds {args.seconds:g} is no time; leave it out to go on until the frames end.")
    if args.target == CAMERA and not args.drop:
        raise UsageError("A camera does not wait: leave --drop False out, or send frames to standard input with --target -.")
    if args.clip or args.smooth or args.save_buffers:
        raise UsageError("--clip, --smooth and --save_buffers belong to clips that are over, but frames come live; leave them out.")
    if order.align_source or order.paste_back is not None or order.face > 1 or order.output in {"photo", "both"}:
        raise UsageError("--align_source, --face, --output and --paste_back belong to edits of pictures, but the source is driven "
                         "live; align it first (diffusionrig align) and leave them out.")


def _frames(args: argparse.Namespace) -> Iterator[np.ndarray]:
    from diffusionrig.io.frame_streams import camera_frames, parse_size, standard_frames

    size = parse_size(args.frame_size) if args.frame_size else None
    if args.target == STANDARD:
        return standard_frames(args.frames_in, size, args.max_megapixels)
    return camera_frames(args.camera, size, args.fps)
