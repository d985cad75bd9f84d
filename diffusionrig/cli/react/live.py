"""``diffusionrig react live``: a listener who reacts while the speaker's frames come in."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from diffusionrig.cli.arguments import (
    add_assets_argument,
    add_device_argument,
    add_speed_arguments,
    boolean,
    positive_int,
)
from diffusionrig.cli.loaded import show_loaded

if TYPE_CHECKING:
    import numpy as np

    from diffusionrig.editing.live_figures import Times
    from diffusionrig.io.line_streams import Lines
    from diffusionrig.reactions.live.showing import LiveFrames

DESCRIPTION = """React to a speaker live. Each line of standard input (or of one connection to --listen) is a frame of the speaker:
58 coefficients, or 25 attributes and 58 coefficients, or JSON with coefficients and the frame's sound. Each line of output is a
frame of the listener as JSON: coefficients, emotion, latency_ms. Frames come in patches: the first at once, the next whenever the
speaker has shown a patch. At the end the latency is summed up on standard error. With --frames_dir frames are drawn too, as the
--listener where one is given, else as meshes; frames that cannot be drawn in time are passed over. See docs/reactions.md for the
lines."""
EXAMPLES = """  diffusionrig react live --model_path log/faceais < speaker.txt > listener.jsonl
  diffusionrig react live --model_path log/faceais --listen 127.0.0.1:6000 --rate 44100
  diffusionrig react live --model_path log/faceais --listener person.jpg --frames_dir log/frames
  diffusionrig react live --model_path log/faceais --rig log/person.safetensors --album log/store --listener person.jpg
      --frames_dir log/frames"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model_path", default="", help="run folder of 'react train', or a model in it")
    parser.add_argument("--listen", default="", metavar="HOST:PORT", help="serve one connection instead of standard input")
    parser.add_argument("--rate", type=positive_int, default=16000, help="of the sound in the lines, hertz (16000)")
    parser.add_argument("--fps", type=float, default=25.0, help="frames a second (25)")
    parser.add_argument("--name", default="live", help="of the speaker's clip, which with --seed decides what is drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="which draw (0)")
    parser.add_argument("--frames_dir", default="", metavar="DIR", help="draw frames into this folder")
    parser.add_argument("--drop", type=boolean, default=True,
                        help="pass over frames that cannot be drawn in time; False draws every one, however late (True)")
    parser.add_argument("--listener", default="",
                        help="photograph, store or clip of the listener (without: a mean head, as a mesh)")
    parser.add_argument("--rig", default="", metavar="MODEL",
                        help="checkpoint of the listener's own model (the shipped prior, which draws anybody)")
    parser.add_argument("--base", default="", help="base model of a personal adapter (default: looked for, see docs/personal.md)")
    parser.add_argument("--album", default="", metavar="STORE",
                        help="store of further photographs of the listener, which lend teeth and open eyes, as in edit")
    parser.add_argument("--mesh_only", type=boolean, default=False, help="draw the listener as meshes, without a model (False)")
    parser.add_argument("--smooth", type=float, default=0.0, metavar="HZ",
                        help="one-euro filter of what is drawn, not of the lines: cutoff at rest, 0 for none (0)")
    parser.add_argument("--timestep_respacing", default="ddim5", help="steps of the sampler, of models that take several (ddim5)")
    parser.add_argument("--quiet", type=boolean, default=False, help="no lines, only the summary (False)")
    add_assets_argument(parser)
    add_speed_arguments(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    import math

    from diffusionrig.errors import UsageError

    if not args.model_path:
        raise UsageError("No --model_path was given; name the run of a generator that can react live.")
    if not (math.isfinite(args.fps) and args.fps > 0):
        raise UsageError(f"--fps {args.fps:g} is not above zero.")
    if (args.rig or args.album) and not (args.frames_dir and args.listener):
        raise UsageError("--rig and --album draw the listener; give their picture as --listener and a folder as --frames_dir.")
    if args.rig and args.mesh_only:
        raise UsageError("--mesh_only True draws without a model, but --rig names one; leave one of them out.")
    from diffusionrig.editing.live_figures import Times
    from diffusionrig.reactions.generators.running import load_generator
    from diffusionrig.reactions.live.lines import read_frames, write_answer
    from diffusionrig.reactions.live.listening import LiveGenerator, converse

    generator = load_generator(args.model_path, args.device)
    if not isinstance(generator, LiveGenerator):
        raise UsageError(f"{generator.name} cannot be fed frame by frame; take a run of stream or faceais.")
    reaction = generator.live(args.name, args.seed, args.rate, args.fps)
    show = _show(args, generator.face_at_rest()) if args.frames_dir else None
    waits, first = Times(), 0.0
    frames = patches = 0
    with _lines(args.listen) as (lines, write):
        for answer in converse(reaction, read_frames(lines), show):
            frames, patches = frames + len(answer.emotion), patches + 1
            if patches == 1:
                first = answer.seconds  # it also warms up
            else:
                waits.add(answer.seconds)
            if not args.quiet:
                for line in write_answer(answer):
                    write(line)
    if patches == 1:
        waits.add(first)
    print(_summed_up(waits, frames, patches, args.fps), file=sys.stderr)
    if show is not None:
        print(f"diffusionrig react live: {show.finish().sentence()}", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _lines(place: str) -> Iterator[Lines]:
    from diffusionrig.io.line_streams import socket_lines, standard_lines

    if not place:
        yield standard_lines()
        return
    with socket_lines(place, lambda where: print(f"diffusionrig react live: listening at {where}", file=sys.stderr,
                                                 flush=True)) as lines:
        yield lines


def _show(args: argparse.Namespace, mean_face: np.ndarray) -> LiveFrames:
    from diffusionrig.editing.capturing import Capturing
    from diffusionrig.editing.rig import Rig
    from diffusionrig.editing.sampling import Sampling
    from diffusionrig.editing.smoothing import Smoothing
    from diffusionrig.reactions.frames.listener import find_listener, nobody
    from diffusionrig.reactions.live.showing import LiveFrames

    sampling = Sampling(respacing=args.timestep_respacing, seed=args.seed)
    pace: dict[str, Any] = {"fps": args.fps, "patient": not args.drop, "smoothing": Smoothing(args.smooth)}
    if args.listener and not args.mesh_only:
        rig = Rig.from_pretrained(args.rig or "default", device=args.device, base=args.base, precision=args.precision,
                                  compiled=args.compile)
        show_loaded("react live", rig.pretrained)
        if args.album:
            rig.use_album(args.album)
        return LiveFrames(args.frames_dir, rig, find_listener(args.listener, rig), mean_face, sampling, **pace)
    capturing = Capturing(device=args.device)
    listener = find_listener(args.listener, capturing) if args.listener else nobody(capturing.head, capturing.device)
    return LiveFrames(args.frames_dir, capturing, listener, mean_face, sampling, **pace)


def _summed_up(waits: Times, frames: int, patches: int, fps: float) -> str:
    """Latency of patches, as the generator makes them."""
    patch, median, late = frames // patches, waits.share(0.5), waits.share(0.95)
    return (f"{frames} frames in {patches} patches of {patch}; a patch took {1000 * median:.1f} ms (median), {1000 * late:.1f} ms "
            f"(95th percentile), {1000 * median / patch:.2f} ms a frame; it lasts {1000 * patch / fps:.0f} ms.")
